"""Renders what starlark_doc_extract says of a .bzl file as a page of Markdown.

    render.py DEFS.textproto SETTINGS.json TEMPLATE.md PAGE.md

The template is the page, but for {{module}}, the file's own doc string,
{{contents}}, a list of links, {{rules}}, with functions, which may be macros,
{{providers}} and {{flags}}. The first input is a
stardoc_output.ModuleInfo, as text: it says what its fields are called, so it
takes no protobuf library and no schema to read. The second is the table of flags,
with `values`, `default` and `doc` of each.
"""

from __future__ import annotations

import ast
import json
import pathlib
import re
import sys
from collections.abc import Mapping
from typing import Any

Message = dict[str, list]

_TYPES = {
    "BOOLEAN": "boolean",
    "INT": "integer",
    "INT_LIST": "list of integers",
    "LABEL": "label",
    "LABEL_LIST": "list of labels",
    "LABEL_STRING_DICT": "dictionary: label → string",
    "NAME": "name",
    "OUTPUT": "output",
    "OUTPUT_LIST": "list of outputs",
    "STRING": "string",
    "STRING_DICT": "dictionary: string → string",
    "STRING_LIST": "list of strings",
    "STRING_LIST_DICT": "dictionary: string → list of strings",
}

_BAZEL = "https://bazel.build"
_BAZEL_PROVIDERS = f"{_BAZEL}/rules/lib/providers"
_LINKS = {name: f"{_BAZEL_PROVIDERS}/{name}" for name in ("CcInfo", "PyInfo")}
_COMMON = f"{_BAZEL}/reference/be/common-definitions"


def main() -> None:
    """Reads and writes the files named on the command line."""
    proto, table, template, page = (pathlib.Path(arg) for arg in sys.argv[1:])
    module = parse(proto.read_text(encoding="utf-8"))
    settings = json.loads(table.read_text(encoding="utf-8"))
    text = render(module, settings, template.read_text(encoding="utf-8"))
    page.write_text(text, encoding="utf-8")


def parse(text: str) -> Message:
    """Reads a message in protobuf's text format, one field or brace a line.

    Returns:
        The values of each field, in order: strings, words (of numbers, booleans
        and enumerators) and messages.
    """
    root: Message = {}
    stack = [root]
    for number, line in enumerate(text.splitlines(), 1):
        if message := re.fullmatch(r"\s*(\w+) \{", line):
            stack[-1].setdefault(message[1], []).append(inner := {})
            stack.append(inner)
        elif field := re.fullmatch(r'\s*(\w+): (".*"|[\w.+-]+)', line):
            stack[-1].setdefault(field[1], []).append(_value(field[2]))
        elif line.strip() == "}" and len(stack) > 1:
            stack.pop()
        else:
            raise ValueError(f"line {number} is neither a field nor a brace: {line}")
    if len(stack) > 1:
        raise ValueError("the text ends within a message")
    return root


def _value(text: str) -> str:
    if not text.startswith('"'):
        return text
    # Python's escapes are the format's. They stand for bytes, in UTF-8.
    value = ast.literal_eval("b" + text).decode("utf-8")
    try:
        # Bazel 7 takes each byte of a .bzl file for a character of Latin-1.
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def render(module: Message, settings: Mapping[str, Any], template: str) -> str:
    """Fills the template."""
    known = {"file", "func_info", "module_docstring", "provider_info", "rule_info"}
    if unknown := sorted(module.keys() - known):
        raise ValueError(f"render.py cannot render {', '.join(unknown)} yet")
    links = dict(_LINKS)
    for provider in module.get("provider_info", []):
        name = _one(provider, "provider_name")
        links[name] = _anchor(name)
    # Users write a macro as they write a rule: they are in one order, of the alphabet.
    rules = {
        _one(rule, "rule_name"): _rule(rule, links) for rule in module["rule_info"]
    }
    rules |= {
        _one(it, "function_name"): _function(it) for it in module.get("func_info", [])
    }
    parts = {
        "module": _one(module, "module_docstring").strip(),
        "contents": _contents(module),
        "rules": "\n\n".join(text for _, text in sorted(rules.items())),
        "providers": "\n\n".join(_provider(it) for it in module["provider_info"]),
        "flags": _flags(settings),
    }
    placeholders = re.findall(r"{{(\w+)}}", template)
    if sorted(placeholders) != sorted(parts):
        raise ValueError(f"the template has {placeholders}, not {list(parts)}")
    return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], template)


