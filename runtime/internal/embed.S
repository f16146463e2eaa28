/* Puts a file into the binary's image, read-only and shared between
 * processes. The rule defines EMBED_FILE (a path) and EMBED_SYMBOL, which
 * names a rules_torch::internal::Blob. */
  .section .rodata.rtorch_data, "a", @progbits
  .balign 64
.Lbegin:
  .incbin EMBED_FILE
.Lend:
  .byte 0

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
