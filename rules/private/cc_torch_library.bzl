"""cc_torch_library: an ExportedProgram becomes a C++ library."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("@rules_cc//cc:find_cc_toolchain.bzl", "find_cc_toolchain", "use_cc_toolchain")
load("@rules_cc//cc/common:cc_common.bzl", "cc_common")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:providers.bzl", "TorchCodegenInfo", "TorchModelInfo")
load("//rules:toolchains.bzl", "COMPILER_TOOLCHAIN_TYPE", "RUNTIME_TOOLCHAIN_TYPE")
load("//rules/private:actions.bzl", "TOOL_ATTRS", "run_tool")
load("//rules/private:cc.bzl", "OPENMP", "archive", "configure_cc", "optimised", "rename_weak_symbols")
load(
    "//rules/private:configuration.bzl",
    "ANY_BUILD_ATTRS",
    "any_build",
    "helped",
    "helper_attributes",
    "link_generated",
)
load("//rules/private:embed.bzl", "EMBED_ATTRS", "embed")
load("//rules/private:isa.bzl", "ISAS")
load("//rules/private:names.bzl", "cpp_class", "cpp_namespace", "label_text", "model_id")
load("//rules/private:python.bzl", "add_import_paths")
load("//rules/private:runtime.bzl", "backend_of", "brings_openmp", "has_openmp", "operators_of", "resolve_runtime")
load("//rules/private:target.bzl", "resolve_isas", "resolve_threads")

# Of the target that generates the code, behind the name of the library.
_CODEGEN = "_codegen"

def _torch_codegen_impl(ctx):
    label = helped(ctx, _CODEGEN)
    model = ctx.attr.model[TorchModelInfo]
    isas = resolve_isas(
        ctx.attr.isas or ctx.attr._isas[BuildSettingInfo].value,
        find_cc_toolchain(ctx).cpu,
    )
    threads = resolve_threads(ctx.attr.threads or ctx.attr._threads[BuildSettingInfo].value)
    runtime = resolve_runtime(ctx.attr.runtime or ctx.attr._runtime[BuildSettingInfo].value)

    # In a folder of their own: the library has links to them in its package's.
    prefix = "{}/{}".format(ctx.label.name, label.name.rpartition("/")[2])

    def declare(suffix):
        return ctx.actions.declare_file(prefix + suffix)

    header = declare(".h")
    table = declare(".model.cc")
    weights = declare(".weights.safetensors")
    fingerprint = declare(".weights.fingerprint")
    manifest = declare(".manifest.json")
    wrappers = {isa: declare(".{}.wrapper.cc".format(isa)) for isa in isas}
    kernels = {isa: declare(".{}.kernels.cc".format(isa)) for isa in isas}
    sources = [table] + wrappers.values() + kernels.values()
    include = "/".join([part for part in [label.package, label.name + ".h"] if part])
    id = model_id(label)
    args = ctx.actions.args()
    args.add_all([model.program, model.signature])
    args.add(label_text(label), format = "--label=%s")
    args.add(id, format = "--id=%s")
    args.add(cpp_class(label, ctx.attr.class_name), format = "--class=%s")
    args.add(cpp_namespace(label, ctx.attr.namespace), format = "--namespace=%s")
    args.add(include, format = "--include=%s")
    args.add_all(isas, format_each = "--isa=%s")
    args.add(runtime, format = "--runtime=%s")
    if ctx.attr.c_ops:
        args.add("--c_ops")
    args.add(threads, format = "--threads=%s")
    args.add(ctx.attr.weights, format = "--weights=%s")
    args.add(header, format = "--out=%s")
    inputs = depset([model.program, model.signature])
    if model.op_libraries:
        # What operators do to sizes is said in their libraries, or in the model's Python.
        args.add_all(model.op_libraries, format_each = "--op_library=%s")
        if model.entry:
            args.add(model.source, format = "--entry=%s:" + model.entry)
        add_import_paths(args, model.imports, model.sources)
        inputs = depset(transitive = [inputs, model.sources])
    outputs = [header, weights, fingerprint, manifest] + sources
    run_tool(
        ctx,
        stage = "codegen",
        arguments = [args],
        inputs = inputs,
        outputs = outputs,
        mnemonic = "TorchCodegen",
        progress_message = "Generating C++ for PyTorch model {}".format(label_text(label)),
    )
    return [
        DefaultInfo(files = depset(outputs)),
        TorchCodegenInfo(
            id = id,
            model = model,
            isas = isas,
            runtime = runtime,
            threads = threads,
            header = header,
            include = include,
            table = table,
            wrappers = wrappers,
            kernels = kernels,
            sources = sources,
            weights = weights,
            weights_fingerprint = fingerprint,
            embeds_weights = ctx.attr.weights == "embedded",
            manifest = manifest,
        ),
    ]

_torch_codegen = rule(
    implementation = _torch_codegen_impl,
    attrs = {
        "model": attr.label(mandatory = True, providers = [TorchModelInfo]),
        "class_name": attr.string(),
        "namespace": attr.string(),
        "isas": attr.string_list(),
        "runtime": attr.string(),
        "c_ops": attr.bool(),
        "threads": attr.string(),
        "weights": attr.string(mandatory = True, values = ["embedded", "file"]),
        "_isas": attr.label(default = "//rules:isas", providers = [BuildSettingInfo]),
        "_runtime": attr.label(default = "//rules:runtime", providers = [BuildSettingInfo]),
        "_threads": attr.label(default = "//rules:threads", providers = [BuildSettingInfo]),
    } | ANY_BUILD_ATTRS | TOOL_ATTRS,
    cfg = any_build,
    provides = [TorchCodegenInfo],
    toolchains = [COMPILER_TOOLCHAIN_TYPE] + use_cc_toolchain(),
)

def _link(ctx, codegen):
    """Declares links to what was generated; returns TorchCodegenInfo of them."""

    def link(file):
        return link_generated(ctx, file)

    table = link(codegen.table)
    wrappers = {isa: link(file) for isa, file in codegen.wrappers.items()}
    kernels = {isa: link(file) for isa, file in codegen.kernels.items()}
    return TorchCodegenInfo(
        id = codegen.id,
        model = codegen.model,
        isas = codegen.isas,
        runtime = codegen.runtime,
        threads = codegen.threads,
        header = link(codegen.header),
        include = codegen.include,
        table = table,
        wrappers = wrappers,
        kernels = kernels,
        sources = [table] + wrappers.values() + kernels.values(),
        weights = link(codegen.weights),
        weights_fingerprint = codegen.weights_fingerprint,
        embeds_weights = codegen.embeds_weights,
        manifest = link(codegen.manifest),
    )

# Kernels are compiled to match what PyTorch computes: no contraction into fused
# multiply-adds that eager kernels do not have, but no care for traps either.
# Nor are they optimised together with the program, which may run anywhere.
_KERNEL_FLAGS = ["-std=c++20", "-ffp-contract=off", "-fno-trapping-math", "-fno-lto", "-w"]
_WRAPPER_FLAGS = ["-std=c++20", "-w"]

def _compile(ctx, codegen, *, toolchain, features, interface, backend):
    """Declares the compilations; returns the public context and the objects."""
    openmp = OPENMP if has_openmp(codegen) else []
    interface = [interface.compilation_context]
    private = interface + [backend.compilation_context]

    def compile(part, source, flags, contexts):
        _, outputs = cc_common.compile(
            name = "{}.{}".format(ctx.label.name, part),
            actions = ctx.actions,
            cc_toolchain = toolchain,
            feature_configuration = features,
            srcs = [source],
            user_compile_flags = flags,
            compilation_contexts = contexts,
        )
        return outputs

    variants = []
    for isa in codegen.isas:
        variants.append(compile(
            isa + ".wrapper",
            codegen.wrappers[isa],
            _WRAPPER_FLAGS + openmp + optimised(ctx, "-O1"),
            private,
        ))
        variants.append(rename_weak_symbols(
            ctx,
            toolchain = toolchain,
            objects = compile(
                isa + ".kernels",
                codegen.kernels[isa],
                _KERNEL_FLAGS + openmp + ISAS[isa]["flags"] + optimised(ctx, "-O3"),
                private,
            ),
            suffix = ".{}_{}".format(codegen.id, isa),
        ))
    objects = variants + [compile("model", codegen.table, [], interface)]
    if codegen.embeds_weights:
        objects.append(embed(
            ctx,
            name = ctx.label.name + ".weights",
            file = codegen.weights,
            symbol = codegen.id + "_weights",
            text = codegen.weights_fingerprint,
            text_symbol = codegen.id + "_weights_fingerprint",
            toolchain = toolchain,
            features = features,
        ))
    objects = cc_common.merge_compilation_outputs(compilation_outputs = objects)
    public, _ = cc_common.compile(
        name = ctx.label.name,
        actions = ctx.actions,
        cc_toolchain = toolchain,
        feature_configuration = features,
        public_hdrs = [codegen.header],
        compilation_contexts = interface,
    )
    return public, objects

def _cc_torch_library_impl(ctx):
    runtime = ctx.toolchains[RUNTIME_TOOLCHAIN_TYPE].runtime
    toolchain, features = configure_cc(ctx)
    codegen = _link(ctx, ctx.attr.codegen[TorchCodegenInfo])

    # With libtorch, the operators that the model was exported with, in this configuration.
    ops = ctx.attr.ops + ([ctx.attr.model] if codegen.runtime == "libtorch" and CcInfo in ctx.attr.model else [])
    backend = backend_of(runtime, codegen.runtime)
    context, objects = _compile(
        ctx,
        codegen,
        toolchain = toolchain,
        features = features,
        interface = runtime.interface,
        backend = backend,
    )
    linking_context, archives = archive(
        ctx,
        toolchain = toolchain,
        features = features,
        objects = objects,
        linking_contexts = [runtime.interface.linking_context, backend.linking_context] +
                           [cc.linking_context for cc in operators_of(runtime, codegen)] +
                           [op[CcInfo].linking_context for op in ops],
        linkopts = OPENMP if brings_openmp(codegen) else [],
    )
    return [
        DefaultInfo(
            files = depset([codegen.header] + archives),
            runfiles = ctx.runfiles([] if codegen.embeds_weights else [codegen.weights]),
        ),
        OutputGroupInfo(
            torch_generated = depset(
                [codegen.header, codegen.weights, codegen.manifest] + codegen.sources,
            ),
            torch_weights = depset([codegen.weights]),
            compilation_outputs = depset(objects.objects + objects.pic_objects),
        ),
        CcInfo(compilation_context = context, linking_context = linking_context),
        codegen,
    ]

_cc_torch_library = rule(
    implementation = _cc_torch_library_impl,
    attrs = {
        "codegen": attr.label(mandatory = True, providers = [TorchCodegenInfo]),
        "model": attr.label(mandatory = True, providers = [TorchModelInfo]),
        "ops": attr.label_list(providers = [CcInfo]),
    } | EMBED_ATTRS,
    fragments = ["cpp"],
    provides = [CcInfo, TorchCodegenInfo],
    toolchains = [RUNTIME_TOOLCHAIN_TYPE] + use_cc_toolchain(),
)

def cc_torch_library(
        name,
        model,
        class_name = "",
        namespace = "",
        isas = [],
        ops = [],
        runtime = "",
        threads = "",
        weights = "embedded",
        **kwargs):
    """Compiles an exported model into a C++ library with a typed header.

    ```starlark
    cc_torch_library(
        name = "mlp",
        model = ":mlp_model",
    )

    cc_binary(
        name = "main",
        srcs = ["main.cc"],
        deps = [":mlp"],
    )
    ```

    ```cpp
    #include "models/mlp.h"

    auto mlp = models::Mlp::Create();
    if (!mlp.ok()) return mlp.status();
    std::array<float, 16> features{};
    auto outputs = mlp->Run({{features.data(), {2, 8}}});
    if (!outputs.ok()) return outputs.status();
    float first = outputs->y(0, 0);
    ```

    The header is `<package>/<name>.h`. Its comments have the inputs and outputs with
    their symbolic shapes, the memory that the model takes, and what may be called
    from several threads.

    `--output_groups=torch_generated` leaves the generated sources, the weights and a
    manifest beside it, `--output_groups=torch_weights` the weights alone.

    The code is compiled by the C++ toolchain of the target, with its flags. Kernels
    (`-O3`) and the runtime (`-O2`) are optimised in plain builds too, as vector code
    would be unusably slow, and a call would cost several times as much; `-c dbg` optimises
    neither.

    What the C++ compiler reports of generated code names the model's lines, as in
    `models/mlp.x86-64-v3.kernels.cc, models/mlp.py: x = torch.relu(x):12:5: error: ...`,
    and so does what profilers read from debug information. In the mode `dbg` it does not:
    debuggers show the generated files. The manifest's `kernels` has the operators and
    lines of each function that a run calls, by the name that `perf` shows.

    With several `isas` the library has the kernels once for each, and the weights once.
    `Create` takes the best that the CPU has; the environment variable `RTORCH_ISA` names
    the highest that may be taken, and the class's `isa()` says which was.

    The code is generated by a target of its own, `<name>_codegen`: once for `-c opt`,
    `-c dbg` and sanitizers.

    The library provides `CcInfo`, as a `cc_library` does, and `TorchCodegenInfo`.

    Args:
      name: string.
      model: label; the `torch_model` to compile.
      class_name: string; the generated class. Default: the target's name in CamelCase;
        `Model` comes before a leading digit. A target called `run` has to set it: the
        class has members of its own.
      namespace: string; the C++ namespace of the generated class, such as `a::b`.
        Default: the package's path, `a/b-c` giving `a::b_c`, `asm` giving `asm_`;
        `models` for the root package.
      isas: list of strings; instruction sets to generate and compile kernels for, of
        those that the flag `--@rules_torch//rules:isas` takes. Default: that flag, and
        that by default `x86-64-v3`, or `aarch64` on that CPU. Never the build machine's.
      ops: list of labels; a `cc_library` with the operators of your own that the model
        calls, as C functions: `rules_torch/op.h`. With `runtime = "libtorch"` the `ops` of
        the `torch_model` are linked, and there is no need for others.
      runtime: string; what the model's code stands on. `libtorch`: PyTorch's own C++
        library, which has every operator, is linked as a shared library and takes 430 MB.
        `standalone`: operators that are linked into the program; the model needs
        no library but those of C++ and OpenMP. One that it lacks fails the build, with
        the model's line. Models of both kinds can be in one program. Default: the flag
        `--@rules_torch//rules:runtime`, and that by default `standalone`.
      threads: string; `openmp`: as many threads as `OMP_NUM_THREADS` or the machine that
        runs the model says; `none`: the calling thread alone; or a number, for which
        loops are split alike on machines of any size. Default: the flag
        `--@rules_torch//rules:threads`, and that by default `openmp`.
      weights: string; `embedded`: in the library, used where they lie, up to 2 GB. `file`:
        in `<name>.weights.safetensors` beside it, which is in the runfiles of whatever
        depends on the library; `Create` has to be given it, and maps it. Either way
        `Create` and `Swap` take other files with the same tensors.
      **kwargs: attributes that all rules have, such as `visibility`.
    """
    _torch_codegen(
        name = name + _CODEGEN,
        class_name = class_name,
        isas = isas,
        model = model,
        namespace = namespace,
        runtime = runtime,
        c_ops = bool(ops),
        threads = threads,
        weights = weights,
        **helper_attributes(kwargs)
    )
    _cc_torch_library(
        name = name,
        codegen = ":" + name + _CODEGEN,
        model = model,
        ops = ops,
        **kwargs
    )
