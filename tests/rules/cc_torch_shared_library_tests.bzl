"""cc_torch_shared_library: one shared library, one exported symbol."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//rules:defs.bzl", "cc_torch_shared_library")
load(
    ":util.bzl",
    "RUNTIME",
    "action_of",
    "actions_of",
    "assert_contains",
    "compile_actions",
    "failure_test",
    "names",
    "suite",
    "written",
)

def _linked_file(env):
    return names(analysistest.target_under_test(env)[DefaultInfo].files)

def _default_name_impl(ctx):
    """The file is called as cc_library's would be, and says so itself (its soname).

    Otherwise a program linked to it would look for it by the path of a build.
    """
    env = analysistest.begin(ctx)
    asserts.equals(env, ["libshared.so"], _linked_file(env))
    assert_contains(env, action_of(env, "CppLink").argv, "-Wl,-soname,libshared.so")
    return analysistest.end(env)

_default_name_test = analysistest.make(_default_name_impl)

def _custom_name_impl(ctx):
    """`shared_lib_name` is the file's name and its soname."""
    env = analysistest.begin(ctx)
    asserts.equals(env, ["libvision.so"], _linked_file(env))
    action = action_of(env, "CppLink")
    assert_contains(env, action.argv, "-Wl,-soname,libvision.so")
    assert_contains(env, names(action.outputs), "libvision.so")
    return analysistest.end(env)

_custom_name_test = analysistest.make(_custom_name_impl)

def _one_symbol_impl(ctx):
    """Everything but the entry is hidden, so that several such libraries get along.

    libtorch's symbols included: what a process finds is not to depend on the
    order in which it loaded models.
    """
    env = analysistest.begin(ctx)
    action = action_of(env, "CppLink")
    scripts = [file for file in action.inputs.to_list() if file.extension == "lds"]
    asserts.equals(env, ["shared.lds"], names(scripts))
    assert_contains(env, action.argv, "-Wl,--version-script=" + scripts[0].path)
    lines = [line.strip() for line in written(env, "shared.lds").strip().split("\n")]
    asserts.equals(env, ["{", "global: rtorch_model_api;", "local: *;", "};"], lines)
    return analysistest.end(env)

_one_symbol_test = analysistest.make(_one_symbol_impl)

def _entry_impl(ctx):
    """The exported function returns the table of this model, whose name is its own."""
    env = analysistest.begin(ctx)
    source = written(env, "shared.export.cc")
    assert_contains(env, source, "return rtorch_tests_rules_library_api();")
    assert_contains(env, source, "visibility(\"default\")")
    asserts.true(env, compile_actions(env, "shared.export.cc"))
    return analysistest.end(env)

_entry_test = analysistest.make(_entry_impl)

def _linked_impl(ctx):
    """A shared library with nothing undefined: what it lacks shows here, not when loaded."""
    env = analysistest.begin(ctx)
    action = action_of(env, "CppLink")
    assert_contains(env, action.argv, "-shared")
    assert_contains(env, action.argv, "-Wl,-z,defs")
    return analysistest.end(env)

_linked_test = analysistest.make(_linked_impl)

def _compiles_no_model_impl(ctx):
    """The library's objects are taken as they are; the model is not compiled again."""
    env = analysistest.begin(ctx)
    asserts.equals(env, [], actions_of(env, "TorchCodegen"))
    for action in actions_of(env, "CppCompile"):
        assert_contains(env, names(action.inputs), "shared.export.cc")
    return analysistest.end(env)

_compiles_no_model_test = analysistest.make(_compiles_no_model_impl)

def _runfiles_impl(ctx):
    """A program with the library in its `data` has libtorch at run time as well."""
    env = analysistest.begin(ctx)
    runfiles = analysistest.target_under_test(env)[DefaultInfo].default_runfiles.files
    for file in ["libshared.so", "libtorch_cpu.so", "libc10.so", "libgomp.so.1"]:
        assert_contains(env, names(runfiles), file)
    return analysistest.end(env)

_runfiles_test = analysistest.make(
    _runfiles_impl,
    config_settings = {RUNTIME: "libtorch"},
)

# Other C++ libraries have no model's table to export.
_not_a_model_test = failure_test("does not have mandatory providers: 'TorchCodegenInfo'")

# Linkers and loaders go by the form of the name.
_bad_name_test = failure_test("must be lib<something>.so, not 'vision.dll'")

def cc_torch_shared_library_test_suite(name):
    """Declares the tests of cc_torch_shared_library.

    Args:
      name: string; the suite's name.
    """
    cc_torch_shared_library(
        name = "shared",
        model_library = ":library",
        tags = ["manual"],
    )
    cc_torch_shared_library(
        name = "custom_shared",
        model_library = ":library",
        shared_lib_name = "libvision.so",
        tags = ["manual"],
    )
    cc_torch_shared_library(
        name = "badly_named_shared",
        model_library = ":library",
        shared_lib_name = "vision.dll",
        tags = ["manual"],
    )
    cc_torch_shared_library(
        name = "shared_of_no_model",
        model_library = ":cc",
        tags = ["manual"],
    )
    suite(name, {
        "cc_torch_shared_library_bad_name_test": (_bad_name_test, ":badly_named_shared"),
        "cc_torch_shared_library_compiles_no_model_test": (_compiles_no_model_test, ":shared"),
        "cc_torch_shared_library_custom_name_test": (_custom_name_test, ":custom_shared"),
        "cc_torch_shared_library_default_name_test": (_default_name_test, ":shared"),
        "cc_torch_shared_library_entry_test": (_entry_test, ":shared"),
        "cc_torch_shared_library_linked_test": (_linked_test, ":shared"),
        "cc_torch_shared_library_not_a_model_test": (_not_a_model_test, ":shared_of_no_model"),
        "cc_torch_shared_library_one_symbol_test": (_one_symbol_test, ":shared"),
        "cc_torch_shared_library_runfiles_test": (_runfiles_test, ":shared"),
    })
