"""The runtimes that generated code can stand on, and what each has.

AOTInductor's code calls C functions, the shims, for all that is no kernel of its own:
handles, memory, operators.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import torch
from torch.fx import GraphModule

from aot_common import cpp
from torch_aot import (
    complex_views,
    decompositions,
    dispatched_operators,
    fused_operators,
    fusion,
    recurrent,
    weight_layouts,
    weight_packing,
)
from torch_aot.upstream import Patch, decomposing, with_shims

_STANDALONE = "runtime/standalone"


@dataclasses.dataclass(frozen=True)
class Runtime:
    """What a model's generated code is compiled against.

    Attributes:
        name: As in rules and on command lines.
        header: What its wrappers include first.
        shims: The shims that it has, without "aoti_torch_"; None: all that torch has.
        operators: Of shims that call operators, the family: `FAMILY_shims.h` has them,
            and `operators/FAMILY.cc` what they call. A wrapper includes those that it
            calls: without optimisation the linker would want the operators of all.
        c_shims: Operators without a shim in torch, and how theirs are declared.
        call_operator: The header with which wrappers call the user's operators.
        has_ops: Whether these are there: by the dispatcher, or as C functions.
        passes: What changes a graph before Inductor lowers it, in this order.
        patches: What of torch's is replaced for its code generation.
    """

    name: str
    header: str
    shims: frozenset[str] | None = None
    operators: dict[str, str] = dataclasses.field(default_factory=dict)
    c_shims: dict[Any, list[str]] = dataclasses.field(default_factory=dict)
    call_operator: str = "runtime/libtorch/call_operator.h"
    has_ops: bool = True
    passes: tuple[Callable[[GraphModule], None], ...] = (weight_layouts.lay_out,)
    patches: tuple[Patch, ...] = ()

    def lacking(self, wrapper: str) -> list[str]:
        """What a wrapper calls and the runtime does not have: shims, users' operators."""
        if self.shims is None:
            return []
        code = cpp.code_alone(wrapper)
        called = set(re.findall(r"\baoti_torch_(\w+)\s*\(", code))
        shims = [f"aoti_torch_{name}" for name in sorted(called - self.shims)]
        return shims + ([] if self.has_ops else dispatched_operators.called(wrapper))

    def includes(self, isa: str, wrapper: str) -> str:
        """The start of a wrapper for an instruction set."""
        text = f'#include "{self.header}"'
        if self.operators:
            # Whose operators runtime/standalone/operators.h names.
            text = f"#define RTORCH_ISA {isa.replace('-', '_')}\n{text}"
        for family in self._families(wrapper):
            text += f'\n#include "{_STANDALONE}/{family}_shims.h"'
        if dispatched_operators.called(wrapper):
            text += f'\n#include "{self.call_operator}"'
            if self.shims is not None:
                text += f"\n\n{dispatched_operators.c_functions(wrapper)}"
        return text

    def _families(self, wrapper: str) -> list[str]:
        # Each wrapper declares the shims of `c_shims`, whether it calls them or not.
        return sorted(
            {
                family
                for name, family in self.operators.items()
                if re.search(rf"(?<!AOTITorchError )\baoti_torch_{name}\b", wrapper)
            }
        )


_DTYPES = "bfloat16 bool float16 float32 float64 int16 int32 int64 int8 uint8".split()
_SCALARS = [dtype for dtype in _DTYPES if dtype not in ("bfloat16", "float16")]

# Of torch's operators without a shim in torch.
_C_SHIMS = {
    torch.ops.aten._fft_c2r.default: [
        "AOTITorchError aoti_torch_cpu__fft_c2r(AtenTensorHandle self, "
        "const int64_t* dim, int64_t dim_len, int64_t normalization, "
        "int64_t last_dim_size, AtenTensorHandle* ret0)"
    ]
}

# Inductor's own decomposition has another algorithm for other sizes.
_ISIN = torch.ops.aten.isin.Tensor_Tensor

