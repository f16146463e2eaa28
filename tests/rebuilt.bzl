"""Tests that are built and run once more in another way: a part of `//...`."""

# Features of Bazel's C++ toolchain, the compilation mode if not the build's, and what
# the programs are told.
_BUILDS = {
    "asan_ubsan": struct(
        features = ["asan", "ubsan"],
        mode = None,
        env = {"UBSAN_OPTIONS": "abort_on_error=1:halt_on_error=1:print_stacktrace=1"},
    ),
    "dbg": struct(features = [], mode = "dbg", env = {}),
    # libgomp is not compiled with it: the threads of a parallel loop seem to race.
    # One caller's loop has one thread here; it is several callers that must not.
    "tsan": struct(
        features = ["tsan"],
        mode = None,
        env = {"OMP_NUM_THREADS": "1"},
    ),
}

# Without random addresses where that is allowed: older compilers' sanitizers do not
# start where the kernel takes too many bits for them.
_RUN = """\
#!/bin/sh
setarch --addr-no-randomize true 2> /dev/null &&
  exec setarch --addr-no-randomize {test} "$@"
exec {test} "$@"
"""

_COPTS = "//command_line_option:copt"
_FEATURES = "//command_line_option:features"
_MODE = "//command_line_option:compilation_mode"
_STRIP = "//command_line_option:strip"

def _transition_impl(settings, attr):
    build = _BUILDS[attr.build]
    return {
        # Lines for the reports.
        _COPTS: settings[_COPTS] + ["-g1"],
        _FEATURES: settings[_FEATURES] + build.features,
        _MODE: build.mode or settings[_MODE],
        _STRIP: "never",
    }

_rebuilt = transition(
    implementation = _transition_impl,
    inputs = [_COPTS, _FEATURES, _MODE],
    outputs = [_COPTS, _FEATURES, _MODE, _STRIP],
)

def _rebuilt_test_impl(ctx):
    test = ctx.attr.test[0]
    environment = test[RunEnvironmentInfo].environment if RunEnvironmentInfo in test else {}
    run = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(
        run,
        _RUN.format(test = test[DefaultInfo].files_to_run.executable.short_path),
        is_executable = True,
    )
    return [
        DefaultInfo(
            executable = run,
            runfiles = ctx.runfiles().merge(test[DefaultInfo].default_runfiles),
        ),
        RunEnvironmentInfo(
            environment = environment | _BUILDS[ctx.attr.build].env,
        ),
    ]

_rebuilt_test = rule(
    implementation = _rebuilt_test_impl,
    attrs = {
        "build": attr.string(mandatory = True, values = _BUILDS.keys()),
        "test": attr.label(cfg = _rebuilt, executable = True, mandatory = True),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    test = True,
)

def rebuilt_tests(name, tests, builds = ["asan_ubsan", "tsan"]):
    """Declares `<test>_<build>` for cc_tests of this package that take no `args`.

    Args:
      name: string; of a test_suite of them.
      tests: list of strings; the cc_tests' names.
      builds: list of strings; `asan_ubsan`, `dbg`, `tsan`.
    """
    made = []
    for test in tests:
        for build in builds:
            made.append("{}_{}".format(test, build))
            _rebuilt_test(
                name = made[-1],
                size = "medium",
                build = build,
                test = test,
            )
    native.test_suite(name = name, tests = made)
