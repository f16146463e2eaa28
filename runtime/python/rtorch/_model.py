"""The classes of models."""

from __future__ import annotations

import collections
import os

from rtorch import _native


class Model(_native.Model):
    """A compiled model; its class has the inputs and outputs in its docstring.

    Safe to use from many threads. Runs of a model with state wait for one another.
    What it returns may outlive it.

    Args:
        weights: A .safetensors file to use in place of the build's weights.
        threads: How many threads a call computes in; 0: as the library was compiled.

    Attributes:
        Outputs: The type that `run` returns, a named tuple.
        isa: The instruction set in use, "x86-64-v3".

    Raises:
        ImportError: The library cannot be loaded into this process.
        NotImplementedError: It was not compiled for this CPU, or for so many threads.
        FileNotFoundError: There is no such weights file.
        OSError: The weights file is cut short or was changed.
        ValueError: The weights file is not for this model.
    """

    __slots__ = ()
    Outputs: type[tuple[object, ...]]
    _library: str | _native.Library  # loaded with the first instance
    _weights: str | None = None  # of a library that has none

    def __new__(
        cls, weights: str | os.PathLike[str] | None = None, threads: int = 0
    ) -> Model:
        if isinstance(cls._library, str):
            from rtorch import _library

            cls._library = _library.load(cls._library)
        if weights is None:
            weights = cls._weights
        return super().__new__(cls, cls._library, cls.Outputs, weights, threads)


def load(path: str | os.PathLike[str]) -> type[Model]:
    """Loads a model that was built elsewhere, as a `cc_torch_shared_library`.

    Returns:
        Its class: `load("libresnet.so")().run(image)`.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: It is no compiled model, or is one of another CPU, another version
            of rules_torch's C ABI, or another version of the torch that is in this
            process.
    """
    from rtorch import _library

    library = _library.load(path)
    members = {
        "__doc__": f"The compiled model {library.name}: {library.signature}",
        "__module__": __name__,
        "__slots__": (),
        "_library": library,
        # Names of models that older rules_torch compiled may be Python's own.
        "Outputs": collections.namedtuple("Outputs", library.outputs, rename=True),
    }
    return type("LoadedModel", (Model,), members)
