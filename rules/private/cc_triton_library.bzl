"""cc_triton_library: Triton kernels become a C++ library."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("@rules_cc//cc:find_cc_toolchain.bzl", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:providers.bzl", "TritonCodegenInfo", "TritonInfo")
load("//rules:toolchains.bzl", "TRITON_TOOLCHAIN_TYPE")
load("//rules/private:actions.bzl", "TOOL_ATTRS", "run_tool")
load("//rules/private:cc.bzl", "archive", "configure_cc")
load(
    "//rules/private:configuration.bzl",
    "ANY_BUILD_ATTRS",
    "any_build",
    "helped",
    "helper_attributes",
    "link_generated",
)
load("//rules/private:embed.bzl", "EMBED_ATTRS", "embed")
load("//rules/private:names.bzl", "camel_case", "cpp_namespace", "label_text", "model_id")
load("//rules/private:python.bzl", "add_import_paths")

# Of the target that compiles the kernels, behind the name of the library.
_CODEGEN = "_codegen"

def compile_kernels(ctx, *, label, kernels, architectures, triton, tuning, line_info, flags = []):
    """Declares the compilation of kernels, an action for each kernel and architecture.

    Args:
      ctx: the rule's context; the rule needs TOOL_ATTRS and the Triton toolchain.
      label: Label; whose kernels they are, for messages.
      kernels: list of strings; from triton_kernel.
      architectures: list of strings.
      triton: TritonInfo.
      tuning: File, or None.
      line_info: bool.
      flags: list of strings; more of the tool's.

    Returns:
      struct; `metadata`, list of Files, what the stage `launcher` takes, and
      `files`, list of Files, what it reads.
    """
    functions = {}
    for kernel in kernels:
        functions.setdefault(json.decode(kernel)["name"], []).append(kernel)
    metadata = []
    images = []
    for function, declarations in functions.items():
        for architecture in architectures:
            prefix = "{}/{}.{}".format(ctx.label.name, function, architecture)
            outputs = [ctx.actions.declare_file(prefix + suffix) for suffix in [".json", ".images"]]
            args = ctx.actions.args()
            args.add(triton.source)
            add_import_paths(args, triton.imports, triton.sources)
            args.add(label_text(label), format = "--label=%s")
            args.add(architecture, format = "--architecture=%s")
            args.add_all(declarations, format_each = "--declaration=%s")
            if tuning:
                args.add(tuning, format = "--tuning=%s")
            if line_info:
                args.add("--line_info")
            args.add_all(flags)
            args.add(outputs[0], format = "--out=%s")
            run_tool(
                ctx,
                stage = "kernel",
                arguments = [args],
                inputs = depset([tuning] if tuning else [], transitive = [triton.sources]),
                outputs = outputs,
                mnemonic = "TritonCompile",
                progress_message = "Compiling Triton kernel {} of {} for {}".format(function, label_text(label), architecture),
                toolchain_type = TRITON_TOOLCHAIN_TYPE,
            )
            metadata.append(outputs[0])
            images.append(outputs[1])
    return struct(metadata = metadata, files = metadata + images)

def _triton_codegen_impl(ctx):
    label = helped(ctx, _CODEGEN)
    architectures = ctx.attr.architectures or ctx.attr._architectures[BuildSettingInfo].value
    triton = ctx.attr.triton_library[TritonInfo]
    compiled = compile_kernels(
        ctx,
        label = label,
        kernels = ctx.attr.kernels,
        architectures = architectures,
        triton = triton,
        tuning = ctx.file.tuning,
        line_info = ctx.attr._line_info[BuildSettingInfo].value,
    )
    id = model_id(label)

    # In a folder of their own: the library has links to them in its package's.
    prefix = "{}/{}".format(ctx.label.name, label.name.rpartition("/")[2])
    outputs = {
        suffix: ctx.actions.declare_file(prefix + suffix)
        for suffix in [".h", ".cc", ".images.bin", ".manifest.json"]
    }
    include = "/".join([part for part in [label.package, label.name + ".h"] if part])
    args = ctx.actions.args()
    args.add_all(compiled.metadata)
    args.add(label_text(label), format = "--label=%s")
    args.add(id, format = "--id=%s")
    args.add(camel_case(label.name), format = "--name=%s")
    args.add(cpp_namespace(label, ctx.attr.namespace), format = "--namespace=%s")
    args.add(include, format = "--include=%s")
    args.add(outputs[".h"], format = "--out=%s")
    run_tool(
        ctx,
        stage = "launcher",
        arguments = [args],
        inputs = compiled.files,
        outputs = outputs.values(),
        mnemonic = "TritonLauncher",
        progress_message = "Generating C++ for Triton kernels {}".format(label_text(label)),
        toolchain_type = TRITON_TOOLCHAIN_TYPE,
    )
    return [
        DefaultInfo(files = depset(outputs.values())),
        TritonCodegenInfo(
            id = id,
            kernels = ctx.attr.kernels,
            architectures = architectures,
            triton = triton,
            tuning = ctx.file.tuning,
            header = outputs[".h"],
            include = include,
            source = outputs[".cc"],
            images = outputs[".images.bin"],
            manifest = outputs[".manifest.json"],
        ),
    ]

_triton_codegen = rule(
    implementation = _triton_codegen_impl,
    attrs = {
        "triton_library": attr.label(mandatory = True, providers = [TritonInfo]),
        "kernels": attr.string_list(allow_empty = False, mandatory = True),
        "architectures": attr.string_list(),
        "tuning": attr.label(allow_single_file = [".json"]),
        "namespace": attr.string(),
        "_architectures": attr.label(default = "//rules:gpu_architectures", providers = [BuildSettingInfo]),
        "_line_info": attr.label(default = "//rules:gpu_line_info", providers = [BuildSettingInfo]),
    } | ANY_BUILD_ATTRS | TOOL_ATTRS,
    cfg = any_build,
    provides = [TritonCodegenInfo],
    toolchains = [TRITON_TOOLCHAIN_TYPE],
)

def _link(ctx, codegen):
    """Declares links to what was generated; returns TritonCodegenInfo of them."""
    return TritonCodegenInfo(
        id = codegen.id,
        kernels = codegen.kernels,
        architectures = codegen.architectures,
        triton = codegen.triton,
        tuning = codegen.tuning,
        header = link_generated(ctx, codegen.header),
        include = codegen.include,
        source = link_generated(ctx, codegen.source),
        images = link_generated(ctx, codegen.images),
        manifest = link_generated(ctx, codegen.manifest),
    )

def _cc_triton_library_impl(ctx):
    toolchain, features = configure_cc(ctx)
    codegen = _link(ctx, ctx.attr.codegen[TritonCodegenInfo])
    runtime = ctx.attr._runtime[CcInfo]
    context, _ = cc_common.compile(
        name = ctx.label.name,
        actions = ctx.actions,
        cc_toolchain = toolchain,
        feature_configuration = features,
        public_hdrs = [codegen.header],
        compilation_contexts = [runtime.compilation_context],
    )
    _, launcher = cc_common.compile(
        name = ctx.label.name + ".launcher",
        actions = ctx.actions,
        cc_toolchain = toolchain,
        feature_configuration = features,
        srcs = [codegen.source],
        user_compile_flags = ["-std=c++17"],
        compilation_contexts = [context, ctx.attr._seam[CcInfo].compilation_context],
    )
    images = embed(
        ctx,
        name = ctx.label.name + ".images",
        file = codegen.images,
        symbol = codegen.id + "_images",
        toolchain = toolchain,
        features = features,
    )
    objects = cc_common.merge_compilation_outputs(compilation_outputs = [launcher, images])
    linking_context, archives = archive(
        ctx,
        toolchain = toolchain,
        features = features,
        objects = objects,
        linking_contexts = [runtime.linking_context],
    )
    return [
        DefaultInfo(files = depset([codegen.header] + archives)),
        OutputGroupInfo(
            compilation_outputs = depset(objects.objects + objects.pic_objects),
            triton_generated = depset(
                [codegen.header, codegen.source, codegen.images, codegen.manifest],
            ),
        ),
        CcInfo(compilation_context = context, linking_context = linking_context),
        codegen,
    ]

_cc_triton_library = rule(
    implementation = _cc_triton_library_impl,
    attrs = {
        "codegen": attr.label(mandatory = True, providers = [TritonCodegenInfo]),
        "_runtime": attr.label(default = "//runtime:kernel", providers = [CcInfo]),
        "_seam": attr.label(default = "//runtime:kernel_seam", providers = [CcInfo]),
    } | EMBED_ATTRS,
    fragments = ["cpp"],
    provides = [CcInfo, TritonCodegenInfo],
    toolchains = use_cc_toolchain(),
)

def cc_triton_library(name, triton_library, kernels, architectures = [], tuning = None, namespace = "", **kwargs):
    """Compiles Triton kernels into a C++ library that launches them.

    ```starlark
    cc_triton_library(
        name = "softmax",
        kernels = [triton_kernel(
            function = "fused_softmax",
            signature = {"out": "*fp32:16", "x": "*kfp32:16", "columns": "i32"},
            constexprs = {"BLOCK": 1024},
            when = "columns <= BLOCK",
        )],
        triton_library = ":softmax_py",
    )
    ```

    ```cpp
    #include "kernels/softmax.h"

    auto status = kernels::fused_softmax(stream, {rows}, out, x, columns);
    ```

    The builder needs no GPU, no driver and no CUDA toolkit; the program needs the
    driver, and that only once a kernel is launched. `rules_torch/kernel.h` says what
    a launch checks, and what threads, streams, graphs and several devices may do.

    Outputs, beside the library: `--output_groups=triton_generated` leaves the
    generated sources, the machine code and a manifest of every instantiation.

    Kernels are compiled by a target of its own, `<name>_codegen`: once for `-c opt`,
    `-c dbg` and sanitizers.

    The library provides `CcInfo`, as a `cc_library` does, and `TritonCodegenInfo`.

    Args:
      name: string.
      triton_library: label; the `triton_library` that holds the kernels.
      kernels: list of strings; what to compile: calls of `triton_kernel`.
      architectures: list of strings; GPU architectures: `sm_90` for a cubin, `compute_80`
        for PTX that the driver compiles for newer devices when it loads it, `gfx942` for
        AMD. Default: the flag `--@rules_torch//rules:gpu_architectures`.
      tuning: label; the table of what `@triton.autotune` chooses, which a `triton_tuner`
        writes. A kernel without an entry is compiled with its first configuration, and
        the build says so.
      namespace: string; the C++ namespace of the functions, such as `a::b`. Default: the
        package's path, `a/b-c` giving `a::b_c`, `asm` giving `asm_`; `models` for the
        root package.
      **kwargs: attributes that all rules have, such as `visibility`.
    """
    _triton_codegen(
        name = name + _CODEGEN,
        architectures = architectures,
        kernels = kernels,
        triton_library = triton_library,
        namespace = namespace,
        tuning = tuning,
        **helper_attributes(kwargs)
    )
    _cc_triton_library(
        name = name,
        codegen = ":" + name + _CODEGEN,
        **kwargs
    )
