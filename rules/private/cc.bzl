"""The C++ toolchain, and libraries made of objects, for the rules that generate C++."""

load("@rules_cc//cc:find_cc_toolchain.bzl", "find_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")

def configure_cc(ctx):
    """Finds the C++ toolchain, with the features of the target.

    Args:
      ctx: the rule's context; the rule uses use_cc_toolchain().

    Returns:
      CcToolchainInfo and FeatureConfiguration.
    """
    toolchain = find_cc_toolchain(ctx)
    return toolchain, cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )

def archive(ctx, *, toolchain, features, objects, linking_contexts, alwayslink = False):
    """Declares a static library; there is no dynamic one.

    What is embedded would be in each that links it: one copy of it is to lie in
    the binary that uses it.

    Args:
      ctx: the rule's context.
      toolchain: CcToolchainInfo.
      features: FeatureConfiguration.
      objects: CcCompilationOutputs.
      linking_contexts: list of LinkingContexts; what the library needs.
      alwayslink: bool; whether the linker keeps what nothing refers to.

    Returns:
      LinkingContext, and the archives as a list of Files.
    """
    context, linked = cc_common.create_linking_context_from_compilation_outputs(
        name = ctx.label.name,
        actions = ctx.actions,
        cc_toolchain = toolchain,
        feature_configuration = features,
        compilation_outputs = objects,
        linking_contexts = linking_contexts,
        alwayslink = alwayslink,
        disallow_dynamic_library = True,
    )
    library = linked.library_to_link
    return context, [file for file in [library.static_library, library.pic_static_library] if file]
