"""The instruction sets that models are compiled for, with their compiler flags.

`tools/torch_aot/isa.py` has what the code generator makes of each name.
"""

ISAS = {
    # The psABI's x86-64 levels. v2 has no vector type of at::vec's own: plain
    # loops, which the compiler vectorises for SSE4.2.
    "x86-64-v2": ["-march=x86-64-v2"],
    "x86-64-v3": ["-march=x86-64-v3", "-DCPU_CAPABILITY_AVX2"],
    "x86-64-v4": ["-march=x86-64-v4", "-DCPU_CAPABILITY_AVX512"],
    "aarch64": ["-DCPU_CAPABILITY_NEON", "-DAT_BUILD_ARM_VEC256_WITH_SLEEF"],
}

# By the name that the C++ toolchain has for the target CPU; the default first.
_X86_64 = ["x86-64-v3", "x86-64-v2", "x86-64-v4"]
_BY_CPU = {
    "aarch64": ["aarch64"],
    "k8": _X86_64,
    "x86_64": _X86_64,
}

def resolve_isa(wanted, cpu):
    """Picks an instruction set.

    Args:
      wanted: string; a key of ISAS, or "auto" for the target CPU's default.
      cpu: string; the target CPU as the C++ toolchain names it.

    Returns:
      string; a key of ISAS.
    """
    known = _BY_CPU.get(cpu, [])
    if wanted == "auto" and known:
        return known[0]
    if wanted == "auto":
        fail("no default instruction set for the CPU '{}': set 'isa' or --@rules_torch//rules:isa".format(cpu))
    if known and wanted not in known:
        fail("the target CPU '{}' has no instruction set '{}', but {}".format(cpu, wanted, ", ".join(known)))
    return wanted
