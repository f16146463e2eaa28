"""Models in a Python that has neither torch nor numpy."""

import array
import importlib.util
import sys

import fake
import mlp_py
import pytest
import rtorch
from processes import python

ROWS = memoryview(array.array("f", range(16))).cast("B").cast("f", (2, 8))


def floats(values):
    return array.array("f", values)


@pytest.fixture(scope="module")
def model():
    return fake.Fake()


def test_they_are_not_there():
    assert importlib.util.find_spec("torch") is None
    assert importlib.util.find_spec("numpy") is None


def test_importing_a_module_loads_no_model():
    code = "import mlp_py; print([x for x in open('/proc/self/maps') if 'libmlp' in x])"
    assert python(code) == "[]"


def test_importing_a_module_imports_little():
    code = (
        "import sys; before = set(sys.modules); import mlp_py; "
        "print(*sorted(set(sys.modules) - before))"
    )
    imported = python(code).split()
    assert {"mlp_py", "rtorch", "rtorch._native"} <= {*imported}
    # benchmarks/python has how long it takes.
    slow = {"ctypes", "dataclasses", "inspect", "numpy", "re", "torch", "typing"}
    assert slow.isdisjoint(imported)


def test_a_compiled_model():
    mlp = mlp_py.Mlp()
    y = mlp.run(ROWS).y
    assert isinstance(y, rtorch.Tensor)
    assert (y.shape, y.dtype) == ((2, 4), "float32")
    assert memoryview(y).tolist() == memoryview(mlp.run(x=ROWS)[0]).tolist()
    assert mlp.isa.startswith("x86-64-v")


def test_outputs_are_a_named_tuple(model):
    outputs = model.run(floats([1, 2]))
    assert type(outputs)._fields == ("y",)
    assert isinstance(outputs, tuple)
    (y,) = outputs
    assert outputs.y is y
    assert repr(outputs) == "Outputs(y=<rtorch.Tensor float32 (2,)>)"


def test_memory_is_not_copied(model):
    x = floats([1, 2, 3])
    y = model.run(x).y
    assert fake.last_input() == x.buffer_info()[0]
    memoryview(y)[1] = 7
    again = memoryview(y)
    assert again.tolist() == [1, 7, 3]


def test_outputs_are_freed_once_nobody_has_them():
    before = fake.live()
    model = fake.Fake()
    y = model.run(floats([1])).y
    view = memoryview(y)
    capsule = y.__dlpack__()
    versioned = y.__dlpack__(max_version=(1, 1))
    del model, y
    assert fake.live() == before + 1
    del capsule
    view.release()
    assert fake.live() == before + 1
    del versioned
    assert fake.live() == before


def test_the_buffer_protocol(model):
    view = memoryview(model.run(floats([1, 2])).y)
    assert (view.format, view.itemsize, view.shape) == ("f", 4, (2,))
    assert (view.readonly, view.c_contiguous, view.strides) == (False, True, (4,))
    assert bytes(view) == floats([1, 2]).tobytes()


def test_a_model_reads_tensors(model):
    y = model.run(floats([1, 2])).y
    assert memoryview(model.run(y).y).tolist() == [1, 2]
    assert memoryview(mlp_py.Mlp().run(ROWS).y).shape == (2, 4)


class Speaks:
    """A library's array that has nothing but DLPack, of some version."""

    def __init__(self, tensor, versioned=True):
        self.tensor = tensor
        self.versioned = versioned
        self.asked = []

    def __dlpack__(self, **options):
        self.asked.append(options)
        if options and not self.versioned:
            raise TypeError("unexpected keyword arguments")
        return self.tensor.__dlpack__(**options)


@pytest.mark.parametrize("versioned", [True, False])
def test_dlpack(model, versioned):
    before = fake.live()
    x = Speaks(model.run(floats([1, 2])).y, versioned)
    out = Speaks(model.run(floats([0, 0])).y, versioned)
    outputs = model.run(x, out=out)
    assert outputs.y is out
    assert memoryview(out.tensor).tolist() == [1, 2]
    assert x.asked == [{"max_version": (1, 0)}, {}][: 1 if versioned else 2]
    del x, out, outputs
    assert fake.live() == before


def test_what_a_librarys_arrays_become_it_makes_itself(model):
    class Library:
        @staticmethod
        def from_dlpack(tensor):
            return ("made of", tensor)

    class Array(Speaks):
        def __array_namespace__(self):
            return Library

    made, tensor = model.run(Array(model.run(floats([3])).y)).y
    assert made == "made of"
    assert memoryview(tensor).tolist() == [3]


