"""What the analysis tests have in common."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")

# Keys of analysistest.make(config_settings = ...). Our own are spelt in full,
# or skylib, which hands them on, would look for them in its own repository.
COMPILATION_MODE = "//command_line_option:compilation_mode"
COPT = "//command_line_option:copt"
EXTRA_TOOLCHAINS = "//command_line_option:extra_toolchains"
FEATURES = "//command_line_option:features"
FULL_TRACE = str(Label("//rules:full_trace"))
GPU_ARCHITECTURES = str(Label("//rules:gpu_architectures"))
GPU_LINE_INFO = str(Label("//rules:gpu_line_info"))
ISAS = str(Label("//rules:isas"))
STRIP = "//command_line_option:strip"
RUNTIME = str(Label("//rules:runtime"))
THREADS = str(Label("//rules:threads"))

CPP_EXTENSIONS = ["S", "a", "c", "cc", "cpp", "h", "hpp", "o"]

def suite(name, tests):
    """Declares tests and the suite of them.

    Args:
      name: string; the suite's name.
      tests: dict of tests' names to pairs: a rule that analysistest.make made,
        and the label of its target under test.
    """
    for test, (rule, target) in tests.items():
        rule(name = test, size = "small", target_under_test = target)
    native.test_suite(name = name, tests = tests.keys())

def failure_test(message, config_settings = {}):
    """Makes a test that the target under test fails, with a message that says why.

    Args:
      message: string; a part of the expected message.
      config_settings: dict; as for analysistest.make.

    Returns:
      a rule.
    """

    def impl(ctx):
        env = analysistest.begin(ctx)
        asserts.expect_failure(env, message)
        return analysistest.end(env)

    return analysistest.make(impl, config_settings = config_settings, expect_failure = True)

def once_test(target):
    """Makes a test that a target makes the same files for -c dbg and sanitizers as for -c opt.

    Args:
      target: string; the name of a target in //tests/rules, also to be the target
        under test.

    Returns:
      a rule.
    """

    def impl(ctx):
        env = analysistest.begin(ctx)
        asserts.equals(
            env,
            [file.path for file in ctx.attr.optimised[0][DefaultInfo].files.to_list()],
            [file.path for file in analysistest.target_under_test(env)[DefaultInfo].files.to_list()],
        )
        return analysistest.end(env)

    return analysistest.make(
        impl,
        attrs = {
            "optimised": attr.label(
                cfg = analysis_test_transition(settings = {COMPILATION_MODE: "opt"}),
                default = Label("//tests/rules:" + target),
            ),
        },
        config_settings = {
            COMPILATION_MODE: "dbg",
            COPT: ["-g1"],
            FEATURES: ["asan"],
            STRIP: "never",
        },
    )

def actions_of(env, mnemonic):
    """The actions with a mnemonic that the target under test declares."""
    return [
        action
        for action in analysistest.target_actions(env)
        if action.mnemonic == mnemonic
    ]

def action_of(env, mnemonic):
    """The one action with a mnemonic that the target under test declares.

    Args:
      env: the test's environment.
      mnemonic: string.

    Returns:
      Action.
    """
    actions = actions_of(env, mnemonic)
    if len(actions) != 1:
        fail("{} actions {} in {}".format(
            len(actions),
            mnemonic,
            analysistest.target_under_test(env).label,
        ))
    return actions[0]

def compile_actions(env, source):
    """The compilations of a source: one, or two where code is compiled with and without PIC.

    Args:
      env: the test's environment.
      source: string; how the source's path ends.

    Returns:
      list of Actions, not empty.
    """
    actions = [
        action
        for action in actions_of(env, "CppCompile")
        if _source(action).endswith(source)
    ]
    if not actions:
        fail("nothing compiles", source)
    return actions

def optimisation(action):
    """The last -O of a compilation, which is the one that counts, or None."""
    flags = [arg for arg in action.argv if arg.startswith("-O")]
    return flags[-1] if flags else None

def _source(action):
    return action.argv[action.argv.index("-c") + 1]

def written(env, basename):
    """What an action of the target under test writes into a file.

    Args:
      env: the test's environment.
      basename: string; the file's name.

    Returns:
      string.
    """
    for action in actions_of(env, "FileWrite"):
        if [file for file in action.outputs.to_list() if file.basename == basename]:
            return action.content
    fail("nothing writes", basename)

def own_inputs(action):
    """The inputs of an action that runs the tool, without those that are the tool.

    Args:
      action: Action.

    Returns:
      list of strings: their short paths, sorted.
    """
    return sorted([
        file.short_path
        for file in action.inputs.to_list()
        if not ("-exec" in file.root.path or file.owner.package == "tools")
    ])

def names(files):
    """The basenames of Files, sorted; of a list or a depset."""
    return sorted([
        file.basename
        for file in (files if type(files) == "list" else files.to_list())
    ])

def linked(cc_info):
    """The basenames of the libraries that a CcInfo links, sorted; archives where there are both."""
    return names([
        library.static_library or library.pic_static_library or library.dynamic_library
        for linker_input in cc_info.linking_context.linker_inputs.to_list()
        for library in linker_input.libraries
    ])

def assert_contains(env, container, element):
    """Fails the test if `element` is not in `container`, a string or a list."""
    asserts.true(env, element in container, "no {} in {}".format(repr(element), container))

def assert_lacks(env, container, part):
    """Fails the test if `part` is in any of the strings of `container`."""
    found = [element for element in container if part in element]
    asserts.equals(env, [], found, "{} is in".format(repr(part)))
