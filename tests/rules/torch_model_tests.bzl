"""torch_model: the export of a model."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")
load("@bazel_skylib//rules:build_test.bzl", "build_test")
load("@rules_python//python:defs.bzl", "py_library")
load("//rules:defs.bzl", "TorchModelInfo", "torch_model")
load(
    ":util.bzl",
    "CPP_EXTENSIONS",
    "FULL_TRACE",
    "action_of",
    "assert_contains",
    "assert_lacks",
    "failure_test",
    "names",
    "once_test",
    "own_inputs",
    "suite",
)

def _providers_impl(ctx):
    """Rules of other people's go by these fields."""
    env = analysistest.begin(ctx)
    target = analysistest.target_under_test(env)
    model = target[TorchModelInfo]
    bin = analysistest.target_bin_dir_path(env)
    asserts.equals(env, bin + "/tests/rules/model.pt2", model.program.path)
    asserts.equals(env, bin + "/tests/rules/model.json", model.signature.path)
    asserts.equals(env, "tests/rules/model.py", model.source.path)
    asserts.equals(env, "entry_point", model.entry)
    asserts.equals(env, ["head.pth", "base.safetensors"], [file.basename for file in model.weights])
    asserts.equals(env, 7, model.seed)
    assert_contains(env, model.imports, "tests/rules/helper")
    asserts.equals(env, "depset", type(model.sources))
    asserts.equals(env, ["model.json", "model.pt2"], names(target[DefaultInfo].files))
    return analysistest.end(env)

_providers_test = analysistest.make(_providers_impl)

def _export_outputs_impl(ctx):
    """One action makes both, or the signature could be another program's."""
    env = analysistest.begin(ctx)
    outputs = action_of(env, "TorchExport").outputs
    asserts.equals(env, ["model.json", "model.pt2"], names(outputs))
    return analysistest.end(env)

_export_outputs_test = analysistest.make(_export_outputs_impl)

def _export_inputs_impl(ctx):
    """What the entry point may read is there: its source, its imports, data and weights."""
    env = analysistest.begin(ctx)
    inputs = own_inputs(action_of(env, "TorchExport"))
    for file in [
        "tests/rules/model.py",
        "tests/rules/helper/helper.py",
        "tests/rules/data.txt",
        "tests/rules/base.safetensors",
        "tests/rules/head.pth",
    ]:
        assert_contains(env, inputs, file)
    return analysistest.end(env)

_export_inputs_test = analysistest.make(_export_inputs_impl)

def _export_reads_no_cpp_impl(ctx):
    """Or a changed comment in a C++ file would export every model anew."""
    env = analysistest.begin(ctx)
    inputs = action_of(env, "TorchExport").inputs.to_list()
    asserts.equals(env, [], [
        file.path
        for file in inputs
        if file.extension in CPP_EXTENSIONS
    ])
    return analysistest.end(env)

_export_reads_no_cpp_test = analysistest.make(_export_reads_no_cpp_impl)

def _export_arguments_impl(ctx):
    """The attributes reach the tool; the weights keep the order of the attribute."""
    env = analysistest.begin(ctx)
    bin = analysistest.target_bin_dir_path(env)
    argv = action_of(env, "TorchExport").argv
    asserts.equals(env, ["start_worker.sh", "compile_model"], [arg.split("/")[-1] for arg in argv[:2]])
    asserts.equals(env, ["export", "tests/rules/model.py:entry_point"], argv[2:4])
    assert_contains(env, argv, "--input=tests/rules/model.py")
    assert_contains(env, argv, "--seed=7")
    asserts.equals(
        env,
        [bin + "/tests/rules/" + file for file in ["head.pth", "base.safetensors"]],
        [arg.removeprefix("--weights=") for arg in argv if arg.startswith("--weights=")],
    )
    assert_contains(env, argv, "--program={}/tests/rules/model.pt2".format(bin))
    assert_contains(env, argv, "--signature={}/tests/rules/model.json".format(bin))
    return analysistest.end(env)