def _contents(module: Message) -> str:
    def named(kind: str, name: str) -> list[tuple[str, str]]:
        return [
            (_one(message, name), _one(message, "doc_string"))
            for message in module.get(kind, [])
        ]

    entries = [
        *sorted(named("rule_info", "rule_name") + named("func_info", "function_name")),
        *named("provider_info", "provider_name"),
    ]
    return "\n".join(
        f"- [{name}]({_anchor(name)}): {_summary(doc)}" for name, doc in entries
    )


def _rule(rule: Message, links: dict[str, str]) -> str:
    name = _one(rule, "rule_name")
    rows = [
        (
            f"`{_one(attribute, 'name')}`",
            _type(attribute, links),
            _default(attribute),
            _one(attribute, "doc_string"),
        )
        for attribute in rule["attribute"]
    ]
    common = f"[all rules have]({_COMMON}#common-attributes)"
    if _one(rule, "test") == "true":
        common += f" and [those of tests]({_COMMON}#common-attributes-tests)"
    parts = [
        f"## {name}",
        _one(rule, "doc_string").strip(),
        f"**Attributes**, beside those that {common}:",
        _table(("Name", "Type", "Default", "Description"), rows),
    ]
    advertised = rule.get("advertised_providers", [{}])[0].get("provider_name", [])
    if advertised:
        names = ", ".join(_link(name, links) for name in advertised)
        parts.append(f"**Provides** {names}.")
    return "\n\n".join(parts)


def _function(function: Message) -> str:
    rows = [
        (f"`{_one(it, 'name')}`", _default(it), _one(it, "doc_string"))
        for it in function.get("parameter", [])
    ]
    parts = [
        f"## {_one(function, 'function_name')}",
        _one(function, "doc_string").strip(),
        "**Parameters**:",
        _table(("Name", "Default", "Description"), rows),
    ]
    for returned in function.get("return", []):
        parts.append(f"**Returns** {_one(returned, 'doc_string')}")
    return "\n\n".join(parts)


def _provider(provider: Message) -> str:
    rows = [
        (f"`{_one(field, 'name')}`", _one(field, "doc_string"))
        for field in provider["field_info"]
    ]
    return "\n\n".join(
        (
            f"### {_one(provider, 'provider_name')}",
            _one(provider, "doc_string").strip(),
            _table(("Field", "Description"), rows),
        )
    )


def _flags(settings: Mapping[str, Any]) -> str:
    rows = []
    for name, setting in settings.items():
        default = setting["default"]
        text = ",".join(default) if isinstance(default, list) else str(default).lower()
        shown = f"`{text}`" if text else "empty"
        rows.append((f"`{name}`", setting["values"], shown, setting["doc"]))
    return _table(("Name", "Values", "Default", "Description"), rows)


def _type(attribute: Message, links: dict[str, str]) -> str:
    kind = _one(attribute, "type")
    if kind not in _TYPES:
        raise ValueError(f"render.py has no word for the type {kind}")
    alternatives = [
        " and ".join(_link(name, links) for name in group["provider_name"])
        for group in attribute.get("provider_name_group", [])
    ]
    return _TYPES[kind] + (f" with {' or '.join(alternatives)}" if alternatives else "")


def _default(attribute: Message) -> str:
    """Of an attribute of a rule, or a parameter of a function."""
    if _one(attribute, "mandatory") == "true":
        return "required"
    value = _one(attribute, "default_value")
    return f"`{value}`" if value else ""  # `**kwargs` has none


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _link(name: str, links: dict[str, str]) -> str:
    return f"[`{name}`]({links[name]})" if name in links else f"`{name}`"


def _anchor(heading: str) -> str:
    return "#" + heading.lower()


def _summary(doc: str) -> str:
    """The first paragraph, of which a doc string's first line is all."""
    return " ".join(doc.strip().partition("\n\n")[0].split())


def _one(message: Message, field: str) -> str:
    (value,) = message.get(field, [""])
    return value


if __name__ == "__main__":
    main()
