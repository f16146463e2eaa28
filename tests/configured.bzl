"""Tests that are built in another configuration than that of the command line."""

_COMPILATION_MODE = "//command_line_option:compilation_mode"

def _configuration_impl(_settings, attr):
    return {_COMPILATION_MODE: attr.compilation_mode}

_configuration = transition(
    implementation = _configuration_impl,
    inputs = [],
    outputs = [_COMPILATION_MODE],
)

def _configured_test_impl(ctx):
    test = ctx.attr.test[0]  # a transition makes a list of it
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(
        output = executable,
        target_file = test[DefaultInfo].files_to_run.executable,
        is_executable = True,
    )
    return [DefaultInfo(
        executable = executable,
        runfiles = ctx.runfiles().merge(test[DefaultInfo].default_runfiles),
    )]

configured_test = rule(
    implementation = _configured_test_impl,
    doc = "Runs another test, built as the attributes say.",
    attrs = {
        "test": attr.label(
            cfg = _configuration,
            doc = "The test to build; `manual`, unless it is to run as it is, too.",
            executable = True,
            mandatory = True,
        ),
        "compilation_mode": attr.string(
            doc = "As of `--compilation_mode`.",
            mandatory = True,
            values = ["dbg", "fastbuild", "opt"],
        ),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    test = True,
)
