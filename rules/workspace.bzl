"""The second half of a WORKSPACE's set-up, once rules_python is there.

```starlark
load("@rules_torch//rules:repositories.bzl", "rules_torch_dependencies")

rules_torch_dependencies()

load("@rules_torch//rules:workspace.bzl", "rules_torch_workspace")

rules_torch_workspace()

load("@pip//:requirements.bzl", "install_deps")

install_deps()
```
"""

load("@bazel_skylib//:workspace.bzl", "bazel_skylib_workspace")
load("@rules_python//python:pip.bzl", "pip_parse")
load("@rules_python//python:repositories.bzl", "py_repositories")
load("//third_party/libtorch:annotations.bzl", "TORCH_ANNOTATIONS")
load("//third_party/python:annotations.bzl", "PYTHON_ANNOTATIONS")
load("//third_party/python:host_python.bzl", "host_python")

# buildifier: disable=unnamed-macro
def rules_torch_workspace(annotations = {}):
    """Brings Python and torch, and registers the toolchains that use them.

    Declares the repositories `@host_python`, a Python 3.11 of the machine's, and
    `@pip`, the locked packages.

    Args:
      annotations: dict; more of `pip_parse`'s package annotations.
    """
    bazel_skylib_workspace()
    py_repositories()
    host_python(
        name = "host_python",
        version = "3.11",
    )
    pip_parse(
        name = "pip",
        annotations = PYTHON_ANNOTATIONS | TORCH_ANNOTATIONS | annotations,
        # Otherwise pip ignores the machine's configuration, which says where the
        # CPU build of torch is found.
        isolated = False,
        python_interpreter_target = "@host_python//:bin/python3",
        requirements_lock = Label("//third_party/python:requirements.txt"),
        timeout = 1800,
    )
    native.register_toolchains(
        "@host_python//:toolchain",
        str(Label("//toolchains:all")),
    )
