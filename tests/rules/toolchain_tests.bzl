"""torch_toolchain: its halves, and how a user's own replace ours."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@rules_cc//cc:defs.bzl", "cc_library")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("@rules_python//python:defs.bzl", "py_binary")
load("//rules:defs.bzl", "torch_toolchain")
load(
    ":util.bzl",
    "CPP_EXTENSIONS",
    "EXTRA_TOOLCHAINS",
    "action_of",
    "assert_contains",
    "assert_lacks",
    "compile_actions",
    "failure_test",
    "linked",
    "names",
    "suite",
)

_COMPILER_TYPE = "//rules:compiler_toolchain_type"
_RUNTIME_TYPE = "//rules:runtime_toolchain_type"

def _extra(*targets):
    return {EXTRA_TOOLCHAINS: [str(Label("//tests/rules:" + target)) for target in targets]}

# ---- The rule.

def _compiler_half_impl(ctx):
    """A compiler alone is half a toolchain; it runs where actions run."""
    env = analysistest.begin(ctx)
    toolchain = analysistest.target_under_test(env)[platform_common.ToolchainInfo]
    executable = toolchain.compiler.executable
    asserts.equals(env, "other_compiler", executable.basename)
    asserts.true(env, "-exec" in executable.path, executable.path)
    asserts.equals(env, None, toolchain.runtime)
    asserts.false(env, toolchain.worker)
    return analysistest.end(env)

_compiler_half_test = analysistest.make(_compiler_half_impl)

def _runtime_half_impl(ctx):
    """Headers and libraries are the other half; they are built for the target."""
    env = analysistest.begin(ctx)
    toolchain = analysistest.target_under_test(env)[platform_common.ToolchainInfo]
    asserts.equals(env, None, toolchain.compiler)
    asserts.equals(env, ["libother_interface.a"], linked(toolchain.runtime.interface))
    asserts.equals(env, ["libother_backend.a"], linked(toolchain.runtime.backend))
    for linker_input in toolchain.runtime.backend.linking_context.linker_inputs.to_list():
        for library in linker_input.libraries:
            archive = library.static_library or library.pic_static_library
            asserts.false(env, "-exec" in archive.path, archive.path)
    return analysistest.end(env)

_runtime_half_test = analysistest.make(_runtime_half_impl)

def _both_halves_impl(ctx):
    """One target may be both, for both toolchain types."""
    env = analysistest.begin(ctx)
    toolchain = analysistest.target_under_test(env)[platform_common.ToolchainInfo]
    asserts.equals(env, "other_compiler", toolchain.compiler.executable.basename)
    asserts.true(env, toolchain.runtime)
    return analysistest.end(env)

_both_halves_test = analysistest.make(_both_halves_impl)

# Generated code needs both parts of a runtime.
_half_a_runtime_test = failure_test("give both 'interface' and 'backend', or neither")

# A toolchain without anything would be found, and then fail each user.
_nothing_test = failure_test("give 'compiler', or 'interface' and 'backend'")

# The runtime is C++ libraries.
_runtime_not_cc_test = failure_test("does not have mandatory providers: 'CcInfo'")

# ---- Ours.

def _our_compiler_impl(ctx):
    """What is registered as compiler has the tool, and no runtime that it would build."""
    env = analysistest.begin(ctx)
    toolchain = analysistest.target_under_test(env)[platform_common.ToolchainInfo]
    asserts.equals(env, "compile_model", toolchain.compiler.executable.basename)
    asserts.equals(env, None, toolchain.runtime)
    asserts.true(env, toolchain.worker)
    return analysistest.end(env)

_our_compiler_test = analysistest.make(_our_compiler_impl)

def _our_runtime_impl(ctx):
    """Only the backend knows libtorch: the interface is what users' code sees."""
    env = analysistest.begin(ctx)
    runtime = analysistest.target_under_test(env)[platform_common.ToolchainInfo].runtime
    assert_contains(env, linked(runtime.backend), "libtorch_cpu.so")
    assert_lacks(env, linked(runtime.interface), "torch_cpu")
    return analysistest.end(env)

_our_runtime_test = analysistest.make(_our_runtime_impl)

def _our_compiler_reads_no_cpp_impl(ctx):
    """None of our C++ is among the tool's files, or each edit of it would run all stages."""
    env = analysistest.begin(ctx)
    runfiles = analysistest.target_under_test(env)[DefaultInfo].default_runfiles.files
    own = [file for file in runfiles.to_list() if not file.short_path.startswith("../")]
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
    """Another compiler generates code; the runtime stays who it was."""
    env = analysistest.begin(ctx)
    executable = action_of(env, "TorchCodegen").argv[0]
    asserts.equals(env, "other_compiler", executable.split("/")[-1])
    for action in compile_actions(env, "library.x86-64-v3.wrapper.cc"):
        assert_lacks(env, action.argv, "OTHER_RUNTIME")
    return analysistest.end(env)

