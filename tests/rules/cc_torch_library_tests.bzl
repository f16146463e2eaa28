"""cc_torch_library: code generation, compilation and what the library offers."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:defs.bzl", "TorchCodegenInfo", "TorchModelInfo", "cc_torch_library")
load(
    ":util.bzl",
    "COMPILATION_MODE",
    "CPP_EXTENSIONS",
    "FULL_TRACE",
    "ISAS",
    "RUNTIME",
    "THREADS",
    "action_of",
    "actions_of",
    "assert_contains",
    "assert_lacks",
    "compile_actions",
    "failure_test",
    "linked",
    "names",
    "once_test",
    "optimisation",
    "own_inputs",
    "suite",
)

_TABLE = "library.model.cc"
_WRAPPER = "library.x86-64-v3.wrapper.cc"
_KERNELS = "library.x86-64-v3.kernels.cc"
_SOURCES = [_TABLE, _KERNELS, _WRAPPER]

# ---- Providers.

def _providers_impl(ctx):
    """Rules of other people's go by these fields."""
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    codegen = target[TorchCodegenInfo]
    asserts.equals(env, "rtorch_tests_rules_library", codegen.id)
    asserts.equals(env, "model.pt2", codegen.model.program.basename)
    asserts.equals(env, "tests/rules/library.h", codegen.header.short_path)
    asserts.equals(env, "tests/rules/library.h", codegen.include)
    asserts.equals(env, _SOURCES, names(codegen.sources))
    asserts.equals(env, ["x86-64-v3"], codegen.isas)
    asserts.equals(env, "openmp", codegen.threads)
    asserts.equals(env, "library.model.cc", codegen.table.basename)
    asserts.equals(env, ["library.x86-64-v3.wrapper.cc"], names(codegen.wrappers.values()))
    asserts.equals(env, ["library.x86-64-v3.kernels.cc"], names(codegen.kernels.values()))
    asserts.equals(env, "library.weights.safetensors", codegen.weights.basename)
    asserts.equals(env, "library.manifest.json", codegen.manifest.basename)
    asserts.false(env, TorchModelInfo in target, "the library is no model")
    return analysistest.end(env)

_providers_test = analysistest.make(_providers_impl)

def _default_outputs_impl(ctx):
    """`bazel build` of a library makes what its users need, and so compiles it."""
    env = analysistest.begin(ctx)
    files = names(analysistest.target_under_test(env)[DefaultInfo].files)
    asserts.equals(env, ["liblibrary.a", "library.h"], files)
    return analysistest.end(env)

_default_outputs_test = analysistest.make(_default_outputs_impl)

def _output_groups_impl(ctx):
    """Generated code can be had by itself, without a compiler run, to be read."""
    env = analysistest.begin(ctx)
    groups = analysistest.target_under_test(env)[OutputGroupInfo]
    asserts.equals(env, [
        "library.h",
        "library.manifest.json",
        "library.model.cc",
        "library.weights.safetensors",
        _KERNELS,
        _WRAPPER,
    ], names(groups.torch_generated))
    objects = groups.compilation_outputs.to_list()
    asserts.equals(env, 4, len(objects), "objects: {}".format(objects))
    asserts.equals(env, ["o"], {file.extension: None for file in objects}.keys())
    return analysistest.end(env)

_output_groups_test = analysistest.make(_output_groups_impl)

def _public_headers_impl(ctx):
    """Users can include the generated header, and what that includes."""
    env = analysistest.begin(ctx)
    context = analysistest.target_under_test(env)[CcInfo].compilation_context
    asserts.equals(env, ["library.h"], names(context.direct_public_headers))
    headers = context.headers.to_list()
    for header in ["tests/rules/library.h", "rules_torch/model.h", "rules_torch/abi.h"]:
        asserts.true(
            env,
            [file for file in headers if file.path.endswith("/" + header)],
            "no " + header,
        )
    return analysistest.end(env)

_public_headers_test = analysistest.make(_public_headers_impl)

