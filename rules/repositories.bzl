"""What a WORKSPACE that uses rules_torch needs (see MODULE.bazel for bzlmod)."""

load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_archive")
load("@bazel_tools//tools/build_defs/repo:utils.bzl", "maybe")

def rules_torch_dependencies():
    """Declares the rule sets that rules_torch loads, unless they are declared already."""
    for name, attrs in _ARCHIVES.items():
        maybe(http_archive, name = name, **attrs)

def rules_torch_dev_dependencies():
    """Declares what only rules_torch's own tests and examples load."""
    for name, attrs in _DEV_ARCHIVES.items():
        maybe(http_archive, name = name, **attrs)

# The versions that Debian ships with Bazel 7.7.1 and ./bazelw unpacks, or the
# nearest ones that are published as archives.
_ARCHIVES = {
    "bazel_skylib": dict(
        integrity = "sha256-vCg8381SalLDIBJ5zaS8KYZS76iYsQtNsIN9xRZSdW8=",
        url = "https://github.com/bazelbuild/bazel-skylib/releases/download/1.7.1/bazel-skylib-1.7.1.tar.gz",
    ),
    "platforms": dict(
        integrity = "sha256-IY7+juc20mo1cmY7N0olPAErcW2K8MB+hC6C8jigp+4=",
        url = "https://github.com/bazelbuild/platforms/releases/download/0.0.10/platforms-0.0.10.tar.gz",
    ),
    "rules_cc": dict(
        integrity = "sha256-q8YF3YUPgTuzcAS3fbIBBqGTEalrLaHJK3idpSnSj+E=",
        strip_prefix = "rules_cc-0.0.17",
        url = "https://github.com/bazelbuild/rules_cc/releases/download/0.0.17/rules_cc-0.0.17.tar.gz",
    ),
    "rules_python": dict(
        integrity = "sha256-pWQP3dS+sD6MH95e1xYMC6a9R359BIZhwwwGk2om/WM=",
        strip_prefix = "rules_python-0.22.1",
        url = "https://github.com/bazelbuild/rules_python/releases/download/0.22.1/rules_python-0.22.1.tar.gz",
    ),
}

_DEV_ARCHIVES = {
    "com_google_googletest": dict(
        build_file = Label("//third_party/debian:googletest.BUILD"),
        integrity = "sha256-e0K01u1IgQxTYsJloX+uvpDcI3PIheUhZDnTeSfwKSY=",
        strip_prefix = "googletest-1.15.2",
        url = "https://github.com/google/googletest/releases/download/v1.15.2/googletest-1.15.2.tar.gz",
    ),
    "rules_shell": dict(
        integrity = "sha256-PhFEJKXH5P1D4BM8xuzf5U5Fror/oU+t2DnymQFCQEM=",
        strip_prefix = "rules_shell-0.4.0",
        url = "https://github.com/bazelbuild/rules_shell/releases/download/v0.4.0/rules_shell-v0.4.0.tar.gz",
    ),
    "stb": dict(
        build_file = Label("//third_party/debian:stb.BUILD"),
        integrity = "sha256-o5sPLZbZtkFxrB/XMpW3xYZvkE5lOzedqIbQUKaQDbk=",
        strip_prefix = "stb-f1c79c02822848a9bed4315b12c8c8f3761e1296",
        url = "https://github.com/nothings/stb/archive/f1c79c02822848a9bed4315b12c8c8f3761e1296.tar.gz",
    ),
}
