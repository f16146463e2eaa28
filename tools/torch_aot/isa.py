"""The instruction sets that code is generated for, by the names that Bazel uses.

`rules/private/target.bzl` has the compiler flags that go with each.
"""

from __future__ import annotations

# Name -> what upstream.vector_isa calls it.
ISAS = {
    "x86-64-v2": None,
    "x86-64-v3": "VecAVX2",
    "x86-64-v4": "VecAVX512",
    "x86-64-v4-amx": "VecAMX",
    "aarch64": "VecNEON",
}
