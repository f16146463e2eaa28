"""rules_torch: Bazel rules that compile PyTorch models into C++ libraries.

```starlark
load(
    "@rules_torch//rules:defs.bzl",
    "cc_torch_library",
    "cc_torch_shared_library",
    "torch_model",
    "torch_model_test",
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

`rules/defs.bzl` is all that users load; `rules/private/` may change without notice.
"""

load(
    "//rules:providers.bzl",
    _TorchCodegenInfo = "TorchCodegenInfo",
    _TorchModelInfo = "TorchModelInfo",
    _TorchRuntimeInfo = "TorchRuntimeInfo",
)
load("//rules:toolchains.bzl", _torch_toolchain = "torch_toolchain")
load("//rules/private:cc_torch_library.bzl", _cc_torch_library = "cc_torch_library")
load("//rules/private:cc_torch_shared_library.bzl", _cc_torch_shared_library = "cc_torch_shared_library")
load("//rules/private:torch_model.bzl", _torch_model = "torch_model")
load("//rules/private:torch_model_test.bzl", _torch_model_test = "torch_model_test")

# Rules.
torch_model = _torch_model
cc_torch_library = _cc_torch_library
cc_torch_shared_library = _cc_torch_shared_library
torch_model_test = _torch_model_test
torch_toolchain = _torch_toolchain

# Providers.
TorchModelInfo = _TorchModelInfo
TorchCodegenInfo = _TorchCodegenInfo
TorchRuntimeInfo = _TorchRuntimeInfo
