"""transformers and what it imports: a hub beside rules_torch's own."""

load("@rules_python//python:pip.bzl", "package_annotation", "pip_parse")
load("//third_party/python:annotations.bzl", "trimmed")

# Without files. The first are in @pip, and so on the path of whatever imports models;
# the others are for command lines, which no model calls. A wheel that requires them
# wants targets by these names all the same.
_WITHOUT_FILES = [
    "filelock",
    "fsspec",
    "numpy",
    "safetensors",
    "typing-extensions",
] + [
    "annotated-doc",
    "annotated-types",
    "click",
    "hf-xet",
    "markdown-it-py",
    "mdurl",
    "pydantic",
    "pydantic-core",
    "pygments",
    "rich",
    "shellingham",
    "typer",
    "typing-inspection",
]

_ANNOTATIONS = {
    package: package_annotation(
        data_exclude_glob = ["**"],
        srcs_exclude_glob = ["**"],
    )
    for package in _WITHOUT_FILES
} | {
    # Of the 500 models, those in a and b, with auto and bert among them.
    "transformers": trimmed([
        "site-packages/transformers/models/{}*/**".format(letter)
        for letter in "cdefghijklmnopqrstuvwxyz".elems()
    ]),
}

def transformers_packages():
    """Declares @transformers_pip."""
    pip_parse(
        name = "transformers_pip",
        annotations = _ANNOTATIONS,
        isolated = False,
        python_interpreter_target = "@host_python//:bin/python3",
        requirements_lock = "//examples/transformers:requirements.txt",
    )
