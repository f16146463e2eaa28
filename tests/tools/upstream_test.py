"""What the tool takes of torch, and which of torch's faults are still there.

A test of a mend shows the fault without it. One that fails says that torch has
repaired it: delete the mend and the test.
"""

import re

import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.nn import functional as F

from torch_aot import upstream


class Checked(nn.Module):
    """What kernel_checks.py writes other code for."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(4, 8)

    def forward(self, a, b, ids, n):
        size = n.item()
        torch._check(size >= 0)
        return (
            a % b,
            torch.div(a, b, rounding_mode="trunc"),
            F.pad(a // b, (3, 2)),
            self.table(ids),
            a[: 12 // size] + 0,
        )


@pytest.fixture(scope="module")
def unmended():
    """The wrapper and the kernels as torch alone generates them, for AVX2."""
    generated = []

    def intercept(cls, graph, wrapper, kernels, *_, **__):
        generated.append((wrapper, kernels))
        return ""

    inputs = (torch.arange(13), torch.arange(1, 14), torch.arange(4), torch.tensor(3))
    ids = Dim("ids", min=2, max=4096)
    program = torch.export.export(
        Checked(), inputs, dynamic_shapes=(None, None, {0: ids}, None)
    )
    with (
        upstream.mended(
            *upstream.vector_isa("VecAVX2"), upstream.code_compiler(intercept)
        ),
        torch.no_grad(),
    ):
        options = {
            "aot_inductor.package": True,
            "aot_inductor.package_cpp_only": True,
            "fx_graph_cache": False,
            "cpp.threads": 16,
            "cpp.dynamic_threads": True,
        }
        upstream.aot_compile(program.module(), inputs, {}, options)
    return generated[0]


def test_divisors_of_all_threads_share_a_flag(unmended):
    assert "inductor_cpu_integer_div_error_flag = &" in unmended[1]


def test_index_checks_throw_out_of_parallel_loops(unmended):
    (kernel,) = (k for k in unmended[1].split('extern "C"') if "AOTI_TORCH_CHECK" in k)
    assert "#pragma omp parallel" in kernel
    assert "try" not in kernel


def test_a_remainder_divides_by_what_lies_past_the_end(unmended):
    *_, divisor = re.findall(r"remainder_integral\(\w+, (.*)\);", unmended[1])
    assert "::set(" not in divisor


def test_a_truncating_division_traps(unmended):
    assert re.search(r"auto \w+ = tmp\d+ / decltype\(tmp\d+\)::set\(", unmended[1])


def test_a_masked_division_divides_by_what_the_mask_leaves_out(unmended):
    masked = re.findall(
        r"\w+\.template cast<float,1>\(\)\.template loadu.*\n.*"
        r"floor_divide_integral\(\w+, decltype\(\w+\)::set\(.*\)\);",
        unmended[1],
    )
    assert masked


def test_a_division_of_sizes_fails_with_a_backtrace(unmended):
    assert re.search(r'AOTI_TORCH_CHECK\(\w+ != 0, "Integer', unmended[0])


def test_a_name_that_torch_lacks_is_said():
    patch = upstream.Patch("torch:no_such_name", lambda original: original, "a test")
    with (
        pytest.raises(AssertionError, match=r"torch 2\S+ has no torch\.no_such_name;"),
        upstream.patched(patch),
    ):
        pass


def test_a_patch_lasts_as_long_as_its_context():
    name = "torch.export:Dim.__name__"
    before = upstream.torch.export.Dim
    patch = upstream.Patch("torch.export:Dim", lambda original: (original,), name)
    with upstream.patched(patch, patch):
        assert upstream.torch.export.Dim == ((before,),)
    assert upstream.torch.export.Dim is before
