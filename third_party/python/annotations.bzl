"""The parts of wheels that no action of ours reads, left out of their targets.

Every file less is one less to stage, hash and upload for each action that imports torch.
//third_party/libtorch says the same of torch.
"""

load("@rules_python//python:pip.bzl", "package_annotation")

# What is read by people, type checkers and C compilers.
NOT_PYTHON = [
    "site-packages/**/*.pyi",
    "site-packages/**/py.typed",
    "site-packages/*.dist-info/licenses/**",
    "site-packages/*.dist-info/sboms/**",
]

def trimmed(exclude = [], **kwargs):
    """Annotates a wheel.

    Args:
      exclude: list of strings; globs of files to leave out, beside NOT_PYTHON.
      **kwargs: more of `package_annotation`'s arguments.

    Returns:
      the annotation, for `pip_parse`.
    """
    return package_annotation(
        data_exclude_glob = NOT_PYTHON + exclude,
        srcs_exclude_glob = exclude,
        **kwargs
    )

PYTHON_ANNOTATIONS = {
    "mpmath": trimmed(["site-packages/mpmath/tests/**"]),
    "networkx": trimmed(["site-packages/networkx/**/tests/**"]),
    "numpy": trimmed([
        "site-packages/numpy/**/*.a",
        "site-packages/numpy/**/tests/**",
        "site-packages/numpy/_core/include/**",
    ]),
    "safetensors": trimmed(),
    "setuptools": trimmed([
        "site-packages/setuptools/**/*.exe",
        "site-packages/setuptools/**/tests/**",
    ]),
    "sympy": trimmed([
        "site-packages/sympy/**/benchmarks/**",
        "site-packages/sympy/**/tests/**",
        "site-packages/sympy/utilities/mathml/data/**",
    ]),
    # Headers and the profiler's libraries; of the programs, ptxas stays.
    "triton": trimmed([
        "site-packages/triton/FileCheck",
        "site-packages/triton/_C/libproton.so",
        "site-packages/triton/backends/amd/include/**",
        "site-packages/triton/backends/nvidia/bin/cuobjdump",
        "site-packages/triton/backends/nvidia/bin/nvdisasm",
        "site-packages/triton/backends/nvidia/include/**",
        "site-packages/triton/backends/nvidia/lib/cupti/**",
        "site-packages/triton/instrumentation/**",
        "site-packages/triton/plugins/*.so*",
    ]),
}
