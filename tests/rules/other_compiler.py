"""The compiler of another torch_toolchain; never run."""
