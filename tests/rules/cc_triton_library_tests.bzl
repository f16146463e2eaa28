"""cc_triton_library: compilation of kernels, and what the library offers."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@rules_cc//cc/common:cc_info.bzl", "CcInfo")
load("//rules:defs.bzl", "TritonCodegenInfo", "cc_triton_library", "triton_kernel")
load(
    ":util.bzl",
    "CPP_EXTENSIONS",
    "FULL_TRACE",
    "GPU_ARCHITECTURES",
    "GPU_LINE_INFO",
    "action_of",
    "actions_of",
    "assert_contains",
    "assert_lacks",
    "compile_actions",
    "failure_test",
    "linked",
    "names",
    "once_test",
    "own_inputs",
    "suite",
)

_DEFAULT_ARCHITECTURES = ["sm_80", "sm_90", "sm_100", "compute_80"]

# ---- Providers.

def _providers_impl(ctx):
    """Rules of other people's, and triton_tuner, go by these fields."""
    env = analysistest.begin(ctx)
    codegen = analysistest.target_under_test(env)[TritonCodegenInfo]
    asserts.equals(env, "rtorch_tests_rules_kernels", codegen.id)
    asserts.equals(
        env,
        ["scale", "scale", "add_floats"],
        [json.decode(kernel)["name"] for kernel in codegen.kernels],
    )
    asserts.equals(env, _DEFAULT_ARCHITECTURES, codegen.architectures)
    asserts.equals(env, "tests/rules/kernels.py", codegen.triton.source.short_path)
    asserts.equals(env, "kernels.tuning.json", codegen.tuning.basename)
    asserts.equals(env, "tests/rules/kernels.h", codegen.header.short_path)
    asserts.equals(env, "tests/rules/kernels.h", codegen.include)
    asserts.equals(env, "kernels.cc", codegen.source.basename)
    asserts.equals(env, "kernels.images.bin", codegen.images.basename)
    asserts.equals(env, "kernels.manifest.json", codegen.manifest.basename)
    return analysistest.end(env)

_providers_test = analysistest.make(_providers_impl)

def _default_outputs_impl(ctx):
    """`bazel build` of a library makes what its users need, and so compiles it."""
    env = analysistest.begin(ctx)
    files = names(analysistest.target_under_test(env)[DefaultInfo].files)
    asserts.equals(env, ["kernels.h", "libkernels.a"], files)
    return analysistest.end(env)

_default_outputs_test = analysistest.make(_default_outputs_impl)

def _output_groups_impl(ctx):
    """Generated code can be had by itself, to be read; tests read the manifest."""
    env = analysistest.begin(ctx)
    groups = analysistest.target_under_test(env)[OutputGroupInfo]
    asserts.equals(env, [
        "kernels.cc",
        "kernels.h",
        "kernels.images.bin",
        "kernels.manifest.json",
    ], names(groups.triton_generated))
    objects = groups.compilation_outputs.to_list()
    asserts.equals(env, 2, len(objects), "objects: {}".format(objects))
    return analysistest.end(env)

_output_groups_test = analysistest.make(_output_groups_impl)

def _public_headers_impl(ctx):
    """Users can include the generated header, and no header behind the seam."""
    env = analysistest.begin(ctx)
    context = analysistest.target_under_test(env)[CcInfo].compilation_context
    asserts.equals(env, ["kernels.h"], names(context.direct_public_headers))
    headers = [file.path for file in context.headers.to_list()]
    for header in ["tests/rules/kernels.h", "rules_torch/kernel.h", "rules_torch/status.h"]:
        asserts.true(env, [path for path in headers if path.endswith("/" + header)], "no " + header)
    assert_lacks(env, headers, "torch/include")
    asserts.equals(env, [], context.defines.to_list())
    return analysistest.end(env)

_public_headers_test = analysistest.make(_public_headers_impl)

def _linked_statically_impl(ctx):
    """An archive, and never a library of its own: two would each hold the machine code."""
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    libraries = [
        library
        for linker_input in target[CcInfo].linking_context.linker_inputs.to_list()
        if linker_input.owner == target.label
        for library in linker_input.libraries
    ]
    asserts.equals(env, 1, len(libraries))
    for library in libraries:
        archive = library.static_library or library.pic_static_library
        asserts.equals(env, "libkernels.a", archive.basename)
        asserts.equals(env, None, library.dynamic_library)
        asserts.equals(env, None, library.interface_library)
        asserts.false(env, library.alwayslink)
    return analysistest.end(env)

_linked_statically_test = analysistest.make(_linked_statically_impl)

