"""What the tool takes of torch, and which of torch's faults are still there.

A test of a mend shows the fault without it. One that fails says that torch has
repaired it: delete the mend and the test.
"""

import inspect
import itertools
import json
import re

import pytest
import torch
import torch._inductor.compile_fx  # first: Inductor's modules import one another
from torch import nn
from torch.export import Dim
from torch.fx.experimental.proxy_tensor import make_fx
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


def _code(module, inputs, patched, dynamic_shapes=None):
    """The wrapper and the kernels as torch generates them, for AVX2.

    Args:
        patched: upstream.patched, for torch alone, or upstream.mended.
    """
    generated = []

    def intercept(cls, graph, wrapper, kernels, *_, **__):
        generated.append((wrapper, kernels))
        return ""

    program = torch.export.export(module, inputs, dynamic_shapes=dynamic_shapes)
    with (
        patched(*upstream.vector_isa("VecAVX2"), upstream.code_compiler(intercept)),
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


@pytest.fixture(scope="module")
def unchecked():
    """Generated with all mends, without the patches of kernel_checks."""
    inputs = (torch.arange(13), torch.arange(1, 14), torch.arange(4), torch.tensor(3))
    ids = Dim("ids", min=2, max=4096)
    return _code(Checked(), inputs, upstream.mended, (None, None, {0: ids}, None))


class Averaged(nn.Module):
    def forward(self, x):
        return torch.var_mean(x)


def test_the_mean_of_nothing_is_0():
    quotients = [
        _code(Averaged(), (torch.ones(0, 3),), patched)[1].count("tmp0 / tmp0")
        for patched in (upstream.patched, upstream.mended)
    ]
    assert quotients == [1, 2]  # the variance alone, and the mean, too


def test_divisors_of_all_threads_share_a_flag(unchecked):
    assert "inductor_cpu_integer_div_error_flag = &" in unchecked[1]


def test_index_checks_throw_out_of_parallel_loops(unchecked):
    (kernel,) = (k for k in unchecked[1].split('extern "C"') if "AOTI_TORCH_CHECK" in k)
    assert "#pragma omp parallel" in kernel
    assert "try" not in kernel


def test_a_remainder_divides_by_what_lies_past_the_end(unchecked):
    *_, divisor = re.findall(r"remainder_integral\(\w+, (.*)\);", unchecked[1])
    assert "::set(" not in divisor


def test_a_truncating_division_traps(unchecked):
    assert re.search(r"auto \w+ = tmp\d+ / decltype\(tmp\d+\)::set\(", unchecked[1])


def test_a_masked_division_divides_by_what_the_mask_leaves_out(unchecked):
    masked = re.findall(
        r"\w+\.template cast<float,1>\(\)\.template loadu.*\n.*"
        r"floor_divide_integral\(\w+, decltype\(\w+\)::set\(.*\)\);",
        unchecked[1],
    )
    assert masked


def test_a_division_of_sizes_fails_with_a_backtrace(unchecked):
    assert re.search(r'AOTI_TORCH_CHECK\(\w+ != 0, "Integer', unchecked[0])


def test_a_name_that_torch_lacks_is_said():
    patch = upstream.Patch("torch:no_such_name", lambda original: original, "a test")
    with (
        pytest.raises(AssertionError, match=r"torch 2\S+ has no torch\.no_such_name;"),
        upstream.patched(patch),
    ):
        pass


def test_a_patch_lasts_as_long_as_its_context():
    before = torch.export.Dim
    patch = upstream.Patch("torch.export:Dim", lambda original: (original,), "a test")
    with upstream.patched(patch, patch):
        assert torch.export.Dim == ((before,),)
    assert torch.export.Dim is before


def _attention(number):
    """Pattern `number` of Inductor: what it looks for, what replaces it, and inputs."""
    from torch._inductor.fx_passes import fuse_attention

    name = f"_sfdp_pattern_{number}_inference"
    rule = dict(fuse_attention._get_sfdp_patterns())[name]
    numbers = {"inv_scale": 2.0, "scale_factor": 0.5, **rule["scalar_workaround"]}
    names = inspect.signature(rule["search_fn"]).parameters
    inputs = {
        parameter: numbers[parameter]
        if parameter in numbers
        else torch.randn(next(examples).shape)
        for examples in [iter(rule["example_inputs"])]
        for parameter in names
    }
    return rule["search_fn"], rule["replace_fn"], inputs


SEGMENTS = torch.tensor([[0.0, 1.0, 2.0, 2.0], [3.0, 0.0, 1.0, 1.0]])
CAUSAL = torch.ones(8, 8, dtype=torch.bool).tril(-1)[None, None]


@pytest.mark.parametrize(
    ("number", "masks"),
    [
        (15, {"attn_mask": SEGMENTS}),
        (17, {"attn_mask": SEGMENTS}),
        (18, {"causal_mask": torch.zeros(2, 1, 1, 4, dtype=torch.bool)}),
        (19, {"causal_mask": CAUSAL}),
        (20, {"attn_mask": SEGMENTS}),
        (25, {"attn_mask": SEGMENTS.bool()[:, None, None]}),
        (26, {"attn_mask": SEGMENTS.bool()[:, None, None]}),
    ],
)
def test_attention_is_replaced_by_the_same(number, masks):
    def differ():
        search, replace, inputs = _attention(number)
        inputs |= masks
        found, replaced = search(*inputs.values()), replace(*inputs.values())
        return not torch.allclose(*map(_first, (found, replaced)), atol=1e-5)

    assert differ(), "torch has repaired it"
    with upstream.mended():
        assert not differ()


def _first(results):
    return results[0] if isinstance(results, tuple) else results


@pytest.mark.parametrize(
    ("operator", "mode", "rank", "faulty"),
    [
        ("upsample_linear1d", "linear", 1, True),
        ("upsample_bilinear2d", "bilinear", 2, True),
        ("upsample_trilinear3d", "trilinear", 3, True),
        ("upsample_bicubic2d", "bicubic", 2, False),
        ("upsample_nearest1d", "nearest", 1, False),
        ("upsample_nearest2d", "nearest", 2, True),
        ("upsample_nearest3d", "nearest", 3, True),
        ("_upsample_nearest_exact2d", "nearest-exact", 2, False),
    ],
)
def test_images_are_resized_as_in_eager(operator, mode, rank, faulty):
    """Whatever their size, and whichever kernel eager takes for it."""
    overload = getattr(torch.ops.aten, operator).vec
    composite = torch._C.DispatchKey.CompositeImplicitAutograd
    align = [] if "nearest" in mode else [False]
    layouts = {2: torch.channels_last, 3: torch.channels_last_3d}

    def differ():
        decomposed = (
            torch._decomp.decomposition_table.get(overload)
            or overload.py_kernels[composite]
        )
        cases = itertools.product(
            (1, 3, 4),  # channels
            (1, 2, 3, 7, *[70] * (rank == 2)),
            (0.6, 1.0, 1.01, 1.1, 1.3, 2.0, 2.01, 2.3),
            {torch.contiguous_format, layouts.get(rank, torch.contiguous_format)},
        )
        for channels, size, scale, layout in cases:
            image = torch.rand(1, channels, *[size] * rank).to(memory_format=layout)
            if int(size * scale) == 0:
                continue
            expected = F.interpolate(image, scale_factor=scale, mode=mode)
            found = decomposed(image, None, *align, [scale] * rank)
            if not torch.allclose(found, expected, atol=1e-4):
                return True
        return False

    assert differ() == faulty, "torch has changed it"
    with upstream.mended():
        assert not differ()


@pytest.mark.parametrize(
    "function",
    [
        lambda x, index: x.index_add(0, index, torch.ones(1, 3)),
        lambda x, index: x.index_copy(0, index, torch.ones(1, 3)),
        lambda x, index: x.index_select(0, index),
        lambda x, index: F.max_unpool2d(
            x[None, :1, :1, None], index.view(1, 1, 1, 1), 2
        ),
    ],
)
def test_indices_that_eager_refuses(function):
    def refuses(index):
        try:
            _decomposed(function, torch.rand(4, 3), torch.tensor([index]))
        except IndexError:
            return True
        return False

    x = torch.rand(4, 3)
    with pytest.raises((IndexError, RuntimeError)):
        function(x, torch.tensor([-1]))
    assert not refuses(-1), "torch has repaired it"
    with upstream.mended():
        assert [i for i in range(-9, 9) if not refuses(i)] == [0, 1, 2, 3]


def test_index_fill_counts_from_the_end_as_in_eager():
    x = torch.rand(4, 3)
    index = torch.tensor([-1, 0])
    with upstream.mended():
        filled = _decomposed(lambda x, i: x.index_fill(0, i, 5), x, index)
    assert torch.equal(filled, x.index_fill(0, index, 5))


def _decomposed(function, *inputs):
    """A function's result with the operators that Inductor makes of its own."""
    from torch._inductor import decomposition

    table = decomposition.fast_random_decomps()
    return make_fx(function, table)(*inputs)(*inputs)


ATTENTION = """
    import torch
    from torch import nn
    from torch_aot import Model

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("scale", torch.tensor(4.0))

        def forward(self, q, k, v, mask):
            return torch.softmax(q @ k.transpose(-2, -1) / {scale} + mask, -1) @ v

    def net():
        q, k, v = torch.randn(3, 2, 4, 8, 16)
        return Model(Net(), (q, k, v, torch.randn(1, 1, 8, 8)))
"""
EXPORT = "export model.py:net --program=OUT/m.pt2 --signature=OUT/m.json".split()
CODEGEN = (
    "codegen OUT/m.pt2 OUT/m.json --label=//:m --id=m --class=M --out=OUT/m.h".split()
)
ATTENDS = "_scaled_dot_product_flash_attention_for_cpu"


def _generate(write, tool, tmp_path, scale):
    write("model.py", ATTENTION.format(scale=scale))
    assert tool(*EXPORT).status == 0
    result = tool(*CODEGEN)
    manifest = tmp_path / "out" / "m.manifest.json"
    operators = json.loads(manifest.read_text())["runtime_operators"]
    return result, operators


def test_a_replacement_that_does_not_fit_is_left_out(
    write, tool, tmp_path, monkeypatch
):
    result, operators = _generate(write, tool, tmp_path, "self.scale")
    assert (result.status, result.output) == (0, "")
    assert ATTENDS not in operators

    mends = [mend for mend in upstream._MENDS if "PatternMatcherPass" not in mend.name]
    monkeypatch.setattr(upstream, "_MENDS", mends)
    result, _ = _generate(write, tool, tmp_path, "self.scale")
    assert result.status == 1, "torch has repaired it"


def test_a_replacement_that_fits_is_made(write, tool, tmp_path):
    _, operators = _generate(write, tool, tmp_path, "4.0")
    assert ATTENDS in operators


def test_what_a_condition_asks_for_is_computed(write, tool, tmp_path, monkeypatch):
    write(
        "model.py",
        """
        import torch
        from torch_aot import Model

        class Net(torch.nn.Module):
            def forward(self, x, flag):
                positive = flag.item() > 0
                return torch.cond(positive, lambda x: 2 * x, lambda x: x + 1, (x,))

        def net():
            return Model(Net(), (torch.randn(3), torch.tensor(1)))
        """,
    )
    assert tool(*EXPORT).status == 0
    result = tool(*CODEGEN)
    assert (result.status, result.output) == (0, "")

    mends = [mend for mend in upstream._MENDS if "free" not in mend.name]
    monkeypatch.setattr(upstream, "_MENDS", mends)
    result = tool(*CODEGEN)
    assert result.status == 1, "torch has repaired it"
    assert result.text.startswith(
        "model.py:6: error: AOTInductor uses u0, a number that only the run knows, in "
        "code that does not compute it"
    )
