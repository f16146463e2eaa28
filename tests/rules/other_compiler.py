"""The compiler of another torch_compiler_toolchain; never run."""
