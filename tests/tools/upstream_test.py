"""What the tool takes of torch, and which of torch's faults are still there.

A test of a mend shows the fault without it. One that fails says that torch has
repaired it: delete the mend and the test.
"""

import copy
import inspect
import itertools
import json
import re

import pytest
import torch
import torch._inductor.compile_fx  # first: Inductor's modules import one another
import torch.ao.quantization.fx._decomposed  # registers the operators
from torch import nn
from torch.export import Dim
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F
from torch.utils import _pytree as pytree

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


class _Stop(Exception):
    pass


def _rewritten(module, inputs, patched):
    """The graph that Inductor's passes make of a module; None: they fail.

    Args:
        patched: upstream.patched, for torch alone, or upstream.mended.
    """
    graphs = []

    def stop(original):
        def passes(graph, *args):
            original(graph, *args)
            graphs.append(graph)
            raise _Stop

        return passes

    program = torch.export.export(module, inputs)
    end = upstream.Patch("torch._inductor.compile_fx:post_grad_passes", stop, "a test")
    with patched(end), torch.no_grad(), pytest.raises(Exception) as failure:
        upstream.aot_compile(program.module(), inputs, {}, {"fx_graph_cache": False})
    assert graphs or not isinstance(failure.value, _Stop)
    return graphs[0] if graphs else None


