"""Models that launch Triton kernels: what they compute on the CPU is compiled."""

import pytest
import torch

from torch_aot import program_file

OUTPUTS = ("--program=OUT/m.pt2", "--signature=OUT/m.json")
MODEL = """
    import torch
    import triton
    import triton.language as tl
    from torch import nn
    from torch.library import triton_op, wrap_triton

    from torch_aot import Model

    @triton.jit
    def kernel(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
        offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + offsets, mask=offsets < n)
        tl.store(y_ptr + offsets, x * 3, mask=offsets < n)

    def launched(x, launch=kernel):
        y = torch.empty_like(x)
        launch[(triton.cdiv(x.numel(), 128),)](x, y, x.numel(), BLOCK=128)  # here
        return y

    def branched(x):
        return launched(x) if x.device.type == "cuda" else x * 3

    @triton_op("NAME::launched", mutates_args={})
    def launched_op(x: torch.Tensor) -> torch.Tensor:
        return launched(x, wrap_triton(kernel))

    @triton_op("NAME::branched", mutates_args={})
    def branched_op(x: torch.Tensor) -> torch.Tensor:
        return launched(x, wrap_triton(kernel)) if x.device.type == "cuda" else x * 3

    @triton_op("NAME::registered", mutates_args={})
    def registered_op(x: torch.Tensor) -> torch.Tensor:
        return launched(x, wrap_triton(kernel))

    @registered_op.register_kernel("cpu")
    def _(x):
        return x * 3

    def conditional(x):
        return torch.cond(x.sum() > 0, lambda x: branched_op(x), lambda x: x * 3, (x,))

    class Net(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, x):
            return self.function(x)  # called

    def net(function):
        batch = torch.export.Dim("batch", min=1, max=64)
        return Model(Net(function), (torch.ones(2, 4),), ({0: batch},))

    def in_forward():
        return net(branched)

    def in_the_operator():
        return net(branched_op)

    def registered_for_the_cpu():
        return net(registered_op)

    def in_a_branch():
        return net(conditional)

    def plain():
        return net(launched)

    def wrapped():
        return net(lambda x: launched(x, wrap_triton(kernel)))

    def operator():
        return net(launched_op)

    def operator_by_name():
        return net(lambda x: torch.ops.NAME.launched(x))
"""


@pytest.fixture
def model(write, request):
    """Writes the models; the names of a process's operators are taken once."""
    name = "triton_" + "".join(filter(str.isalpha, request.node.name))
    write("model.py", MODEL.replace("NAME", name))


@pytest.mark.parametrize(
    "entry", ["in_forward", "in_the_operator", "registered_for_the_cpu", "in_a_branch"]
)
def test_what_has_a_branch_for_the_cpu_is_compiled(entry, model, tool, tmp_path):
    result = tool("export", f"model.py:{entry}", *OUTPUTS)
    assert (result.status, result.output) == (0, "")
    program = program_file.load(str(tmp_path / "out" / "m.pt2"))
    x = torch.randn(3, 4)
    assert torch.equal(program.module()(x), x * 3)
    result = tool(
        *"codegen OUT/m.pt2 OUT/m.json --label=//:m --id=m --class=M".split(),
        "--out=OUT/m.h",
    )
    assert (result.status, result.output) == (0, "")


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("plain", "# here"),
        ("wrapped", "# called"),
        ("operator", "# called"),
        ("operator_by_name", "# called"),
    ],
)
def test_what_has_none_is_refused(entry, line, model, tool):
    result = tool("export", f"model.py:{entry}", *OUTPUTS)
    assert (result.status, result.files) == (1, [])
    number = 1 + next(
        i for i, text in enumerate(MODEL.splitlines()[1:]) if line in text
    )
    assert result.output.startswith(
        f"model.py:{number}: error: a Triton kernel is launched here, and models are "
        "compiled for the CPU\n"
    )
    assert 'if x.device.type == "cuda": kernel[grid](x, ...), else: y = ...' in (
        result.text
    )