def _torch_stays_private_impl(ctx):
    """Users' code can neither come to depend on torch's headers nor be broken by them."""
    env = analysistest.begin(ctx)
    context = analysistest.target_under_test(env)[CcInfo].compilation_context
    for paths in [
        [file.path for file in context.headers.to_list()],
        context.includes.to_list(),
        context.quote_includes.to_list(),
        context.system_includes.to_list(),
        context.framework_includes.to_list(),
    ]:
        assert_lacks(env, paths, "torch/include")
        assert_lacks(env, paths, "site-packages")
    asserts.equals(env, [], context.defines.to_list())
    return analysistest.end(env)

_torch_stays_private_test = analysistest.make(_torch_stays_private_impl)

def _linked_statically_impl(ctx):
    """The model is an archive and never a library of its own.

    A binary and a shared library in one process would each hold the weights.
    """
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    inputs = target[CcInfo].linking_context.linker_inputs.to_list()
    libraries = [
        library
        for linker_input in inputs
        if linker_input.owner == target.label
        for library in linker_input.libraries
    ]
    asserts.equals(env, 1, len(libraries))
    for library in libraries:
        archive = library.static_library or library.pic_static_library
        asserts.equals(env, "liblibrary.a", archive.basename)
        asserts.equals(env, None, library.dynamic_library)
        asserts.equals(env, None, library.interface_library)
        asserts.false(env, library.alwayslink, "a binary that uses no model should hold none")
    return analysistest.end(env)

_linked_statically_test = analysistest.make(_linked_statically_impl)

def _links_the_runtime_impl(ctx):
    """A dependency on the library is all that a binary needs."""
    env = analysistest.begin(ctx)
    libraries = linked(analysistest.target_under_test(env)[CcInfo])
    assert_contains(env, libraries, "libtorch_cpu.so")
    assert_contains(env, libraries, "libruntime.a")
    return analysistest.end(env)

_links_the_runtime_test = analysistest.make(_links_the_runtime_impl)

# ---- Code generation.

def _codegen_inputs_impl(ctx):
    """The exported program and its signature, nothing else: neither Python source nor C++.

    So a changed comment in either generates nothing anew: the export of the same
    model is the same file.
    """
    env = analysistest.begin(ctx)
    action = action_of(env, "TorchCodegen")
    asserts.equals(
        env,
        ["tests/rules/model.json", "tests/rules/model.pt2"],
        own_inputs(action),
    )
    asserts.equals(env, [], [
        file.path
        for file in action.inputs.to_list()
        if file.extension in CPP_EXTENSIONS
    ])
    return analysistest.end(env)

_codegen_inputs_test = analysistest.make(_codegen_inputs_impl)

def _codegen_outputs_impl(ctx):
    """All of the generated files come from one action, so they fit each other."""
    env = analysistest.begin(ctx)
    asserts.equals(env, [
        "library.h",
        "library.manifest.json",
        "library.model.cc",
        "library.weights.fingerprint",
        "library.weights.safetensors",
        _KERNELS,
        _WRAPPER,
    ], names(action_of(env, "TorchCodegen").outputs))
    asserts.equals(env, [], actions_of(env, "TorchExport"), "that is torch_model's")
    return analysistest.end(env)

_codegen_outputs_test = analysistest.make(_codegen_outputs_impl)

