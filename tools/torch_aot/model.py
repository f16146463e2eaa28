"""What a model file's entry function returns."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aot_common.errors import fail
from aot_common.frames import Frame

if TYPE_CHECKING:
    import torch

Inputs = tuple[Any, ...] | Mapping[str, Any]


@dataclasses.dataclass
class Model:
    """A module, and what is needed to export it.

    Attributes:
        module: The module. It is put into eval mode; its dtype stays. It or parts of
            it may be TorchScript (scripted, traced or loaded; the build freezes it),
            what torch.compile returned, or the module() of an ExportedProgram.
            Also a torch.export.ExportedProgram, which is compiled as it is: with its
            own example inputs and dynamic shapes, whose sizes the header names after
            the inputs (`x_size0`).
        inputs: Example inputs of `forward`: a tuple of positional arguments or
            a dict of keyword arguments. Their values do not matter, their
            dtypes, nesting and static sizes do. Give dynamic dimensions a size
            of 2 or more, since torch.export takes 0 and 1 for constants. Give
            integers that index valid values: torch_model_test draws from them, and
            for other integers from beyond them. None for an ExportedProgram.
        dynamic_shapes: As torch.export.export takes it, with torch.export.Dim. None
            for an ExportedProgram.
        input_names: A name for each tensor among the inputs, in flattened
            order. By default the argument's name, and below it the keys and
            indices that lead to the tensor: `image`, `state_0`.
        output_names: The same for the outputs. By default `output` if there is
            one, `output_0`, … for a tuple, and the keys of a dict.
        test_inputs: Returns more inputs, in the form of `inputs`, that
            torch_model_test runs beside its random ones: edge values, one for
            each branch.
        where: The line that made this, "models/resnet.py:31". Set by itself;
            errors in the arguments above name it.
        program: The ExportedProgram that was given as the module, or None. Set by
            `unpack_program`, which puts its module() and its example in the places
            of `module` and `inputs`.
    """

    module: torch.nn.Module | torch.export.ExportedProgram
    inputs: Inputs | None = None
    dynamic_shapes: Any = None
    input_names: Sequence[str] | None = None
    output_names: Sequence[str] | None = None
    test_inputs: Callable[[], Iterable[Inputs]] | None = None
    where: str = dataclasses.field(default="", init=False, repr=False, compare=False)
    program: torch.export.ExportedProgram | None = dataclasses.field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        frame = sys._getframe()
        while frame.f_back and frame.f_code.co_filename in _MAKERS:
            frame = frame.f_back
        self.where = Frame(frame.f_code.co_filename, frame.f_lineno).where

    def unpack_program(self) -> None:
        """Takes an ExportedProgram apart, if the module is one.

        Raises:
            UserError: It has no example inputs, or others were given beside it.
        """
        import torch  # not above: the worker first takes care of what torch prints

        if not isinstance(self.module, torch.export.ExportedProgram):
            return
        self.program = self.module
        for name in ("inputs", "dynamic_shapes"):
            if getattr(self, name) is not None:
                fail(
                    f"Model() has {name} beside an ExportedProgram, which has its own",
                    where=self.where,
                    fix=f"leave {name} out: Model(program)",
                )
        if self.program.example_inputs is None:
            fail(
                "the ExportedProgram has no example inputs",
                where=self.where,
                fix="set them: program.example_inputs = ((x,), {})",
            )
        self.module = self.program.module(check_guards=False)
        args, kwargs = self.program.example_inputs
        signature = inspect.signature(self.module.forward)
        self.inputs = dict(signature.bind(*args, **kwargs).arguments)

    def bind(self, inputs: Inputs, what: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Puts inputs into forward's order.

        Args:
            inputs: In the form of `inputs`.
            what: What errors call them: "the example inputs".

        Returns:
            Positional and keyword arguments of forward.

        Raises:
            UserError: They do not fit forward's parameters.
        """
        if not isinstance(inputs, tuple | Mapping):
            fail(
                f"{what} are of the type {type(inputs).__name__}",
                where=self.where,
                fix="give a tuple of positional or a dict of keyword arguments: (x,)",
            )
        named = isinstance(inputs, Mapping)
        signature = inspect.signature(self.module.forward)
        try:
            bound = signature.bind(**inputs) if named else signature.bind(*inputs)
        except TypeError as error:
            parameters = ", ".join(signature.parameters)
            names = f" ({', '.join(map(str, inputs))})" if named else ""
            fail(
                f"{what} do not fit forward({parameters}): {error}; there are "
                f"{len(inputs)}{names}",
                where=self.where,
                fix="give a tuple in the order of forward's parameters, or a dict with "
                "their names",
            )
        if self.program is not None:  # its module's signature knows no keywords
            count = self.program.call_spec.in_spec.child(0).num_children
            values = [*bound.arguments.items()]
            return tuple(value for _, value in values[:count]), dict(values[count:])
        return bound.args, bound.kwargs


# The files between the line that makes a Model and __post_init__: this one, the
# generated __init__, and dataclasses.replace.
_MAKERS = {__file__, "<string>", dataclasses.__file__}
