"""Tests of render.py."""

# ruff: noqa: D103 (a test's name says what it tests)

import sys

import pytest

import tools.docs.render as render

TEMPLATE = "# Page\n\n{{module}}\n\n{{contents}}\n\n{{rules}}\n\n"
TEMPLATE += "{{providers}}\n\n{{flags}}\n"

SETTINGS = {
    "fast": {"values": "boolean", "default": False, "doc": "Be | fast."},
    "sizes": {"values": "list of `S`, `M`", "default": ["S", "M"], "doc": "Sizes."},
    "colours": {"values": "list", "default": [], "doc": "Colours."},
    "way": {"values": "`up` or `down`", "default": "up", "doc": "The way."},
}

MODULE = r"""
rule_info {
  rule_name: "make"
  doc_string: "Makes it,\nall of it.\n\n```\nmake(name = \"it\")\n```"
  attribute {
    name: "of"
    doc_string: "This | that\n\nor `another`."
    type: LABEL_LIST
    provider_name_group {
      provider_name: "MadeInfo"
      provider_name: "CcInfo"
      origin_key {
        name: "MadeInfo"
      }
    }
    provider_name_group {
      provider_name: "OtherInfo"
    }
    default_value: "[]"
  }
  attribute {
    name: "how"
    doc_string: "How."
    type: STRING
    mandatory: true
  }
  advertised_providers {
    provider_name: "MadeInfo"
  }
  test: true
}
func_info {
  function_name: "declare"
  parameter {
    name: "it"
    doc_string: "string; it."
    mandatory: true
  }
  parameter {
    name: "how"
    default_value: "\"well\""
  }
  parameter {
    name: "**kwargs"
    doc_string: "More."
  }
  doc_string: "Declares it."
  return {
    doc_string: "string; JSON."
  }
}
provider_info {
  provider_name: "MadeInfo"
  doc_string: "What was made, {{rules}} and all."
  field_info {
    name: "it"
    doc_string: "File: it."
  }
}
module_docstring: "Rules that make."
file: "//:make.bzl"
""".strip()


def test_parse_reads_fields_repeated_fields_and_messages():
    message = render.parse('a: "x"\na: "y"\nb {\n  c: true\n  c: -1.5\n}\nb {\n}')
    assert message == {"a": ["x", "y"], "b": [{"c": ["true", "-1.5"]}, {}]}


def test_parse_reads_escapes():
    (text,) = render.parse(r'a: "1\n\t\"2\" \'3\' \\n {"')["a"]
    assert text == "1\n\t\"2\" '3' \\n {"


@pytest.mark.parametrize(
    "text",
    [
        r"\303\203\302\227 \303\242\302\200\302\223",  # as Bazel 7 writes it
        r"\303\227 \342\200\223",  # as it should be written
    ],
)
def test_parse_reads_what_is_not_ascii(text):
    assert render.parse(f'a: "{text}"') == {"a": ["× –"]}


@pytest.mark.parametrize("text", ["a", "}", "a {", 'a: "', "a: 1 b: 2"])
def test_parse_rejects_what_it_does_not_know(text):
    with pytest.raises(ValueError):
        render.parse(text)


def test_render():
    page = render.render(render.parse(MODULE), SETTINGS, TEMPLATE)
    assert page.splitlines() == [
        "# Page",
        "",
        "Rules that make.",
        "",
        "- [declare](#declare): Declares it.",
        "- [make](#make): Makes it, all of it.",
        "- [MadeInfo](#madeinfo): What was made, {{rules}} and all.",
        "",
        "## declare",
        "",
        "Declares it.",
        "",
        "**Parameters**:",
        "",
        "| Name | Default | Description |",
        "| --- | --- | --- |",
        "| `it` | required | string; it. |",
        '| `how` | `"well"` |  |',
        "| `**kwargs` |  | More. |",
        "",
        "**Returns** string; JSON.",
        "",
        "## make",
        "",
        "Makes it,",
        "all of it.",
        "",
        "```",
        'make(name = "it")',
        "```",
        "",
        "**Attributes**, beside those that [all rules have]"
        "(https://bazel.build/reference/be/common-definitions#common-attributes)"
        " and [those of tests]"
        "(https://bazel.build/reference/be/common-definitions#common-attributes-tests):",
        "",
        "| Name | Type | Default | Description |",
        "| --- | --- | --- | --- |",
        "| `of` | list of labels with [`MadeInfo`](#madeinfo) and "
        "[`CcInfo`](https://bazel.build/rules/lib/providers/CcInfo) or `OtherInfo` "
        "| `[]` | This \\| that or `another`. |",
        "| `how` | string | required | How. |",
        "",
        "**Provides** [`MadeInfo`](#madeinfo).",
        "",
        "### MadeInfo",
        "",
        "What was made, {{rules}} and all.",
        "",
        "| Field | Description |",
        "| --- | --- |",
        "| `it` | File: it. |",
        "",
        "| Name | Values | Default | Description |",
        "| --- | --- | --- | --- |",
        "| `fast` | boolean | `false` | Be \\| fast. |",
        "| `sizes` | list of `S`, `M` | `S,M` | Sizes. |",
        "| `colours` | list | empty | Colours. |",
        "| `way` | `up` or `down` | `up` | The way. |",
    ]


def test_render_does_not_leave_out_what_it_does_not_know():
    with pytest.raises(ValueError, match="cannot render aspect_info"):
        render.render(
            render.parse(MODULE + '\naspect_info {\n  name: "f"\n}'), SETTINGS, TEMPLATE
        )


def test_render_wants_each_placeholder_in_the_template():
    with pytest.raises(ValueError, match="the template has"):
        render.render(
            render.parse(MODULE), SETTINGS, TEMPLATE.replace("{{providers}}", "")
        )


if __name__ == "__main__":
    sys.exit(pytest.main([__file__, "-p", "no:cacheprovider"]))
