"""Python's results are C++'s, bit by bit: the same library, called from both."""

import os
import subprocess
import sys

import encoder_py
import mlp_py
import multi_py
import pytest
import torch


def models():
    torch.manual_seed(1)
    tiny, small, medium, big = (
        torch.randint(-100, 100, (3, 8), dtype=dtype)
        for dtype in (torch.int8, torch.int16, torch.int32, torch.int64)
    )
    yield mlp_py.Mlp, (torch.randn(5, 8),)
    yield (
        encoder_py.Encoder,
        (torch.randint(0, 500, (2, 12)), torch.rand(2, 12) < 0.8),
    )
    yield (
        multi_py.Multi,
        (
            torch.randn(3, 8),
            torch.randn(3, 8, dtype=torch.float64),
            torch.randn(3, 8, dtype=torch.float16),
            torch.randn(3, 8, dtype=torch.bfloat16),
            tiny,
            small,
            medium,
            big,
            torch.randint(0, 256, (3, 8), dtype=torch.uint8),
            torch.rand(3, 8) < 0.5,
            torch.tensor(1.5),
        ),
    )


MODELS = [*models()]


def elements(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def from_cpp(model, inputs):
    """The elements of all outputs of a call from C++."""
    module = sys.modules[model.__module__]
    library = os.path.join(os.path.dirname(module.__file__), f"lib{module.__name__}.so")
    given = b"".join(
        part
        for each in inputs
        for part in (torch.tensor(each.shape).numpy().tobytes(), elements(each))
    )
    program = os.path.abspath(os.environ["CPP_CALL"])
    return subprocess.run(
        [program, library], input=given, stdout=subprocess.PIPE, check=True
    ).stdout


@pytest.mark.parametrize(
    ("model", "inputs"), MODELS, ids=lambda value: getattr(value, "__name__", "")
)
def test_bits(model, inputs):
    want = from_cpp(model, inputs)
    instance = model()
    assert b"".join(map(elements, instance.run(*inputs))) == want
    # Twice, and into memory that there is.
    outputs = instance.run(*inputs)
    again = instance.run(*inputs, out=outputs)
    assert all(a is b for a, b in zip(again, outputs, strict=True))
    assert b"".join(map(elements, again)) == want


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
