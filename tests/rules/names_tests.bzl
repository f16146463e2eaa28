"""Names in generated code."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")

# buildifier: disable=bzl-visibility
load("//rules/private:names.bzl", "camel_case", "model_id", "package_namespace")

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
        "models": "models",
    }.items():
        asserts.equals(env, namespace, package_namespace(package), package)
    return unittest.end(env)

_package_namespace_test = unittest.make(_package_namespace_impl)

def names_test_suite(name):
    """Declares the tests of names.bzl.

    Args:
      name: string; the suite's name.
    """
    tests = {
        "names_camel_case_test": _camel_case_test,
        "names_model_id_is_an_identifier_test": _model_id_is_an_identifier_test,
        "names_model_id_is_injective_test": _model_id_is_injective_test,
        "names_model_id_test": _model_id_test,
        "names_package_namespace_test": _package_namespace_test,
    }
    for test, rule in tests.items():
        rule(name = test, size = "small")
    native.test_suite(name = name, tests = tests.keys())
