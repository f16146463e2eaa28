"""Compiled PyTorch models in Python: rules_torch's runtime.

`py_torch_library` makes a module of a model; `load` takes the shared library that
`cc_torch_shared_library` made. Neither this nor a model's module imports torch or numpy,
and a model's library is loaded with its first instance.
"""

import os
import sys

# What is compiled may lie below another root, as generated files do in Bazel's actions.
# (pkgutil.extend_path does the same, and imports much.)
_folders = (os.path.join(root, __name__) for root in sys.path)
__path__ += [each for each in _folders if each not in __path__ and os.path.isdir(each)]

from rtorch._model import Model, load  # noqa: E402 (found by the lines above)
from rtorch._native import Tensor  # noqa: E402

__all__ = ["Model", "Tensor", "load"]