LIBTORCH = Runtime(
    "libtorch",
    "runtime/libtorch/aoti_runtime.h",
    patches=(decomposing({_ISIN: decompositions.TABLE[_ISIN]}),),
)

# Of the standalone runtime: by shim, the family of the operator that it calls.
_OPERATORS = {
    "cpu__adaptive_avg_pool2d": "pooling",
    "cpu__adaptive_avg_pool3d": "pooling",
    "cpu__embedding_bag": "bags",
    "cpu__embedding_bag_forward_only": "bags",
    "cpu__fft_c2c": "fourier",
    "cpu__fft_c2r": "fourier",
    "cpu__fft_r2c": "fourier",
    "cpu__scaled_dot_product_flash_attention_for_cpu": "attention",
    "cpu_abs": "complex",
    "cpu_adaptive_max_pool2d": "pooling",
    "cpu_adaptive_max_pool3d": "pooling",
    "cpu_addmm_out": "matmul",
    "cpu_avg_pool2d": "pooling",
    "cpu_avg_pool3d": "pooling",
    "cpu_bmm_out": "matmul",
    "cpu_bucketize_Tensor": "search",
    "cpu_convolution": "convolution",
    "cpu_cummax": "cumulative",
    "cpu_cummin": "cumulative",
    "cpu_cumprod": "cumulative",
    "cpu_cumsum": "cumulative",
    "cpu_logcumsumexp": "cumulative",
    "cpu_max_pool2d_with_indices": "pooling",
    "cpu_max_pool3d_with_indices": "pooling",
    "cpu_mm_out": "matmul",
    "cpu_recurrent_layer": "recurrent",
    "cpu_rtorch_convolution_out": "convolution",
    "cpu_rtorch_matmul_out": "matmul",
    "cpu_searchsorted_Tensor": "search",
    "cpu_sort_stable": "sort",
    "cpu_topk": "sort",
}

STANDALONE = Runtime(
    "standalone",
    "runtime/standalone/aoti_runtime.h",
    call_operator="runtime/standalone/call_operator.h",
    has_ops=False,
    passes=(
        complex_views.cancel,
        fusion.fuse,
        weight_packing.pack,
        weight_layouts.lay_out,
    ),
    patches=(
        decomposing(decompositions.TABLE),
        fused_operators.lowerings(),
        with_shims(_C_SHIMS),
    ),
    c_shims=recurrent.C_SHIMS | _C_SHIMS,
    operators=_OPERATORS,
    # runtime/standalone/*shims.h define them; a test compares.
    shims=frozenset(
        [
            *_OPERATORS,
            "_reinterpret_tensor",
            "as_strided",
            "assign_tensors",
            "assign_tensors_out",
            "clone",
            "clone_preserve_strides",
            "copy_",
            "cpu_cat",
            "cpu_index_Tensor",
            "cpu_masked_scatter",
            "cpu_masked_select",
            "cpu_nonzero",
            "cpu_permute",
            "cpu_repeat_interleave_Tensor",
            "cpu_scatter_reduce_two_out",
            "cpu_slice_Tensor",
            "cpu_squeeze_dim",
            "cpu_view_as_complex",
            "cpu_view_as_real",
            "create_tensor_from_blob_v2",
            "delete_tensor_object",
            "device_type_cpu",
            "device_type_cuda",
            "dtype_complex128",
            "dtype_complex64",
            "dtype_element_size",
            "empty_strided",
            "get_data_ptr",
            "get_device_index",
            "get_device_type",
            "get_dim",
            "get_dtype",
            "get_numel",
            "get_size",
            "get_sizes",
            "get_storage_offset",
            "get_stride",
            "get_strides",
            "index_put_out",
            "layout_strided",
            "new_tensor_handle",
            "zero_",
            *(f"dtype_{dtype}" for dtype in _DTYPES),
            *(f"item_{dtype}" for dtype in _SCALARS),
            *(f"scalar_to_tensor_{dtype}" for dtype in _SCALARS),
        ]
    ),
)

RUNTIMES = {runtime.name: runtime for runtime in (LIBTORCH, STANDALONE)}
