"""The C++ toolchain, and libraries made of objects, for the rules that generate C++."""

load("@rules_cc//cc:find_cc_toolchain.bzl", "CC_TOOLCHAIN_TYPE", "find_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")

# What compiles and links code that uses OpenMP.
OPENMP = ["-fopenmp"]

def optimised(ctx, level):
    """The flags of code that is optimised in plain builds too, and not in the mode `dbg`.

    Args:
      ctx: the rule's context.
      level: string; `-O3`.

    Returns:
      list of strings.
    """
    return [] if ctx.var["COMPILATION_MODE"] == "dbg" else [level, "-DNDEBUG"]

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

def archive(ctx, *, toolchain, features, objects, linking_contexts, linkopts = [], alwayslink = False):
    """Declares a static library; there is no dynamic one.

    What is embedded would be in each that links it: one copy of it is to lie in
    the binary that uses it.

    Args:
      ctx: the rule's context.
      toolchain: CcToolchainInfo.
      features: FeatureConfiguration.
      objects: CcCompilationOutputs.
      linking_contexts: list of LinkingContexts; what the library needs.
      linkopts: list of strings; flags for whatever links the library.
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
        user_link_flags = linkopts,
        alwayslink = alwayslink,
        disallow_dynamic_library = True,
    )
    library = linked.library_to_link
    return context, [file for file in [library.static_library, library.pic_static_library] if file]

# Objects are parts of a program: of two weak functions of one name the linker takes
# either, for all callers. Of two section groups of one name it drops one, whatever the
# functions in it are called; constructors have a group that no function is named after.
# Out of their groups the sections stay.
_RENAME_WEAK_SYMBOLS = """\
set -euo pipefail
"$1" --defined-only -P "$3" | while read -r name type _; do
  case $type in
    [WVu]) echo "$name $name$5" ;;
  esac
done > "$4.symbols"
"$2" --redefine-syms="$4.symbols" --remove-section=.group "$3" "$4"
rm "$4.symbols"
"""

def rename_weak_symbols(ctx, *, toolchain, objects, suffix):
    """Declares copies of objects whose inline functions nobody else can come to call.

    Code compiled for a newer CPU than the program has, say, std::vector's functions
    too, as weak symbols: the linker could pick them for the whole program.

    Args:
      ctx: the rule's context.
      toolchain: CcToolchainInfo.
      objects: CcCompilationOutputs.
      suffix: string; what weak symbols get. Demanglers show `.x` as `[clone .x]`.

    Returns:
      CcCompilationOutputs.
    """

    def rename(file):
        renamed = ctx.actions.declare_file("{}.renamed.o".format(file.basename.removesuffix(".o")), sibling = file)
        args = ctx.actions.args()
        args.add_all([toolchain.nm_executable, toolchain.objcopy_executable, file, renamed, suffix])
        ctx.actions.run_shell(
            command = _RENAME_WEAK_SYMBOLS,
            arguments = [args],
            inputs = [file],
            tools = toolchain.all_files,
            outputs = [renamed],
            mnemonic = "CppRenameSymbols",
            progress_message = "Renaming weak symbols of %{input}",
            toolchain = CC_TOOLCHAIN_TYPE,
        )
        return renamed

    return cc_common.create_compilation_outputs(
        objects = depset([rename(file) for file in objects.objects]),
        pic_objects = depset([rename(file) for file in objects.pic_objects]),
    )
