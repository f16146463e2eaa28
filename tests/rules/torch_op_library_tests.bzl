"""torch_op_library: a module, its stub, and a library that registers the operator."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("@rules_python//python:defs.bzl", "PyInfo")
load("//rules:defs.bzl", "cc_torch_library", "torch_op_library")
load(
    ":util.bzl",
    "action_of",
    "actions_of",
    "assert_contains",
    "failure_test",
    "names",
    "own_inputs",
    "suite",
    "written",
)

def _default_outputs_impl(ctx):
    """What `bazel build` makes: module, stub and library in one folder."""
    env = analysistest.begin(ctx)
    files = analysistest.target_under_test(env)[DefaultInfo].files
    asserts.equals(env, ["libop_module.so", "op_module.py", "op_module.pyi"], names(files))
    return analysistest.end(env)

_default_outputs_test = analysistest.make(_default_outputs_impl)

def _source_impl(ctx):
    """The operator is named after the model's library, and calls it."""
    env = analysistest.begin(ctx)
    source = written(env, "op_module.op.cc")
    assert_contains(env, source, 'ModelOp op("tests_rules", "library", *rtorch_tests_rules_library_api(), Call);')
    assert_contains(env, action_of(env, "TorchOp").argv, "--op=tests_rules::library")
    assert_contains(env, action_of(env, "TorchOp").argv, "--library=libop_module.so")
    asserts.equals(
        env,
        ["tests/rules/library.manifest.json"],
        own_inputs(action_of(env, "TorchOp")),
    )
    return analysistest.end(env)

_source_test = analysistest.make(_source_impl)

def _name_impl(ctx):
    """`op` names it."""
    env = analysistest.begin(ctx)
    assert_contains(env, written(env, "named_op.op.cc"), '"vision", "net"')
    assert_contains(env, action_of(env, "TorchOp").argv, "--op=vision::net")
    return analysistest.end(env)

_name_test = analysistest.make(_name_impl)

def _library_impl(ctx):
    """It exports nothing, and compiles nothing of the model's again."""
    env = analysistest.begin(ctx)
    assert_contains(env, action_of(env, "CppLink").argv, "-Wl,-soname,libop_module.so")
    asserts.equals(env, "{\n  local: *;\n};\n", written(env, "op_module.lds"))
    asserts.equals(env, [], actions_of(env, "TorchCodegen"))
    for action in actions_of(env, "CppCompile"):
        assert_contains(env, names(action.inputs), "op_module.op.cc")
    return analysistest.end(env)

_library_test = analysistest.make(_library_impl)

def _programs_impl(ctx):
    """C++ keeps the registration, which nothing refers to; both find what they load."""
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    libraries = {
        file.basename: library.alwayslink
        for linker_input in target[CcInfo].linking_context.linker_inputs.to_list()
        for library in linker_input.libraries
        for file in [library.pic_static_library or library.static_library]
        if file
    }
    asserts.true(env, libraries["libop_module.lo"])
    asserts.false(env, libraries["liblibrary.a"])
    assert_contains(env, names(target[CcInfo].compilation_context.headers), "library.h")
    runfiles = names(target[DefaultInfo].default_runfiles.files)
    for file in ["libop_module.so", "libtorch_cpu.so", "op_module.py"]:
        assert_contains(env, runfiles, file)
    sources = [file.short_path for file in target[PyInfo].transitive_sources.to_list()]
    assert_contains(env, sources, "tests/rules/op_module.py")
    assert_contains(env, sources, "runtime/python/rtorch/_torch_op.py")
    return analysistest.end(env)

_programs_test = analysistest.make(_programs_impl)

_weights_file_test = failure_test("//tests/rules:op_light_library has its weights in a file")

_not_a_model_test = failure_test("does not have mandatory providers: 'TorchCodegenInfo'")

_bad_name_test = failure_test("'bad-op' is no name of a Python module")

_bad_op_test = failure_test("'net' is no name of an operator; set it to one like 'models::resnet'")

_reserved_op_test = failure_test("'aten::net' is in a namespace of PyTorch's own")

def torch_op_library_test_suite(name):
    """Declares the tests of torch_op_library.

    Args:
      name: string; the suite's name.
    """

    def declare(target, library = ":library", **kwargs):
        torch_op_library(
            name = target,
            model_library = library,
            tags = ["manual"],
            **kwargs
        )

    declare("op_module")
    declare("named_op", op = "vision::net")
    cc_torch_library(
        name = "op_light_library",
        model = ":model",
        tags = ["manual"],
        weights = "file",
    )
    declare("light_op", ":op_light_library")
    declare("op_of_no_model", ":cc")
    declare("bad-op")
    declare("op_without_namespace", op = "net")
    declare("reserved_op", op = "aten::net")
    suite(name, {
        "torch_op_library_bad_name_test": (_bad_name_test, ":bad-op"),
        "torch_op_library_bad_op_test": (_bad_op_test, ":op_without_namespace"),
        "torch_op_library_default_outputs_test": (_default_outputs_test, ":op_module"),
        "torch_op_library_library_test": (_library_test, ":op_module"),
        "torch_op_library_name_test": (_name_test, ":named_op"),
        "torch_op_library_not_a_model_test": (_not_a_model_test, ":op_of_no_model"),
        "torch_op_library_programs_test": (_programs_test, ":op_module"),
        "torch_op_library_reserved_op_test": (_reserved_op_test, ":reserved_op"),
        "torch_op_library_source_test": (_source_test, ":op_module"),
        "torch_op_library_weights_file_test": (_weights_file_test, ":light_op"),
    })