def _codegen_environment_impl(ctx):
    """Nothing of the machine or of who builds reaches what is made."""
    env = analysistest.begin(ctx)
    variables = action_of(env, "TorchCodegen").env
    asserts.equals(env, "0", variables.get("PYTHONHASHSEED"))
    asserts.equals(env, "1", variables.get("OMP_NUM_THREADS"))
    for name in ["HOME", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR", "USER"]:
        asserts.false(env, name in variables, name + " is set")
    return analysistest.end(env)

_codegen_environment_test = analysistest.make(_codegen_environment_impl)

def _codegen_arguments_impl(ctx):
    """What the generated class is called is told from the label."""
    env = analysistest.begin(ctx)
    argv = action_of(env, "TorchCodegen").argv
    asserts.equals(env, "codegen", argv[2])
    for flag in [
        "--label=//tests/rules:library",
        "--id=rtorch_tests_rules_library",
        "--class=Library",
        "--namespace=tests::rules",
        "--include=tests/rules/library.h",
        "--out={}/tests/rules/library_codegen/library.h".format(analysistest.target_bin_dir_path(env)),
    ]:
        assert_contains(env, argv, flag)
    return analysistest.end(env)

_codegen_arguments_test = analysistest.make(_codegen_arguments_impl)

def _codegen_names_impl(ctx):
    """Attributes say what the class is called; the header stays where the label says."""
    env = analysistest.begin(ctx)
    argv = action_of(env, "TorchCodegen").argv
    for flag in [
        "--class=Net",
        "--namespace=acme::vision",
        "--include=tests/rules/named.h",
    ]:
        assert_contains(env, argv, flag)
    return analysistest.end(env)

_codegen_names_test = analysistest.make(_codegen_names_impl)

def _codegen_full_trace_impl(ctx):
    """--@rules_torch//rules:full_trace reaches the tool."""
    env = analysistest.begin(ctx)
    assert_contains(env, action_of(env, "TorchCodegen").argv, "--full_trace")
    return analysistest.end(env)

_codegen_full_trace_test = analysistest.make(
    _codegen_full_trace_impl,
    config_settings = {FULL_TRACE: True},
)

def _codegen_variants_impl(ctx):
    """One action for all instruction sets, the one to prefer first."""
    env = analysistest.begin(ctx)
    argv = action_of(env, "TorchCodegen").argv
    asserts.equals(env, ["x86-64-v4", "x86-64-v3"], [
        arg.removeprefix("--isa=")
        for arg in argv
        if arg.startswith("--isa=")
    ])
    return analysistest.end(env)

_codegen_variants_test = analysistest.make(_codegen_variants_impl)

_codegen_once_test = once_test("library_codegen")

def _links_impl(ctx):
    """What was generated lies where the library's other outputs do, whatever the build."""
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    bin = analysistest.target_bin_dir_path(env)
    asserts.true(env, "-dbg" in bin, bin)
    codegen = target[TorchCodegenInfo]
    for file in [codegen.header, codegen.weights, codegen.manifest] + codegen.sources:
        asserts.equals(env, "{}/tests/rules/{}".format(bin, file.basename), file.path)
    asserts.true(env, "-fastbuild" in codegen.model.program.path, codegen.model.program.path)
    return analysistest.end(env)

_links_test = analysistest.make(_links_impl, config_settings = {COMPILATION_MODE: "dbg"})

# ---- Instruction sets.

def _isa_test(isas, flags, config_settings = {}):
    """A test that code is generated and its kernels are compiled for `isas`.

    The model's own code never is: it runs before anything could say that the
    machine lacks what it takes.
    """

    def impl(ctx):
        env = analysistest.begin(ctx)
        target = analysistest.target_under_test(env)
        asserts.equals(env, isas, target[TorchCodegenInfo].isas)
        name = target.label.name
        for isa in isas:
            for action in compile_actions(env, "{}.{}.kernels.cc".format(name, isa)):
                assert_contains(env, action.argv, "-fno-lto")
                got = [
                    arg
                    for arg in action.argv
                    if arg.startswith("-march") or arg.startswith("-mamx") or arg.startswith("-DCPU_CAPABILITY")
                ]
                asserts.equals(env, flags[isa], got, isa)
            for action in compile_actions(env, "{}.{}.wrapper.cc".format(name, isa)):
                _assert_for_any_cpu(env, action)
        for source in [name + ".model.cc", "embed.S"]:
            for action in compile_actions(env, source):
                _assert_for_any_cpu(env, action)
        return analysistest.end(env)

    return analysistest.make(impl, config_settings = config_settings)

def _assert_for_any_cpu(env, action):
    assert_lacks(env, action.argv, "-march")
    assert_lacks(env, action.argv, "CPU_CAPABILITY")

_V2 = ["-march=x86-64-v2"]
_V3 = ["-march=x86-64-v3", "-DCPU_CAPABILITY_AVX2"]
_V4 = ["-march=x86-64-v4", "-DCPU_CAPABILITY_AVX512"]
_AMX = ["-march=x86-64-v4", "-mamx-tile", "-mamx-bf16", "-mamx-int8", "-DCPU_CAPABILITY_AVX512"]

_isas_by_default_test = _isa_test(["x86-64-v3"], {"x86-64-v3": _V3})
_isas_by_flag_test = _isa_test(
    ["x86-64-v4-amx", "x86-64-v2"],
    {"x86-64-v2": _V2, "x86-64-v4-amx": _AMX},
    config_settings = {ISAS: ["x86-64-v2", "x86-64-v4-amx"]},
)
_isas_by_attribute_test = _isa_test(
    ["x86-64-v4", "x86-64-v3"],
    {"x86-64-v3": _V3, "x86-64-v4": _V4},
)

# A target that names its instruction sets knows better than the flag.
_isas_by_attribute_and_flag_test = _isa_test(
    ["x86-64-v4", "x86-64-v3"],
    {"x86-64-v3": _V3, "x86-64-v4": _V4},
    config_settings = {ISAS: ["x86-64-v2"]},
)

def _weak_symbols_impl(ctx):
    """What is archived are the copies of kernels' objects that hand no function to others.

    A linker may take std::vector's functions from any object for the whole program,
    and these were compiled for a CPU that the program may not have.
    """
    env = analysistest.begin(ctx)
    renamed = []
    for action in actions_of(env, "CppRenameSymbols"):
        suffix = action.argv[-1]
        asserts.true(env, suffix.startswith(".rtorch_tests_rules_v4_1library_x86-64-v"), suffix)
        renamed += action.outputs.to_list()
    archived = action_of(env, "CppArchive").inputs.to_list()
    kernels = [file for file in archived if ".kernels." in file.basename]
    asserts.equals(env, 2, len(kernels), "{}".format(archived))
    for file in kernels:
        asserts.true(env, file in renamed, file.path)
    return analysistest.end(env)

_weak_symbols_test = analysistest.make(_weak_symbols_impl)

def _one_copy_of_weights_impl(ctx):
    """However many instruction sets: the weights are generated and assembled once."""
    env = analysistest.begin(ctx)
    archived = names(action_of(env, "CppArchive").inputs)
    asserts.equals(env, 1, len([name for name in archived if name.startswith("embed")]), "{}".format(archived))
    return analysistest.end(env)

_one_copy_of_weights_test = analysistest.make(_one_copy_of_weights_impl)

# ---- Runtimes.

def _runtime_test(runtime, config_settings = {}):
    def impl(ctx):
        env = analysistest.begin(ctx)
        target = analysistest.target_under_test(env)
        asserts.equals(env, runtime, target[TorchCodegenInfo].runtime)
        assert_contains(env, action_of(env, "TorchCodegen").argv, "--runtime=" + runtime)
        return analysistest.end(env)

    return analysistest.make(impl, config_settings = config_settings)

_runtime_by_default_test = _runtime_test("standalone")
_runtime_by_flag_test = _runtime_test("libtorch", {RUNTIME: "libtorch"})
_runtime_by_attribute_test = _runtime_test("libtorch", {RUNTIME: "standalone"})
_unknown_runtime_test = failure_test(
    "runtime must be 'libtorch' or 'standalone', not 'tensorflow'",
    {RUNTIME: "tensorflow"},
)

def _standalone_links_no_torch_impl(ctx):
    """A model that has its own operators needs no library of torch's."""
    env = analysistest.begin(ctx)
    libraries = linked(analysistest.target_under_test(env)[CcInfo])
    assert_contains(env, libraries, "libruntime.a")
    for library in libraries:
        asserts.false(env, "torch" in library or "c10" in library, library)
    return analysistest.end(env)

_standalone_links_no_torch_test = analysistest.make(_standalone_links_no_torch_impl)

def _operators_linked_test(operators, config_settings = {}):
    """Models share operators: a program has those of its models' instruction sets."""

    def impl(ctx):
        env = analysistest.begin(ctx)
        libraries = linked(analysistest.target_under_test(env)[CcInfo])
        found = [library for library in libraries if library.startswith(("libx86", "libaarch64"))]
        asserts.equals(env, operators, sorted(found))
        return analysistest.end(env)

    return analysistest.make(impl, config_settings = config_settings)

_links_operators_test = _operators_linked_test(["libx86-64-v3.a"])
_links_operators_of_each_isa_test = _operators_linked_test(["libx86-64-v3.a", "libx86-64-v4.a"])
_links_serial_operators_test = _operators_linked_test(["libx86-64-v3-serial.a"], {THREADS: "none"})
_links_no_operators_test = _operators_linked_test([])

def _operators_impl(ctx):
    """Operators are compiled as kernels are: for an instruction set, optimised."""
    env = analysistest.begin(ctx)
    for action in compile_actions(env, "matmul.cc"):
        assert_contains(env, action.argv, "-march=x86-64-v3")
        assert_contains(env, action.argv, "-fopenmp")
        assert_lacks(env, action.argv, "fast-math")
        asserts.equals(env, "-O3", optimisation(action))
    suffixes = [action.argv[-1] for action in actions_of(env, "CppRenameSymbols")]
    for operator in ("matmul", "sort"):
        assert_contains(env, suffixes, ".rtorch_x86-64-v3_" + operator)
    return analysistest.end(env)

_operators_test = analysistest.make(_operators_impl)

def _serial_operators_impl(ctx):
    """Without threads there is no OpenMP in them."""
    env = analysistest.begin(ctx)
    for action in compile_actions(env, "matmul.cc"):
        assert_lacks(env, action.argv, "-fopenmp")
    suffixes = [action.argv[-1] for action in actions_of(env, "CppRenameSymbols")]
    assert_contains(env, suffixes, ".rtorch_x86-64-v3-serial_matmul")
    return analysistest.end(env)

_serial_operators_test = analysistest.make(_serial_operators_impl)

# ---- Threads.

def _threads_test(threads, config_settings = {}):
    def impl(ctx):
        env = analysistest.begin(ctx)
        assert_contains(env, action_of(env, "TorchCodegen").argv, "--threads=" + threads)
        return analysistest.end(env)

    return analysistest.make(impl, config_settings = config_settings)

_threads_by_default_test = _threads_test("openmp")
_threads_by_flag_test = _threads_test("1", {THREADS: "none"})
_threads_by_attribute_test = _threads_test("3", {THREADS: "none"})

# ---- Compilation.

def _optimised_impl(ctx):
    """Vector code without optimisation is unusably slow, so plain builds have it too."""
    env = analysistest.begin(ctx)
    for action in compile_actions(env, _KERNELS):
        asserts.equals(env, "-O3", optimisation(action))
        assert_contains(env, action.argv, "-DNDEBUG")
    return analysistest.end(env)

_optimised_in_fastbuild_test = analysistest.make(
    _optimised_impl,
    config_settings = {COMPILATION_MODE: "fastbuild"},
)
_optimised_in_opt_test = analysistest.make(
    _optimised_impl,
    config_settings = {COMPILATION_MODE: "opt"},
)

def _debuggable_impl(ctx):
    """Who asks for -c dbg wants to step through the code, and its assertions."""
    env = analysistest.begin(ctx)
    for source in [_KERNELS, _WRAPPER]:
        for action in compile_actions(env, source):
            asserts.true(env, optimisation(action) in [None, "-O0"], optimisation(action))
            assert_contains(env, action.argv, "-g")
            assert_lacks(env, action.argv, "NDEBUG")
    return analysistest.end(env)

_debuggable_in_dbg_test = analysistest.make(
    _debuggable_impl,
    config_settings = {COMPILATION_MODE: "dbg"},
)

def _rounds_as_eager_impl(ctx):
    """No fused multiply-adds that eager PyTorch does not have, and no fast-math."""
    env = analysistest.begin(ctx)
    for action in compile_actions(env, _KERNELS):
        assert_contains(env, action.argv, "-ffp-contract=off")
        assert_lacks(env, action.argv, "fast-math")
        assert_lacks(env, action.argv, "-Ofast")
    return analysistest.end(env)

_rounds_as_eager_test = analysistest.make(_rounds_as_eager_impl)

def _weights_input_impl(ctx):
    """New weights of the same shapes compile nothing: they are assembled, and linked."""
    env = analysistest.begin(ctx)
    for action in compile_actions(env, "embed.S"):
        assert_contains(env, names(action.inputs), "library.weights.safetensors")
    for source in [_KERNELS, _WRAPPER]:
        for action in compile_actions(env, source):
            assert_lacks(env, names(action.inputs), "weights")
            assert_lacks(env, action.argv, "weights")
    return analysistest.end(env)

_weights_input_test = analysistest.make(_weights_input_impl)

def _parts_compiled_apart_impl(ctx):
    """Each source is an action of its own, and no action has another's source."""
    env = analysistest.begin(ctx)
    for source, others in {
        _KERNELS: [_WRAPPER, _TABLE],
        _TABLE: [_KERNELS, _WRAPPER],
        _WRAPPER: [_KERNELS, _TABLE],
        "embed.S": _SOURCES,
    }.items():
        for action in compile_actions(env, source):
            for other in others:
                assert_lacks(env, names(action.inputs), other)
    return analysistest.end(env)

_parts_compiled_apart_test = analysistest.make(_parts_compiled_apart_impl)

def _symbols_impl(ctx):
    """The weights' symbol is the model's own: two models link into one binary."""
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    symbol = target[TorchCodegenInfo].id + "_weights"
    for action in compile_actions(env, "embed.S"):
        assert_contains(env, action.argv, "-DEMBED_SYMBOL=" + symbol)
        assert_contains(
            env,
            action.argv,
            "-DEMBED_FILE=\"{}\"".format(target[TorchCodegenInfo].weights.path),
        )
    return analysistest.end(env)

_symbols_test = analysistest.make(_symbols_impl)

def _features_impl(ctx):
    """`features` and --features reach the compiler, as they do for cc_library."""
    env = analysistest.begin(ctx)
    for source in ["asan_" + source for source in _SOURCES]:
        for action in compile_actions(env, source):
            assert_contains(env, action.argv, "-fsanitize=address")
    return analysistest.end(env)

_features_test = analysistest.make(_features_impl)

# ---- Failures.

# Only an exported model can be compiled.
_not_a_model_test = failure_test("does not have mandatory providers: 'TorchModelInfo'")

# What C++ cannot call a class or a namespace is told before anything is compiled.
_class_of_a_member_test = failure_test(
    "the class of //tests/rules:run would be called 'Run', the name of one of its members; " +
    "set class_name, to 'RunModel' for example",
)
_class_of_a_keyword_test = failure_test("attribute class_name: 'register' is a C++ keyword; choose another name")
_namespace_of_a_macro_test = failure_test("attribute namespace: 'acme::unix' has `unix`, a macro of the compiler's")

# A misspelt flag does not mean the default.
_unknown_isa_test = failure_test("unknown instruction set 'pentium'", {ISAS: ["pentium"]})

def cc_torch_library_test_suite(name):
    """Declares the tests of cc_torch_library.

    Args:
      name: string; the suite's name.
    """
    cc_torch_library(
        name = "named",
        class_name = "Net",
        model = ":model",
        namespace = "acme::vision",
        tags = ["manual"],
    )
    cc_torch_library(
        name = "v4_library",
        isas = [
            "x86-64-v3",
            "x86-64-v4",
        ],
        model = ":model",
        tags = ["manual"],
        threads = "3",
    )
    cc_torch_library(
        name = "over_libtorch",
        model = ":model",
        runtime = "libtorch",
        tags = ["manual"],
    )
    cc_torch_library(
        name = "asan_library",
        features = ["asan"],
        model = ":model",
        tags = ["manual"],
    )
    cc_torch_library(
        name = "run",
        model = ":model",
        tags = ["manual"],
    )
    cc_torch_library(
        name = "class_of_a_keyword",
        class_name = "register",
        model = ":model",
        tags = ["manual"],
    )
    cc_torch_library(
        name = "namespace_of_a_macro",
        model = ":model",
        namespace = "acme::unix",
        tags = ["manual"],
    )
    cc_torch_library(
        name = "library_of_no_model",
        model = ":cc",
        tags = ["manual"],
    )
    suite(name, {
        "cc_torch_library_class_of_a_keyword_test": (_class_of_a_keyword_test, ":class_of_a_keyword_codegen"),
        "cc_torch_library_class_of_a_member_test": (_class_of_a_member_test, ":run_codegen"),
        "cc_torch_library_codegen_arguments_test": (_codegen_arguments_test, ":library_codegen"),
        "cc_torch_library_codegen_environment_test": (_codegen_environment_test, ":library_codegen"),
        "cc_torch_library_codegen_full_trace_test": (_codegen_full_trace_test, ":library_codegen"),
        "cc_torch_library_codegen_inputs_test": (_codegen_inputs_test, ":library_codegen"),
        "cc_torch_library_codegen_names_test": (_codegen_names_test, ":named_codegen"),
        "cc_torch_library_codegen_once_test": (_codegen_once_test, ":library_codegen"),
        "cc_torch_library_codegen_outputs_test": (_codegen_outputs_test, ":library_codegen"),
        "cc_torch_library_codegen_variants_test": (_codegen_variants_test, ":v4_library_codegen"),
        "cc_torch_library_debuggable_in_dbg_test": (_debuggable_in_dbg_test, ":library"),
        "cc_torch_library_default_outputs_test": (_default_outputs_test, ":library"),
        "cc_torch_library_features_test": (_features_test, ":asan_library"),
        "cc_torch_library_isas_by_attribute_and_flag_test": (_isas_by_attribute_and_flag_test, ":v4_library"),
        "cc_torch_library_isas_by_attribute_test": (_isas_by_attribute_test, ":v4_library"),
        "cc_torch_library_isas_by_default_test": (_isas_by_default_test, ":library"),
        "cc_torch_library_isas_by_flag_test": (_isas_by_flag_test, ":library"),
        "cc_torch_library_linked_statically_test": (_linked_statically_test, ":library"),
        "cc_torch_library_links_no_operators_test": (_links_no_operators_test, ":over_libtorch"),
        "cc_torch_library_links_operators_of_each_isa_test": (_links_operators_of_each_isa_test, ":v4_library"),
        "cc_torch_library_links_operators_test": (_links_operators_test, ":library"),
        "cc_torch_library_links_serial_operators_test": (_links_serial_operators_test, ":library"),
        "cc_torch_library_links_test": (_links_test, ":library"),
        "cc_torch_library_links_the_runtime_test": (_links_the_runtime_test, ":over_libtorch"),
        "cc_torch_library_namespace_of_a_macro_test": (_namespace_of_a_macro_test, ":namespace_of_a_macro_codegen"),
        "cc_torch_library_not_a_model_test": (_not_a_model_test, ":library_of_no_model_codegen"),
        "cc_torch_library_one_copy_of_weights_test": (_one_copy_of_weights_test, ":v4_library"),
        "cc_torch_library_operators_test": (_operators_test, "//runtime/standalone/operators:x86-64-v3"),
        "cc_torch_library_optimised_in_fastbuild_test": (_optimised_in_fastbuild_test, ":library"),
        "cc_torch_library_optimised_in_opt_test": (_optimised_in_opt_test, ":library"),
        "cc_torch_library_output_groups_test": (_output_groups_test, ":library"),
        "cc_torch_library_parts_compiled_apart_test": (_parts_compiled_apart_test, ":library"),
        "cc_torch_library_providers_test": (_providers_test, ":library"),
        "cc_torch_library_public_headers_test": (_public_headers_test, ":library"),
        "cc_torch_library_rounds_as_eager_test": (_rounds_as_eager_test, ":library"),
        "cc_torch_library_runtime_by_attribute_test": (_runtime_by_attribute_test, ":over_libtorch_codegen"),
        "cc_torch_library_runtime_by_default_test": (_runtime_by_default_test, ":library_codegen"),
        "cc_torch_library_runtime_by_flag_test": (_runtime_by_flag_test, ":library_codegen"),
        "cc_torch_library_serial_operators_test": (_serial_operators_test, "//runtime/standalone/operators:x86-64-v3-serial"),
        "cc_torch_library_standalone_links_no_torch_test": (_standalone_links_no_torch_test, ":library"),
        "cc_torch_library_symbols_test": (_symbols_test, ":library"),
        "cc_torch_library_threads_by_attribute_test": (_threads_by_attribute_test, ":v4_library_codegen"),
        "cc_torch_library_threads_by_default_test": (_threads_by_default_test, ":library_codegen"),
        "cc_torch_library_threads_by_flag_test": (_threads_by_flag_test, ":library_codegen"),
        "cc_torch_library_torch_stays_private_test": (_torch_stays_private_test, ":over_libtorch"),
        "cc_torch_library_unknown_isa_test": (_unknown_isa_test, ":library_codegen"),
        "cc_torch_library_unknown_runtime_test": (_unknown_runtime_test, ":library_codegen"),
        "cc_torch_library_weak_symbols_test": (_weak_symbols_test, ":v4_library"),
        "cc_torch_library_weights_input_test": (_weights_input_test, ":library"),
    })
