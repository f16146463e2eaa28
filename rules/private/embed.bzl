"""Puts a file into a library, as read-only data."""

load("@rules_cc//cc/common:cc_common.bzl", "cc_common")

EMBED_ATTRS = {
    "_embed_source": attr.label(allow_single_file = True, default = "//runtime:internal/embed.S"),
}

def embed(ctx, *, name, file, symbol, toolchain, features, text = None, text_symbol = None):
    """Declares the assembly of a file's bytes.

    Args:
      ctx: the rule's context; the rule needs EMBED_ATTRS.
      name: string; of the object.
      file: File.
      symbol: string; the rules_torch::internal::Blob to define.
      toolchain: CcToolchainInfo.
      features: FeatureConfiguration.
      text: File, or None; another one.
      text_symbol: string; the array of char, with a zero at its end, to define for `text`.

    Returns:
      CcCompilationOutputs.
    """
    _, outputs = cc_common.compile(
        name = name,
        actions = ctx.actions,
        cc_toolchain = toolchain,
        feature_configuration = features,
        srcs = [ctx.file._embed_source],
        user_compile_flags = [
            "-DEMBED_FILE=\"{}\"".format(file.path),
            "-DEMBED_SYMBOL=" + symbol,
        ] + ([
            "-DEMBED_TEXT_FILE=\"{}\"".format(text.path),
            "-DEMBED_TEXT_SYMBOL=" + text_symbol,
        ] if text else []),
        additional_inputs = [file] + ([text] if text else []),
    )
    return outputs
