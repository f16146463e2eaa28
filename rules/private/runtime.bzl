"""Which runtime a model's code stands on."""

# By name: whether it comes with operators that are compiled for each model.
RUNTIMES = {
    "libtorch": struct(has_operators = False),
    "standalone": struct(has_operators = True),
}

def resolve_runtime(wanted):
    """Checks a runtime's name.

    Args:
      wanted: string.

    Returns:
      string; a key of RUNTIMES.
    """
    if wanted not in RUNTIMES:
        fail("runtime must be {}, not '{}'".format(" or ".join(["'%s'" % name for name in RUNTIMES]), wanted))
    return wanted

def backend_of(toolchain, runtime):
    """Finds what code for a runtime is compiled against and linked with.

    Args:
      toolchain: TorchRuntimeInfo.
      runtime: string; a key of RUNTIMES.

    Returns:
      CcInfo.
    """
    backend = toolchain.standalone if runtime == "standalone" else toolchain.backend
    if not backend:
        fail("the torch_runtime_toolchain has no 'standalone' runtime: give it one, or the library runtime = \"libtorch\"")
    return backend
