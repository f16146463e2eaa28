"""Compiled models as torch operators: eager, and what torch's compilers make of them."""

import threading

import encoder_py
import mlp_py
import multi_py
import pytest
import torch
from encoder_op import encoder
from mlp_op import mlp
from multi_op import multi
from positive_op import positive
from standalone_mlp_op import standalone_mlp

ROWS = torch.arange(16, dtype=torch.float32).reshape(2, 8)
BOTH = pytest.mark.parametrize("op", [mlp, standalone_mlp], ids=str)


class Around(torch.nn.Module):
    """A module with the operator within."""

    def __init__(self, op):
        super().__init__()
        self.op = op

    def forward(self, x):
        return self.op(x * 2).relu() + 1


class Scripted(torch.nn.Module):
    """What TorchScript compiles: it looks the operator up by its name."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return torch.ops.models.mlp(x) + 1
        return torch.ops.models.mlp(x) - 1


def encoder_inputs(batch, tokens):
    ids = torch.arange(batch * tokens).reshape(batch, tokens) % 7
    return ids, torch.ones(batch, tokens, dtype=torch.bool)


def multi_inputs():
    torch.manual_seed(0)
    shape = (3, 8)
    integers = [
        torch.randint(-100, 100, shape, dtype=dtype)
        for dtype in (torch.int8, torch.int16, torch.int32, torch.int64)
    ]
    return (
        torch.randn(shape),
        torch.randn(shape, dtype=torch.float64),
        torch.randn(shape, dtype=torch.float16),
        torch.randn(shape, dtype=torch.bfloat16),
        *integers,
        torch.randint(0, 256, shape, dtype=torch.uint8),
        torch.rand(shape) < 0.5,
        torch.tensor(1.5),
    )


def test_names_and_schemas():
    assert mlp is torch.ops.models.mlp
    assert str(mlp.default._schema) == "models::mlp(Tensor x) -> Tensor"
    assert standalone_mlp is torch.ops.models.standalone_mlp
    assert str(encoder.default._schema).startswith("models::encoder(Tensor ids, Tensor")


def test_bits_are_those_of_the_library():
    assert torch.equal(mlp(ROWS), mlp_py.Mlp().run(ROWS).y)
    inputs = encoder_inputs(3, 5)
    assert torch.equal(encoder(*inputs)[0], encoder_py.Encoder().run(*inputs)[0])


def test_many_tensors_of_all_dtypes():
    inputs = multi_inputs()
    ours = multi(*inputs)
    theirs = multi_py.Multi().run(*inputs)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    # An input that comes back, and a weight, are copies: a schema says what is shared.
    storages = {each.untyped_storage().data_ptr() for each in (*inputs, *ours)}
    assert len(storages) == len(inputs) + len(ours)


def test_no_elements():
    places, plus_one = positive(torch.tensor([1.0, -1.0, 2.0]))
    assert places.tolist() == [[0], [2]]
    assert plus_one.tolist() == [2.0, 0.0, 3.0]
    places, _ = positive(-torch.ones(3))
    assert (places.shape, places.dtype) == ((0, 1), torch.int64)
    program = torch.export.export(Around(lambda x: positive(x)[0]), (torch.ones(3),))
    assert torch.equal(program.module()(-torch.ones(3)), torch.empty(0, 1).long())


@BOTH
def test_layouts_and_sizes(op):
    want = op(ROWS)
    assert torch.equal(op(ROWS.T.contiguous().T), want)
    assert torch.equal(op(torch.cat([ROWS, ROWS])[2:]), want)
    expanded = ROWS[:1].expand(2, 8)
    assert torch.equal(op(expanded), op(expanded.contiguous()))
    assert want.is_contiguous()
    want.add_(1)  # the caller's own


@BOTH
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (ROWS[:, :7], "dimension 1 is 7, not 8"),
        (ROWS.double(), "the dtype is float64, not float32"),
        (ROWS[0], "expected float32[batch, 8]"),
        (torch.empty(0, 8), "dimension 0 is 0"),
        (torch.ones([1] * 9), "has 9 dimensions, and models take at most 8"),
    ],
)
def test_wrong_tensors(op, wrong, message):
    with pytest.raises(RuntimeError) as raised:
        op(wrong)
    assert message in str(raised.value)
    assert torch.equal(op(ROWS), op(ROWS))  # it goes on


@BOTH
def test_what_no_model_takes(op):
    with pytest.raises(NotImplementedError):
        op(ROWS.to_sparse())
    with pytest.raises(RuntimeError, match="Declaration: models"):
        op(3)


@BOTH
def test_no_gradients(op):
    out = op(ROWS.clone().requires_grad_())
    with pytest.warns(UserWarning, match="an autograd kernel was not registered"):
        out.sum().backward()


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        (mlp, (ROWS,)),
        (standalone_mlp, (ROWS,)),
        (encoder, encoder_inputs(3, 5)),
        (multi, multi_inputs()),
    ],
    ids=lambda each: str(each) if callable(each) else "",
)
def test_what_torch_asks_of_an_operator(op, inputs):
    checked = torch.library.opcheck(op.default, inputs)
    assert set(checked.values()) == {"SUCCESS"}


@BOTH
def test_meta(op):
    out = op(ROWS.to("meta"))
    assert (out.shape, out.dtype, out.device.type) == ((2, 4), torch.float32, "meta")
    with pytest.raises(RuntimeError, match="dimension 1 is not 8"):
        op(ROWS[:, :7].to("meta"))
    with pytest.raises(RuntimeError, match="batch is more than 1024"):
        op(torch.empty(1025, 8, device="meta"))
    with pytest.raises(RuntimeError, match="the dtype is int64, not float32"):
        op(torch.empty(2, 8, dtype=torch.int64, device="meta"))


@BOTH
def test_torch_compile(op):
    graphs = []

    def backend(module, _):
        graphs.append(module)
        return module

    model = Around(op)
    compiled = torch.compile(model, backend=backend, fullgraph=True, dynamic=True)
    for batch in (2, 5, 7):
        x = torch.randn(batch, 8)
        assert torch.equal(compiled(x), model(x))
    assert len(graphs) == 1


@BOTH
def test_torch_export(op, tmp_path):
    batch = torch.export.Dim("batch", max=64)
    program = torch.export.export(Around(op), (ROWS,), dynamic_shapes={"x": {0: batch}})
    assert op.default in [node.target for node in program.graph.nodes]
    torch.export.save(program, tmp_path / "around.pt2")
    module = torch.export.load(tmp_path / "around.pt2").module()
    x = torch.randn(5, 8)
    assert torch.equal(module(x), Around(op)(x))


def test_torch_export_knows_the_sizes():
    batch = torch.export.Dim("batch", max=4096)
    with pytest.raises(Exception, match="1024"):
        torch.export.export(Around(mlp), (ROWS,), dynamic_shapes={"x": {0: batch}})


@pytest.mark.parametrize("way", ["scripted", "traced", "frozen"])
def test_torchscript(way, tmp_path):
    module = Scripted().eval()
    if way == "traced":
        made = torch.jit.trace(module, (ROWS,))
    else:
        made = torch.jit.script(module)
        made = torch.jit.freeze(made) if way == "frozen" else made
    made.save(tmp_path / "module.pt")
    loaded = torch.jit.load(tmp_path / "module.pt")
    assert "models::mlp" in str(loaded.inlined_graph)
    for x in (ROWS,) if way == "traced" else (ROWS, -ROWS):
        assert torch.equal(loaded(x), module(x))


def test_the_first_call_in_many_threads():
    # The only one that calls this operator.
    from late_op import late

    barrier = threading.Barrier(8)
    results = [None] * 8

    def call(i):
        barrier.wait()
        results[i] = late(ROWS)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        assert torch.equal(result, results[0])
