// The runtime of another torch_toolchain; never compiled.
