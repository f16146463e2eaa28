"""The instruction sets that models are compiled for, by the names that BUILD files use.

Valid Python and valid Starlark: rules/private/isa.bzl is a copy, as each language loads
its own files alone. runtime/internal/isa.cc says which of them a CPU runs, docs/cpp.md
which CPUs do; tests compare the names there with these.
"""

# cpu: the kind that has it. Of one kind, each runs what the ones before it run.
# flags: the compiler's, for kernels.
# vectors: Inductor's class of vectors, in torch._inductor.cpu_vec_isa; None: it is given
#     no vectors, and writes plain loops.
ISAS = {
    # The psABI's x86-64 levels. at::vec has nothing for v2: the compiler vectorises
    # its plain loops for SSE4.2.
    "x86-64-v2": {
        "cpu": "x86_64",
        "flags": ["-march=x86-64-v2"],
        "vectors": None,
    },
    "x86-64-v3": {
        "cpu": "x86_64",
        "flags": ["-march=x86-64-v3", "-DCPU_CAPABILITY_AVX2"],
        "vectors": "VecAVX2",
    },
    "x86-64-v4": {
        "cpu": "x86_64",
        "flags": ["-march=x86-64-v4", "-DCPU_CAPABILITY_AVX512"],
        "vectors": "VecAVX512",
    },
    # Sapphire Rapids and later.
    "x86-64-v4-amx": {
        "cpu": "x86_64",
        "flags": [
            "-march=x86-64-v4",
            "-mavx512bf16",
            "-mavx512vnni",
            "-mamx-tile",
            "-mamx-bf16",
            "-mamx-int8",
            "-DCPU_CAPABILITY_AVX512",
        ],
        "vectors": "VecAMX",
    },
    # Without SLEEF's vector functions: only torch's wheel for aarch64 declares them.
    "aarch64": {
        "cpu": "aarch64",
        "flags": ["-DCPU_CAPABILITY_NEON"],
        "vectors": "VecNEON",
    },
}

# By kind of CPU, what is compiled for where nobody says.
DEFAULTS = {
    "aarch64": "aarch64",
    "x86_64": "x86-64-v3",
}
