// The runtime of another torch_runtime_toolchain; never compiled.
