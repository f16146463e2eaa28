"""The toolchain: which torch exports and compiles models, and what they run on.

There are two toolchain types, since the halves run in different places:
`//rules:compiler_toolchain_type` runs on the exec platform and holds the tool
that exports and generates; `//rules:runtime_toolchain_type` is for the target
platform and holds what generated code links. Kernels have a third,
`//rules:triton_toolchain_type`: they are compiled by Triton, without torch, and
run on the GPU's driver alone.
"""

load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:providers.bzl", "TorchRuntimeInfo")

COMPILER_TOOLCHAIN_TYPE = Label("//rules:compiler_toolchain_type")
RUNTIME_TOOLCHAIN_TYPE = Label("//rules:runtime_toolchain_type")
TRITON_TOOLCHAIN_TYPE = Label("//rules:triton_toolchain_type")

def _torch_toolchain_impl(ctx):
    runtime = None
    if bool(ctx.attr.interface) != bool(ctx.attr.backend):
        fail("give both 'interface' and 'backend', or neither")
    if ctx.attr.interface:
        runtime = TorchRuntimeInfo(
            interface = ctx.attr.interface[CcInfo],
            backend = ctx.attr.backend[CcInfo],
        )
    if not runtime and not ctx.attr.compiler:
        fail("give 'compiler', or 'interface' and 'backend'")
    return [platform_common.ToolchainInfo(
        compiler = ctx.attr.compiler[DefaultInfo].files_to_run if ctx.attr.compiler else None,
        runtime = runtime,
        start_worker = ctx.file._start_worker if ctx.attr.worker else None,
        worker = ctx.attr.worker,
    )]

torch_toolchain = rule(
    implementation = _torch_toolchain_impl,
    doc = """One half of a torch installation, or both.

To bring another torch, declare two of these and register them before
rules_torch's own. The compiler has to be of the same torch version as the
runtime's headers and libraries:

```starlark
torch_toolchain(
    name = "my_compiler",
    compiler = ":my_compile_model",  # a py_binary of tools/compile_model.py
    worker = True,
)

toolchain(
    name = "my_compiler_toolchain",
    toolchain = ":my_compiler",
    toolchain_type = "@rules_torch//rules:compiler_toolchain_type",
)

torch_toolchain(
    name = "my_runtime",
    interface = "@rules_torch//runtime",
    backend = ":my_libtorch",
)

toolchain(
    name = "my_runtime_toolchain",
    toolchain = ":my_runtime",
    toolchain_type = "@rules_torch//rules:runtime_toolchain_type",
)
```

Then, in WORKSPACE or MODULE.bazel:

```starlark
register_toolchains("//path/to:all")
```

The `ToolchainInfo` has the fields `compiler` (FilesToRunProvider), `worker` (bool),
`start_worker` (File; the program that starts `compiler` as a worker, None without one)
and `runtime` (`TorchRuntimeInfo`); a half that is missing is None.
""",
    attrs = {
        "compiler": attr.label(
            cfg = "exec",
            doc = "The exec half: a binary with the command line of `tools/compile_model.py`.",
            executable = True,
        ),
        "worker": attr.bool(
            default = False,
            doc = "Whether `compiler` serves Bazel's persistent-worker protocol (JSON, multiplex), as " +
                  "`tools/compile_model.py` does: torch is then imported once a build, not once an action. " +
                  "Flags `--input` name what a request reads. Once it has started, the worker removes the " +
                  "file `$START_LOG`, which has its standard error until then, and goes on with descriptor 3.",
        ),
        "interface": attr.label(
            doc = "The target half: the headers that users' code includes, and the code that all models share.",
            providers = [CcInfo],
        ),
        "backend": attr.label(
            doc = "The target half: the headers that AOTInductor's code includes, and the libraries that it calls.",
            providers = [CcInfo],
        ),
        "_start_worker": attr.label(
            allow_single_file = True,
            cfg = "exec",
            default = "//tools:start_worker.sh",
        ),
    },
)

def _triton_toolchain_impl(ctx):
    return [platform_common.ToolchainInfo(
        compiler = ctx.attr.compiler[DefaultInfo].files_to_run,
        # Without torch there is little to import; and actions without a worker are path-mapped.
        start_worker = None,
        worker = False,
    )]

triton_toolchain = rule(
    implementation = _triton_toolchain_impl,
    doc = """A Triton installation, for `cc_triton_library`.

To bring another Triton, declare one of these and register it before
rules_torch's own:

```starlark
triton_toolchain(
    name = "my_triton",
    compiler = ":my_compile_kernels",  # a py_binary of tools/compile_model.py
)

toolchain(
    name = "my_triton_toolchain",
    toolchain = ":my_triton",
    toolchain_type = "@rules_torch//rules:triton_toolchain_type",
)
```

The `ToolchainInfo` has the field `compiler` (FilesToRunProvider).
""",
    attrs = {
        "compiler": attr.label(
            cfg = "exec",
            doc = "A binary with the command line of `tools/compile_model.py` and Triton among its deps.",
            executable = True,
            mandatory = True,
        ),
    },
)
