"""`ops`: loaded for a model's export, and linked with its library."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@rules_cc//cc:defs.bzl", "cc_library")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:defs.bzl", "TorchModelInfo", "cc_torch_library", "torch_model", "torch_op_library")
load(
    ":util.bzl",
    "action_of",
    "assert_contains",
    "assert_lacks",
    "failure_test",
    "linked",
    "names",
    "suite",
)

def _op_libraries(argv):
    return [arg.rpartition("/")[2] for arg in argv if arg.startswith("--op_library=")]

def _export_impl(ctx):
    """The tool loads what the exec platform runs: of all cc_libraries one library."""
    env = analysistest.begin(ctx)
    export = action_of(env, "TorchExport")
    asserts.equals(env, ["libmodel_of_ops_ops.so"], _op_libraries(export.argv))
    library = [file for file in export.inputs.to_list() if file.basename == "libmodel_of_ops_ops.so"]
    asserts.equals(env, 1, len(library))
    assert_contains(env, library[0].path, "-exec")
    return analysistest.end(env)

_export_test = analysistest.make(_export_impl)

def _models_impl(ctx):
    """A compiled model is loaded as it is, with the module that registers it."""
    env = analysistest.begin(ctx)
    export = action_of(env, "TorchExport")
    asserts.equals(env, ["libnested_op.so"], _op_libraries(export.argv))
    inputs = names(export.inputs)
    for file in ["libnested_op.so", "nested_op.py", "_torch_op.py", "_native.abi3.so"]:
        assert_contains(env, inputs, file)
    return analysistest.end(env)

_models_test = analysistest.make(_models_impl)

def _model_impl(ctx):
    """What a program links comes with the model, in the program's configuration."""
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    assert_contains(env, linked(target[CcInfo]), "liboperators.lo")
    model = target[TorchModelInfo]
    asserts.equals(env, "model_of_ops_export.pt2", model.program.basename)
    asserts.equals(env, ["libmodel_of_ops_ops.so"], names(model.op_libraries))
    for linker_input in target[CcInfo].linking_context.linker_inputs.to_list():
        for library in linker_input.libraries:
            if library.pic_static_library and library.pic_static_library.basename == "liboperators.lo":
                asserts.equals(env, analysistest.target_bin_dir_path(env), library.pic_static_library.root.path)
    return analysistest.end(env)

_model_test = analysistest.make(_model_impl)

def _codegen_impl(ctx):
    """What operators do to sizes is said in their library, or by the model's Python."""
    env = analysistest.begin(ctx)
    codegen = action_of(env, "TorchCodegen")
    asserts.equals(env, ["libmodel_of_ops_ops.so"], _op_libraries(codegen.argv))
    assert_contains(env, codegen.argv, "--entry=tests/rules/model.py:entry_point")
    assert_contains(env, names(codegen.inputs), "helper.py")
    assert_lacks(env, codegen.argv, "--c_ops")
    return analysistest.end(env)

_codegen_test = analysistest.make(_codegen_impl)

def _library_impl(ctx):
    """The library brings them along, libtorch's or C's."""
    env = analysistest.begin(ctx)
    archives = linked(analysistest.target_under_test(env)[CcInfo])
    assert_contains(env, archives, "liboperators.lo")
    return analysistest.end(env)

_library_test = analysistest.make(_library_impl)

def _standalone_impl(ctx):
    """Without libtorch the library links the C functions alone."""
    env = analysistest.begin(ctx)
    archives = linked(analysistest.target_under_test(env)[CcInfo])
    assert_contains(env, archives, "libcc.a")
    assert_lacks(env, archives, "liboperators")
    assert_lacks(env, archives, "libtorch")
    return analysistest.end(env)

_standalone_test = analysistest.make(_standalone_impl)

def _standalone_codegen_impl(ctx):
    """The tool is told that there are C functions."""
    env = analysistest.begin(ctx)
    assert_contains(env, action_of(env, "TorchCodegen").argv, "--c_ops")
    return analysistest.end(env)

_standalone_codegen_test = analysistest.make(_standalone_codegen_impl)

_no_library_test = failure_test("does not have mandatory providers: 'CcInfo'")

def torch_ops_test_suite(name):
    """Declares the tests of `ops`.

    Args:
      name: string; the suite's name.
    """
    cc_library(
        name = "operators",
        srcs = ["other_runtime.cc"],
        alwayslink = True,
        tags = ["manual"],
    )
    torch_op_library(
        name = "nested_op",
        model_library = ":library",
        tags = ["manual"],
    )

    def declare(target, ops):
        torch_model(
            name = target,
            src = "model.py",
            entry = "entry_point",
            ops = ops,
            tags = ["manual"],
            deps = [":helper"],
        )

    declare("model_of_ops", [":operators"])
    declare("model_of_models", [":nested_op"])
    declare("model_of_python", [":helper"])
    cc_torch_library(
        name = "library_of_ops",
        model = ":model_of_ops",
        runtime = "libtorch",
        tags = ["manual"],
    )
    cc_torch_library(
        name = "standalone_of_ops",
        model = ":model_of_ops",
        ops = [":cc"],
        tags = ["manual"],
    )
    suite(name, {
        "torch_ops_codegen_test": (_codegen_test, ":library_of_ops_codegen"),
        "torch_ops_export_test": (_export_test, ":model_of_ops_export"),
        "torch_ops_library_test": (_library_test, ":library_of_ops"),
        "torch_ops_model_test": (_model_test, ":model_of_ops"),
        "torch_ops_models_test": (_models_test, ":model_of_models_export"),
        "torch_ops_no_library_test": (_no_library_test, ":model_of_python_ops"),
        "torch_ops_standalone_codegen_test": (_standalone_codegen_test, ":standalone_of_ops_codegen"),
        "torch_ops_standalone_test": (_standalone_test, ":standalone_of_ops"),
    })
