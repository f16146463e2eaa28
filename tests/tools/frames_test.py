"""Whose code an error passed through."""

import operator

import pytest
import torch

from aot_common.errors import error_at
from aot_common.frames import Frame, user_stack
from torch_aot import torch_errors

MODEL = Frame("models/net.py", 12, "forward")
LAYERS = Frame("models/layers.py", 3, "__call__")
THEIRS = Frame("/env/site-packages/theirs/ops.py", 7, "scale")
THEIR_HELPER = Frame("/env/site-packages/theirs/helper.py", 9, "check")
LINEAR = Frame("/env/site-packages/torch/nn/modules/linear.py", 134, "forward")
OURS = Frame(torch_errors.__file__, 1)
PYTHON = Frame(operator.__file__, 1)


@pytest.mark.parametrize(
    ("frames", "stack"),
    [
        ([OURS, MODEL, LINEAR, LAYERS, PYTHON], [MODEL, LAYERS]),
        ([MODEL, THEIRS, LAYERS, LINEAR], [MODEL, LAYERS]),
        ([MODEL, THEIRS, THEIR_HELPER, LINEAR], [MODEL, THEIR_HELPER]),
        ([OURS, THEIRS, LINEAR], []),
        ([], []),
    ],
    ids=["torch's", "called back", "in a package", "no user's", "none"],
)
def test_the_stack_of_the_user(frames, stack):
    assert user_stack(frames) == stack
    assert user_stack(stack) == stack


def test_an_error_is_at_the_users_line_and_not_in_the_package():
    error = error_at("no", frames=[MODEL, THEIRS, LINEAR], where="//models:net")
    assert error.where == "models/net.py:12"
    assert "\n  in site-packages/theirs/ops.py:7" in str(error)


def test_an_error_of_no_line_is_at_the_target():
    assert error_at("no", frames=[THEIRS], where="//models:net").where == "//models:net"


def test_errors_in_graphs_name_the_line_behind_the_node():
    graph = torch.fx.Graph()
    node = graph.call_function(operator.truediv, (graph.placeholder("x"), 0))
    node.meta["stack_trace"] = (
        'File "models/net.py", line 12, in forward\n    x / 0\n'
        'File "site-packages/torch/nn/modules/linear.py", line 9, in forward\n'
    )
    graph.output(node)
    interpreter = torch.fx.Interpreter(torch.fx.GraphModule({}, graph))
    with pytest.raises(ZeroDivisionError) as caught:
        interpreter.run(1)
    explained = torch_errors.explain(caught.value, "models/net.py:net")
    assert explained.where == "models/net.py:12"
    assert explained.what == "ZeroDivisionError: division by zero"
