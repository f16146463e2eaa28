"""torch tensors in, torch tensors out."""

import sys

import counter_py
import fake
import mlp_py
import multi_py
import numpy as np
import pytest
import rtorch
import torch
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

ROWS = torch.arange(16, dtype=torch.float32).reshape(2, 8)


@pytest.fixture(scope="module")
def mlp():
    return mlp_py.Mlp()


@pytest.fixture(scope="module")
def model():
    return fake.Fake()


def test_tensors_in_tensors_out(mlp):
    y = mlp.run(ROWS).y
    assert type(y) is torch.Tensor
    assert (y.shape, y.dtype, y.requires_grad) == ((2, 4), torch.float32, False)
    assert torch.equal(y, mlp.run(x=ROWS)[0])
    assert torch.equal(y, torch.from_numpy(mlp.run(ROWS.numpy()).y))
    assert torch.equal(y, torch.from_dlpack(mlp.run(memoryview(ROWS.numpy())).y))


def test_memory_is_not_copied(model):
    x = torch.ones(3)
    y = model.run(x).y
    assert fake.last_input() == x.data_ptr()
    assert fake.last_output() == y.data_ptr()
    before = fake.live()
    part = y[1:]
    del y
    assert fake.live() == before
    del part
    assert fake.live() == before - 1


def test_outputs_may_outlive_the_model_and_be_changed():
    y = mlp_py.Mlp().run(ROWS).y
    want = y.clone()
    y += 1
    assert torch.equal(y, want + 1)


def test_views(mlp):
    want = mlp.run(ROWS).y
    for view in (
        ROWS.T.contiguous().T,
        ROWS.repeat_interleave(2, dim=1)[:, ::2],
        torch.nn.functional.pad(ROWS, (3, 3, 3, 3))[3:-3, 3:-3],
        torch.complex(ROWS, ROWS).real,
    ):
        assert not view.is_contiguous()
        assert torch.equal(mlp.run(view).y, want)
    assert torch.equal(mlp.run(ROWS[:1].expand(2, 8)).y, want[[0, 0]])


DTYPES = [
    torch.bool,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint8,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes(model, dtype):
    x = torch.arange(6).reshape(3, 2).to(dtype)
    y = model.run(x).y
    assert y.dtype == x.dtype
    assert torch.equal(y, x)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,) * 8])
def test_shapes(model, shape):
    x = torch.ones(shape)
    y = model.run(x).y
    assert (type(y), y.shape) == (torch.Tensor, shape)
    assert torch.equal(y, x)
    out = torch.zeros(shape)
    assert model.run(x, out=out).y is out
    assert torch.equal(out, x)


def test_out(mlp, model):
    want = mlp.run(ROWS).y
    out = torch.zeros(2, 4)
    outputs = mlp.run(ROWS, out=out)
    assert outputs.y is out
    assert torch.equal(out, want)
    assert mlp.run(ROWS.flip(0), out=outputs).y is out
    assert torch.equal(out, want.flip(0))
    strided = torch.zeros(4, 6)
    mlp.run(ROWS, out=strided[::2, 1:5])
    assert torch.equal(strided[::2, 1:5], want)
    model.run(ROWS[0], out=(again := torch.zeros(8)))
    assert fake.last_output() == again.data_ptr()


def test_one_tensor_makes_all_outputs_tensors():
    shape = (2, 8)
    given = multi_py.Multi().run(
        np.ones(shape, np.float32),
        np.ones(shape),
        np.ones(shape, np.float16),
        torch.ones(shape, dtype=torch.bfloat16),
        np.ones(shape, np.int8),
        np.ones(shape, np.int16),
        np.ones(shape, np.int32),
        np.ones(shape, np.int64),
        pixels=np.ones(shape, np.uint8),
        scale=np.float32(2),
        keep=np.ones(shape, np.bool_),
    )
    assert {type(each) for each in given} == {torch.Tensor}
    assert torch.equal(given.halves_1, -torch.ones(shape, dtype=torch.bfloat16))
    assert torch.equal(given.double_, torch.full(shape, 3.0, dtype=torch.float64))
    assert torch.equal(given.mixed_t, given.mixed.T)


