"""Writes a model's weights as a .safetensors file that runtime/internal/weights_file.h reads.

The file is an ordinary one, which other tools open. What makes it a build's own is in its
metadata: digests, and strides or a packing where the kernels want them otherwise than
row-major.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import BinaryIO

import torch

from aot_common.errors import fail
from torch_aot.weight_packing import Packing

_ALIGNMENT = 64  # of the data in the file; safetensors.cc's users rely on it
_FORMAT = "1"  # weights_file.cc's too
_METADATA = "__metadata__"

# The names of safetensors, and the values of c10::ScalarType, RTorchDType's among them.
# ElementType of safetensors.cc has the same.
_DTYPES = {
    torch.bool: ("BOOL", 11),
    torch.uint8: ("U8", 0),
    torch.int8: ("I8", 1),
    torch.float8_e5m2: ("F8_E5M2", 23),
    torch.float8_e4m3fn: ("F8_E4M3", 24),
    torch.int16: ("I16", 2),
    torch.uint16: ("U16", 27),
    torch.float16: ("F16", 5),
    torch.bfloat16: ("BF16", 15),
    torch.int32: ("I32", 3),
    torch.uint32: ("U32", 28),
    torch.float32: ("F32", 6),
    torch.int64: ("I64", 4),
    torch.uint64: ("U64", 29),
    torch.float64: ("F64", 7),
    torch.complex64: ("C64", 9),
}


@dataclasses.dataclass(frozen=True)
class WeightSpec:
    """A weight: what RTorchWeightSpec says of it.

    Attributes:
        name: As in the module's state dict.
        dtype: Its element type.
        sizes: Its shape.
        strides: In elements, as the kernels want them.
        offset: Of its first byte in the file's data.
        bytes: From its first element to its last, gaps included.
        is_mutable: Whether a run changes it.
        packing: RTorchWeightSpec.packing: 0 if the strides say how it lies.
    """

    name: str
    dtype: torch.dtype
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    bytes: int
    is_mutable: bool
    packing: int = 0

    @property
    def dtype_value(self) -> int:
        """The dtype as an RTorchDType, or another value of c10::ScalarType."""
        return _DTYPES[self.dtype][1]


@dataclasses.dataclass(frozen=True)
class WeightsFile:
    """A weights file, not yet written. It shares the tensors' memory.

    Attributes:
        specs: In the order in which the weights were given.
        fingerprint: BLAKE2b-256 of the specs and the data, in hexadecimal.
        size: Of the data, in bytes.
        header: What comes before the data; as long as a multiple of 64.
    """

    specs: tuple[WeightSpec, ...]
    fingerprint: str
    size: int
    header: bytes
    _pieces: tuple[torch.Tensor, ...] = dataclasses.field(repr=False, compare=False)

    def write(self, file: BinaryIO) -> None:
        """Writes header and data, with no second copy of the whole in memory."""
        file.write(self.header)
        for piece in self._pieces:
            file.write(piece.numpy())


def pack(
    weights: Sequence[tuple[str, torch.Tensor, bool]],
    *,
    packings: Mapping[str, Packing] | None = None,
    where: str = "",
) -> WeightsFile:
    """Lays out a file of weights; equal weights give equal bytes.

    Args:
        weights: Names as in the state dict, each once; tensors on the CPU with the
            strides that the kernels want; whether a run changes them.
        packings: By names, of tensors that are packed.
        where: What errors name: the model's source.

    Raises:
        UserError: A name or a dtype cannot be in such a file.
    """
    _reject(weights, where)
    tensors = {name: tensor.detach() for name, tensor, _ in weights}
    mutable = {name for name, _, is_mutable in weights if is_mutable}
    memory = {name: _memory(tensor) for name, tensor in tensors.items()}
    packings = packings or {}
    metadata = {"rules_torch.format": _FORMAT, "rules_torch.byte_order": "little"}
    header: dict[str, object] = {_METADATA: metadata}
    specs = {}
    offset = 0
    for name in _file_order(tensors, memory):
        tensor, data = tensors[name], memory[name]
        header[name] = {
            "dtype": _DTYPES[tensor.dtype][0],
            "shape": _stored_shape(tensor),
            "data_offsets": [offset, offset + data.nbytes],
        }
        digest = hashlib.blake2b(data.numpy(), digest_size=32).hexdigest()
        metadata[f"rules_torch.digest.{name}"] = digest
        if not tensor.is_contiguous():
            strides = ",".join(map(str, tensor.stride()))
            metadata[f"rules_torch.strides.{name}"] = strides
        packing = packings.get(name)
        if packing is not None:
            metadata[f"rules_torch.packing.{name}"] = str(packing)
        unpacked = torch.empty(packing.sizes, device="meta") if packing else tensor
        specs[name] = WeightSpec(
            name=name,
            dtype=tensor.dtype,
            sizes=tuple(unpacked.shape),
            strides=unpacked.stride(),
            offset=offset,
            bytes=data.nbytes,
            is_mutable=name in mutable,
            packing=packing.number if packing else 0,
        )
        offset += data.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    start = len(text).to_bytes(8, "little") + text
    in_order = tuple(specs[name] for name in tensors)
    return WeightsFile(
        specs=in_order,
        fingerprint=_fingerprint(in_order, start),
        size=offset,
        header=start,
        _pieces=tuple(memory[name] for name in specs),
    )


def _dense_order(tensor: torch.Tensor) -> list[int] | None:
    """The dimensions in the order of memory; None if there are gaps or overlaps."""
    if tensor.is_contiguous():
        return list(range(tensor.dim()))
    order = sorted(range(tensor.dim()), key=lambda dim: -tensor.stride(dim))
    return order if tensor.permute(order).is_contiguous() else None


def _stored_shape(tensor: torch.Tensor) -> list[int]:
    """The shape in the file; StoredShape of weights_file.cc says the same."""
    order = _dense_order(tensor)
    return [_extent(tensor)] if order is None else [tensor.shape[dim] for dim in order]


def _reject(weights: Sequence[tuple[str, torch.Tensor, bool]], where: str) -> None:
    names = [name for name, _, _ in weights]
    if len({*names}) < len(names):
        raise AssertionError(f"a name comes twice: {sorted(names)}")
    for name, tensor, _ in weights:
        if name == _METADATA:
            fail(
                f"a parameter or buffer has the name {name!r}, which .safetensors files "
                "use otherwise",
                where=where,
                fix="give it another name",
            )
        if tensor.dtype not in _DTYPES:
            dtype = str(tensor.dtype).removeprefix("torch.")
            fail(
                f"the parameter or buffer {name!r} is of {dtype}, which weights files "
                "cannot hold",
                where=where,
                fix="convert it, or compute it in forward(); for complex numbers, "
                "register torch.view_as_real(x)",
            )


def _extent(tensor: torch.Tensor) -> int:
    """How many elements lie from the first to the last, both included."""
    if tensor.numel() == 0:
        return 0
    return 1 + sum(
        (size - 1) * stride
        for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )


def _memory(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of a tensor as they lie in memory; of one dimension, copied for gaps."""
    extent = _extent(tensor)
    data = tensor.as_strided((extent,), (1,)).view(torch.uint8)
    if _dense_order(tensor) is not None:
        return data
    gaps = torch.ones(extent, dtype=torch.bool)
    places = torch.arange(extent).as_strided(tensor.shape, tensor.stride())
    gaps[places.flatten()] = False
    if gaps.any():
        # What lies there is no weight, and may differ between builds.
        data = data.view(extent, -1).masked_fill(gaps[:, None], 0).flatten()
    return data


def _file_order(
    tensors: Mapping[str, torch.Tensor], memory: Mapping[str, torch.Tensor]
) -> list[str]:
    """An order without holes in which each tensor is aligned for its elements.

    Those of a multiple of 64 bytes come first, so that these, the large ones among them,
    are aligned to 64 bytes.
    """
    whole = [name for name in memory if memory[name].nbytes % _ALIGNMENT == 0]
    rest = [name for name in memory if memory[name].nbytes % _ALIGNMENT]
    return whole + sorted(rest, key=lambda name: -tensors[name].element_size())


def _fingerprint(specs: Sequence[WeightSpec], header: bytes) -> str:
    # The header has the data's digests; the specs have no order there.
    digest = hashlib.blake2b(header, digest_size=32)
    for spec in specs:
        digest.update(repr(dataclasses.astuple(spec)).encode())
    return digest.hexdigest()
