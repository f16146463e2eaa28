"""The toolchains of models, and how a user's own replace ours."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@rules_cc//cc:defs.bzl", "cc_library")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("@rules_python//python:defs.bzl", "py_binary")
load(
    "//rules:defs.bzl",
    "TorchCompilerInfo",
    "TorchRuntimeInfo",
    "torch_compiler_toolchain",
    "torch_runtime_toolchain",
)
load(
    ":util.bzl",
    "CPP_EXTENSIONS",
    "EXTRA_TOOLCHAINS",
    "RUNTIME",
    "action_of",
    "assert_contains",
    "assert_lacks",
    "compile_actions",
    "failure_test",
    "linked",
    "names",
    "suite",
)

def _extra(*targets):
    return {EXTRA_TOOLCHAINS: [str(Label("//tests/rules:" + target)) for target in targets]}

# ---- The rules.

def _compiler_impl(ctx):
    """A compiler runs where actions run, for each of them if it is no worker."""
    env = analysistest.begin(ctx)
    compiler = analysistest.target_under_test(env)[platform_common.ToolchainInfo].compiler
    executable = compiler.program.executable
    asserts.equals(env, "other_compiler", executable.basename)
    asserts.true(env, "-exec" in executable.path, executable.path)
    asserts.equals(env, None, compiler.start_worker)
    asserts.equals(env, compiler, analysistest.target_under_test(env)[TorchCompilerInfo])
    return analysistest.end(env)

_compiler_test = analysistest.make(_compiler_impl)

def _runtime_impl(ctx):
    """Headers and libraries are built for the target."""
    env = analysistest.begin(ctx)
    runtime = analysistest.target_under_test(env)[platform_common.ToolchainInfo].runtime
    asserts.equals(env, ["libother_interface.a"], linked(runtime.interface))
    asserts.equals(env, ["libother_backend.a"], linked(runtime.backend))
    for linker_input in runtime.backend.linking_context.linker_inputs.to_list():
        for library in linker_input.libraries:
            archive = library.static_library or library.pic_static_library
            asserts.false(env, "-exec" in archive.path, archive.path)
    asserts.equals(env, runtime, analysistest.target_under_test(env)[TorchRuntimeInfo])
    return analysistest.end(env)

_runtime_test = analysistest.make(_runtime_impl)

# The runtime is C++ libraries.
_runtime_not_cc_test = failure_test("does not have mandatory providers: 'CcInfo'")

# ---- Ours.

def _our_compiler_impl(ctx):
    """What is registered as compiler is the tool, as a worker."""
    env = analysistest.begin(ctx)
    compiler = analysistest.target_under_test(env)[TorchCompilerInfo]
    asserts.equals(env, "compile_model", compiler.program.executable.basename)
    asserts.equals(env, "start_worker.sh", compiler.start_worker.basename)
    return analysistest.end(env)

_our_compiler_test = analysistest.make(_our_compiler_impl)

def _our_runtime_impl(ctx):
    """Only the backend knows libtorch: the interface is what users' code sees."""
    env = analysistest.begin(ctx)
    runtime = analysistest.target_under_test(env)[TorchRuntimeInfo]
    assert_contains(env, linked(runtime.backend), "libtorch_cpu.so")
    assert_lacks(env, linked(runtime.interface), "torch_cpu")
    return analysistest.end(env)

_our_runtime_test = analysistest.make(_our_runtime_impl)

def _our_compiler_reads_no_cpp_impl(ctx):
    """No C++ of ours but the tool's own templates is among its files.

    Each edit of it would run all stages.
    """
    env = analysistest.begin(ctx)
    runfiles = analysistest.target_under_test(env)[DefaultInfo].default_runfiles.files
    own = [
        file
        for file in runfiles.to_list()
        if not file.short_path.startswith("../") and "/templates/" not in file.short_path
    ]
    assert_contains(env, names(own), "compile_model.py")
    asserts.equals(env, [], [file.path for file in own if file.extension in CPP_EXTENSIONS])
    return analysistest.end(env)

_our_compiler_reads_no_cpp_test = analysistest.make(_our_compiler_reads_no_cpp_impl)

# ---- Resolution.

def _other_compiler_exports_impl(ctx):
    """Another compiler, registered first, exports models."""
    env = analysistest.begin(ctx)
    executable = action_of(env, "TorchExport").argv[0]
    asserts.equals(env, "other_compiler", executable.split("/")[-1])
    return analysistest.end(env)

_other_compiler_exports_test = analysistest.make(
    _other_compiler_exports_impl,
    config_settings = _extra("other_compiler_toolchain"),
)

def _other_compiler_generates_impl(ctx):
    """Another compiler generates code."""
    env = analysistest.begin(ctx)
    executable = action_of(env, "TorchCodegen").argv[0]
    asserts.equals(env, "other_compiler", executable.split("/")[-1])
    return analysistest.end(env)

_other_compiler_generates_test = analysistest.make(
    _other_compiler_generates_impl,
    config_settings = _extra("other_compiler_toolchain"),
)

def _other_compiler_keeps_the_runtime_impl(ctx):
    """With another compiler, the runtime stays what it was."""
    env = analysistest.begin(ctx)
    for action in compile_actions(env, "library.x86-64-v3.wrapper.cc"):
        assert_lacks(env, action.argv, "OTHER_RUNTIME")
    return analysistest.end(env)

