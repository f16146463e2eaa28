/* Puts a weights file into the binary's image, read-only and shared between
 * processes. The rule defines WEIGHTS_FILE (a path) and WEIGHTS_SYMBOL, which
 * names a rules_torch::internal::Weights. */
  .section .rodata.rtorch_weights, "a", @progbits
  .balign 64
.Lbegin:
  .incbin WEIGHTS_FILE
.Lend:
  .byte 0

  .section .data.rel.ro, "aw", @progbits
  .balign 8
  .globl WEIGHTS_SYMBOL
  .hidden WEIGHTS_SYMBOL
  .type WEIGHTS_SYMBOL, @object
  .size WEIGHTS_SYMBOL, 16
WEIGHTS_SYMBOL:
  .quad .Lbegin
  .quad .Lend - .Lbegin

  .section .note.GNU-stack, "", @progbits