class Called(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


class Kept(Called):
    """Calls a function on a buffer and inputs."""

    def __init__(self, function):
        super().__init__(function)
        self.register_buffer("buffer", torch.arange(4.0))

    def forward(self, *inputs):
        return self.function(self.buffer, *inputs)


def _run(function, inputs):
    """Results, or that there are none."""
    try:
        return pytree.tree_leaves(function(*inputs))
    except Exception:
        return None


def _differ(module, inputs, patched, values):
    """Whether eager gives others than the passes' graph."""
    expected = _run(copy.deepcopy(module), values)
    graph = _rewritten(module, inputs, patched)
    found = graph and _run(torch.fx.Interpreter(graph).run, values)
    if not found or not expected:
        return found != expected
    return not all(map(_same, expected, found))


def _same(a, b):
    error = 1e-12 if a.dtype == torch.float64 else 1e-4
    return a.dtype == b.dtype and torch.allclose(a, b, error, error, equal_nan=True)


def _below_maximum(scaled, alpha=1):
    return torch.sub(scaled, scaled.amax(-1, keepdim=True), alpha=alpha)


def _filled(value, dtype, sizes=(5,), result=None):
    return lambda x: x + torch.full(sizes, value, dtype=dtype).cumsum(-1, dtype=result)


BYTES = torch.tensor([[0, 30, 200]], dtype=torch.uint8)
ROW = torch.tensor([[0.31, 0.62, -0.99]])
SQUARE = torch.arange(9.0).view(3, 3)
UNEVEN = torch.tensor([[1e-3, 1.0]])
LARGE = torch.tensor([[3e38, -3e38, 1.0]])


@pytest.mark.parametrize(
    ("function", "inputs"),
    [
        (lambda x: F.softmax(x * 0.05, -1), [BYTES]),
        (lambda x: F.softmax(x / 20, -1), [BYTES]),
        (lambda x: _below_maximum((x * 10).int()), [ROW]),
        (lambda x: _below_maximum((x * 1e-5).half()), [1e6 * ROW]),
        (lambda x, y: _below_maximum(x * y), [UNEVEN, UNEVEN[:, 1:].double()]),
        (lambda x: _below_maximum(x * 1e-38), [LARGE]),
        (lambda x: _below_maximum(2 * x, alpha=2), [ROW]),
        (lambda x, y: torch.add(x @ y, y, alpha=2), [SQUARE, SQUARE]),
        (_filled(2, torch.bool), [torch.tensor([0])]),
        (_filled(1.5, torch.int64), [torch.tensor([0])]),
        (_filled(1.0, torch.int64), [torch.tensor([0])]),
        (_filled(1e-3, torch.float16, (70000,)), [torch.zeros(1).half()]),
        (_filled(1.0, torch.float32, ()), [torch.zeros(1)]),
        (_filled(1, torch.int64, result=torch.float64), [torch.tensor([0])]),
    ],
)
def test_a_pass_leaves_values_as_they_are(function, inputs):
    module, inputs = Called(function), tuple(inputs)
    assert _differ(module, inputs, upstream.patched, inputs), "torch has repaired it"
    assert not _differ(module, inputs, upstream.mended, inputs)


def test_a_scatter_refuses_indices():
    module = Called(lambda index: torch.ones(2, 3).scatter(1, index, 0.0))
    inputs = (torch.tensor([[0], [2]]),)
    beyond = (torch.tensor([[0], [3]]),)
    assert _differ(module, inputs, upstream.patched, beyond), "torch has repaired it"
    assert not _differ(module, inputs, upstream.mended, beyond)
    assert not _differ(module, inputs, upstream.mended, inputs)


@pytest.mark.parametrize(
    ("function", "shim"),
    [
        (
            lambda x, index, value: x.index_put((index > 0,), value),
            "aoti_torch_index_put_out",
        ),
        (
            lambda x, index, value: x.scatter_reduce(0, index, value, "amax"),
            "aoti_torch_cpu_scatter_reduce_two_out",
        ),
    ],
)
def test_an_operator_that_fails_ends_the_run(function, shim):
    module, inputs = Called(function), (torch.ones(4), torch.arange(4), torch.ones(4))
    wrapper, _ = _code(module, inputs, upstream.patched)
    assert re.search(rf"^ *{shim}\(", wrapper, re.MULTILINE), "torch has repaired it"
    wrapper, _ = _code(module, inputs, upstream.mended)
    call = re.search(rf"^ *(\S*\b){shim}\(.*\)(.*)$", wrapper, re.MULTILINE)
    assert call.groups() == ("AOTI_TORCH_ERROR_CODE_CHECK(", ";")


class Named(nn.Module):
    """Weights with the names of a keyword, an argument, a buffer and a size."""

    def __init__(self):
        super().__init__()
        for name in ("default", "stream", "buf0", "s0"):
            setattr(self, name, nn.Parameter(torch.randn(16)))

    def forward(self, x):
        return x.sort()[0] * self.default + self.stream + self.buf0 * self.s0


def test_weights_have_variables_of_their_own():
    names = ["default", "stream", "buf0", "s0"]
    for patched, variables in (
        (upstream.patched, names),
        (upstream.mended, [f"weight_{name}" for name in names]),
    ):
        wrapper, _ = _code(Named(), (torch.ones(16),), patched)
        assert re.findall(r"auto& (\w+) = constants_", wrapper) == variables
        assert re.findall(r'original_fqn = "(\w+)"', wrapper) == names


@pytest.mark.parametrize(
    "copied",
    [
        lambda buffer: buffer.clone(),
        lambda buffer: buffer.view(2, 2).repeat(1, 1),
        lambda buffer: torch.cat([buffer]),
        lambda buffer: F.pad(buffer, (0, 0)),
        lambda buffer: torch.zeros(4).copy_(buffer),
    ],
)
def test_a_copy_of_a_buffer_keeps_the_values(copied):
    module, inputs = _changed_after(copied), (torch.ones(4),)
    assert _differ(module, inputs, upstream.patched, inputs), "torch has repaired it"
    assert not _differ(module, inputs, upstream.mended, inputs)


def _changed_after(copied):
    """A module that changes its buffer and returns a copy that it made before."""

    def step(buffer, x):
        before = copied(buffer)
        buffer.add_(x)
        return before

    return Kept(step)


def _dequantized(x, *, least=0, most=255):
    arguments = (0.1, 3, least, most, x.dtype)
    return torch.ops.quantized_decomposed.dequantize_per_tensor(x, *arguments)


def _quantized(x, *, scale=0.1, least=0, most=255, dtype=torch.uint8):
    arguments = (scale, 3, least, most, dtype)
    return torch.ops.quantized_decomposed.quantize_per_tensor(x, *arguments)


HALF, WEIGHT = torch.ones(1, 4, 8).bfloat16(), torch.ones(6, 8, dtype=torch.int8)
SCALES = HALF[0, 0, :6].clone()
IMAGE = torch.ones(1, 2, 4, 4, dtype=torch.uint8)
WOQ, CAT = "_register_woq_lowering", "_register_quantized_cat_lowering"
POOL, SPLIT = "_register_quantized_maxpool2d_lowering", "cat_splitwithsizes_replace"


@pytest.mark.parametrize(
    ("handler", "function", "inputs", "right"),
    [
        (
            WOQ,
            lambda x, w, s: F.linear(x, w.to(x.dtype)) * s,
            [HALF, WEIGHT, SCALES],
            False,
        ),
        (
            POOL,
            lambda x: _quantized(F.max_pool2d(_dequantized(x), 2), scale=0.3),
            [IMAGE],
            False,
        ),
        (
            CAT,
            lambda x: _quantized(torch.cat([_dequantized(x), _dequantized(x + 1)], 1)),
            [IMAGE],
            True,
        ),
        (
            CAT,
            lambda x: _quantized(
                torch.cat([_dequantized(x), _dequantized(x + 1)], 1), most=127
            ),
            [IMAGE],
            False,
        ),
        (
            SPLIT,
            lambda x, y: torch.split(torch.cat([x, y], 1), [2, 2], 1),
            [ROW[:, :2].clone(), ROW[:, :2].clone()],
            True,
        ),
        (
            SPLIT,
            lambda x, y: torch.split(torch.cat([x, y], 1), [2, 2], 1),
            [BYTES[:, :2].clone(), ROW[:, :2].clone()],
            False,
        ),
    ],
)
def test_a_lowering_is_replaced_where_that_is_right(handler, function, inputs, right):
    """What comes of it, //tests/conformance:passes_test compares with eager."""
    module, inputs = Called(function), tuple(inputs)
    before = _handlers(module, inputs, upstream.patched)
    assert handler in before, "torch has repaired it"
    assert (handler in _handlers(module, inputs, upstream.mended)) == right


def _handlers(module, inputs, patched):
    """The functions that are to lower what patterns found, or have these in them."""
    graph = _rewritten(module, inputs, patched).graph
    names = [getattr(node.target, "__qualname__", "") for node in graph.nodes]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    ("handler", "copied"),
    [
        (
            "splitwithsizes_cat_replace",
            lambda buffer: torch.cat(torch.split(buffer.view(2, 2), [1, 1], 1), 1),
        ),
        (
            SPLIT,
            lambda buffer: torch.split(
                torch.cat([buffer.view(2, 2), torch.ones(2, 1)], 1), [2, 1], 1
            ),
        ),
    ],
)
def test_a_lowering_keeps_a_copy_of_a_buffer(handler, copied):
    module, inputs = _changed_after(copied), (torch.ones(4),)
    before = _handlers(module, inputs, upstream.patched)
    assert handler in before, "torch has repaired it"
    assert handler not in _handlers(module, inputs, upstream.mended)


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
