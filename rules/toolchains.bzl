"""The toolchains: which torch exports and compiles models, and what they run on.

They are two, since they are of different platforms. A `torch_compiler_toolchain`, of
type `//rules:compiler_toolchain_type`, runs on the exec platform and holds the tool
that exports and generates. A `torch_runtime_toolchain`, of type
`//rules:runtime_toolchain_type`, is for the target platform and holds what generated
code links. Kernels have a third, `triton_toolchain`, of type
`//rules:triton_toolchain_type`: they are compiled by Triton, without torch, and run on
the GPU's driver alone.
"""

load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:providers.bzl", "TorchCompilerInfo", "TorchOperatorsInfo", "TorchRuntimeInfo")

COMPILER_TOOLCHAIN_TYPE = Label("//rules:compiler_toolchain_type")
RUNTIME_TOOLCHAIN_TYPE = Label("//rules:runtime_toolchain_type")
TRITON_TOOLCHAIN_TYPE = Label("//rules:triton_toolchain_type")

def _torch_compiler_toolchain_impl(ctx):
    compiler = TorchCompilerInfo(
        program = ctx.attr.compiler[DefaultInfo].files_to_run,
        start_worker = ctx.file._start_worker if ctx.attr.worker else None,
    )
    return [platform_common.ToolchainInfo(compiler = compiler), compiler]

torch_compiler_toolchain = rule(
    implementation = _torch_compiler_toolchain_impl,
    doc = """A torch that exports models and generates their C++.

To bring another torch, declare a compiler and a runtime, of the same torch version,
and register them before rules_torch's own:

```starlark
torch_compiler_toolchain(
    name = "my_compiler",
    compiler = ":my_compile_model",  # a py_binary of tools/compile_model.py
    worker = True,
)

toolchain(
    name = "my_compiler_toolchain",
    toolchain = ":my_compiler",
    toolchain_type = "@rules_torch//rules:compiler_toolchain_type",
)

torch_runtime_toolchain(
    name = "my_runtime",
    interface = "@rules_torch//runtime",
    backend = ":my_libtorch",
    standalone = "@rules_torch//runtime/standalone",
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

The `ToolchainInfo` has the field `compiler`, a `TorchCompilerInfo`.
""",
    attrs = {
        "compiler": attr.label(
            cfg = "exec",
            doc = "A binary with the command line of `tools/compile_model.py`.",
            executable = True,
            mandatory = True,
        ),
        "worker": attr.bool(
            default = False,
            doc = "Whether `compiler` serves Bazel's persistent-worker protocol (JSON, multiplex), as " +
                  "`tools/compile_model.py` does: torch is then imported once a build, not once an action. " +
                  "Flags `--input` name what a request reads. Once it has started, the worker removes the " +
                  "file `$START_LOG`, which has its standard error until then, and goes on with descriptor 3.",
        ),
        "_start_worker": attr.label(
            allow_single_file = True,
            cfg = "exec",
            default = "//tools:start_worker.sh",
        ),
    },
    provides = [TorchCompilerInfo],
)

def _torch_runtime_toolchain_impl(ctx):
    standalone = ctx.attr.standalone
    runtime = TorchRuntimeInfo(
        interface = ctx.attr.interface[CcInfo],
        backend = ctx.attr.backend[CcInfo],
        standalone = standalone[CcInfo] if standalone else None,
        operators = standalone[TorchOperatorsInfo] if standalone else None,
    )
    return [platform_common.ToolchainInfo(runtime = runtime), runtime]

torch_runtime_toolchain = rule(
    implementation = _torch_runtime_toolchain_impl,
    doc = """What compiled models run on: the C++ that generated code is compiled against and links.

`torch_compiler_toolchain` has an example. The `ToolchainInfo` has the field `runtime`,
a `TorchRuntimeInfo`.
""",
    attrs = {
        "interface": attr.label(
            doc = "The headers that users' code includes, and the code that all models share.",
            mandatory = True,
            providers = [CcInfo],
        ),
        "backend": attr.label(
            doc = "The headers that AOTInductor's code includes, and the libraries that it calls.",
            mandatory = True,
            providers = [CcInfo],
        ),
        "standalone": attr.label(
            doc = "What takes the place of `backend` in models with `runtime = \"standalone\"`.",
            providers = [CcInfo, TorchOperatorsInfo],
        ),
    },
    provides = [TorchRuntimeInfo],
)

def _triton_toolchain_impl(ctx):
    compiler = TorchCompilerInfo(
        program = ctx.attr.compiler[DefaultInfo].files_to_run,
        # Without torch there is little to import; and actions without a worker are path-mapped.
        start_worker = None,
    )
    return [platform_common.ToolchainInfo(compiler = compiler), compiler]

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

The `ToolchainInfo` has the field `compiler`, a `TorchCompilerInfo`.
""",
    attrs = {
        "compiler": attr.label(
            cfg = "exec",
            doc = "A binary with the command line of `tools/compile_model.py` and Triton among its deps.",
            executable = True,
            mandatory = True,
        ),
    },
    provides = [TorchCompilerInfo],
)
