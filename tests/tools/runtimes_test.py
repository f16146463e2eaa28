"""What each runtime has, and what becomes of a model that needs more."""

import pathlib
import re

from torch_aot import runtimes

SHIMS = sorted(pathlib.Path("runtime/standalone").glob("*shims.h"))

INVERSE = """
    import torch
    from torch_aot import Model

    class Inverse(torch.nn.Module):
        def forward(self, x):
            y = x @ x
            return torch.cholesky_inverse(y)

    def entry():
        return Model(Inverse(), inputs=(torch.randn(3, 3),))
"""

EXPORT = (
    "export --input=model.py --program=OUT/m.pt2 --signature=OUT/m.json model.py:entry"
)
CODEGEN = "codegen OUT/m.pt2 OUT/m.json --label=//:m --id=m --class=M --out=OUT/m.h"


def defined_shims():
    """Those that the headers define, their macros expanded."""
    text = "".join(header.read_text() for header in SHIMS)
    names = set()
    for macro, prefixes in (
        ("RTORCH_DTYPE", ("dtype_",)),
        ("RTORCH_ITEM", ("item_", "scalar_to_tensor_")),
    ):
        for name in re.findall(rf"^{macro}\((\w+),", text, re.MULTILINE):
            names |= {prefix + name for prefix in prefixes}
    return names | set(
        re.findall(r"^static [\w:]+ aoti_torch_(\w+)\(", text, re.MULTILINE)
    )


def test_the_standalone_runtime_has_what_its_headers_define():
    assert defined_shims() == set(runtimes.STANDALONE.shims)
    assert set(runtimes.STANDALONE.operators) <= runtimes.STANDALONE.shims


def test_what_a_runtime_lacks_is_found_in_code_alone():
    wrapper = """
        // aoti_torch_cpu_sort_out(x);
        name = "aoti_torch_cpu_polar(";
        aoti_torch_cpu_mm_out(out, a, b);
        aoti_torch_cpu_ormqr(a, b, c, 1, 0, &d);
    """
    assert runtimes.STANDALONE.lacking(wrapper) == ["aoti_torch_cpu_ormqr"]
    assert runtimes.LIBTORCH.lacking(wrapper) == []


def test_shims_are_included_once():
    wrapper = "aoti_torch_cpu_mm_out(a, b, c); aoti_torch_cpu_addmm_out(d);"
    assert runtimes.STANDALONE.includes("x86-64-v3", wrapper) == (
        "#define RTORCH_ISA x86_64_v3\n"
        '#include "runtime/standalone/aoti_runtime.h"\n'
        '#include "runtime/standalone/matmul_shims.h"'
    )


def test_a_wrapper_has_the_shims_of_operators_that_it_calls():
    # Without optimisation an unused shim still wants its operator when it is linked.
    included = runtimes.STANDALONE.includes("aarch64", "aoti_torch_cpu_topk(a, 1);")
    assert '"runtime/standalone/sort_shims.h"' in included
    assert "matmul" not in included
    declared = "AOTITorchError aoti_torch_cpu__fft_c2r(AtenTensorHandle self);"
    assert "fourier" not in runtimes.STANDALONE.includes("aarch64", declared)
    for family in set(runtimes.STANDALONE.operators.values()):
        assert pathlib.Path(f"runtime/standalone/{family}_shims.h") in SHIMS


def test_an_operator_that_the_runtime_lacks_is_an_error_at_its_line(write, tool):
    write("model.py", INVERSE)
    assert tool(*EXPORT.split()).status == 0
    result = tool(*CODEGEN.split())
    assert result.status == 1
    assert (
        "model.py:7: error: the standalone runtime has no operator aten.cholesky_inverse"
        in result.output
    )
    assert "7 | return torch.cholesky_inverse(y)" in result.output
    assert 'runtime = "libtorch"' in result.output
    assert result.files == ["m.json", "m.pt2"]
    assert tool(*CODEGEN.split(), "--runtime=libtorch").status == 0


def test_a_model_that_it_has_all_operators_of(write, tool, tmp_path):
    write("model.py", INVERSE.replace("torch.cholesky_inverse(y)", "torch.relu(y)"))
    assert tool(*EXPORT.split()).status == 0
    result = tool(*CODEGEN.split())
    assert (result.status, result.output) == (0, "")
    wrapper = tmp_path / "out" / "m.x86-64-v3.wrapper.cc"
    assert "standalone/matmul_shims.h" in wrapper.read_text()
    assert (
        '"runtime": "standalone"' in (tmp_path / "out" / "m.manifest.json").read_text()
    )