class Speaks:
    """Has DLPack and nothing else."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, **options):
        return self.tensor.__dlpack__(**options)


def test_bfloat16_in_a_tensor_of_ours(model):
    x = torch.tensor([1, -2.5], dtype=torch.bfloat16)
    y = model.run(Speaks(x)).y
    assert isinstance(y, rtorch.Tensor)
    assert y.dtype == "bfloat16"
    assert torch.equal(torch.from_dlpack(y), x)
    with pytest.raises(BufferError, match="no format for bfloat16; use DLPack"):
        memoryview(y)
    bits = np.frombuffer(y, np.uint16)
    assert bits.tolist() == x.view(torch.uint16).tolist()


def test_state_is_the_instances():
    first, second = counter_py.Counter(), counter_py.Counter()
    x = torch.ones(2, 4)
    assert [first.run(x).steps.item() for _ in range(3)] == [1, 2, 3]
    assert second.run(x).steps.item() == 1


def test_parameters_need_to_be_detached(mlp):
    parameter = torch.nn.Parameter(ROWS)
    with pytest.raises(ValueError, match=r"input 'x': .* pass tensor.detach\(\)"):
        mlp.run(parameter)
    with pytest.raises(ValueError, match=r"output 'y': .* pass tensor.detach\(\)"):
        mlp.run(ROWS, out=torch.nn.Parameter(torch.zeros(2, 4)))
    assert torch.equal(mlp.run(parameter.detach()).y, mlp.run(ROWS).y)


@pytest.mark.parametrize("shape", [(2, 8), (1,), (), (1, 1)])
def test_negated_views_are_refused(model, shape):
    negated = torch.complex(torch.ones(shape), torch.ones(shape)).conj().imag
    assert negated.is_neg()
    with pytest.raises(ValueError, match=r"pass tensor.resolve_neg\(\)"):
        model.run(negated)


def test_negated_views_can_be_resolved(mlp):
    negated = torch.complex(ROWS, ROWS).conj().imag
    assert torch.equal(mlp.run(negated.resolve_neg()).y, mlp.run(-ROWS).y)


WRONG = {
    "float64": (lambda: ROWS.double(), r"float64\[2, 8\]: the dtype is float64"),
    "size": (lambda: ROWS[:, :7], "dimension 1 is 7, not 8"),
    "complex": (lambda: ROWS.to(torch.complex64), "elements of the type complex64"),
    "float8": (
        lambda: ROWS.to(torch.float8_e4m3fn),
        "elements of the type DLPack code",
    ),
    "rank_9": (lambda: ROWS.reshape((1,) * 7 + (2, 8)), "got a tensor of rank 9"),
    "meta": (lambda: ROWS.to("meta"), "Cannot pack tensors on meta$"),
    "sparse": (lambda: ROWS.to_sparse(), "doesn't have storage$"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_inputs(mlp, name):
    make, message = WRONG[name]
    with pytest.raises(ValueError, match=f"^input 'x': .*{message}"):
        mlp.run(make())


def test_torchs_own_error_is_the_cause(mlp):
    with pytest.raises(ValueError) as raised:
        mlp.run(ROWS.to("meta"))
    assert isinstance(raised.value.__cause__, RuntimeError)


def test_tensors_without_memory_are_refused(mlp):
    with FakeTensorMode():
        fake_rows, fake_out = torch.ones(2, 8), torch.ones(2, 4)
    with pytest.raises(ValueError, match="the data pointer is null"):
        mlp.run(fake_rows)
    with pytest.raises(ValueError, match="output 'y': the buffer has no memory"):
        mlp.run(ROWS, out=fake_out)


class Counts(TorchDispatchMode):
    """Sees torch's operators, and changes nothing."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "mode",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        lambda: torch.device("meta"),
        Counts,
    ],
)
def test_what_torch_is_in_changes_nothing(mlp, mode):
    want = mlp.run(ROWS).y
    with mode():
        assert torch.equal(mlp.run(ROWS).y, want)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
