"""The GPU architectures that kernels are compiled for."""

from __future__ import annotations

import dataclasses

from aot_common.errors import fail

# Bytes of shared memory (LDS) that one program can have. NVIDIA: "Maximum amount of
# shared memory per thread block" of the CUDA C++ Programming Guide's table of compute
# capabilities; AMD: the LDS of a workgroup in LLVM's AMDGPU guide.
_SHARED_MEMORY = {
    "sm_75": 65536,
    "sm_80": 166912,
    "sm_86": 101376,
    "sm_87": 166912,
    "sm_89": 101376,
    "sm_90": 232448,
    "sm_100": 232448,
    "sm_103": 232448,
    "sm_120": 101376,
    "sm_121": 101376,
    "gfx90a": 65536,
    "gfx942": 65536,
    "gfx950": 163840,
    "gfx1100": 65536,
    "gfx1101": 65536,
    "gfx1200": 65536,
    "gfx1201": 65536,
}
# What Triton compiles for 9.0 and above is specific to the architecture (sm_90a), in
# PTX too: as a fallback for newer devices it is of no use.
_NEWEST_PTX = 89


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What a kernel is compiled to.

    Attributes:
        name: "sm_90" (a cubin), "compute_80" (PTX, which the driver compiles when it
            loads it) or "gfx942" (an hsaco).
        format: "cubin", "ptx" or "hsaco": a key of Triton's results.
        number: 90 for sm_90 and compute_90; 0 for AMD.
        shared_memory: Bytes that one program can have.
    """

    name: str
    format: str
    number: int
    shared_memory: int

    @property
    def warp_size(self) -> int:
        """Threads of a warp, or of a wavefront."""
        return 64 if self.name.startswith("gfx9") else 32


def parse(name: str, label: str) -> Architecture:
    """Finds an architecture by its name.

    Args:
        name: As above.
        label: The target that asks for it, for the error.
    """
    real = name.replace("compute_", "sm_")
    if real not in _SHARED_MEMORY:
        fail(
            f"there is no GPU architecture {name!r} that Triton and its assembler know",
            where=label,
            fix=f"give one of {', '.join(_SHARED_MEMORY)}, or compute_80 for PTX, in "
            "`architectures` or --@rules_torch//rules:gpu_architectures",
        )
    shared = _SHARED_MEMORY[real]
    if real.startswith("gfx"):
        return Architecture(name, "hsaco", 0, shared)
    number = int(real.removeprefix("sm_"))
    if real == name:
        return Architecture(name, "cubin", number, shared)
    if number > _NEWEST_PTX:
        fail(
            f"PTX for {name} runs on that architecture alone: Triton compiles it for "
            f"sm_{number}a",
            where=label,
            fix=f"give sm_{number}; as a fallback for newer GPUs give compute_80",
        )
    return Architecture(name, "ptx", number, shared)
