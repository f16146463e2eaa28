"""What the compilers of models and of kernels share; it imports neither, nor torch.

errors: what users are told; frames and paths: whose code an error passed through;
user_file: how the user's files are run; cpp and cpp_names: what all generated C++ has.
"""

VERSION = "0.1.0"  # of rules_torch: MODULE.bazel's
