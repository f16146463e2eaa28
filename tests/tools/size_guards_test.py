"""Code that would be right for the example's sizes alone."""

import pytest

from torch_aot import upstream

MODEL = """
    import torch
    from torch_aot import Model

    class Net(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.{call}

    def net():
        rows = torch.export.Dim("rows", min=4, max=40)
        return Model(Net(), {{"x": torch.randn(1, 2, 6, 9)}}, dynamic_shapes={{"x": {{2: rows}}}})
"""
EXPORT = "export model.py:net --program=OUT/m.pt2 --signature=OUT/m.json".split()
CODEGEN = (
    "codegen OUT/m.pt2 OUT/m.json --label=//:m --id=m --class=M --out=OUT/m.h".split()
)


@pytest.mark.parametrize(
    ("call", "condition", "place"),
    [
        ("adaptive_avg_pool2d(x, (2, 3))", "rows == 6", "model.py:6"),
        ("adaptive_max_pool2d(x, (2, 3))", "Mod(rows, 2) == 0", "model.py:net"),
    ],
)
def test_it_is_refused_at_its_line(write, tool, monkeypatch, call, condition, place):
    # What keeps Inductor from asking: there may be more that it asks for.
    mends = [mend for mend in upstream._MENDS if "adaptive" not in mend.reason]
    assert len(mends) == len(upstream._MENDS) - 2
    write("model.py", MODEL.format(call=call))
    assert tool(*EXPORT).status == 0
    assert tool(*CODEGEN).status == 0
    monkeypatch.setattr(upstream, "_MENDS", mends)
    result = tool(*CODEGEN)
    assert result.status == 1
    text = " ".join(result.output.split())
    assert text.startswith(
        f"{place}: error: this line can be compiled only for sizes with {condition}, "
        "which dynamic_shapes does not promise"
    )


@pytest.mark.parametrize(
    "call",
    [
        "interpolate(x, scale_factor=2)",
        "interpolate(x, size=(3, 5), mode='area')",
        "max_pool2d(x, 3, 1, 1, return_indices=True)",
        "softmax(torch.isin(x, x[0, 0]).float(), 1)",
    ],
)
@pytest.mark.parametrize("runtime", ["libtorch", "standalone"])
def test_it_is_not_asked_for(write, tool, call, runtime):
    write("model.py", MODEL.format(call=call))
    assert tool(*EXPORT).status == 0
    result = tool(*CODEGEN, f"--runtime={runtime}")
    assert (result.status, result.output) == (0, "")
