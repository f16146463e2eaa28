"""Which runtime a model's code stands on."""

# By name: the field of TorchRuntimeInfo, and whether it comes with operators that are
# compiled for each model.
RUNTIMES = {
    "libtorch": struct(field = "backend", has_operators = False),
    "standalone": struct(field = "standalone", has_operators = True),
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
    field = RUNTIMES[runtime].field
    backend = getattr(toolchain, field)
    if not backend:
        fail("the torch_runtime_toolchain has no '{}' runtime: give it one, or the library runtime = \"libtorch\"".format(field))
    return backend