def _links_impl(ctx):
    """Our launcher, and neither libtorch nor a driver: a program starts without a GPU."""
    env = analysistest.begin(ctx)
    cc_info = analysistest.target_under_test(env)[CcInfo]
    libraries = linked(cc_info)
    assert_contains(env, libraries, "libkernel.a")
    for part in ["torch", "cuda", "hip"]:
        assert_lacks(env, libraries, part)
    flags = [
        flag
        for linker_input in cc_info.linking_context.linker_inputs.to_list()
        for flag in linker_input.user_link_flags
    ]
    assert_contains(env, flags, "-ldl")
    assert_lacks(env, flags, "cuda")
    return analysistest.end(env)

_links_test = analysistest.make(_links_impl)

# ---- Compilation of kernels.

def _prefixes(env):
    """What is compiled: ["scale.sm_80", ...]."""
    return [
        action.outputs.to_list()[0].basename.rpartition(".")[0]
        for action in actions_of(env, "TritonCompile")
    ]

def _flags(action, flag):
    return [arg.removeprefix(flag) for arg in action.argv if arg.startswith(flag)]

def _actions_impl(ctx):
    """One for each C++ function and architecture: they run beside each other."""
    env = analysistest.begin(ctx)
    asserts.equals(env, [
        function + "." + architecture
        for function in ["scale", "add_floats"]
        for architecture in _DEFAULT_ARCHITECTURES
    ], _prefixes(env))
    for action in actions_of(env, "TritonCompile"):
        extensions = [file.extension for file in action.outputs.to_list()]
        asserts.equals(env, ["images", "json"], sorted(extensions))
    return analysistest.end(env)

_actions_test = analysistest.make(_actions_impl)

def _compile_inputs_impl(ctx):
    """Python sources and the table: neither C++ nor another kernel's machine code."""
    env = analysistest.begin(ctx)
    for action in actions_of(env, "TritonCompile"):
        own = own_inputs(action)
        for file in ["helper/helper.py", "kernels.py", "kernels.tuning.json"]:
            assert_contains(env, own, "tests/rules/" + file)
        asserts.equals(env, [], [
            file.path
            for file in action.inputs.to_list()
            if file.extension in CPP_EXTENSIONS
        ])
        assert_lacks(env, own, ".images")
    return analysistest.end(env)

_compile_inputs_test = analysistest.make(_compile_inputs_impl)

def _compile_inputs_without_deps_impl(ctx):
    """Nothing but the source where there is nothing else."""
    env = analysistest.begin(ctx)
    for action in actions_of(env, "TritonCompile"):
        asserts.equals(env, ["tests/rules/kernels.py"], own_inputs(action))
    return analysistest.end(env)

_compile_inputs_without_deps_test = analysistest.make(_compile_inputs_without_deps_impl)

def _compile_arguments_impl(ctx):
    env = analysistest.begin(ctx)
    bin_dir = analysistest.target_bin_dir_path(env)
    actions = actions_of(env, "TritonCompile")
    for action, name, declarations in [(actions[1], "scale", 2), (actions[5], "add_floats", 1)]:
        asserts.equals(env, "kernel", action.argv[1])
        for flag in [
            "tests/rules/kernels.py",
            "--label=//tests/rules:kernels",
            "--architecture=sm_90",
            "--tuning=tests/rules/kernels.tuning.json",
            "--import_path=tests/rules/helper",
            "--out={}/tests/rules/kernels_codegen/{}.sm_90.json".format(bin_dir, name),
        ]:
            assert_contains(env, action.argv, flag)
        declared = _flags(action, "--declaration=")
        asserts.equals(env, [name] * declarations, [json.decode(d)["name"] for d in declared])
        for flag in ["--line_info", "--candidates", "--full_trace"]:
            assert_lacks(env, action.argv, flag)
    return analysistest.end(env)

_compile_arguments_test = analysistest.make(_compile_arguments_impl)

