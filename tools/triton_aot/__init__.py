"""Ahead-of-time compilation of Triton kernels, one module a stage.

declaration: what is to be compiled; source: the user's kernels; compile: machine code
for one architecture; ptxas: NVIDIA's assembler; launcher: the C++ that launches it.
"""

import os

# Without it Triton looks for backends in every package that is installed.
os.environ.setdefault("TRITON_BACKENDS_IN_TREE", "1")
