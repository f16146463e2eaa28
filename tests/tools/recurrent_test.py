"""Recurrent layers, of any length and in few lines."""

import pytest

MODEL = """
    import torch
    from torch_aot import Model

    class Last(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.LAYER(3, 4, 2)

        def forward(self, x):
            return self.layer(x)[0][-1]

    def entry():
        length = torch.export.Dim("length", min=1, max=500)
        return Model(
            Last(), inputs={"x": torch.randn(160, 2, 3)}, dynamic_shapes={"x": SHAPE}
        )
"""

EXPORT = (
    "export --input=model.py --program=OUT/m.pt2 --signature=OUT/m.json model.py:entry"
)
CODEGEN = "codegen OUT/m.pt2 OUT/m.json --label=//:m --id=m --class=M --out=OUT/m.h"


@pytest.fixture(name="generate")
def fixture_generate(write, tool, tmp_path):
    """Generates a layer's code: returns the tool's result, and the wrapper."""

    def generate(layer, shape, runtime):
        write("model.py", MODEL.replace("LAYER", layer).replace("SHAPE", shape))
        assert tool(*EXPORT.split()).status == 0
        result = tool(*CODEGEN.split(), f"--runtime={runtime}")
        wrapper = tmp_path / "out" / "m.x86-64-v3.wrapper.cc"
        return result, wrapper.read_text() if wrapper.exists() else ""

    return generate


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("shape", ["{0: length}", "None"])
def test_a_layer_is_one_call(generate, layer, shape):
    result, wrapper = generate(layer, shape, "standalone")
    assert (result.status, result.output) == (0, "")
    assert wrapper.count("(aoti_torch_cpu_recurrent_layer(") == 2


def test_with_libtorch_an_lstm_is_of_any_length(generate):
    result, wrapper = generate("LSTM", "{0: length}", "libtorch")
    assert (result.status, result.output) == (0, "")
    assert wrapper.count("(aoti_torch_cpu_mkldnn_rnn_layer(") == 2


def test_with_libtorch_a_gru_of_any_length_is_a_loop(generate):
    result, wrapper = generate("GRU", "{0: length}", "libtorch")
    assert (result.status, result.output) == (0, "")
    assert wrapper.count("while (1)") == 2


def test_with_libtorch_a_plain_rnn_has_one_length(generate):
    result, _ = generate("RNN", "{0: length}", "libtorch")
    assert result.status == 1
    assert (
        "model.py:10: error: with libtorch aten::rnn_tanh has sequences of one length "
        "alone" in " ".join(result.output.split())
    )
    assert 'runtime = "standalone"' in result.output
