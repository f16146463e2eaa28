"""cc_torch_shared_library: a compiled model becomes one shared library with a C ABI."""

load("@rules_cc//cc:find_cc_toolchain.bzl", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:providers.bzl", "TorchCodegenInfo")
load("//rules/private:linking.bzl", "LINK_MODEL_ATTRS", "dynamic_libraries", "link_model")

_DOC = """Links a compiled model into a shared library with a C ABI.

```starlark
cc_torch_shared_library(
    name = "resnet_so",
    model_library = ":resnet",
    shared_lib_name = "libresnet.so",
)
```

The library exports one symbol, `rtorch_model_api`, which returns the table that
`rules_torch/abi.h` documents; everything else in it is hidden. Several such
libraries can be loaded into one process (with `RTLD_LOCAL`, dlopen's default).
A C target that uses it has it in `data` and `@rules_torch//runtime:abi` in `deps`.

With `runtime = "libtorch"` libtorch's libraries are in its runfiles, and it finds them
there and in `bazel-bin`. To deploy it elsewhere, ship them in one folder and name that in
`LD_LIBRARY_PATH`, or set an RPATH with `patchelf`.
"""

_ATTRS = {
    "model_library": attr.label(
        doc = "The `cc_torch_library` to link.",
        mandatory = True,
        providers = [CcInfo, TorchCodegenInfo],
    ),
    "shared_lib_name": attr.string(
        doc = "File name of the library, `lib<something>.so`. Default: `lib<name>.so`.",
    ),
}

def _cc_torch_shared_library_impl(ctx):
    library = ctx.attr.model_library
    file_name = ctx.attr.shared_lib_name or "lib{}.so".format(ctx.label.name)
    if not (file_name.startswith("lib") and file_name.endswith(".so")):
        fail("must be lib<something>.so, not '{}'".format(file_name), attr = "shared_lib_name")
    library_file = link_model(ctx, library = library, file_name = file_name)
    return [DefaultInfo(
        files = depset([library_file]),
        runfiles = ctx.runfiles([library_file] + dynamic_libraries(library[CcInfo])),
    )]

cc_torch_shared_library = rule(
    implementation = _cc_torch_shared_library_impl,
    doc = _DOC,
    attrs = _ATTRS | LINK_MODEL_ATTRS,
    fragments = ["cpp"],
    toolchains = use_cc_toolchain(),
)
