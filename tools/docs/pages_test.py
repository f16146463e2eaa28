"""What users read says nothing of what is not there: flags, links, headings.

Most of it is not generated: guides, comments and messages. The test reads the checkout
itself, as tools/lint's do.
"""

# ruff: noqa: D103 (a test's name says what it tests)

import json
import os
import pathlib
import re
import sys
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(os.path.realpath(__file__)).parents[2]
SUFFIXES = {".bazel", ".bzl", ".cc", ".h", ".md", ".py", ".sh"}


def texts() -> Iterator[tuple[pathlib.Path, str]]:
    """Yields each file of the checkout that people read, and its text."""
    for folder, subfolders, names in os.walk(ROOT):
        subfolders[:] = [
            each for each in subfolders if not each.startswith((".", "bazel-"))
        ]
        for name in sorted(names):
            path = pathlib.Path(folder, name)
            if path.suffix in SUFFIXES or name == ".bazelrc":
                yield path.relative_to(ROOT), path.read_text(encoding="utf-8")


def pages() -> Iterator[tuple[pathlib.Path, str]]:
    """Yields each page of Markdown, and its text without blocks of code."""
    for path, text in texts():
        if path.suffix == ".md":
            yield path, re.sub(r"(?ms)^```.*?^```$", "", text)


def flags() -> list[tuple[str, str, str]]:
    """Where a flag of ours is named, by which repository, and which flag."""
    return [
        (f"{path}:{text.count(chr(10), 0, match.start()) + 1}", *match.groups())
        for path, text in texts()
        for match in re.finditer(r"--(@?\w*)//rules:(\w+)", text)
    ]


def test_flags_exist():
    settings = json.loads(pathlib.Path(os.environ["SETTINGS"]).read_text())
    named = flags()
    assert "full_trace" in {flag for _, _, flag in named}
    assert [each for each in named if each[2] not in settings] == []


def test_flags_have_the_name_that_every_workspace_has_for_them():
    assert [each for each in flags() if each[1] != "@rules_torch"] == []


def test_instruction_sets_are_explained():
    settings = json.loads(pathlib.Path(os.environ["SETTINGS"]).read_text())
    section = (ROOT / "docs/cpp.md").read_text().partition("\n## Instruction sets\n")[2]
    explained = re.findall(r"(?m)^\| `(.*?)` \|", section.partition("\n## ")[0])
    assert explained == re.findall("`(.*?)`", settings["isas"]["values"])


def test_links_lead_somewhere():
    broken = [
        (str(path), link)
        for path, text in pages()
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
        if not (ROOT / path.parent / link).exists()
    ]
    assert broken == []


def test_headings_of_a_page_are_unlike_each_other():
    for path, text in pages():
        headings = re.findall(r"(?m)^#+ (.*)$", text)
        assert sorted(headings) == sorted(set(headings)), path


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-p", "no:cacheprovider"]))
