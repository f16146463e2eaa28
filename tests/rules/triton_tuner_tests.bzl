"""triton_tuner: the program that measures a library's configurations."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:defs.bzl", "cc_triton_library", "triton_kernel", "triton_tuner")
load(
    ":util.bzl",
    "GPU_LINE_INFO",
    "action_of",
    "actions_of",
    "assert_contains",
    "assert_lacks",
    "compile_actions",
    "failure_test",
    "linked",
    "names",
    "own_inputs",
    "suite",
)

def _executable_impl(ctx):
    """It is a program, to be run on another machine: all of it is in one file."""
    env = analysistest.begin(ctx)
    info = analysistest.target_under_test(env)[DefaultInfo]
    asserts.equals(env, "tune_kernels", info.files_to_run.executable.basename)
    asserts.equals(env, ["tune_kernels"], names(info.default_runfiles.files))
    return analysistest.end(env)

_executable_test = analysistest.make(_executable_impl)

def _compile_impl(ctx):
    """All candidates of the library's kernels, but no PTX: the driver would compile it."""
    env = analysistest.begin(ctx)
    actions = actions_of(env, "TritonCompile")
    asserts.equals(env, [
        "{}.{}".format(function, architecture)
        for function in ["scale", "add_floats"]
        for architecture in ["sm_80", "sm_90", "sm_100"]
    ], [action.outputs.to_list()[0].basename.rpartition(".")[0] for action in actions])
    for action in actions:
        assert_contains(env, action.argv, "--candidates")
        assert_contains(env, action.argv, "--label=//tests/rules:tune_kernels_candidates")

        # It is what the tuner writes, and has no say in what is measured.
        assert_lacks(env, action.argv, "--tuning")
        assert_lacks(env, own_inputs(action), "tuning.json")
        assert_lacks(env, action.argv, "--line_info")
    return analysistest.end(env)

_compile_test = analysistest.make(_compile_impl)

# Line information makes machine code no slower, but what is measured is what is shipped.
_without_line_info_test = analysistest.make(
    _compile_impl,
    config_settings = {GPU_LINE_INFO: True},
)

def _tuner_impl(ctx):
    """The tables are generated from what was compiled, and the table as it is."""
    env = analysistest.begin(ctx)
    action = action_of(env, "TritonTuner")
    own = own_inputs(action)
    asserts.equals(env, 2 * 6 + 1, len(own))
    assert_contains(env, own, "tests/rules/kernels.tuning.json")
    assert_contains(env, own, "tests/rules/tune_kernels_candidates/scale.sm_90.images")
    asserts.equals(env, "tuner", action.argv[1])
    assert_contains(env, action.argv, "--tuning=tests/rules/kernels.tuning.json")
    assert_contains(env, action.argv, "--id=rtorch_tests_rules_tune_1kernels_1candidates")
    asserts.equals(
        env,
        ["tune_kernels_candidates.cc", "tune_kernels_candidates.images.bin"],
        names(action.outputs),
    )
    for action in compile_actions(env, "embed.S"):
        assert_contains(env, names(action.inputs), "tune_kernels_candidates.images.bin")
    return analysistest.end(env)

_tuner_test = analysistest.make(_tuner_impl)

def _links_impl(ctx):
    """The program, once, and not the library that it is to tune."""
    env = analysistest.begin(ctx)
    libraries = linked(analysistest.target_under_test(env)[CcInfo])
    assert_contains(env, libraries, "libtune.a")
    asserts.true(
        env,
        [name for name in libraries if name.startswith("libtune_kernels_candidates.")],
        libraries,
    )
    assert_lacks(env, libraries, "libkernels.")
    assert_lacks(env, libraries, "torch")
    assert_lacks(env, libraries, "cuda")
    return analysistest.end(env)

_links_test = analysistest.make(_links_impl)

# There would be nowhere to write to.
_no_table_test = failure_test("//tests/rules:untuned_kernels has no 'tuning': give it the table")

_not_a_library_test = failure_test("does not have mandatory providers: 'TritonCodegenInfo'")

def triton_tuner_test_suite(name):
    """Declares the tests of triton_tuner.

    Args:
      name: string; the suite's name.
    """
    cc_triton_library(
        name = "untuned_kernels",
        kernels = [triton_kernel("scale", signature = {"x": "*fp32"})],
        triton_library = ":kernels_py",
        tags = ["manual"],
    )
    triton_tuner(
        name = "tune_kernels",
        kernel_library = ":kernels",
    )
    triton_tuner(
        name = "tune_untuned_kernels",
        kernel_library = ":untuned_kernels",
    )
    triton_tuner(
        name = "tune_cc",
        kernel_library = ":cc",
    )
    suite(name, {
        "triton_tuner_compile_test": (_compile_test, ":tune_kernels_candidates"),
        "triton_tuner_executable_test": (_executable_test, ":tune_kernels"),
        "triton_tuner_links_test": (_links_test, ":tune_kernels_candidates"),
        "triton_tuner_no_table_test": (_no_table_test, ":tune_untuned_kernels_candidates"),
        "triton_tuner_not_a_library_test": (_not_a_library_test, ":tune_cc_candidates"),
        "triton_tuner_tuner_test": (_tuner_test, ":tune_kernels_candidates"),
        "triton_tuner_without_line_info_test": (_without_line_info_test, ":tune_kernels_candidates"),
    })
