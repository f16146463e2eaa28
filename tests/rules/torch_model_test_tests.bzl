"""torch_model_test: a compiled model against eager PyTorch."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("//rules:defs.bzl", "torch_model_test")
load(
    ":util.bzl",
    "CPP_EXTENSIONS",
    "RUNTIME",
    "action_of",
    "actions_of",
    "assert_contains",
    "failure_test",
    "names",
    "own_inputs",
    "suite",
    "written",
)

def _executable_impl(ctx):
    """It is a test: something to run, with the cases and libtorch beside it."""
    env = analysistest.begin(ctx)
    info = analysistest.target_under_test(env)[DefaultInfo]
    asserts.equals(env, "model_is_right", info.files_to_run.executable.basename)
    runfiles = names(info.default_runfiles.files)
    assert_contains(env, runfiles, "model_is_right.cases")
    assert_contains(env, runfiles, "libtorch_cpu.so")
    return analysistest.end(env)

_executable_test = analysistest.make(
    _executable_impl,
    config_settings = {RUNTIME: "libtorch"},
)

def _reference_inputs_impl(ctx):
    """Eager PyTorch runs the model's own source, not the program that is under test."""
    env = analysistest.begin(ctx)
    inputs = own_inputs(action_of(env, "TorchReference"))
    for file in ["model.json", "model.py", "head.pth", "data.txt", "helper/helper.py"]:
        assert_contains(env, inputs, "tests/rules/" + file)
    asserts.false(env, "tests/rules/model.pt2" in inputs, "reads the exported program")
    return analysistest.end(env)

_reference_inputs_test = analysistest.make(_reference_inputs_impl)

def _reference_reads_no_cpp_impl(ctx):
    """Or each edit of the runtime's C++ would run PyTorch for every test."""
    env = analysistest.begin(ctx)
    asserts.equals(env, [], [
        file.path
        for file in action_of(env, "TorchReference").inputs.to_list()
        if file.extension in CPP_EXTENSIONS
    ])
    return analysistest.end(env)

_reference_reads_no_cpp_test = analysistest.make(_reference_reads_no_cpp_impl)

def _reference_arguments_impl(ctx):
    """The model is made with the seed and the weights that it was exported with."""
    env = analysistest.begin(ctx)
    action = action_of(env, "TorchReference")
    asserts.equals(env, ["reference", "tests/rules/model.py:entry_point"], action.argv[2:4])
    for flag in ["--seed=7", "--cases=5", "--test_seed=2", "--import_path=."]:
        assert_contains(env, action.argv, flag)
    asserts.equals(env, 2, len([arg for arg in action.argv if arg.startswith("--weights=")]))
    assert_contains(env, action.argv, "--test_inputs_only")
    asserts.equals(env, ["model_is_right_loosely.cases"], names(action.outputs))
    return analysistest.end(env)

_reference_arguments_test = analysistest.make(_reference_arguments_impl)

def _reference_environment_impl(ctx):
    """Nothing of the machine or of who builds decides what is held to be right."""
    env = analysistest.begin(ctx)
    variables = action_of(env, "TorchReference").env
    asserts.equals(env, "0", variables.get("PYTHONHASHSEED"))
    asserts.equals(env, "1", variables.get("OMP_NUM_THREADS"))
    for name in ["HOME", "PATH", "PYTHONPATH", "USER"]:
        asserts.false(env, name in variables, name + " is set")
    return analysistest.end(env)

_reference_environment_test = analysistest.make(_reference_environment_impl)

def _tests_the_library_impl(ctx):
    """What is tested is what users link: the model is not compiled for the test."""
    env = analysistest.begin(ctx)
    asserts.equals(env, [], actions_of(env, "TorchCodegen"))
    asserts.equals(env, 1, len(actions_of(env, "CppCompile")))
    main = written(env, "model_is_right.main.cc")
    assert_contains(env, main, "*rtorch_tests_rules_library_api()")
    return analysistest.end(env)

_tests_the_library_test = analysistest.make(_tests_the_library_impl)

def _default_tolerances_impl(ctx):
    """No tolerance is none given, which the driver takes for the dtype's own."""
    env = analysistest.begin(ctx)
    main = written(env, "model_is_right.main.cc")
    assert_contains(env, main, "\"tests/rules/model_is_right.cases\", -1, -1, ")
    return analysistest.end(env)

_default_tolerances_test = analysistest.make(_default_tolerances_impl)

def _tolerances_impl(ctx):
    """atol and rtol reach the driver, and in this order."""
    env = analysistest.begin(ctx)
    main = written(env, "model_is_right_loosely.main.cc")
    assert_contains(env, main, ".cases\", 0.25, 0.5, ")
    return analysistest.end(env)

_tolerances_test = analysistest.make(_tolerances_impl)

# The text goes into C++ source, where an error would be the compiler's. And the
# driver takes a negative number for no tolerance given.
_bad_tolerance_test = failure_test("not a number")

# Other C++ libraries have no model to test.
_not_a_model_test = failure_test("does not have mandatory providers: 'TorchCodegenInfo'")

def torch_model_test_test_suite(name):
    """Declares the tests of torch_model_test.

    Args:
      name: string; the suite's name.
    """
    torch_model_test(
        name = "model_is_right",
        model_library = ":library",
        tags = ["manual"],
    )
    torch_model_test(
        name = "model_is_right_loosely",
        atol = "0.25",
        cases = 5,
        model_library = ":library",
        rtol = "0.5",
        tags = ["manual"],
        test_inputs_only = True,
        test_seed = 2,
    )
    for tolerance, text in {
        "half_a_number": "1e",
        "negative": "-1",
        "word": "close",
    }.items():
        torch_model_test(
            name = "tolerance_" + tolerance,
            atol = text,
            model_library = ":library",
            tags = ["manual"],
        )
    torch_model_test(
        name = "no_model_is_right",
        model_library = ":cc",
        tags = ["manual"],
    )
    suite(name, {
        "torch_model_test_default_tolerances_test": (_default_tolerances_test, ":model_is_right"),
        "torch_model_test_executable_test": (_executable_test, ":model_is_right"),
        "torch_model_test_not_a_model_test": (_not_a_model_test, ":no_model_is_right"),
        "torch_model_test_reference_arguments_test": (_reference_arguments_test, ":model_is_right_loosely"),
        "torch_model_test_reference_environment_test": (_reference_environment_test, ":model_is_right"),
        "torch_model_test_reference_inputs_test": (_reference_inputs_test, ":model_is_right"),
        "torch_model_test_reference_reads_no_cpp_test": (_reference_reads_no_cpp_test, ":model_is_right"),
        "torch_model_test_tests_the_library_test": (_tests_the_library_test, ":model_is_right"),
        "torch_model_test_tolerance_half_a_number_test": (_bad_tolerance_test, ":tolerance_half_a_number"),
        "torch_model_test_tolerance_negative_test": (_bad_tolerance_test, ":tolerance_negative"),
        "torch_model_test_tolerance_word_test": (_bad_tolerance_test, ":tolerance_word"),
        "torch_model_test_tolerances_test": (_tolerances_test, ":model_is_right_loosely"),
    })
