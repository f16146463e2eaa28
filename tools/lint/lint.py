"""Formats and lints the sources of this checkout.

    lint.py check LANGUAGE=TOOL...   # print what is off; exit 1 if anything is
    lint.py fix LANGUAGE=TOOL...     # repair it; exit 1 if something is left

A TOOL is the path of the language's executable: BUILD.bazel passes the pinned
ones, so nothing that the host happens to have decides what is well formatted.
"""

import argparse
import difflib
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

ROOT = pathlib.Path(os.path.realpath(__file__)).parents[2]

CPP_SUFFIXES = {".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp"}
STARLARK_NAME = r".+\.(bzl|BUILD)|(BUILD|MODULE|REPO|WORKSPACE)(\.bazel|\.bzlmod)?"

# Directories whose contents nobody edits by hand: outputs of generators that
# tests compare byte for byte, and what tools leave in a checkout. Templates are
# laid out for what is put into them, which is longer. Hidden directories (.git,
# .venv, caches) and Bazel's links are skipped by their first letters.
SKIPPED_DIRS = {"__pycache__", "goldens", "node_modules", "templates"}
KEPT_HIDDEN_DIRS = {".ci", ".github"}


def language(path: pathlib.Path) -> str | None:
    """The language that a file is written in, if it is one that we lint."""
    if path.suffix in {".py", ".pyi"}:
        return "python"
    if path.suffix in CPP_SUFFIXES:
        return "cpp"
    if re.fullmatch(STARLARK_NAME, path.name):
        return "starlark"
    if path.suffix in {".sh", ".bash"}:
        return "shell"
    if not path.suffix:
        # Programs have no suffix: their first line says what runs them.
        with path.open("rb") as file:
            interpreter = re.match(rb"#!.*\b(python3?|bash|sh)\b", file.readline(100))
        if interpreter:
            return "python" if interpreter[1].startswith(b"python") else "shell"
    return None


def sources(root: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yields (language, path relative to root) of every file to lint."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(
            name
            for name in subfolders
            if name not in SKIPPED_DIRS
            and (not name.startswith((".", "bazel-")) or name in KEPT_HIDDEN_DIRS)
        )
        for name in sorted(names):
            path = pathlib.Path(folder, name)
            if path.is_file() and not path.is_symlink() and (lang := language(path)):
                yield lang, str(path.relative_to(root))


# A formatter reads a file on its standard input and writes it, formatted, on its
# standard output: one way for all three, whose own diffs and exit codes differ.
# The path tells it what it reads. The configuration is named, so that no other
# file in a folder between (a test's own pyproject.toml) changes it.
FORMATTERS: dict[str, Callable[[str, str], list[str]]] = {
    "python": lambda tool, path: (
        [tool, "format", "--config=pyproject.toml", f"--stdin-filename={path}", "-"]
    ),
    "cpp": lambda tool, path: (
        [tool, "--style=file:.clang-format", f"--assume-filename={path}"]
    ),
    "starlark": lambda tool, path: [tool, f"-path={path}"],
}

# Linters take all files at once, and print where and why. A fixer repairs what a
# machine can; then the linter tells what is left. (shellcheck has no fixer.)
# ruff's cache is off: a test leaves nothing behind in the checkout.
RUFF_CHECK = ["check", "--no-cache", "--quiet", "--config=pyproject.toml"]
FIXERS: dict[str, list[str]] = {
    "python": [*RUFF_CHECK, "--fix"],
    "starlark": ["-mode=fix", "-lint=fix"],
}
LINTERS: dict[str, list[str]] = {
    "python": [*RUFF_CHECK, "--output-format=concise"],
    "starlark": ["-mode=check", "-lint=warn"],
    "shell": ["--external-sources"],
}


def format_file(command: list[str], path: str, *, fix: bool) -> bool:
    """Formats one file, or shows how it should look. Returns whether it is fine."""
    before = pathlib.Path(path).read_bytes()
    run = subprocess.run(command, input=before, capture_output=True)
    if run.returncode:
        print(f"{path}: {run.stderr.decode(errors='replace').strip()}")
        return False
    if run.stdout == before:
        return True
    if fix:
        pathlib.Path(path).write_bytes(run.stdout)
        print(f"formatted {path}")
        return True
    old, new = (
        text.decode(errors="replace").splitlines(keepends=True)
        for text in (before, run.stdout)
    )
    sys.stdout.writelines(
        difflib.unified_diff(old, new, f"{path} (as it is)", f"{path} (formatted)")
    )
    return False


def main() -> int:
    """Runs the formatter and the linter of each given language."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("check", "fix"))
    parser.add_argument("tools", nargs="+", metavar="LANGUAGE=TOOL")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    args = parser.parse_args()
    fix = args.mode == "fix"
    # Relative to where we were started, not to the sources.
    tools = {
        lang: os.path.abspath(tool)
        for lang, tool in (pair.split("=", 1) for pair in args.tools)
    }

    os.chdir(args.root)
    files: dict[str, list[str]] = {lang: [] for lang in tools}
    for lang, path in sources(pathlib.Path()):
        if lang in tools:
            files[lang].append(path)
    if not any(files.values()):
        # A test that reads nothing would pass for ever.
        sys.exit(f"no {' or '.join(tools)} files in {args.root}: is it the checkout?")
    good = True
    for lang, tool in tools.items():
        if fix and lang in FIXERS and files[lang]:
            subprocess.run([tool, *FIXERS[lang], *files[lang]], capture_output=True)
        if lang in FORMATTERS:
            for path in files[lang]:
                good &= format_file(FORMATTERS[lang](tool, path), path, fix=fix)
        sys.stdout.flush()  # the linter writes to the same place
        if lang in LINTERS and files[lang]:
            good &= not subprocess.run([tool, *LINTERS[lang], *files[lang]]).returncode

    counts = ", ".join(f"{len(files[lang])} {lang}" for lang in tools)
    print(f"looked at the sources: {counts}")
    if not good:
        print("left to do by hand" if fix else "run './bazelw run //tools/lint:fix'")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
