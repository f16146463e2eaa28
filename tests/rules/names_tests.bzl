"""Names in generated code, and the instruction sets' names."""

load("@bazel_skylib//lib:partial.bzl", "partial")
load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")

# buildifier: disable=bzl-visibility
load("//rules/private:isa.bzl", "ISAS", "resolve_isa")

# buildifier: disable=bzl-visibility
load("//rules/private:names.bzl", "camel_case", "model_id", "package_namespace")
load(":util.bzl", "failure_test")

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

# ---- Instruction sets.

def _resolve_isa_impl(ctx):
    """`auto` goes by the target's CPU, whatever the C++ toolchain calls it."""
    env = unittest.begin(ctx)
    for cpu, isa in {
        "aarch64": "aarch64",
        "k8": "x86-64-v3",
        "x86_64": "x86-64-v3",
    }.items():
        asserts.equals(env, isa, resolve_isa("auto", cpu), cpu)
    asserts.equals(env, "x86-64-v2", resolve_isa("x86-64-v2", "k8"))
    asserts.equals(env, "x86-64-v4", resolve_isa("x86-64-v4", "x86_64"))
    return unittest.end(env)

_resolve_isa_test = unittest.make(_resolve_isa_impl)

def _isa_flags_impl(ctx):
    """Every instruction set is spelt out to the compiler, and none is the builder's."""
    env = unittest.begin(ctx)
    for isa, flags in ISAS.items():
        asserts.true(env, flags, isa)
        for flag in flags:
            asserts.false(env, "native" in flag, isa)
    return unittest.end(env)

_isa_flags_test = unittest.make(_isa_flags_impl)

def _resolved_isa_impl(ctx):
    return [DefaultInfo(), OutputGroupInfo(**{resolve_isa("auto", ctx.attr.cpu): depset()})]

# Analysed for its failure: a Starlark function cannot be seen to fail otherwise.
_resolved_isa = rule(
    implementation = _resolved_isa_impl,
    attrs = {"cpu": attr.string()},
)

# A CPU without a default is asked about, not guessed.
_isa_of_unknown_cpu_test = failure_test("no default instruction set for the CPU 'riscv64'")

def names_test_suite(name):
    """Declares the tests of names.bzl and isa.bzl.

    Args:
      name: string; the suite's name.
    """
    _resolved_isa(
        name = "isa_of_riscv64",
        cpu = "riscv64",
        tags = ["manual"],
    )
    tests = {
        "names_camel_case_test": _camel_case_test,
        "names_isa_flags_test": _isa_flags_test,
        "names_isa_of_unknown_cpu_test": partial.make(
            _isa_of_unknown_cpu_test,
            target_under_test = ":isa_of_riscv64",
        ),
        "names_model_id_is_an_identifier_test": _model_id_is_an_identifier_test,
        "names_model_id_is_injective_test": _model_id_is_injective_test,
        "names_model_id_test": _model_id_test,
        "names_package_namespace_test": _package_namespace_test,
        "names_resolve_isa_test": _resolve_isa_test,
    }
    for test, rule in tests.items():
        if partial.is_instance(rule):
            partial.call(rule, name = test, size = "small")
        else:
            rule(name = test, size = "small")
    native.test_suite(name = name, tests = tests.keys())
