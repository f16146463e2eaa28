"""What the torch wheel's repository offers beside its Python package."""

load("//third_party/python:annotations.bzl", "trimmed")

# Parts of the wheel that neither the exporter nor the code generator reads. The
# programs are tests and protoc; torch looks for torch_shm_manager when it starts. What
# //tests/conformance reads of them is a target of its own, below.
_NOT_PYTHON = [
    "site-packages/torch/**/*.h",
    "site-packages/torch/bin/*Test",
    "site-packages/torch/bin/protoc*",
    "site-packages/torch/bin/script_module*",
    "site-packages/torch/bin/test_*",
    "site-packages/torch/bin/upgrader_models/**",
    "site-packages/torch/include/**",
    "site-packages/torch/lib/libaoti_custom_ops.so",
    "site-packages/torch/lib/libbackend_with_compiler.so",
    "site-packages/torch/lib/libjitbackend_test.so",
    "site-packages/torch/lib/libtorchbind_test.so",
    "site-packages/torch/share/**",
    "site-packages/torch/test/**",
    "site-packages/torch/testing/_internal/codegen/**",
    "site-packages/torch/testing/_internal/common_methods_invocations.py",
    "site-packages/torch/testing/_internal/common_modules.py",
    "site-packages/torch/testing/_internal/common_nn.py",
    "site-packages/torch/testing/_internal/data/**",
    "site-packages/torch/testing/_internal/generated/**",
    "site-packages/torch/testing/_internal/opinfo/**",
    "site-packages/torch/testing/_internal/test_module/**",
    "site-packages/torch/utils/model_dump/**",
    "site-packages/torchgen/packaged/**",
]

# The text of libtorch.BUILD, which MODULE.bazel names: a WORKSPACE cannot read it.
LIBTORCH_BUILD = """\
load("@rules_cc//cc:cc_library.bzl", "cc_library")
load("@rules_python//python:defs.bzl", samples_library = "py_library")

# What code that AOTInductor generated includes: the C shim, the runtime's
# headers and the vector library, which are header-only.
cc_library(
    name = "aoti_headers",
    hdrs = ["site-packages/torch/include/sleef.h"] + glob(
        [
            "site-packages/torch/include/ATen/*.h",
            "site-packages/torch/include/ATen/core/*.h",
            "site-packages/torch/include/ATen/cpu/**/*.h",
            "site-packages/torch/include/ATen/native/*.h",
            "site-packages/torch/include/ATen/native/cpu/*.h",
            "site-packages/torch/include/ATen/native/quantized/*.h",
            "site-packages/torch/include/c10/**/*.h",
            "site-packages/torch/include/torch/csrc/inductor/**/*.h",
            "site-packages/torch/include/torch/csrc/stable/**/*.h",
            "site-packages/torch/include/torch/headeronly/**/*.h",
        ],
        exclude = [
            "site-packages/torch/include/ATen/*_inl.h",
            "site-packages/torch/include/ATen/ops/**",
            "site-packages/torch/include/c10/cuda/**",
            "site-packages/torch/include/c10/xpu/**",
        ],
    ),
    includes = ["site-packages/torch/include"],
)

# All headers: torch/torch.h, torch/script.h, ATen.
cc_library(
    name = "torch_headers",
    hdrs = glob([
        "site-packages/torch/include/**/*.h",
        "site-packages/torch/include/**/*.hpp",
    ]),
    includes = [
        "site-packages/torch/include",
        "site-packages/torch/include/torch/csrc/api/include",
    ],
)

# The libraries. libgomp is the OpenMP runtime that libtorch was built with:
# generated code has to share it, or each would start threads of its own.
cc_library(
    name = "libtorch",
    srcs = [
        "site-packages/torch/lib/libc10.so",
        "site-packages/torch/lib/libgomp.so.1",
        "site-packages/torch/lib/libtorch_cpu.so",
    ],
)

# PyTorch's samples of its operators, for //tests/conformance; nothing else imports them.
# What rules_python writes above may have loaded py_library under its own name.
samples_library(
    name = "operator_samples",
    srcs = ["site-packages/torch/testing/_internal/common_methods_invocations.py"] + glob([
        "site-packages/torch/testing/_internal/opinfo/**/*.py",
    ]),
    imports = ["site-packages"],
)
"""

TORCH_ANNOTATIONS = {
    "torch": trimmed(
        _NOT_PYTHON,
        additive_build_content = LIBTORCH_BUILD,
    ),
}
