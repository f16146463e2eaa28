"""rules_torch: Bazel rules that compile PyTorch models into C++ libraries.

```starlark
load(
    "@rules_torch//rules:defs.bzl",
    "cc_torch_library",
    "cc_torch_shared_library",
    "py_torch_library",
    "torch_model",
    "torch_model_test",
    "torch_op_library",
)
```

A model takes two rules, as a protocol buffer does: `torch_model` exports it,
`cc_torch_library` compiles what was exported.

```starlark
torch_model(
    name = "resnet_model",
    src = "resnet.py",
    entry = "resnet18",
)

cc_torch_library(
    name = "resnet",
    model = ":resnet_model",
)
```

Any C++ target may depend on `:resnet` and include `"models/resnet.h"`.
`py_torch_library` makes a Python module of it, `torch_op_library` a torch operator.

Triton kernels take two as well: `triton_library` names the Python file,
`cc_triton_library` compiles instantiations of its kernels, which `triton_kernel`
declares, to machine code for GPUs, on a builder that has none.

`rules/defs.bzl` is all that users load; `rules/private/` may change without notice.
"""

load(
    "//rules:providers.bzl",
    _TorchCodegenInfo = "TorchCodegenInfo",
    _TorchCompilerInfo = "TorchCompilerInfo",
    _TorchModelInfo = "TorchModelInfo",
    _TorchOperatorsInfo = "TorchOperatorsInfo",
    _TorchOpsInfo = "TorchOpsInfo",
    _TorchRuntimeInfo = "TorchRuntimeInfo",
    _TritonCodegenInfo = "TritonCodegenInfo",
    _TritonInfo = "TritonInfo",
)
load(
    "//rules:toolchains.bzl",
    _torch_compiler_toolchain = "torch_compiler_toolchain",
    _torch_runtime_toolchain = "torch_runtime_toolchain",
    _triton_toolchain = "triton_toolchain",
)
load("//rules/private:cc_torch_library.bzl", _cc_torch_library = "cc_torch_library")
load("//rules/private:cc_torch_shared_library.bzl", _cc_torch_shared_library = "cc_torch_shared_library")
load("//rules/private:cc_triton_library.bzl", _cc_triton_library = "cc_triton_library")
load("//rules/private:py_torch_library.bzl", _py_torch_library = "py_torch_library")
load("//rules/private:torch_model.bzl", _torch_model = "torch_model")
load("//rules/private:torch_model_test.bzl", _torch_model_test = "torch_model_test")
load("//rules/private:torch_op_library.bzl", _torch_op_library = "torch_op_library")
load("//rules/private:triton_kernel.bzl", _triton_kernel = "triton_kernel")
load("//rules/private:triton_library.bzl", _triton_library = "triton_library")
load("//rules/private:triton_tuner.bzl", _triton_tuner = "triton_tuner")

# Rules.
torch_model = _torch_model
cc_torch_library = _cc_torch_library
cc_torch_shared_library = _cc_torch_shared_library
py_torch_library = _py_torch_library
torch_op_library = _torch_op_library
torch_model_test = _torch_model_test
torch_compiler_toolchain = _torch_compiler_toolchain
torch_runtime_toolchain = _torch_runtime_toolchain
triton_library = _triton_library
cc_triton_library = _cc_triton_library
triton_tuner = _triton_tuner
triton_toolchain = _triton_toolchain

# What cc_triton_library's `kernels` is made of.
triton_kernel = _triton_kernel

# Providers.
TorchModelInfo = _TorchModelInfo
TorchOpsInfo = _TorchOpsInfo
TorchCodegenInfo = _TorchCodegenInfo
TorchCompilerInfo = _TorchCompilerInfo
TorchRuntimeInfo = _TorchRuntimeInfo
TorchOperatorsInfo = _TorchOperatorsInfo
TritonInfo = _TritonInfo
TritonCodegenInfo = _TritonCodegenInfo
