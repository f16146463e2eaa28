"""What a template makes of values."""

import pytest

from aot_common.templates import Template


@pytest.fixture
def render(tmp_path):
    """Renders a template's text."""

    def render(text, **values):
        (tmp_path / "templates").mkdir()
        (tmp_path / "templates/t.h").write_text(text)
        return Template(str(tmp_path / "module.py"), "t.h").render(**values)

    return render


def test_placeholders_in_identifiers_and_strings(render):
    text = 'int $ID$_size = $SIZE$;\nint $ID$ = f("$ID$");\n'
    made = render(text, ID="a", SIZE=3)
    assert made == 'int a_size = 3;\nint a = f("a");\n'


def test_lines_are_below_the_first_one(render):
    made = render("{\n  $FIELDS$\n};\nf($A$, $B$);\n", FIELDS="a;\nb;", A=1, B="x,\ny")
    assert made == "{\n  a;\n  b;\n};\nf(1, x,\n     y);\n"


def test_lines_of_a_comment(render):
    made = render("  // $TEXT$\nint a;  // $MORE$\n", TEXT="a\n\nb", MORE="c")
    assert made == "  // a\n  //\n  // b\nint a;  // c\n"


def test_an_empty_line_has_no_spaces(render):
    assert render("{\n  $A$\n  $B$\n}\n", A="", B="b\n\nc") == "{\n\n  b\n\n  c\n}\n"


def test_a_template_in_another(render):
    assert render("{\n  $A$\n}\n", A="a {\n  b\n}\n") == "{\n  a {\n    b\n  }\n}\n"


def test_none_leaves_nothing_behind(render):
    text = "// $WHY$\nvoid f(int $NAME$) $CONST$;\n  $FIELDS$\nint a;\n"
    made = render(text, WHY=None, NAME=None, CONST=None, FIELDS=None)
    assert made == "void f(int);\nint a;\n"


def test_values_are_not_templates(render):
    text = "code $A$ {x} \\1  \n\f\n$B$"
    assert render("$A$\n$B$\n", A=text, B="b") == f"{text}\nb\n"


@pytest.mark.parametrize("values", [{}, {"A": 1, "B": 2}, {"a": 1}])
def test_values_that_are_not_the_templates(render, values):
    with pytest.raises(AssertionError, match=r"t\.h and its values differ in \['"):
        render("$A$\n", **values)
