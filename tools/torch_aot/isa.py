"""The instruction sets that code is generated for, by the names that Bazel uses.

`rules/private/target.bzl` has the compiler flags that go with each.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

# Name -> class in torch._inductor.cpu_vec_isa; None: no explicit vectors.
ISAS = {
    "x86-64-v2": None,
    "x86-64-v3": "VecAVX2",
    "x86-64-v4": "VecAVX512",
    "x86-64-v4-amx": "VecAMX",
    "aarch64": "VecNEON",
}


@contextlib.contextmanager
def pinned(isa: str) -> Iterator[None]:
    """Makes Inductor generate for `isa`, whatever the build machine has.

    Inductor asks `pick_vec_isa`, and offers only what a probe finds here. Every
    module that imported the function holds a reference of its own.
    """
    import torch._inductor.compile_fx  # noqa: F401 (first: the others import in circles)
    from torch._inductor import codecache, cpu_vec_isa
    from torch._inductor.codegen import cpp, cpp_micro_gemm

    class_name = ISAS[isa]
    if class_name is None:
        picked: Any = cpu_vec_isa.invalid_vec_isa
    else:
        picked = type(
            class_name,
            (getattr(cpu_vec_isa, class_name),),
            {
                "__bool__": lambda self: True,  # without it: the probe
                "__hash__": cpu_vec_isa.VecISA.__hash__,
            },
        )()

    def pick() -> Any:
        return picked

    def valid() -> list[Any]:
        return [picked] if picked else []

    patches = []
    for module in (cpu_vec_isa, codecache, cpp, cpp_micro_gemm):
        for name, replacement in (
            ("pick_vec_isa", pick),
            ("valid_vec_isa_list", functools.cache(valid)),
        ):
            if hasattr(module, name):
                patches.append((module, name, getattr(module, name)))
                setattr(module, name, replacement)
    try:
        yield
    finally:
        for module, name, original in patches:
            setattr(module, name, original)
