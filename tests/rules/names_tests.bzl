"""Names in generated code."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")

# buildifier: disable=bzl-visibility
load(
    "//rules/private:names.bzl",
    "camel_case",
    "class_problem",
    "model_id",
    "namespace_problem",
    "package_namespace",
)

# ---- model_id.

def _model_id_impl(ctx):
    """Readable where labels are: debuggers and linkers print these names."""
    env = unittest.begin(ctx)
    for label, id in {
        "//:mlp": "rtorch_mlp",
        "//a/b:mlp": "rtorch_a_b_mlp",
        "//models:mlp": "rtorch_models_mlp",
        "//models:resnet_18": "rtorch_models_resnet_118",
    }.items():
        asserts.equals(env, id, model_id(Label(label)), label)
    return unittest.end(env)

_model_id_test = unittest.make(_model_id_impl)

_IDENTIFIER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz0123456789"

# Labels that a careless mangling takes for each other.
_TRICKY_LABELS = [
    "//:a-b",
    "//:a.b",
    "//:a_0b",
    "//:a_1b",
    "//:a_b",
    "//:a__b",
    "//:ab",
    "//:aB",
    "//a-b:c",
    "//a/01:b",
    "//a/1b:c",
    "//a/b/c:d",
    "//a/b_c:d",
    "//a/b:c",
    "//a/b:c_d",
    "//a:1b",
    "//a:_1b",
    "//a:_b",
    "//a:b",
    "//a:b+c",
    "//a:b-c",
    "//a:b.c",
    "//a:b=c",
    "//a:b@c",
    "//a:b_03_c",
    "//a:b_c",
    "//a:b~c",
    "//a:é",
    "//a:è",
    "//a_/b:c",
    "//a_1b:c",
    "//a_b/c:d",
    "//a_b:c",
    "//b/03/c:d",
    "//b-c:d",
    "//bazel_skylib/a:b",
    "//bazel_skylib:a",
    "@bazel_skylib//:a",
    "@bazel_skylib//a:b",
]

def _model_id_is_injective_impl(ctx):
    """No two labels get one identifier: their symbols would be linked to each other.

    Silently so: the linker takes the one that it finds first.
    """
    env = unittest.begin(ctx)
    labels = {}
    for label in _TRICKY_LABELS:
        id = model_id(Label(label))
        asserts.equals(env, None, labels.get(id), "{} for {}, too".format(id, label))
        labels[id] = label
    return unittest.end(env)

_model_id_is_injective_test = unittest.make(_model_id_is_injective_impl)

def _model_id_is_an_identifier_impl(ctx):
    """Whatever a label may hold, C and the assembler get letters, digits and underscores."""
    env = unittest.begin(ctx)
    for label in _TRICKY_LABELS + ["//a b:c", "//a:!%-@^#$&'()*+,;<=>?[]{|}~. "]:
        id = model_id(Label(label))
        asserts.true(env, id.startswith("rtorch_"), id)
        for character in id.elems():
            asserts.true(env, character in _IDENTIFIER, "{} in {}".format(repr(character), id))
    return unittest.end(env)

_model_id_is_an_identifier_test = unittest.make(_model_id_is_an_identifier_impl)

# ---- The names that users' code has.

def _camel_case_impl(ctx):
    """Targets' names in the style of C++ classes, as protocol buffers' are."""
    env = unittest.begin(ctx)
    for name, class_name in {
        "18_layers": "Model18Layers",
        "a.b-c+d": "ABCD",
        "efficientnet_lite0": "EfficientnetLite0",
        "mlp": "Mlp",
        "myNet": "MyNet",
        "resnet-50": "Resnet50",
        "vision/resnet": "VisionResnet",
        "__mlp__": "Mlp",
    }.items():
        asserts.equals(env, class_name, camel_case(name), name)
    return unittest.end(env)

_camel_case_test = unittest.make(_camel_case_impl)

def _package_namespace_impl(ctx):
    """Packages' names as C++ namespaces; the root package, which has none, gets one."""
    env = unittest.begin(ctx)
    for package, namespace in {
        "": "models",
        "2024/models": "_2024::models",
        "a-b/c.d": "a_b::c_d",
        "a/b": "a::b",
        "a_b": "a_b",
        "asm": "asm_",
        "co_await/requires": "co_await_::requires_",
        "linux/errno": "linux_::errno_",
        "models": "models",
        "random/random": "random_::random",
        "rules_torch": "rules_torch_",
        "std/a/std": "std_::a::std_",
    }.items():
        asserts.equals(env, namespace, package_namespace(package), package)
    return unittest.end(env)

_package_namespace_test = unittest.make(_package_namespace_impl)

def _class_problem_impl(ctx):
    """What would not compile is told at analysis; what would is not refused."""
    env = unittest.begin(ctx)
    for name, problem in {
        "1st": "no C++ identifier",
        "Buffers": "the name of one of its members",
        "EOF": "a macro of the compiler's or of C's headers",
        "Run": "the name of one of its members",
        "Symbols": "the name of one of its members",
        "a b": "no C++ identifier",
        "a::B": "no C++ identifier",
        "char8_t": "a C++ keyword",
        "isa": "the name of one of its members",
    }.items():
        asserts.equals(env, problem, class_problem(name), name)
    for name in ["Class", "Linux", "Model", "Random", "Runs", "run", "Std", "_Net", "net2"]:
        asserts.equals(env, None, class_problem(name), name)
    return unittest.end(env)

_class_problem_test = unittest.make(_class_problem_impl)

def _namespace_problem_impl(ctx):
    """What would not compile is told at analysis; what would is not refused."""
    env = unittest.begin(ctx)
    taken = "a name that C's, C++'s or rules_torch's headers have"
    for namespace, problem in {
        "::a": "an empty part",
        "a-b": "`a-b`, no C++ identifier",
        "a::": "an empty part",
        "a::linux": "`linux`, a macro of the compiler's or of C's headers",
        "a::new": "`new`, a C++ keyword",
        "a::std": "`std`, " + taken,
        "a:b": "`a:b`, no C++ identifier",
        "random": "`random`, " + taken,
    }.items():
        asserts.equals(env, problem, namespace_problem(namespace), namespace)
    for namespace in ["a", "a::b_2::c", "a::random", "models"]:
        asserts.equals(env, None, namespace_problem(namespace), namespace)
    return unittest.end(env)

_namespace_problem_test = unittest.make(_namespace_problem_impl)

def names_test_suite(name):
    """Declares the tests of names.bzl.

    Args:
      name: string; the suite's name.
    """
    tests = {
        "names_camel_case_test": _camel_case_test,
        "names_class_problem_test": _class_problem_test,
        "names_model_id_is_an_identifier_test": _model_id_is_an_identifier_test,
        "names_model_id_is_injective_test": _model_id_is_injective_test,
        "names_model_id_test": _model_id_test,
        "names_namespace_problem_test": _namespace_problem_test,
        "names_package_namespace_test": _package_namespace_test,
    }
    for test, rule in tests.items():
        rule(name = test, size = "small")
    native.test_suite(name = name, tests = tests.keys())
