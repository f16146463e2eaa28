"""numpy arrays in, numpy arrays out; in a Python without torch."""

import importlib.util
import sys

import fake
import mlp_py
import numpy as np
import pytest

ROWS = np.arange(16, dtype=np.float32).reshape(2, 8)


@pytest.fixture(scope="module")
def mlp():
    return mlp_py.Mlp()


@pytest.fixture(scope="module")
def model():
    return fake.Fake()


def test_torch_is_not_there():
    assert importlib.util.find_spec("torch") is None


def test_arrays_in_arrays_out(mlp):
    y = mlp.run(ROWS).y
    assert type(y) is np.ndarray
    assert (y.shape, y.dtype) == ((2, 4), np.float32)
    assert y.flags.writeable and y.flags.c_contiguous
    np.testing.assert_array_equal(y, mlp.run(x=ROWS)[0])
    np.testing.assert_array_equal(y, np.asarray(mlp.run(memoryview(ROWS)).y))


def test_memory_is_not_copied(model):
    x = np.ones(3, np.float32)
    y = model.run(x).y
    assert fake.last_input() == x.ctypes.data
    assert fake.last_output() == y.ctypes.data
    before = fake.live()
    part = y[1:]
    del y
    assert fake.live() == before
    del part
    assert fake.live() == before - 1


def test_views(mlp, model):
    want = mlp.run(ROWS).y
    for view in (
        np.asfortranarray(ROWS),
        np.repeat(ROWS, 2, axis=1)[:, ::2],
        np.pad(ROWS, 3)[3:-3, 3:-3],
        ROWS.copy()[::-1][::-1],
    ):
        np.testing.assert_array_equal(mlp.run(view).y, want)
    np.testing.assert_array_equal(mlp.run(ROWS[::-1]).y, want[::-1])
    row = np.broadcast_to(ROWS[0], (2, 8))
    np.testing.assert_array_equal(mlp.run(row).y, want[[0, 0]])
    column = ROWS[:, 1]
    np.testing.assert_array_equal(model.run(column).y, column)


DTYPES = "bool int8 int16 int32 int64 uint8 float16 float32 float64".split()


@pytest.mark.parametrize("dtype", [*DTYPES, "longlong"])
def test_dtypes(model, dtype):
    x = np.arange(6).reshape(3, 2).astype(dtype)
    y = model.run(x).y
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3), (1,) * 8])
def test_shapes(model, shape):
    x = np.ones(shape, np.float32)
    y = model.run(x).y
    assert (type(y), y.shape) == (np.ndarray, shape)
    np.testing.assert_array_equal(y, x)


def test_scalars_and_subclasses(model):
    class Labelled(np.ndarray):
        pass

    assert type(model.run(ROWS.view(Labelled)).y) is np.ndarray
    assert model.run(np.float64(3)).y == 3


def test_inputs_may_be_read_only(model):
    x = np.frombuffer(ROWS.tobytes(), np.float32)
    assert not x.flags.writeable
    np.testing.assert_array_equal(model.run(x).y, x)


def test_out(mlp, model):
    want = mlp.run(ROWS).y
    out = np.zeros((2, 4), np.float32)
    outputs = mlp.run(ROWS, out=out)
    assert outputs.y is out
    np.testing.assert_array_equal(out, want)
    strided = np.zeros((4, 6), np.float32)
    assert mlp.run(ROWS, out=(strided[::2, 1:5],)).y.base is strided
    np.testing.assert_array_equal(strided[::2, 1:5], want)
    assert not strided[1::2].any() and not strided[:, [0, 5]].any()
    # The same memory again.
    out[:] = 0
    assert mlp.run(ROWS[::-1], out=outputs).y is out
    np.testing.assert_array_equal(out, want[::-1])
    model.run(ROWS[0], out=(again := np.zeros(8, np.float32)))
    assert fake.last_output() == again.ctypes.data


def structure():
    """float32s with a byte between them."""
    packed = np.zeros((2, 8), np.dtype([("x", np.float32), ("y", np.uint8)]))
    return packed["x"]


WRONG = {
    "float64": (ROWS.astype(np.float64), r"float64\[2, 8\]: the dtype is float64"),
    "rank": (ROWS[0], r"float32\[8\]: the rank is 1, not 2"),
    "size": (ROWS[:, :7], r"float32\[2, 7\]: dimension 1 is 7, not 8"),
    "complex": (ROWS.astype(np.complex64), "got elements of the type Zf"),
    "uint16": (ROWS.astype(np.uint16), "got elements of the type H"),
    "text": (ROWS.astype(str), "got elements of the type [0-9]+w"),
    "byte_order": (ROWS.astype(">f4"), "got elements of the type >f"),
    "structure": (structure(), "at odd places"),
    "rank_9": (ROWS.reshape((1,) * 7 + (2, 8)), "got a tensor of rank 9"),
    "objects": (ROWS.astype(object), "got elements of the type O"),
    "dates": (ROWS.astype("M8[s]"), "cannot include dtype 'M' in a buffer"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_inputs(mlp, name):
    array, message = WRONG[name]
    with pytest.raises(ValueError, match=f"^input 'x': .*{message}"):
        mlp.run(array)


def test_wrong_outputs(mlp):
    for message, out in {
        "read-only": np.broadcast_to(np.float32(0), (2, 4)),
        "dimension 0 of the buffer is 3": np.zeros((3, 4), np.float32),
        "the dtype is int32": np.zeros((2, 4), np.int32),
    }.items():
        with pytest.raises(ValueError, match=f"^output 'y': .*{message}"):
            mlp.run(ROWS, out=out)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
