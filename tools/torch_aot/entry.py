"""Finds and calls the user's entry function."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import types
from collections.abc import Mapping

import torch

from torch_aot import weights as weights_lib
from torch_aot.errors import UserError, explain, fail, shorten_path, user_frame
from torch_aot.model import Model


class Entry:
    """An entry function: `models/resnet.py:resnet18`.

    Attributes:
        path: The model file.
        function: The entry function's name.
    """

    def __init__(self, spec: str) -> None:
        path, colon, function = spec.rpartition(":")
        if not colon or not path.endswith(".py") or not function.isidentifier():
            fail(
                f"{spec!r} does not name an entry point",
                fix="write FILE.py:FUNCTION, e.g. models/resnet.py:resnet18",
            )
        self.path = path
        self.function = function

    def is_user_file(self, path: str) -> bool:
        """Whether a path is code of the user's, not of torch or of this tool."""
        path = os.path.abspath(path)
        own = os.path.dirname(os.path.abspath(__file__))
        return (
            path.endswith(".py")
            and f"{os.sep}site-packages{os.sep}" not in path
            and not path.startswith((own, sys.base_prefix + os.sep + "lib"))
            and os.path.basename(path) != "compile_model.py"
        )

    def explain(self, error: BaseException) -> UserError:
        """Turns an exception into a UserError that names the user's line."""
        if isinstance(error, UserError):
            error.where = error.where or shorten_path(self.path)
            return error
        where = user_frame(error, self.is_user_file)
        return explain(error, where or shorten_path(self.path))

    def load(self, weights: Mapping[str, torch.Tensor] | None, seed: int) -> Model:
        """Calls the entry function and loads the weights.

        Args:
            weights: The merged state dict of the declared weights files, or
                None. It goes to the entry's parameter `weights` if it has one,
                and otherwise strictly into the module.
            seed: Seeds torch's generator before the call, so that random
                initialisation is the same every time.

        Returns:
            The model, in eval mode.

        Raises:
            UserError: The file or the function is missing, the function fails
                or returns something else, or the weights do not fit.
        """
        function = getattr(self._import(), self.function, None)
        where = shorten_path(self.path)
        if not callable(function):
            fail(
                f"there is no function {self.function!r} in this file",
                where=where,
                fix="name an existing function as the entry",
            )
        where = f"{where}:{function.__code__.co_firstlineno}" if hasattr(
            function, "__code__"
        ) else where
        takes_weights = "weights" in inspect.signature(function).parameters
        torch.manual_seed(seed)
        try:
            model = function(weights=weights) if takes_weights else function()
        except Exception as error:
            raise self.explain(error) from error
        if not isinstance(model, Model):
            fail(
                f"{self.function}() returned {_describe(model)}, not a torch_aot.Model",
                where=where,
                fix="return Model(module, inputs=(...))",
            )
        if not isinstance(model.module, torch.nn.Module):
            fail(
                f"{self.function}() returned a Model whose module is "
                f"{_describe(model.module)}, not a torch.nn.Module",
                where=where,
                fix="wrap the computation in a torch.nn.Module",
            )
        if not isinstance(model.inputs, tuple | Mapping):
            fail(
                f"{self.function}() returned a Model whose inputs are "
                f"{_describe(model.inputs)}",
                where=where,
                fix="give a tuple of positional or a dict of keyword arguments: "
                "inputs=(x,)",
            )
        model.module.eval()
        if weights is not None and not takes_weights:
            weights_lib.load_strictly(model.module, weights, where)
        return model

    def _import(self) -> types.ModuleType:
        where = shorten_path(self.path)
        if not os.path.exists(self.path):
            fail("the file does not exist", where=where, fix="check the entry's path")
        name = os.path.splitext(where)[0].replace(os.sep, ".").strip(".")
        spec = importlib.util.spec_from_file_location(name, self.path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except ModuleNotFoundError as error:
            raise UserError(
                f"no module named {error.name!r}",
                where=user_frame(error, self.is_user_file) or where,
                fix="add the py_library that holds it to the rule's deps",
            ) from error
        except SyntaxError as error:
            raise UserError(
                f"SyntaxError: {error.msg}",
                where=f"{shorten_path(error.filename or where)}:{error.lineno}",
            ) from error
        except Exception as error:
            raise self.explain(error) from error
        return module


def _describe(value: object) -> str:
    return "None" if value is None else f"a {type(value).__qualname__}"
