"""The C++ around generated code, as whole files."""

import dataclasses

import pytest
import torch

from torch_aot import cc
from torch_aot.codegen import Generated, Variant
from torch_aot.provenance import Kernel, Line, Origin, Section
from torch_aot.runtimes import LIBTORCH, STANDALONE
from torch_aot.signature import Dim, Signature, TensorSpec
from torch_aot.weights_file import pack

BATCH = Dim("batch", 1, 64, "batch")
TOKENS = Dim("2*seq + 1", 3, None, "seq", 2, 1)
WIDTH = Dim("16", 16, 16)
UNKNOWN = Dim("?", 0, 64, known=False)
ORIGIN = Origin(
    ("aten.relu",), (Line("models/tagger.py", 12, "forward", "x = torch.relu(x)"),)
)

MODELS = {
    # Names and symbols, an output that no input's size gives, several variants.
    "stateless": (
        cc.Target(
            "//models:tagger", "models_tagger", "Tagger", "models", "models/tagger.h"
        ),
        Signature(
            inputs=(
                TensorSpec("tokens", "int64", (BATCH, TOKENS)),
                TensorSpec("table", "float32", (WIDTH,)),
            ),
            outputs=(
                TensorSpec("scores", "float32", (BATCH, WIDTH)),
                TensorSpec("found", "int64", (UNKNOWN,)),
            ),
            symbols={"batch": (1, 64), "seq": (1, None)},
            source="models/tagger.py:tagger",
        ),
        Generated(
            variants={
                isa: Variant(
                    f"models_tagger_{isa[-2:]}",
                    (
                        Section("\n#include <array>\n\n"),
                        Section("// The graph.\n", ORIGIN),
                        Section(
                            "    cpp_fused_relu_0(x);\n    x.reset();\n",
                            ORIGIN,
                            "cpp_fused_relu_0",
                        ),
                        Section(
                            "    aoti_torch_cpu_nonzero(x);\n",
                            called="aoti_torch_cpu_nonzero",
                        ),
                    ),
                    (Section("// The kernels.\n", ORIGIN),),
                    (Kernel("cpp_fused_relu_0", ORIGIN),),
                )
                for isa in ("x86-64-v4", "x86-64-v3")
            },
            runtime=LIBTORCH,
            threads=0,
            weights=pack(
                [
                    ("embedding.weight", torch.zeros(100, 16), False),
                    ("head.weight", torch.zeros(16, 16).T, False),
                ]
            ),
            model_digest="0123",
            fallback_operators=("aten.nonzero.default",),
            num_outputs=3,
            outputs=(0, 2),
        ),
    ),
    # No namespace, no symbols, a scalar, one variant, a number of threads.
    "stateful": (
        cc.Target("//:counter", "counter", "Counter", "", "counter.h"),
        Signature(
            inputs=(TensorSpec("step", "bfloat16", ()),),
            outputs=(TensorSpec("count", "bool", (WIDTH,)),),
            symbols={},
            source="counter.py:counter",
        ),
        Generated(
            variants={
                "x86-64-v3": Variant(
                    "counter_v3",
                    (Section("aoti_torch_cpu_mm_out(count, step, step);\n"),),
                    (Section("// The kernels.\n"),),
                    (),
                )
            },
            runtime=STANDALONE,
            threads=4,
            weights=pack(
                [
                    ("count", torch.tensor(0), True),
                    ("seen.last", torch.zeros(16, dtype=torch.bool), True),
                ]
            ),
            model_digest="4567",
            fallback_operators=(),
            num_outputs=1,
            outputs=(0,),
        ),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_files(name, golden):
    target, signature, generated = MODELS[name]
    isa = [*generated.variants][-1]
    golden(f"{name}.h", cc.header(target, signature, generated))
    golden(f"{name}.model.cc", cc.model_source(target, signature, generated))
    golden(f"{name}.wrapper.cc", cc.wrapper_source(target, signature, generated, isa))
    golden(f"{name}.kernels.cc", cc.kernels_source(target, signature, generated, isa))
    golden(f"{name}.manifest.json", cc.manifest(target, signature, generated))


def test_a_model_without_inputs():
    target, signature, generated = MODELS["stateful"]
    signature = dataclasses.replace(signature, inputs=())
    header = cc.header(target, signature, generated)
    # What is not used has no name, or strict compilers would warn.
    assert "const Inputs& inputs" not in header
    assert header.count("const Inputs&,") == 2
    assert header.count("const RTorchTensor* in = nullptr;") == 2
    table = cc.model_source(target, signature, generated)
    assert "constexpr const RTorchTensorSpec* kInputs = nullptr;" in table


def test_dynamic_sizes_may_be_called_as_keywords_are():
    target, signature, generated = MODELS["stateless"]
    long = Dim("3*long - 2", 1, None, "long", 3, -2)
    signature = dataclasses.replace(
        signature,
        outputs=(TensorSpec("scores", "float32", (long,)),),
        symbols={"long": (1, None), "Symbols": (1, None)},
    )
    header = cc.header(target, signature, dataclasses.replace(generated, outputs=(0,)))
    assert "std::int64_t long_;  // 1 <= long\n" in header
    assert "std::int64_t Symbols_;" in header
    assert "return {{{3 * symbols.long_ - 2}}};" in header
