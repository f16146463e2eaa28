"""Which runtime a model's code stands on."""

# By name, the field of TorchRuntimeInfo.
RUNTIMES = {
    "libtorch": "backend",
    "standalone": "standalone",
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
    field = RUNTIMES[runtime]
    backend = getattr(toolchain, field)
    if not backend:
        fail("the torch_runtime_toolchain has no '{}' runtime: give it one, or the library runtime = \"libtorch\"".format(field))
    return backend

def has_openmp(codegen):
    """Whether a model's code uses OpenMP.

    Args:
      codegen: TorchCodegenInfo.

    Returns:
      bool. With libtorch it does: libtorch's threads are OpenMP's.
    """
    return codegen.runtime == "libtorch" or codegen.threads != "1"

def brings_openmp(codegen):
    """Whether the toolchain's OpenMP is linked with a model.

    Args:
      codegen: TorchCodegenInfo.

    Returns:
      bool. Libtorch brings its own, and keeps it loaded.
    """
    return codegen.runtime == "standalone" and has_openmp(codegen)

def operators_of(toolchain, codegen):
    """Finds the operators that a model's code calls.

    Args:
      toolchain: TorchRuntimeInfo.
      codegen: TorchCodegenInfo.

    Returns:
      list of CcInfos, one for each instruction set; empty with libtorch.
    """
    if codegen.runtime == "libtorch":
        return []
    operators = toolchain.operators
    by_isa = operators.threaded if has_openmp(codegen) else operators.serial
    return [by_isa[isa] for isa in codegen.isas]