_other_compiler_keeps_the_runtime_test = analysistest.make(
    _other_compiler_keeps_the_runtime_impl,
    config_settings = _extra("other_compiler_toolchain"),
)

def _other_compiler_is_the_reference_impl(ctx):
    """A model's eager outputs come from the torch that exported it."""
    env = analysistest.begin(ctx)
    executable = action_of(env, "TorchReference").argv[0]
    asserts.equals(env, "other_compiler", executable.split("/")[-1])
    return analysistest.end(env)

_other_compiler_is_the_reference_test = analysistest.make(
    _other_compiler_is_the_reference_impl,
    config_settings = _extra("other_compiler_toolchain"),
)

# One that has no `standalone`.
_OTHER_RUNTIME = _extra("other_runtime_toolchain") | {RUNTIME: "libtorch"}

def _other_runtime_impl(ctx):
    """Another runtime is what generated code is compiled against; ours is not there.

    Users' code sees its interface and nothing of its backend.
    """
    env = analysistest.begin(ctx)
    for source in ["library.model.cc", "library.x86-64-v3.wrapper.cc", "library.x86-64-v3.kernels.cc"]:
        for action in compile_actions(env, source):
            assert_contains(env, action.argv, "-DOTHER_RUNTIME_INTERFACE")
            if source != "library.model.cc":
                assert_contains(env, action.argv, "-DOTHER_RUNTIME_BACKEND")
            assert_lacks(env, action.argv, "site-packages/torch")
    defines = analysistest.target_under_test(env)[CcInfo].compilation_context.defines
    asserts.equals(env, ["OTHER_RUNTIME_INTERFACE"], defines.to_list())
    return analysistest.end(env)

_other_runtime_test = analysistest.make(
    _other_runtime_impl,
    config_settings = _OTHER_RUNTIME,
)

def _other_runtime_keeps_the_compiler_impl(ctx):
    """With another runtime it is still our compiler that generates code."""
    env = analysistest.begin(ctx)
    executable = action_of(env, "TorchCodegen").argv[1]
    asserts.equals(env, "compile_model", executable.split("/")[-1])
    return analysistest.end(env)

_other_runtime_keeps_the_compiler_test = analysistest.make(
    _other_runtime_keeps_the_compiler_impl,
    config_settings = _OTHER_RUNTIME,
)

def _other_runtime_linked_impl(ctx):
    """A binary links the other runtime, and no libtorch."""
    env = analysistest.begin(ctx)
    asserts.equals(
        env,
        ["liblibrary.a", "libother_backend.a", "libother_interface.a"],
        linked(analysistest.target_under_test(env)[CcInfo]),
    )
    return analysistest.end(env)

_other_runtime_linked_test = analysistest.make(
    _other_runtime_linked_impl,
    config_settings = _OTHER_RUNTIME,
)

def toolchain_test_suite(name):
    """Declares the tests of the toolchains of models.

    Args:
      name: string; the suite's name.
    """
    py_binary(
        name = "other_compiler",
        srcs = ["other_compiler.py"],
        tags = ["manual"],
    )
    for part in ["interface", "backend"]:
        cc_library(
            name = "other_" + part,
            srcs = ["other_runtime.cc"],
            defines = ["OTHER_RUNTIME_" + part.upper()],
            tags = ["manual"],
        )
    torch_compiler_toolchain(
        name = "other_torch_compiler",
        compiler = ":other_compiler",
        tags = ["manual"],
    )
    torch_runtime_toolchain(
        name = "other_torch_runtime",
        backend = ":other_backend",
        interface = ":other_interface",
        tags = ["manual"],
    )
    torch_runtime_toolchain(
        name = "runtime_not_cc",
        backend = ":other_backend",
        interface = ":helper",
        tags = ["manual"],
    )
    for part in ["compiler", "runtime"]:
        native.toolchain(
            name = "other_{}_toolchain".format(part),
            tags = ["manual"],
            toolchain = ":other_torch_" + part,
            toolchain_type = "//rules:{}_toolchain_type".format(part),
        )
    suite(name, {
        "toolchain_compiler_test": (_compiler_test, ":other_torch_compiler"),
        "toolchain_other_compiler_exports_test": (_other_compiler_exports_test, ":model"),
        "toolchain_other_compiler_generates_test": (_other_compiler_generates_test, ":library_codegen"),
        "toolchain_other_compiler_is_the_reference_test": (_other_compiler_is_the_reference_test, ":model_is_right"),
        "toolchain_other_compiler_keeps_the_runtime_test": (_other_compiler_keeps_the_runtime_test, ":library"),
        "toolchain_other_runtime_keeps_the_compiler_test": (_other_runtime_keeps_the_compiler_test, ":library_codegen"),
        "toolchain_other_runtime_linked_test": (_other_runtime_linked_test, ":library"),
        "toolchain_other_runtime_test": (_other_runtime_test, ":library"),
        "toolchain_our_compiler_reads_no_cpp_test": (_our_compiler_reads_no_cpp_test, "//tools:compile_model"),
        "toolchain_our_compiler_test": (_our_compiler_test, "//toolchains:pip_torch_compiler"),
        "toolchain_our_runtime_test": (_our_runtime_test, "//toolchains:libtorch_runtime"),
        "toolchain_runtime_not_cc_test": (_runtime_not_cc_test, ":runtime_not_cc"),
        "toolchain_runtime_test": (_runtime_test, ":other_torch_runtime"),
    })
