"""triton_aot.testing: which instantiations there are, and what a call checks."""

import json
import pathlib
import subprocess
import sys
import textwrap

import pytest
import torch

from triton_aot.testing import MisfitError, instantiations

SOURCE = """
import triton
import triton.language as tl


@triton.autotune([triton.Config({"BLOCK": 16}), triton.Config({"BLOCK": 32})], key=["n"])
@triton.heuristics({"EVEN": lambda args: False})
@triton.jit
def scale(out, x, n, factor, step, BLOCK: tl.constexpr, EVEN: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    values = tl.load(x + offsets * step, mask=mask)
    tl.store(out + offsets, (values * factor).to(out.dtype.element_ty), mask=mask)


@triton.jit
def bfloat16(out, x, y, kind, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    place = offsets[:, None] * BLOCK + offsets[None, :]
    a, b = tl.load(x + place), tl.load(y + place)
    if kind == 0:
        result = a + b
    elif kind == 1:
        result = a * b
    elif kind == 2:
        result = tl.dot(a, b).to(tl.bfloat16)
    elif kind == 3:
        result = tl.maximum(a, b)
    else:
        result = tl.where(a < b, a, b)
    tl.store(out + place, result)
"""
SIGNATURE = {
    "out": "*fp16:16",
    "x": "*kfp16",
    "n": "i32",
    "factor": "fp32",
    "step": "i32:1",
}


