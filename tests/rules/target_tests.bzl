"""What a model is compiled for: names of instruction sets and numbers of threads."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")

# buildifier: disable=bzl-visibility
load("//rules/private:isa.bzl", "ISAS")

# buildifier: disable=bzl-visibility
load("//rules/private:target.bzl", "resolve_isas", "resolve_threads")
load(":util.bzl", "failure_test")

def _default_isas_impl(ctx):
    """The default goes by the target's CPU, whatever the C++ toolchain calls it."""
    env = unittest.begin(ctx)
    for cpu, isa in {
        "aarch64": "aarch64",
        "k8": "x86-64-v3",
        "x86_64": "x86-64-v3",
    }.items():
        asserts.equals(env, [isa], resolve_isas([], cpu), cpu)
    return unittest.end(env)

_default_isas_test = unittest.make(_default_isas_impl)

def _preferred_isas_impl(ctx):
    """The highest comes first, in whatever order and how often they are named."""
    env = unittest.begin(ctx)
    asserts.equals(env, ["x86-64-v2"], resolve_isas(["x86-64-v2"], "k8"))
    asserts.equals(
        env,
        ["x86-64-v4-amx", "x86-64-v4", "x86-64-v2"],
        resolve_isas(["x86-64-v4", "x86-64-v2", "x86-64-v4-amx", "x86-64-v2"], "x86_64"),
    )
    asserts.equals(env, ["aarch64"], resolve_isas(["aarch64"], "arm64-v8a"), "a CPU by another name")
    return unittest.end(env)

_preferred_isas_test = unittest.make(_preferred_isas_impl)

def _isa_flags_impl(ctx):
    """Every instruction set is spelt out to the compiler, and none is the builder's."""
    env = unittest.begin(ctx)
    for isa, about in ISAS.items():
        asserts.true(env, about["flags"], isa)
        for flag in about["flags"]:
            asserts.false(env, "native" in flag, isa)
    return unittest.end(env)

_isa_flags_test = unittest.make(_isa_flags_impl)

def _threads_impl(ctx):
    """No threads is one thread."""
    env = unittest.begin(ctx)
    for wanted, threads in {"04": "4", "1": "1", "none": "1", "openmp": "openmp"}.items():
        asserts.equals(env, threads, resolve_threads(wanted), wanted)
    return unittest.end(env)

_threads_test = unittest.make(_threads_impl)

# Analysed for their failures: a Starlark function cannot be seen to fail otherwise.
def _resolved_impl(ctx):
    resolve_isas(ctx.attr.isas, ctx.attr.cpu)
    resolve_threads(ctx.attr.threads)

_resolved = rule(
    implementation = _resolved_impl,
    attrs = {
        "cpu": attr.string(default = "k8"),
        "isas": attr.string_list(),
        "threads": attr.string(default = "openmp"),
    },
)

# A CPU without a default is asked about, not guessed.
_unknown_cpu_test = failure_test("no default instruction set for the CPU 'riscv64'")
_unknown_isa_test = failure_test("unknown instruction set 'pentium'; there are x86-64-v2, x86-64-v3")
_foreign_isa_test = failure_test("the target CPU 'k8' has no instruction set 'aarch64', but x86-64-v2")
_several_for_unknown_cpu_test = failure_test("for the CPU 'riscv64' only one instruction set can be given")
_wrong_threads_test = failure_test("a number from 1 to 1024, not 'many'")
_no_threads_test = failure_test("a number from 1 to 1024, not '0'")

def target_test_suite(name):
    """Declares the tests of target.bzl.

    Args:
      name: string; the suite's name.
    """
    tests = {
        "target_default_isas_test": _default_isas_test,
        "target_isa_flags_test": _isa_flags_test,
        "target_preferred_isas_test": _preferred_isas_test,
        "target_threads_test": _threads_test,
    }
    for test, rule in tests.items():
        rule(name = test, size = "small")
    failures = {
        "target_foreign_isa_test": (_foreign_isa_test, dict(isas = ["x86-64-v3", "aarch64"])),
        "target_no_threads_test": (_no_threads_test, dict(threads = "0")),
        "target_several_for_unknown_cpu_test": (
            _several_for_unknown_cpu_test,
            dict(cpu = "riscv64", isas = ["x86-64-v3", "x86-64-v4"]),
        ),
        "target_unknown_cpu_test": (_unknown_cpu_test, dict(cpu = "riscv64")),
        "target_unknown_isa_test": (_unknown_isa_test, dict(isas = ["pentium"])),
        "target_wrong_threads_test": (_wrong_threads_test, dict(threads = "many")),
    }
    for test, (rule, attributes) in failures.items():
        _resolved(name = test + "_target", tags = ["manual"], **attributes)
        rule(name = test, size = "small", target_under_test = test + "_target")
    native.test_suite(name = name, tests = tests.keys() + failures.keys())
