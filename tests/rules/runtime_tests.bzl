"""How the runtime, which every model and kernel links, is compiled."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load(":util.bzl", "COMPILATION_MODE", "COPT", "actions_of", "assert_contains", "optimisation")

def _optimised_impl(ctx):
    """A call of a model that a plain build made is as cheap as any."""
    env = analysistest.begin(ctx)
    compilations = actions_of(env, "CppCompile")
    asserts.true(env, compilations, "nothing is compiled")
    for action in compilations:
        asserts.equals(env, "-O2", optimisation(action))
    return analysistest.end(env)

_optimised_in_fastbuild_test = analysistest.make(
    _optimised_impl,
    config_settings = {COMPILATION_MODE: "fastbuild"},
)

def _users_choice_impl(ctx):
    """Who optimises otherwise, in -c opt, gets it."""
    env = analysistest.begin(ctx)
    for action in actions_of(env, "CppCompile"):
        asserts.equals(env, "-Os", optimisation(action))
    return analysistest.end(env)

_users_choice_in_opt_test = analysistest.make(
    _users_choice_impl,
    config_settings = {
        COMPILATION_MODE: "opt",
        COPT: ["-Os"],
    },
)

def _debuggable_impl(ctx):
    """Who asks for -c dbg wants to step through the code."""
    env = analysistest.begin(ctx)
    for action in actions_of(env, "CppCompile"):
        asserts.true(env, optimisation(action) in [None, "-O0"], optimisation(action))
        assert_contains(env, action.argv, "-g")
    return analysistest.end(env)

_debuggable_in_dbg_test = analysistest.make(
    _debuggable_impl,
    config_settings = {COMPILATION_MODE: "dbg"},
)

def runtime_test_suite(name):
    """Declares the tests of the runtime's compilation.

    Args:
      name: string; the suite's name.
    """
    tests = []
    for part, target in {
        "gpu": "//runtime:gpu",
        "kernel": "//runtime:kernel",
        "model": "//runtime",
        "model_test": "//runtime/testing:model_test",
        "tuner": "//runtime/tuning:tune",
    }.items():
        for behaviour, rule in {
            "debuggable_in_dbg": _debuggable_in_dbg_test,
            "optimised_in_fastbuild": _optimised_in_fastbuild_test,
            "users_choice_in_opt": _users_choice_in_opt_test,
        }.items():
            tests.append("runtime_{}_{}_test".format(part, behaviour))
            rule(name = tests[-1], size = "small", target_under_test = target)
    native.test_suite(name = name, tests = tests)
