"""Operators of the user's in generated code; //tests/custom_ops has real ones."""

import re

import pytest
import torch

from torch_aot import dispatched_operators

OPERATORS = """
import torch
from torch import nn
from torch_aot import Model

class Net(nn.Module):
    def forward(self, x):
        return {call}

def net():
    return Model(Net(), inputs=(torch.ones(2, 3),))
"""


@pytest.fixture(scope="module")
def library():
    """Operators as a C++ library's: here they are Python's, which nobody runs."""
    library = torch.library.Library("odd", "DEF")
    for schema in (
        "scale(Tensor x, float factor, bool flip=False, str mode='a\"b') -> Tensor",
        "times(Tensor x, Scalar factor) -> Tensor",
        "parts(Tensor x) -> Tensor[]",
        "alike(Tensor x, bool[] flags) -> Tensor",
    ):
        library.define(schema)
        name = schema.partition("(")[0]
        make = (lambda x: [x.clone()]) if name == "parts" else None
        torch.library.register_fake(
            f"odd::{name}",
            make or (lambda x, *_, **__: torch.empty_like(x)),
            lib=library,
        )
        library.impl(name, make or (lambda x, *_, **__: x.clone()), "CPU")
    yield library
    library._destroy()


@pytest.fixture
def generate(library, write, tool, tmp_path, monkeypatch):
    def run(call, *flags):
        names = {f"odd::{name}" for name in ("scale", "times", "parts", "alike")}
        monkeypatch.setattr(dispatched_operators, "_loaded", names)
        write("model.py", OPERATORS.format(call=call))
        out = tmp_path / "out"
        result = tool(
            "export", "model.py:net", "--program=OUT/p.pt2", "--signature=OUT/s.json"
        )
        assert result.status == 0, result.output
        result = tool(
            "codegen", f"{out}/p.pt2", f"{out}/s.json", "--label=//:m", "--id=m",
            "--class=M", "--out=OUT/m.h", *flags,
        )  # fmt: skip
        wrapper = out / "m.x86-64-v3.wrapper.cc"
        return result, wrapper.read_text() if wrapper.exists() else ""

    return run


def test_a_call(generate):
    call = "torch.ops.odd.scale(x, 1e30, mode='a\"b')"
    result, wrapper = generate(call, "--runtime=libtorch")
    assert result.status == 0, result.output
    assert '#include "runtime/libtorch/call_operator.h"' in wrapper
    (call,) = re.findall(r'CallOperator\("odd::scale", "", (.*)\)\);', wrapper)
    assert call.endswith('static_cast<double>(1e+30), false, std::string("a\\"b")'), (
        call
    )
    assert "CheckResult(" in wrapper and "{2L, 3L}, {3L, 1L});" in wrapper


def test_a_call_without_libtorch(generate):
    result, _ = generate("torch.ops.odd.scale(x, 2.0)")
    assert result.status == 1
    assert "the standalone runtime has no operator odd::scale" in result.text
    assert "a cc_library with the operator as a C function" in result.text
    result, wrapper = generate(
        "torch.ops.odd.scale(x, 2.0)", "--runtime=standalone", "--c_ops"
    )
    assert result.status == 0, result.output
    assert '#include "runtime/standalone/call_operator.h"' in wrapper
    assert 'extern "C" std::remove_pointer_t<RTorchOp> rtorch_op_odd__scale;' in wrapper


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("torch.ops.odd.times(x, 2)", "argument 'factor' of the type"),
        ("torch.ops.odd.parts(x)[0]", "a result of the type"),
        ("torch.ops.odd.alike(x, [True])", "argument 'flags' of the type"),
    ],
)
def test_what_is_not_passed_on(generate, call, what):
    result, wrapper = generate(call)
    assert result.status == 1 and not wrapper
    assert f"has {what}" in result.text
    assert f"return {call}" in result.text
    assert result.text.startswith("model.py:7: error: odd::")
    assert "register another form of it" in result.text


def test_libraries_that_cannot_be_loaded(tool, tmp_path):
    (tmp_path / "bad.so").write_text("no library")
    result = tool(
        "export", "model.py:net", f"--op_library={tmp_path}/bad.so",
        "--program=OUT/p.pt2", "--signature=OUT/s.json",
    )  # fmt: skip
    assert result.status == 1 and not result.files
    assert "bad.so: error: the library of operators cannot be loaded" in result.text
