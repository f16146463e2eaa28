"""py_torch_library: a module, its stub, and the model in a shared library."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@rules_python//python:defs.bzl", "PyInfo")
load("//rules:defs.bzl", "cc_torch_library", "py_torch_library")
load(
    ":util.bzl",
    "RUNTIME",
    "action_of",
    "actions_of",
    "assert_contains",
    "assert_lacks",
    "failure_test",
    "names",
    "own_inputs",
    "suite",
    "written",
)

def _default_outputs_impl(ctx):
    """What `bazel build` makes, and a wheel has: module, stub and library in one folder."""
    env = analysistest.begin(ctx)
    files = analysistest.target_under_test(env)[DefaultInfo].files
    asserts.equals(env, ["libmodule.so", "module.py", "module.pyi"], names(files))
    asserts.equals(
        env,
        {"tests/rules": None},
        {file.short_path.rpartition("/")[0]: None for file in files.to_list()},
    )
    return analysistest.end(env)

_default_outputs_test = analysistest.make(_default_outputs_impl)

def _importable_impl(ctx):
    """Python finds the module, and what that imports, and no other Python comes with it."""
    env = analysistest.begin(ctx)
    info = analysistest.target_under_test(env)[PyInfo]
    sources = [file.short_path for file in info.transitive_sources.to_list()]
    assert_contains(env, sources, "tests/rules/module.py")
    assert_contains(env, sources, "runtime/python/rtorch/__init__.py")
    assert_lacks(env, sources, "site-packages")
    assert_lacks(env, sources, "torch_aot")
    assert_contains(
        env,
        [path.partition("/")[2] for path in info.imports.to_list()],
        "runtime/python",
    )
    return analysistest.end(env)

_importable_test = analysistest.make(_importable_impl)

def _runfiles_impl(ctx):
    """A program that imports the module has all that it loads, libtorch included."""
    env = analysistest.begin(ctx)
    runfiles = analysistest.target_under_test(env)[DefaultInfo].default_runfiles.files
    for file in [
        "_native.abi3.so",
        "libmodule.so",
        "libtorch_cpu.so",
        "libc10.so",
        "libgomp.so.1",
        "module.py",
        "module.pyi",
    ]:
        assert_contains(env, names(runfiles), file)
    assert_lacks(env, names(runfiles), ".safetensors")
    return analysistest.end(env)

_runfiles_test = analysistest.make(
    _runfiles_impl,
    config_settings = {RUNTIME: "libtorch"},
)

def _arguments_impl(ctx):
    """The tool is told the module's label and where the library will lie."""
    env = analysistest.begin(ctx)
    argv = action_of(env, "TorchPython").argv
    asserts.equals(env, "python", argv[2])
    assert_contains(env, argv, "--label=//tests/rules:module")
    assert_contains(env, argv, "--library=libmodule.so")
    assert_lacks(env, argv, "--class=")
    assert_lacks(env, argv, "--weights=")
    return analysistest.end(env)

_arguments_test = analysistest.make(_arguments_impl)

def _inputs_impl(ctx):
    """The manifest has all that there is to say: another kernel makes no module anew."""
    env = analysistest.begin(ctx)
    asserts.equals(
        env,
        ["tests/rules/library.manifest.json"],
        own_inputs(action_of(env, "TorchPython")),
    )
    return analysistest.end(env)

_inputs_test = analysistest.make(_inputs_impl)

def _class_name_impl(ctx):
    """`class_name` is the class's name in Python; C++'s stays."""
    env = analysistest.begin(ctx)
    assert_contains(env, action_of(env, "TorchPython").argv, "--class=Net")
    return analysistest.end(env)

_class_name_test = analysistest.make(_class_name_impl)

def _weights_file_impl(ctx):
    """Of a library without weights, the module knows where the file lies beside it."""
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    weights = "light_library.weights.safetensors"
    assert_contains(env, action_of(env, "TorchPython").argv, "--weights=" + weights)
    assert_contains(env, names(target[DefaultInfo].files), weights)
    assert_contains(env, names(target[DefaultInfo].default_runfiles.files), weights)
    return analysistest.end(env)

_weights_file_test = analysistest.make(_weights_file_impl)

def _library_impl(ctx):
    """It is linked as a cc_torch_shared_library is: one symbol, and nothing compiled again."""
    env = analysistest.begin(ctx)
    assert_contains(env, action_of(env, "CppLink").argv, "-Wl,-soname,libmodule.so")
    assert_contains(env, written(env, "module.lds"), "global: rtorch_model_api;")
    assert_contains(env, written(env, "module.export.cc"), "rtorch_tests_rules_library_api")
    asserts.equals(env, [], actions_of(env, "TorchCodegen"))
    for action in actions_of(env, "CppCompile"):
        assert_contains(env, names(action.inputs), "module.export.cc")
    return analysistest.end(env)

_library_test = analysistest.make(_library_impl)

# A py_library has no model to call.
_not_a_model_test = failure_test("does not have mandatory providers: 'TorchCodegenInfo'")

# It could not be imported.
_bad_name_test = failure_test("'bad-module' is no name of a Python module; choose one like 'resnet_py'")

def py_torch_library_test_suite(name):
    """Declares the tests of py_torch_library.

    Args:
      name: string; the suite's name.
    """
    py_torch_library(
        name = "module",
        model_library = ":library",
        tags = ["manual"],
    )
    py_torch_library(
        name = "named_module",
        class_name = "Net",
        model_library = ":library",
        tags = ["manual"],
    )
    cc_torch_library(
        name = "light_library",
        model = ":model",
        tags = ["manual"],
        weights = "file",
    )
    py_torch_library(
        name = "light_module",
        model_library = ":light_library",
        tags = ["manual"],
    )
    py_torch_library(
        name = "bad-module",
        model_library = ":library",
        tags = ["manual"],
    )
    py_torch_library(
        name = "module_of_no_model",
        model_library = ":cc",
        tags = ["manual"],
    )
    suite(name, {
        "py_torch_library_arguments_test": (_arguments_test, ":module"),
        "py_torch_library_bad_name_test": (_bad_name_test, ":bad-module"),
        "py_torch_library_class_name_test": (_class_name_test, ":named_module"),
        "py_torch_library_default_outputs_test": (_default_outputs_test, ":module"),
        "py_torch_library_importable_test": (_importable_test, ":module"),
        "py_torch_library_inputs_test": (_inputs_test, ":module"),
        "py_torch_library_library_test": (_library_test, ":module"),
        "py_torch_library_not_a_model_test": (_not_a_model_test, ":module_of_no_model"),
        "py_torch_library_runfiles_test": (_runfiles_test, ":module"),
        "py_torch_library_weights_file_test": (_weights_file_test, ":light_module"),
    })
