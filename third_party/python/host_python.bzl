"""A Python toolchain made from an interpreter of the machine."""

def _host_python_impl(rctx):
    version = rctx.attr.version
    candidates = [rctx.os.environ.get("RULES_TORCH_PYTHON", "")]
    candidates += ["/usr/bin/python" + version, "python" + version, "python3"]
    probe = "import sys; print('%d.%d' % sys.version_info[:2], sys._base_executable)"
    executable = None
    for candidate in candidates:
        path = candidate if candidate.startswith("/") else rctx.which(candidate) if candidate else None
        if not path:
            continue
        result = rctx.execute([path, "-I", "-c", probe])
        found, _, executable = result.stdout.strip().partition(" ")
        if result.return_code == 0 and found == version:
            break
        executable = None
    if not executable:
        fail(("\n\nrules_torch needs Python {v}, for which its wheels are locked, and found none.\n" +
              "Install it (Debian: apt-get install python{v}), or set RULES_TORCH_PYTHON " +
              "to its path.\n").format(v = version))

    # A virtual environment, so that packages installed on the machine are not
    # seen; the interpreter is reached by a path that is the same everywhere.
    rctx.symlink(executable, "bin/python3")
    rctx.file("pyvenv.cfg", "home = {}\ninclude-system-site-packages = false\n".format(
        executable.rpartition("/")[0],
    ))
    rctx.file("BUILD.bazel", """\
load("@rules_python//python:defs.bzl", "py_runtime", "py_runtime_pair")

package(default_visibility = ["//visibility:public"])

exports_files(["bin/python3"])

py_runtime(
    name = "runtime",
    files = ["pyvenv.cfg"],
    interpreter = "bin/python3",
    python_version = "PY3",
)

py_runtime_pair(
    name = "runtime_pair",
    py3_runtime = ":runtime",
)

toolchain(
    name = "toolchain",
    toolchain = ":runtime_pair",
    toolchain_type = "@bazel_tools//tools/python:toolchain_type",
)
""")

host_python = repository_rule(
    implementation = _host_python_impl,
    doc = """Makes a Python toolchain from an interpreter of the machine.

Looks at `$RULES_TORCH_PYTHON`, `/usr/bin/pythonX.Y`, `pythonX.Y` and `python3`
on PATH, in this order, and takes the first of the right version. Packages
installed beside that interpreter are not seen.""",
    attrs = {
        "version": attr.string(mandatory = True, doc = "Major and minor version, such as \"3.11\"."),
    },
    environ = ["RULES_TORCH_PYTHON", "PATH"],
)
