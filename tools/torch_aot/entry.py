"""Finds and calls the user's entry function, or reads the user's exported program."""

from __future__ import annotations

import inspect
import random
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from aot_common import user_file
from aot_common.errors import UserError, error_at, fail
from aot_common.frames import Frame, chain
from aot_common.paths import portable_path, shorten_path
from torch_aot import (
    eager,
    example_inputs,
    program_file,
    script_file,
    torch_errors,
    torchscript,
)
from torch_aot import weights as weights_lib
from torch_aot.frames import model_frames
from torch_aot.model import Model
from torch_aot.torch_errors import root_cause, summary


class Entry:
    """What a model is made of: `models/resnet.py:resnet18`, or `models/resnet.pt2`.

    Attributes:
        path: The Python file, the exported program, or the file of TorchScript.
        function: The entry function's name; empty for another file.
    """

    def __init__(self, spec: str, examples: Sequence[str] = ()) -> None:
        """Parses what a command line says.

        Args:
            spec: "models/resnet.py:resnet18", or a file of another kind.
            examples: Inputs of TorchScript, as `example_inputs.parse` takes them.

        Raises:
            UserError: It names no entry point.
        """
        path, colon, function = spec.rpartition(":")
        if spec.endswith((".pt2", *script_file.ENDINGS)):
            path, function = spec, ""
        elif not colon or not path.endswith(".py") or not function.isidentifier():
            fail(
                f"{spec!r} does not name an entry point",
                fix="write FILE.py:FUNCTION, e.g. models/resnet.py:resnet18, or FILE.pt2, "
                "an exported program, or FILE.pt, TorchScript",
            )
        self.path = path
        self.function = function
        self._examples = examples
        if examples and not path.endswith(script_file.ENDINGS):
            fail(
                "example_inputs are for TorchScript, which has none of its own",
                where=shorten_path(path),
                fix="leave them out",
            )

    @property
    def source(self) -> str:
        """What generated files say that they are of, on every machine and configuration."""
        path = re.sub(r"^bazel-out/[^/]+/bin/", "", portable_path(self.path))
        return f"{path}:{self.function}" if self.function else path

    def explain(self, error: Exception, model: Model) -> UserError:
        """Turns an exception into a UserError that names the user's line.

        Args:
            error: From torch.export, or from running the module.
            model: The model; an error that no line of the user's is to blame for
                names the line that made it.
        """
        ours = (each for each in chain(error) if isinstance(each, UserError))
        return (
            torch_errors.recognise(error, model.where)
            or _plain_error(model)
            or next(ours, None)
            or torch_errors.explain(error, model.where)
        )

    @eager.portable()
    def load(self, weights: Sequence[str], seed: int) -> Model:
        """Calls the entry function, or reads the program, and loads the weights.

        Args:
            weights: The declared weights files. What they hold, merged, goes to the
                entry's parameter `weights` if it has one (None without files), and
                must otherwise be the module's state dict.
            seed: Seeds the generators of torch, numpy and Python, so that random
                initialisation is the same every time.

        Returns:
            The model, in eval mode.

        Raises:
            UserError: The file or the function is missing, the function fails
                or returns something else, the program is none that this torch reads, or
                the weights are unreadable or do not fit.
        """
        _seed_generators(seed)  # the file may make tensors when it is imported
        if self.path.endswith(script_file.ENDINGS):
            return self._load_script(weights)
        if not self.function:
            return self._load_program(weights)
        function = self._find(self.import_file())
        where = _definition(function) or shorten_path(self.path)
        parameters = inspect.signature(function).parameters
        takes_weights = "weights" in parameters
        self._check_parameters(parameters, where)
        state = weights_lib.read(weights, whole=takes_weights) if weights else None
        _seed_generators(seed)
        try:
            model = function(weights=state) if takes_weights else function()
        except (Exception, SystemExit) as error:
            raise self.explain_own(f"{self.function}() raised", error, where) from error
        self._check_model(model, where)
        _allow_eval(model.module)
        try:
            model.module.eval()
        except Exception as error:
            raise self.explain_own(
                "module.eval() raised", error, model.where
            ) from error
        if state is not None and not takes_weights:
            weights_lib.load_strictly(model.module, state, model.where)
        return self._prepared(model)

    def _load_program(self, weights: Sequence[str]) -> Model:
        model = Model(program_file.load(self.path))
        model.where = shorten_path(self.path)
        model.unpack_program()
        _allow_eval(model.module)
        model.module.eval()
        if weights:
            weights_lib.load_strictly(
                model.module, weights_lib.read(weights), model.where
            )
        return model

    def _load_script(self, weights: Sequence[str]) -> Model:
        where = shorten_path(self.path)
        module = script_file.load(self.path)
        if "forward" not in module._c._method_names():
            fail(
                "the module has no forward",
                where=where,
                fix="save one whose forward calls its other methods",
            )
        schema = module._c._get_method("forward").schema
        inputs, shapes = example_inputs.parse(self._examples, schema, where)
        model = Model(module.eval(), inputs, shapes)
        model.where = where
        if weights:
            weights_lib.load_strictly(module, weights_lib.read(weights), where)
        return self._prepared(model)

    def _prepared(self, model: Model) -> Model:
        """Makes TorchScript in a model exportable."""
        try:
            model.module = torchscript.prepare(model.module, model.where)
        except Exception as error:
            raise self.explain_own(
                "freezing TorchScript raised", error, model.where
            ) from error
        return model

    def import_file(self) -> types.ModuleType:
        """Runs the Python file, but calls nothing in it; raises as `load` does."""
        return user_file.run(self.path, self.explain_own)

    def _find(self, module: types.ModuleType) -> Callable[..., Any]:
        function = getattr(module, self.function, None)
        if callable(function):
            return function
        candidates = [
            name
            for name, value in vars(module).items()
            if inspect.isfunction(value) and value.__module__ == module.__name__
        ]
        what = (
            f"there is no function {self.function!r} in this file"
            if function is None
            else f"{self.function!r} is {_describe(function)}, not a function"
        )
        listed = f"; the file has {', '.join(candidates[:8])}" if candidates else ""
        fail(
            what,
            where=shorten_path(self.path),
            fix=f"name a function that returns a torch_aot.Model{listed}",
        )

    def _check_parameters(
        self, parameters: Mapping[str, inspect.Parameter], where: str
    ) -> None:
        needed = [
            name
            for name, parameter in parameters.items()
            if name != "weights"
            and parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        if needed:
            fail(
                f"{self.function}() needs the arguments {', '.join(needed)}; an entry "
                "function is called without any, or with `weights`",
                where=where,
                fix="give them defaults, or write a function for each variant that calls "
                "this one",
            )

    def _check_model(self, model: object, where: str) -> None:
        if not isinstance(model, Model):
            fail(
                f"{self.function}() returned {_describe(model)}, not a torch_aot.Model",
                where=where,
                fix="return Model(module, inputs=(...)), from torch_aot import Model",
            )
        model.unpack_program()
        if not isinstance(model.module, torch.nn.Module):
            fix = "wrap the computation in the forward of a torch.nn.Module"
            if isinstance(model.module, type):
                fix = f"make an instance: {model.module.__name__}(...)"
            fail(
                f"the Model's module is {_describe(model.module)}, not a torch.nn.Module",
                where=model.where,
                fix=fix,
            )
        if model.inputs is None:
            fail(
                "the Model has no example inputs",
                where=model.where,
                fix="give a tuple of positional or a dict of keyword arguments of "
                "forward: Model(module, inputs=(x,))",
            )

    def explain_own(self, doing: str, error: BaseException, where: str) -> UserError:
        """Explains an error of the user's code itself, run as plain Python.

        Args:
            doing: "mlp() raised": what the message begins with.
            error: The exception.
            where: What to name if it passed through no line of the user's.
        """
        return torch_errors.recognise(error, where) or user_file.explain(
            doing,
            error,
            where,
            text=summary(error),
            stack=model_frames(error),
            fixes=_FIXES,
        )


# By what the user's code raises as plain Python.
_FIXES = {
    ModuleNotFoundError: "add the py_library or the package that holds it to the "
    "torch_model's deps (by hand: --import_path, or install it)",
    FileNotFoundError: "name a data file in the torch_model's `data`, and open it by its "
    "path from the workspace's root",
}


def _allow_eval(module: torch.nn.Module) -> None:
    """Lets modules that ExportedProgram.module() made be put into eval mode.

    Their graphs are in one mode for good, and their eval() only raises.
    """
    for each in module.modules():
        if isinstance(each, torch.fx.GraphModule):
            for name in ("eval", "train"):
                vars(each).pop(name, None)


def _seed_generators(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def _plain_error(model: Model) -> UserError | None:
    """Runs a module that failed to export as plain PyTorch.

    Most errors that compiling does not explain are the module's own; then
    plain PyTorch says the same with real shapes and without graphs.
    """
    try:
        args, kwargs = model.bind(model.inputs, "the example inputs")
        with torch.no_grad():
            model.module(*args, **kwargs)
    except Exception as error:
        root = root_cause(error)
        return error_at(
            "the model fails on its example inputs, also when it is not compiled: "
            f"{type(root).__name__}: {summary(root)}",
            frames=model_frames(error),
            where=model.where,
            fix="correct forward or the example inputs: Model(..., inputs=...) in "
            f"{model.where}",
        )
    return None


def _definition(function: Callable[..., Any]) -> str:
    """The line where a function or class begins, if it has source."""
    try:
        line = inspect.getsourcelines(function)[1]
        return Frame(inspect.getsourcefile(function) or "", line).where
    except (OSError, TypeError):
        return ""


def _describe(value: object) -> str:
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__qualname__}"
    if inspect.isroutine(value):
        return f"the function {value.__name__}"
    kind = type(value).__qualname__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