def scale_row(**changes):
    row = {
        "id": "T=fp16",
        "signature": SIGNATURE,
        "when": "n <= 64 and BLOCK < 100",
        "grid": ["cdiv(n, BLOCK)"],
        "targets": {
            "sm_80": {"constexprs": {"BLOCK": 16, "EVEN": False}},
            "sm_90": {"constexprs": {"BLOCK": 32, "EVEN": False}},
            "gfx942": {"constexprs": {"EVEN": False, "BLOCK": 16}},
        },
    }
    return {**row, **changes}


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Writes a manifest of instantiations; gives them back, read."""
    monkeypatch.chdir(tmp_path)
    # Sources are read once for each path, as the one below is not that of other tests.
    source = tmp_path / f"{tmp_path.name}.py"
    source.write_text(SOURCE)

    def library(*rows, function="scale", only=None):
        data = {
            "label": "//k:k",
            "source": str(source),
            "kernels": [
                {"name": function, "function": function, "instantiations": rows}
            ],
        }
        pathlib.Path("k.manifest.json").write_text(json.dumps(data))
        return instantiations("k.manifest.json", only)

    return library


def arguments(**changes):
    n = changes.get("n", 40)
    values = {
        "out": torch.zeros(n, dtype=torch.float16),
        "x": torch.arange(n, dtype=torch.float16),
        "n": n,
        "factor": 0.5,
        "step": 1,
    }
    return {**values, **changes}


def test_one_for_each_choice_of_constexprs(library):
    found = library(scale_row())
    assert [str(each) for each in found] == [
        "scale[T=fp16, for sm_80 gfx942]",
        "scale[T=fp16, for sm_90]",
    ]
    assert [each.targets for each in found] == [("sm_80", "gfx942"), ("sm_90",)]
    assert [each.constexprs["BLOCK"] for each in found] == [16, 32]


def test_an_only_instantiation_has_the_kernels_name(library):
    targets = {"sm_80": {"constexprs": {"BLOCK": 16, "EVEN": True}}}
    (found,) = library(scale_row(id="", targets=targets))
    assert str(found) == "scale"


def test_a_kernel_that_does_not_exist(library):
    with pytest.raises(ValueError, match="//k:k has no kernel 'scales', only scale"):
        library(scale_row(), only="scales")


def test_dtypes(library):
    scale = library(scale_row())[0]
    assert scale.dtype("x") is torch.float16
    assert scale.dtype("n") is torch.int32
    assert scale.dtype("factor") is torch.float32


@pytest.mark.parametrize("choice", [0, 1])
def test_runs_an_autotuned_kernel(library, choice):
    scale = library(scale_row())[choice]
    values = arguments()
    scale(**values)
    assert (values["out"] == values["x"] / 2).all()


def test_scalars_are_rounded_to_their_type(library):
    signature = {**SIGNATURE, "out": "*fp64", "x": "*kfp64"}
    scale = library(scale_row(signature=signature))[0]
    out, x = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    scale(**arguments(n=1, out=out, x=x, factor=0.1))
    assert out.item() == torch.tensor(0.1, dtype=torch.float32).double().item() != 0.1


def test_fits(library):
    scale = library(scale_row())[0]
    assert scale.fits(n=64)
    assert scale.fits(n=64, step=1)
    assert not scale.fits(n=65)
    assert not scale.fits(step=2)
    assert not scale.fits(n=1 << 31)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 65}, "n <= 64 and BLOCK < 100 does not hold, with n=65, BLOCK=16"),
        ({"step": 2}, "step is 2, not 1"),
        ({"n": -(1 << 31) - 1}, "which is no i32"),
        (
            {"x": torch.zeros(40)},
            "x is a tensor of torch.float32, not of torch.float16",
        ),
        (
            {"out": torch.zeros(41, dtype=torch.float16)[1:]},
            "out is not aligned to 16 bytes",
        ),
        ({"n": 0}, r"the grid is \(0,\)"),
    ],
)
def test_broken_promises(library, changes, message):
    values = {**arguments(), **changes}
    with pytest.raises(MisfitError, match=message):
        library(scale_row())[0](**values)


def test_integers_of_16(library):
    signature = {**SIGNATURE, "n": "i32:16"}
    with pytest.raises(MisfitError, match="n is 40, not a multiple of 16"):
        library(scale_row(signature=signature))[0](**arguments())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factors": 1}, "does not take factors"),
        ({"factor": None}, "needs factor"),
        ({"grid": (3,)}, "declares its grid"),
    ],
)
def test_wrong_arguments(library, changes, message):
    values = {k: v for k, v in {**arguments(), **changes}.items() if v is not None}
    with pytest.raises(TypeError, match=message):
        library(scale_row())[0](**values)


def test_the_callers_grid(library):
    scale = library(scale_row(grid=[]))[0]
    values = arguments()
    with pytest.raises(TypeError, match="has no grid of its own"):
        scale(**values)
    scale((2,), **values)
    assert (values["out"][:32] == values["x"][:32] / 2).all()
    assert (values["out"][32:] == 0).all()
    with pytest.raises(MisfitError, match=r"the grid is \(1, 0\)"):
        scale((1, 0), **values)


@pytest.mark.parametrize(
    "kind, reference",
    [
        (0, lambda x, y: x + y),
        (1, lambda x, y: x * y),
        (2, lambda x, y: (x.float() @ y.float()).bfloat16()),
        (3, torch.maximum),
        (4, torch.minimum),
    ],
)
def test_bfloat16_is_that_of_gpus(library, kind, reference):
    row = {
        "id": "",
        "signature": {"out": "*bf16", "x": "*kbf16", "y": "*kbf16", "kind": "i32"},
        "when": "",
        "grid": ["1"],
        "targets": {"sm_90": {"constexprs": {"BLOCK": 16}}},
    }
    (kernel,) = library(row, function="bfloat16")
    x, y = (torch.randn(16, 16).bfloat16() for _ in range(2))
    out = torch.empty_like(x)
    kernel(out=out, x=x, y=y, kind=kind)
    assert (out == reference(x, y)).all()


def test_triton_must_not_be_imported_before(library):
    library(scale_row())
    program = """
        import triton.language
        from triton_aot.testing import instantiations

        instantiations("k.manifest.json")
    """
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[:0] = {paths}\n{textwrap.dedent(program)}",
        ],
        capture_output=True,
        text=True,
        env={"PATH": ""},
    )
    assert "import triton_aot.testing first, or set TRITON_INTERPRET=1" in done.stderr
