"""What does not depend on how C++ is compiled is made once for all such builds.

Exporting a model, generating its code and compiling kernels can take minutes, and the
results are the same with `-c opt` as with `-c dbg` or a sanitizer. Bazel would make them
again for each, in another folder. So the rules that make them have a configuration of
their own. What is made for a library is made by a helper of it, a target beside it.
"""

# What differs from build to build, and its default. What a project sets once for all its
# builds, such as --cxxopt, stays: where a flag of the whole build is reset, the folder of
# outputs gets another name.
_DEFAULTS = {
    "//command_line_option:compilation_mode": "fastbuild",
    "//command_line_option:copt": [],
    "//command_line_option:features": [],
    "//command_line_option:strip": "sometimes",
}

def _any_build_impl(_settings, _attr):
    return _DEFAULTS

# For a rule's `cfg`; the rule needs ANY_BUILD_ATTRS.
any_build = transition(
    implementation = _any_build_impl,
    inputs = [],
    outputs = _DEFAULTS.keys(),
)

ANY_BUILD_ATTRS = {
    "_allowlist_function_transition": attr.label(
        default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
    ),
}

# Of a target that users see, what holds for its helpers as well.
_INHERITED = [
    "compatible_with",
    "exec_compatible_with",
    "exec_properties",
    "restricted_to",
    "target_compatible_with",
    "testonly",
]

def helper_attributes(attributes):
    """Attributes of a target that a macro declares for another one.

    Args:
      attributes: dict; the other target's.

    Returns:
      dict; wildcards do not match the helper, so that it is built with the other
      target or not at all.
    """
    inherited = {name: attributes[name] for name in _INHERITED if name in attributes}
    return inherited | {
        "tags": (attributes.get("tags") or []) + ["manual"],
        "visibility": ["//visibility:private"],
    }

def helped(ctx, suffix):
    """The label of the target that a helper is for.

    Args:
      ctx: the helper's context.
      suffix: string; how the helper's name ends, behind the target's.

    Returns:
      Label.
    """
    return ctx.label.same_package_label(ctx.label.name.removesuffix(suffix))

def link_generated(ctx, file):
    """Declares a link to what a helper made, where users look for a target's outputs.

    Args:
      ctx: the rule's context.
      file: File.

    Returns:
      File, in the folder of the target and of the same name.
    """
    folder = ctx.label.name.rpartition("/")[0]
    link = ctx.actions.declare_file("/".join([part for part in [folder, file.basename] if part]))
    ctx.actions.symlink(output = link, target_file = file)
    return link