_export_arguments_test = analysistest.make(_export_arguments_impl)

def _export_defaults_impl(ctx):
    """A model that says nothing is seeded all the same: its weights are not to vary."""
    env = analysistest.begin(ctx)
    argv = action_of(env, "TorchExport").argv
    assert_contains(env, argv, "--seed=0")
    assert_lacks(env, argv, "--weights")
    assert_lacks(env, argv, "--full_trace")
    return analysistest.end(env)

_export_defaults_test = analysistest.make(_export_defaults_impl)

def _full_trace_impl(ctx):
    """--@rules_torch//rules:full_trace reaches the tool."""
    env = analysistest.begin(ctx)
    assert_contains(env, action_of(env, "TorchExport").argv, "--full_trace")
    return analysistest.end(env)

_full_trace_test = analysistest.make(_full_trace_impl, config_settings = {FULL_TRACE: True})

def _export_environment_impl(ctx):
    """Nothing of the machine or of who builds reaches what is made."""
    env = analysistest.begin(ctx)
    variables = action_of(env, "TorchExport").env
    for name, value in {
        "ATEN_CPU_CAPABILITY": "default",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
    }.items():
        asserts.equals(env, value, variables.get(name), name)
    for name in ["HOME", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR", "USER"]:
        asserts.false(env, name in variables, name + " is set")
    return analysistest.end(env)

_export_environment_test = analysistest.make(_export_environment_impl)

_export_once_test = once_test("model")

def _import_paths_impl(ctx):
    """What py_library and pip packages put on the import path is there for `src` too.

    Generated modules count as well, hence each folder twice.
    """
    env = analysistest.begin(ctx)
    bin = analysistest.target_bin_dir_path(env)
    paths = [
        arg.removeprefix("--import_path=")
        for arg in action_of(env, "TorchExport").argv
        if arg.startswith("--import_path=")
    ]
    for path in [".", bin, "tests/rules/helper", bin + "/tests/rules/helper"]:
        assert_contains(env, paths, path)
    pip = [path for path in paths if path.endswith("safetensors/site-packages")]
    asserts.equals(env, 2, len(pip), "in {}".format(paths))
    for source, generated in [pip] if len(pip) == 2 else []:
        asserts.true(env, source.startswith("external/"), source)
        asserts.equals(env, bin + "/" + source, generated)
    return analysistest.end(env)

_import_paths_test = analysistest.make(_import_paths_impl)

def _import_paths_of_another_repository_impl(ctx):
    """A model's imports start at the root of its own repository, wherever that lies."""
    env = analysistest.begin(ctx)
    root = analysistest.target_under_test(env).label.workspace_root
    asserts.true(env, root.startswith("external/"), root)
    paths = [
        arg.removeprefix("--import_path=")
        for arg in action_of(env, "TorchExport").argv
        if arg.startswith("--import_path=")
    ]
    asserts.equals(env, root, paths[0])
    return analysistest.end(env)

_import_paths_of_another_repository_test = analysistest.make(_import_paths_of_another_repository_impl)

def _import_paths_of_deps_in_another_repository_impl(ctx):
    """What a dep in another repository is called there, it is called here."""
    env = analysistest.begin(ctx)
    root = Label("@other_models//models:layers").workspace_root
    assert_contains(env, action_of(env, "TorchExport").argv, "--import_path=" + root)
    return analysistest.end(env)

_import_paths_of_deps_in_another_repository_test = analysistest.make(
    _import_paths_of_deps_in_another_repository_impl,
)

def _data_of_deps_impl(ctx):
    """A library's data files are there when the library is imported."""
    env = analysistest.begin(ctx)
    inputs = own_inputs(action_of(env, "TorchExport"))
    assert_contains(env, inputs, "tests/rules/helper/table.txt")
    return analysistest.end(env)

_data_of_deps_test = analysistest.make(_data_of_deps_impl)

def _program_impl(ctx):
    """An exported program is all that the tool reads, beside weights, and no Python."""
    env = analysistest.begin(ctx)
    model = analysistest.target_under_test(env)[TorchModelInfo]
    asserts.equals(env, "tests/rules/saved.pt2", model.source.short_path)
    asserts.equals(env, "", model.entry)
    action = action_of(env, "TorchExport")
    asserts.equals(env, ["export", model.source.path], action.argv[2:4])
    asserts.equals(env, ["tests/rules/head.pth", "tests/rules/saved.pt2"], own_inputs(action))
    bin = analysistest.target_bin_dir_path(env)
    assert_contains(env, action.argv, "--weights={}/tests/rules/head.pth".format(bin))
    return analysistest.end(env)

_program_test = analysistest.make(_program_impl)

def _torchscript_impl(ctx):
    """The tool reads TorchScript and gets its inputs, and no Python."""
    env = analysistest.begin(ctx)
    model = analysistest.target_under_test(env)[TorchModelInfo]
    asserts.equals(env, "tests/rules/scripted.pt", model.source.short_path)
    asserts.equals(env, "", model.entry)
    action = action_of(env, "TorchExport")
    asserts.equals(env, ["export", model.source.path], action.argv[2:4])
    asserts.equals(env, ["tests/rules/scripted.pt"], own_inputs(action))
    asserts.equals(
        env,
        ["--example_input=float32[batch=1..64, 8]", "--example_input=mask: bool[8]"],
        [arg for arg in action.argv if arg.startswith("--example_input=")],
    )
    return analysistest.end(env)

_torchscript_test = analysistest.make(_torchscript_impl)

# A model is of one thing or the other.
_torchscript_and_program_test = failure_test("attribute torchscript: is for a model of its own; leave it out beside `program`")
_torchscript_and_src_test = failure_test("attribute src: is for a model in Python; leave it out beside `torchscript`")
_examples_of_a_program_test = failure_test("attribute example_inputs: are for `torchscript`, which has none of its own")
_program_and_src_test = failure_test("attribute src: is for a model in Python; leave it out beside `program`")
_program_and_seed_test = failure_test("attribute seed: is for a model in Python; leave it out beside `program`")
_nothing_test = failure_test("attribute src: must name a Python file, or `program` an exported program")
_entry_forgotten_test = failure_test("attribute entry: must name a function of tests/rules/model.py")

# `program` is no archive of another kind, whose ending says so.
_program_not_exported_test = failure_test("data.txt' is misplaced here (expected .pt2)")

# `src` is a Python file.
_src_not_python_test = failure_test("data.txt' is misplaced here (expected .py)")

# Weights are files that the tool can read; a message now, not a traceback later.
_weights_unknown_test = failure_test("is misplaced here (expected .safetensors, .pth, .pt or .bin)")

# `deps` are Python libraries.
_deps_not_python_test = failure_test("does not have mandatory providers: 'PyInfo'")

def torch_model_test_suite(name):
    """Declares the tests of torch_model.

    Args:
      name: string; the suite's name.
    """
    py_library(
        name = "helper_with_data",
        srcs = ["helper/helper.py"],
        data = ["helper/table.txt"],
        tags = ["manual"],
    )
    torch_model(
        name = "model_with_data_in_deps",
        src = "model.py",
        entry = "entry_point",
        tags = ["manual"],
        deps = [":helper_with_data"],
    )
    torch_model(
        name = "model_with_deps_in_another_repository",
        src = "model.py",
        entry = "entry_point",
        tags = ["manual"],
        deps = [":helper_over_another_repository"],
    )
    py_library(
        name = "helper_over_another_repository",
        srcs = ["helper/helper.py"],
        tags = ["manual"],
        deps = ["@other_models//models:layers"],
    )
    build_test(
        name = "torch_model_in_another_repository_test",
        targets = ["@other_models//models:scaled"],
    )
    torch_model(
        name = "src_not_python",
        src = "data.txt",
        entry = "entry_point",
        tags = ["manual"],
    )
    torch_model(
        name = "weights_unknown",
        src = "model.py",
        entry = "entry_point",
        tags = ["manual"],
        weights = ["data.txt"],
    )
    torch_model(
        name = "deps_not_python",
        src = "model.py",
        entry = "entry_point",
        tags = ["manual"],
        deps = [":cc"],
    )
    torch_model(
        name = "program_model",
        program = "saved.pt2",
        tags = ["manual"],
        weights = ["head.pth"],
    )
    torch_model(
        name = "program_and_src",
        src = "model.py",
        program = "saved.pt2",
        tags = ["manual"],
    )
    torch_model(
        name = "program_and_seed",
        program = "saved.pt2",
        seed = 7,
        tags = ["manual"],
    )
    torch_model(
        name = "program_not_exported",
        program = "data.txt",
        tags = ["manual"],
    )
    torch_model(
        name = "torchscript_model",
        example_inputs = [
            "float32[batch=1..64, 8]",
            "mask: bool[8]",
        ],
        tags = ["manual"],
        torchscript = "scripted.pt",
    )
    torch_model(
        name = "torchscript_and_program",
        program = "saved.pt2",
        tags = ["manual"],
        torchscript = "scripted.pt",
    )
    torch_model(
        name = "torchscript_and_src",
        src = "model.py",
        tags = ["manual"],
        torchscript = "scripted.pt",
    )
    torch_model(
        name = "examples_of_a_program",
        example_inputs = ["float32[2]"],
        program = "saved.pt2",
        tags = ["manual"],
    )
    torch_model(
        name = "model_of_nothing",
        tags = ["manual"],
    )
    torch_model(
        name = "entry_forgotten",
        src = "model.py",
        tags = ["manual"],
    )
    suite(name, {
        "torch_model_data_of_deps_test": (_data_of_deps_test, ":model_with_data_in_deps"),
        "torch_model_deps_not_python_test": (_deps_not_python_test, ":deps_not_python"),
        "torch_model_entry_forgotten_test": (_entry_forgotten_test, ":entry_forgotten"),
        "torch_model_examples_of_a_program_test": (_examples_of_a_program_test, ":examples_of_a_program"),
        "torch_model_export_arguments_test": (_export_arguments_test, ":model"),
        "torch_model_export_defaults_test": (_export_defaults_test, ":plain_model"),
        "torch_model_export_environment_test": (_export_environment_test, ":model"),
        "torch_model_export_inputs_test": (_export_inputs_test, ":model"),
        "torch_model_export_once_test": (_export_once_test, ":model"),
        "torch_model_export_outputs_test": (_export_outputs_test, ":model"),
        "torch_model_export_reads_no_cpp_test": (_export_reads_no_cpp_test, ":model"),
        "torch_model_full_trace_test": (_full_trace_test, ":model"),
        "torch_model_import_paths_of_another_repository_test": (
            _import_paths_of_another_repository_test,
            "@other_models//models:scaled",
        ),
        "torch_model_import_paths_of_deps_in_another_repository_test": (
            _import_paths_of_deps_in_another_repository_test,
            ":model_with_deps_in_another_repository",
        ),
        "torch_model_import_paths_test": (_import_paths_test, ":model"),
        "torch_model_of_nothing_test": (_nothing_test, ":model_of_nothing"),
        "torch_model_program_and_seed_test": (_program_and_seed_test, ":program_and_seed"),
        "torch_model_program_and_src_test": (_program_and_src_test, ":program_and_src"),
        "torch_model_program_not_exported_test": (_program_not_exported_test, ":program_not_exported"),
        "torch_model_program_test": (_program_test, ":program_model"),
        "torch_model_providers_test": (_providers_test, ":model"),
        "torch_model_src_not_python_test": (_src_not_python_test, ":src_not_python"),
        "torch_model_torchscript_and_program_test": (_torchscript_and_program_test, ":torchscript_and_program"),
        "torch_model_torchscript_and_src_test": (_torchscript_and_src_test, ":torchscript_and_src"),
        "torch_model_torchscript_test": (_torchscript_test, ":torchscript_model"),
        "torch_model_weights_unknown_test": (_weights_unknown_test, ":weights_unknown"),
    })