_other_compiler_generates_test = analysistest.make(
    _other_compiler_generates_impl,
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
    executable = action_of(env, "TorchCodegen").argv[1]
    asserts.equals(env, "compile_model", executable.split("/")[-1])
    defines = analysistest.target_under_test(env)[CcInfo].compilation_context.defines
    asserts.equals(env, ["OTHER_RUNTIME_INTERFACE"], defines.to_list())
    return analysistest.end(env)

_other_runtime_test = analysistest.make(
    _other_runtime_impl,
    config_settings = _extra("other_runtime_toolchain"),
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
    config_settings = _extra("other_runtime_toolchain"),
)

# Halves registered as the wrong type: the message says which type, not that
# `None` has no attribute.
_no_compiler_test = failure_test(
    "compiler_toolchain_type has no 'compiler'",
    config_settings = _extra("runtime_as_compiler_toolchain"),
)
_no_runtime_test = failure_test(
    "runtime_toolchain_type has no 'interface' and 'backend'",
    config_settings = _extra("compiler_as_runtime_toolchain"),
)

def toolchain_test_suite(name):
    """Declares the tests of torch_toolchain.

    Args:
      name: string; the suite's name.
    """
    py_binary(
        name = "other_compiler",
        srcs = ["other_compiler.py"],
        tags = ["manual"],
    )
    for half in ["interface", "backend"]:
        cc_library(
            name = "other_" + half,
            srcs = ["other_runtime.cc"],
            defines = ["OTHER_RUNTIME_" + half.upper()],
            tags = ["manual"],
        )
    for toolchain, attrs in {
        "both_halves": dict(
            backend = ":other_backend",
            compiler = ":other_compiler",
            interface = ":other_interface",
        ),
        "compiler_half": dict(compiler = ":other_compiler"),
        "nothing": dict(),
        "only_backend": dict(backend = ":other_backend"),
        "only_interface": dict(compiler = ":other_compiler", interface = ":other_interface"),
        "runtime_half": dict(backend = ":other_backend", interface = ":other_interface"),
        "runtime_not_cc": dict(backend = ":other_backend", interface = ":helper"),
    }.items():
        torch_toolchain(
            name = toolchain,
            tags = ["manual"],
            **attrs
        )
    for toolchain, (target, type) in {
        "compiler_as_runtime_toolchain": (":compiler_half", _RUNTIME_TYPE),
        "other_compiler_toolchain": (":compiler_half", _COMPILER_TYPE),
        "other_runtime_toolchain": (":both_halves", _RUNTIME_TYPE),
        "runtime_as_compiler_toolchain": (":runtime_half", _COMPILER_TYPE),
    }.items():
        native.toolchain(
            name = toolchain,
            tags = ["manual"],
            toolchain = target,
            toolchain_type = type,
        )
    suite(name, {
        "toolchain_both_halves_test": (_both_halves_test, ":both_halves"),
        "toolchain_compiler_half_test": (_compiler_half_test, ":compiler_half"),
        "toolchain_no_compiler_test": (_no_compiler_test, ":model"),
        "toolchain_no_runtime_test": (_no_runtime_test, ":library"),
        "toolchain_nothing_test": (_nothing_test, ":nothing"),
        "toolchain_only_backend_test": (_half_a_runtime_test, ":only_backend"),
        "toolchain_only_interface_test": (_half_a_runtime_test, ":only_interface"),
        "toolchain_other_compiler_exports_test": (_other_compiler_exports_test, ":model"),
        "toolchain_other_compiler_generates_test": (_other_compiler_generates_test, ":library"),
        "toolchain_other_compiler_is_the_reference_test": (_other_compiler_is_the_reference_test, ":model_is_right"),
        "toolchain_other_runtime_linked_test": (_other_runtime_linked_test, ":library"),
        "toolchain_other_runtime_test": (_other_runtime_test, ":library"),
        "toolchain_our_compiler_reads_no_cpp_test": (_our_compiler_reads_no_cpp_test, "//tools:compile_model"),
        "toolchain_our_compiler_test": (_our_compiler_test, "//toolchains:pip_torch_compiler"),
        "toolchain_our_runtime_test": (_our_runtime_test, "//toolchains:libtorch_runtime"),
        "toolchain_runtime_half_test": (_runtime_half_test, ":runtime_half"),
        "toolchain_runtime_not_cc_test": (_runtime_not_cc_test, ":runtime_not_cc"),
    })
