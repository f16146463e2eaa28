"""triton_library: kernels in Python, for the compiler and for Python."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@rules_python//python:defs.bzl", "PyInfo")
load("//rules:defs.bzl", "TritonInfo", "triton_library")
load(":util.bzl", "assert_contains", "failure_test", "names", "suite")

def _providers_impl(ctx):
    """What cc_triton_library goes by."""
    env = analysistest.begin(ctx)
    info = analysistest.target_under_test(env)[TritonInfo]
    asserts.equals(env, "tests/rules/kernels.py", info.source.short_path)
    sources = [file.short_path for file in info.sources.to_list()]
    assert_contains(env, sources, "tests/rules/kernels.py")
    assert_contains(env, sources, "tests/rules/helper/helper.py")
    for path in [".", "tests/rules/helper"]:
        assert_contains(env, info.imports, path)
    return analysistest.end(env)

_providers_test = analysistest.make(_providers_impl)

def _python_impl(ctx):
    """A py_test may depend on it as on a py_library: the file and its deps come along."""
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    sources = [file.short_path for file in target[PyInfo].transitive_sources.to_list()]
    runfiles = [
        file.short_path
        for file in target[DefaultInfo].default_runfiles.files.to_list()
    ]
    for files in [sources, runfiles]:
        assert_contains(env, files, "tests/rules/kernels.py")
        assert_contains(env, files, "tests/rules/helper/helper.py")
    imports = target[PyInfo].imports.to_list()
    asserts.true(env, [path for path in imports if path.endswith("tests/rules/helper")], imports)
    return analysistest.end(env)

_python_test = analysistest.make(_python_impl)

def _no_actions_impl(ctx):
    """Nothing is compiled for who wants the Python alone."""
    env = analysistest.begin(ctx)
    mnemonics = [action.mnemonic for action in analysistest.target_actions(env)]
    asserts.equals(env, [], mnemonics)
    files = names(analysistest.target_under_test(env)[DefaultInfo].files)
    asserts.equals(env, ["kernels.py"], files)
    return analysistest.end(env)

_no_actions_test = analysistest.make(_no_actions_impl)

# Kernels import Python libraries, and nothing else.
_not_python_test = failure_test("does not have mandatory providers: 'PyInfo'")

def triton_library_test_suite(name):
    """Declares the tests of triton_library.

    Args:
      name: string; the suite's name.
    """
    triton_library(
        name = "kernels_over_cc",
        src = "kernels.py",
        tags = ["manual"],
        deps = [":cc"],
    )
    suite(name, {
        "triton_library_no_actions_test": (_no_actions_test, ":kernels_py"),
        "triton_library_not_python_test": (_not_python_test, ":kernels_over_cc"),
        "triton_library_providers_test": (_providers_test, ":kernels_py"),
        "triton_library_python_test": (_python_test, ":kernels_py"),
    })
