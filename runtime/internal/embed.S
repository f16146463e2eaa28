/* Puts a file into the binary's image, read-only and shared between
 * processes. The rule defines EMBED_FILE (a path) and EMBED_SYMBOL, which
 * names a rules_torch::internal::Blob; with EMBED_TEXT_FILE, EMBED_TEXT_SYMBOL is
 * its text, an array of char with a zero at its end. */
  .section .rodata.rtorch_data, "a", @progbits
  .balign 64
.Lbegin:
  .incbin EMBED_FILE
.Lend:
  .byte 0

#ifdef EMBED_TEXT_FILE
  .globl EMBED_TEXT_SYMBOL
  .hidden EMBED_TEXT_SYMBOL
  .type EMBED_TEXT_SYMBOL, @object
EMBED_TEXT_SYMBOL:
  .incbin EMBED_TEXT_FILE
  .byte 0
  .size EMBED_TEXT_SYMBOL, . - EMBED_TEXT_SYMBOL
#endif

  .section .data.rel.ro, "aw", @progbits
  .balign 8
  .globl EMBED_SYMBOL
  .hidden EMBED_SYMBOL
  .type EMBED_SYMBOL, @object
  .size EMBED_SYMBOL, 16
EMBED_SYMBOL:
  .quad .Lbegin
  .quad .Lend - .Lbegin

  .section .note.GNU-stack, "", @progbits