def test_dlpack_of_a_tensor(model):
    y = model.run(floats([1])).y
    assert y.__dlpack_device__() == (1, 0)
    assert "dltensor_versioned" in repr(y.__dlpack__(max_version=(1, 0)))
    assert '"dltensor"' in repr(y.__dlpack__(stream=None, copy=False))
    assert '"dltensor"' in repr(y.__dlpack__(max_version=(0, 8), dl_device=(1, 0)))
    with pytest.raises(BufferError, match="no copies"):
        y.__dlpack__(copy=True)
    with pytest.raises(BufferError, match="another device"):
        y.__dlpack__(dl_device=(2, 0))


def test_out(model):
    out = floats([0, 0])
    outputs = model.run(floats([1, 2]), out=out)
    assert outputs.y is out
    assert out.tolist() == [1, 2]
    assert fake.last_output() == out.buffer_info()[0]
    assert model.run(floats([3, 4]), out=outputs).y is out
    assert out.tolist() == [3, 4]
    assert isinstance(model.run(floats([5]), out=(None,)).y, rtorch.Tensor)
    assert model.run(floats([6, 7]), out=[out]).y is out
    empty = floats([])
    assert model.run(floats([]), out=empty).y is empty


@pytest.mark.parametrize(
    ("arguments", "named", "error", "message"),
    [
        ((), {}, TypeError, "misses the argument 'x'"),
        ((1, 2), {}, TypeError, "takes 1 positional arguments but 2 were given"),
        ((1,), {"x": 2}, TypeError, "multiple values for argument 'x'"),
        ((1,), {"z": 2}, TypeError, "unexpected keyword argument 'z'"),
        (([1.0],), {}, TypeError, r"input 'x': expected float32\[n\] as .*, got list"),
        ((floats([1]),), {"out": 3}, TypeError, "output 'y': expected .*, got int"),
        ((floats([1]),), {"out": ()}, ValueError, "'out' has 0 buffers, .* 1 outputs"),
        ((floats([1]),), {"out": b"1234"}, ValueError, "output 'y': .*not writable"),
        (("x",), {}, TypeError, "got str"),
        (
            (memoryview(bytes(8)).cast("H"),),
            {},
            ValueError,
            "got elements of the type H",
        ),
        (
            (memoryview(bytes(1)).cast("B", (1,) * 9),),
            {},
            ValueError,
            "a tensor of rank 9",
        ),
    ],
)
def test_wrong_calls(model, arguments, named, error, message):
    with pytest.raises(error, match=message):
        model.run(*arguments, **named)


CODES = {
    1: RuntimeError,  # CANCELLED
    3: ValueError,  # INVALID_ARGUMENT
    5: FileNotFoundError,  # NOT_FOUND
    8: MemoryError,  # RESOURCE_EXHAUSTED
    12: NotImplementedError,  # UNIMPLEMENTED
    13: RuntimeError,  # INTERNAL
    14: RuntimeError,  # UNAVAILABLE
    15: OSError,  # DATA_LOSS
}


@pytest.mark.parametrize("code", CODES)
def test_codes_are_exceptions(model, code):
    with pytest.raises(CODES[code]) as raised:
        model.run(floats([-code]))
    assert type(raised.value) is CODES[code]
    assert str(raised.value) == "what it says�"


def test_the_models_checks_are_cpps():
    with pytest.raises(
        ValueError, match=r"input 'x': expected float32\[batch, 8\] with "
    ):
        mlp_py.Mlp().run(floats([1]))


def test_weights_and_threads():
    with pytest.raises(FileNotFoundError, match=r"'/no/such\.file' cannot be read"):
        mlp_py.Mlp(weights="/no/such.file")
    with pytest.raises(ValueError, match="threads is -1"):
        mlp_py.Mlp(threads=-1)
    with pytest.raises(NotImplementedError, match="no 99 threads"):
        fake.Fake(threads=99)
    with pytest.raises(TypeError):
        mlp_py.Mlp(weights=3)
    assert mlp_py.Mlp(None, 2).run(ROWS)


def test_swap(model, tmp_path):
    model.swap(None)
    with pytest.raises(OSError, match=r"weights\.file"):
        model.swap(tmp_path / "weights.file")
    with pytest.raises(TypeError):
        model.swap()


def test_tensors_are_made_by_models():
    with pytest.raises(TypeError, match="models make Tensors"):
        rtorch.Tensor()


def test_what_a_model_says_of_itself():
    assert repr(mlp_py.Mlp()) == (
        "<compiled model //tests/libtorch:mlp(x: float32[batch, 8]) -> (y: float32[batch, 4])>"
    )
    assert "x: float32[batch, 8]" in mlp_py.Mlp.__doc__
    assert issubclass(mlp_py.Mlp, rtorch.Model)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
