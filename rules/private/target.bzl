"""What a model is compiled for: instruction sets and threads.

Both are declared, never detected. `tools/torch_aot/isa.py` has what the code
generator makes of each instruction set, `runtime/internal/isa.cc` which CPUs run it.
"""

ISAS = {
    # The psABI's x86-64 levels. v2 has no vector type of at::vec's own: plain
    # loops, which the compiler vectorises for SSE4.2.
    "x86-64-v2": ["-march=x86-64-v2"],
    "x86-64-v3": ["-march=x86-64-v3", "-DCPU_CAPABILITY_AVX2"],
    "x86-64-v4": ["-march=x86-64-v4", "-DCPU_CAPABILITY_AVX512"],
    # Sapphire Rapids and later.
    "x86-64-v4-amx": [
        "-march=x86-64-v4",
        "-mavx512bf16",
        "-mavx512vnni",
        "-mamx-tile",
        "-mamx-bf16",
        "-mamx-int8",
        "-DCPU_CAPABILITY_AVX512",
    ],
    # Without SLEEF's vector functions: only torch's wheel for aarch64 declares them.
    "aarch64": ["-DCPU_CAPABILITY_NEON"],
}

# By the name that the C++ toolchain has for the target CPU: each next one runs
# what the ones before it run.
_X86_64 = ["x86-64-v2", "x86-64-v3", "x86-64-v4", "x86-64-v4-amx"]
_BY_CPU = {
    "aarch64": ["aarch64"],
    "k8": _X86_64,
    "x86_64": _X86_64,
}
_DEFAULTS = ["x86-64-v3", "aarch64"]

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
    known = _BY_CPU.get(cpu, [])
    if not wanted and not known:
        fail("no default instruction set for the CPU '{}': set 'isas' or --@rules_torch//rules:isas".format(cpu))
    if not wanted:
        return [isa for isa in known if isa in _DEFAULTS]
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
