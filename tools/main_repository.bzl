"""The main repository's folder among runfiles."""

def _main_repository_folder_impl(ctx):
    # Paths of `symlinks` are in the main repository, whichever repository declares them.
    return [DefaultInfo(runfiles = ctx.runfiles(
        symlinks = {".rules_torch/main_repository.bzl": ctx.file._file},
    ))]

main_repository_folder = rule(
    implementation = _main_repository_folder_impl,
    doc = """Makes sure that a worker's runfiles have a folder for the main repository.

A py_binary of another repository starts from `<main>/../<other>/tool.py`. Bazel keeps
`<main>` by an empty file where nothing else is in it, but leaves this file out of the
sandbox of a worker.""",
    attrs = {
        "_file": attr.label(
            allow_single_file = True,
            default = ":main_repository.bzl",
        ),
    },
)
