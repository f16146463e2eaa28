"""What a model is compiled for: instruction sets and threads.

Both are declared, never detected.
"""

load("//rules/private:isa.bzl", "DEFAULTS", "ISAS")

# isa.bzl's kinds of CPUs, by the names that C++ toolchains have for them.
_CPUS = {
    "aarch64": "aarch64",
    "k8": "x86_64",
    "x86_64": "x86_64",
}

def resolve_isas(wanted, cpu):
    """Decides which instruction sets a model is compiled for.

    Args:
      wanted: list of strings; keys of ISAS, or empty for the target CPU's default.
      cpu: string; the target CPU as the C++ toolchain names it.

    Returns:
      list of strings, each key of ISAS at most once; the one to prefer comes first.
    """
    unknown = [isa for isa in wanted if isa not in ISAS]
    if unknown:
        fail("unknown instruction set '{}'; there are {}".format(unknown[0], ", ".join(ISAS)))
    kind = _CPUS.get(cpu)
    known = [isa for isa, about in ISAS.items() if about["cpu"] == kind]
    if not wanted and not known:
        fail("no default instruction set for the CPU '{}': set 'isas' or --@rules_torch//rules:isas".format(cpu))
    if not wanted:
        return [DEFAULTS[kind]]
    foreign = [isa for isa in wanted if known and isa not in known]
    if foreign:
        fail("the target CPU '{}' has no instruction set '{}', but {}".format(cpu, foreign[0], ", ".join(known)))
    if not known and len(wanted) > 1:
        fail("for the CPU '{}' only one instruction set can be given".format(cpu))
    return reversed([isa for isa in known or wanted if isa in wanted])

def resolve_threads(wanted):
    """Reads a number of threads.

    Args:
      wanted: string; "openmp", "none" or a number.

    Returns:
      string; "openmp", or a number.
    """
    if wanted == "none":
        return "1"
    if wanted != "openmp" and not (wanted.isdigit() and 0 < int(wanted) and int(wanted) <= 1024):
        fail("threads must be 'openmp', 'none' or a number from 1 to 1024, not '{}'".format(wanted))
    return wanted if wanted == "openmp" else str(int(wanted))