def _environment_impl(ctx):
    """Nothing of the machine or of who builds reaches what is made."""
    env = analysistest.begin(ctx)
    for action in actions_of(env, "TritonCompile") + actions_of(env, "TritonLauncher"):
        asserts.equals(env, "0", action.env.get("PYTHONHASHSEED"))
        for name in ["CUDA_HOME", "HOME", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR", "USER"]:
            asserts.false(env, name in action.env, name + " is set")
    return analysistest.end(env)

_environment_test = analysistest.make(_environment_impl)

def _tool_impl(ctx):
    """The tool that the actions run has Triton, and no torch: it is a gigabyte."""
    env = analysistest.begin(ctx)
    runfiles = analysistest.target_under_test(env)[DefaultInfo].default_runfiles.files.to_list()
    repositories = {file.owner.workspace_name: None for file in runfiles}.keys()
    asserts.true(env, [name for name in repositories if "triton" in name], repositories)
    assert_lacks(env, repositories, "pip_torch")
    assert_lacks(env, repositories, "numpy")
    return analysistest.end(env)

_tool_test = analysistest.make(_tool_impl)

def _runs_the_tool_impl(ctx):
    env = analysistest.begin(ctx)
    for action in actions_of(env, "TritonCompile") + actions_of(env, "TritonLauncher"):
        asserts.true(env, action.argv[0].endswith("/tools/compile_kernels"), action.argv[0])
    return analysistest.end(env)

_runs_the_tool_test = analysistest.make(_runs_the_tool_impl)

_codegen_once_test = once_test("kernels_codegen")

# ---- Architectures and flags.

def _architectures_test(architectures, config_settings = {}):
    """A test that kernels are compiled for some architectures, in this order."""

    def impl(ctx):
        env = analysistest.begin(ctx)
        compiled = [
            _flags(action, "--architecture=")[0]
            for action in actions_of(env, "TritonCompile")
        ]
        asserts.equals(env, architectures, {name: None for name in compiled}.keys())
        target = analysistest.target_under_test(env)
        asserts.equals(env, architectures, target[TritonCodegenInfo].architectures)
        return analysistest.end(env)

    return analysistest.make(impl, config_settings = config_settings)

_architectures_by_default_test = _architectures_test(_DEFAULT_ARCHITECTURES)
_architectures_by_flag_test = _architectures_test(
    ["gfx942", "sm_90"],
    {GPU_ARCHITECTURES: ["gfx942", "sm_90"]},
)
_architectures_by_attribute_test = _architectures_test(["sm_86", "compute_75"])

# A target that names its architectures knows better than the flag.
_architectures_by_attribute_and_flag_test = _architectures_test(
    ["sm_86", "compute_75"],
    {GPU_ARCHITECTURES: ["gfx942"]},
)

def _flag_test(flag, config_settings):
    def impl(ctx):
        env = analysistest.begin(ctx)
        for action in actions_of(env, "TritonCompile"):
            assert_contains(env, action.argv, flag)
        return analysistest.end(env)

    return analysistest.make(impl, config_settings = config_settings)

_line_info_test = _flag_test("--line_info", {GPU_LINE_INFO: True})
_full_trace_test = _flag_test("--full_trace", {FULL_TRACE: True})

# ---- The launcher.

def _launcher_inputs_impl(ctx):
    """What was compiled, and no Python source: a new comment in one generates nothing anew."""
    env = analysistest.begin(ctx)
    asserts.equals(env, sorted([
        "tests/rules/kernels_codegen/{}.{}.{}".format(function, architecture, extension)
        for function in ["scale", "add_floats"]
        for architecture in _DEFAULT_ARCHITECTURES
        for extension in ["images", "json"]
    ]), own_inputs(action_of(env, "TritonLauncher")))
    return analysistest.end(env)

_launcher_inputs_test = analysistest.make(_launcher_inputs_impl)

def _launcher_arguments_impl(ctx):
    """What functions are called is told from the label; they are in declared order."""
    env = analysistest.begin(ctx)
    action = action_of(env, "TritonLauncher")
    folder = analysistest.target_bin_dir_path(env) + "/tests/rules/kernels_codegen"
    asserts.equals(env, ["launcher", folder + "/scale.sm_80.json", folder + "/scale.sm_90.json"], action.argv[1:4])
    for flag in [
        "--label=//tests/rules:kernels",
        "--id=rtorch_tests_rules_kernels",
        "--name=Kernels",
        "--namespace=tests::rules",
        "--include=tests/rules/kernels.h",
        "--out=" + folder + "/kernels.h",
    ]:
        assert_contains(env, action.argv, flag)
    return analysistest.end(env)

_launcher_arguments_test = analysistest.make(_launcher_arguments_impl)

def _namespace_impl(ctx):
    """An attribute says what the namespace is; the header stays where the label says."""
    env = analysistest.begin(ctx)
    argv = action_of(env, "TritonLauncher").argv
    assert_contains(env, argv, "--namespace=acme::gpu")
    assert_contains(env, argv, "--include=tests/rules/named_kernels.h")
    return analysistest.end(env)

_namespace_test = analysistest.make(_namespace_impl)

def _images_input_impl(ctx):
    """Machine code is assembled, never compiled: it is no input of the launcher's."""
    env = analysistest.begin(ctx)
    for action in compile_actions(env, "embed.S"):
        assert_contains(env, names(action.inputs), "kernels.images.bin")
        assert_contains(env, action.argv, "-DEMBED_SYMBOL=rtorch_tests_rules_kernels_images")
    for action in compile_actions(env, "kernels.cc"):
        assert_lacks(env, names(action.inputs), "images")
    return analysistest.end(env)

_images_input_test = analysistest.make(_images_input_impl)

# ---- Failures.

_not_kernels_test = failure_test("does not have mandatory providers: 'TritonInfo'")

# What C++ cannot call a namespace is told before anything is compiled.
_namespace_of_a_keyword_test = failure_test("attribute namespace: 'gpu::export' has `export`, a C++ keyword")

def cc_triton_library_test_suite(name):
    """Declares the tests of cc_triton_library.

    Args:
      name: string; the suite's name.
    """
    kernels = [triton_kernel("scale", signature = {"x": "*fp32"})]
    native.filegroup(
        name = "no_kernels",
        srcs = ["kernels.py"],
        tags = ["manual"],
    )
    cc_triton_library(
        name = "named_kernels",
        architectures = ["sm_86", "compute_75"],
        kernels = kernels,
        triton_library = ":kernels_py",
        namespace = "acme::gpu",
        tags = ["manual"],
    )
    cc_triton_library(
        name = "namespace_of_a_keyword",
        kernels = kernels,
        triton_library = ":kernels_py",
        namespace = "gpu::export",
        tags = ["manual"],
    )
    cc_triton_library(
        name = "library_of_no_kernels",
        kernels = kernels,
        triton_library = ":no_kernels",
        tags = ["manual"],
    )
    suite(name, {
        "cc_triton_library_actions_test": (_actions_test, ":kernels_codegen"),
        "cc_triton_library_architectures_by_attribute_and_flag_test": (
            _architectures_by_attribute_and_flag_test,
            ":named_kernels_codegen",
        ),
        "cc_triton_library_architectures_by_attribute_test": (_architectures_by_attribute_test, ":named_kernels_codegen"),
        "cc_triton_library_architectures_by_default_test": (_architectures_by_default_test, ":kernels_codegen"),
        "cc_triton_library_architectures_by_flag_test": (_architectures_by_flag_test, ":kernels_codegen"),
        "cc_triton_library_codegen_once_test": (_codegen_once_test, ":kernels_codegen"),
        "cc_triton_library_compile_arguments_test": (_compile_arguments_test, ":kernels_codegen"),
        "cc_triton_library_compile_inputs_test": (_compile_inputs_test, ":kernels_codegen"),
        "cc_triton_library_compile_inputs_without_deps_test": (
            _compile_inputs_without_deps_test,
            ":plain_kernels_codegen",
        ),
        "cc_triton_library_default_outputs_test": (_default_outputs_test, ":kernels"),
        "cc_triton_library_environment_test": (_environment_test, ":kernels_codegen"),
        "cc_triton_library_full_trace_test": (_full_trace_test, ":kernels_codegen"),
        "cc_triton_library_images_input_test": (_images_input_test, ":kernels"),
        "cc_triton_library_launcher_arguments_test": (_launcher_arguments_test, ":kernels_codegen"),
        "cc_triton_library_launcher_inputs_test": (_launcher_inputs_test, ":kernels_codegen"),
        "cc_triton_library_line_info_test": (_line_info_test, ":kernels_codegen"),
        "cc_triton_library_linked_statically_test": (_linked_statically_test, ":kernels"),
        "cc_triton_library_links_test": (_links_test, ":kernels"),
        "cc_triton_library_namespace_of_a_keyword_test": (_namespace_of_a_keyword_test, ":namespace_of_a_keyword_codegen"),
        "cc_triton_library_namespace_test": (_namespace_test, ":named_kernels_codegen"),
        "cc_triton_library_not_kernels_test": (_not_kernels_test, ":library_of_no_kernels_codegen"),
        "cc_triton_library_output_groups_test": (_output_groups_test, ":kernels"),
        "cc_triton_library_providers_test": (_providers_test, ":kernels"),
        "cc_triton_library_public_headers_test": (_public_headers_test, ":kernels"),
        "cc_triton_library_runs_the_tool_test": (_runs_the_tool_test, ":kernels_codegen"),
        "cc_triton_library_tool_test": (_tool_test, "//tools:compile_kernels"),
    })
