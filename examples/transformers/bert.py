"""A BERT of Hugging Face's transformers: its config and its weights are local files."""

from collections.abc import Iterator

import torch
from torch.export import Dim
from transformers import BertConfig, BertModel
from transformers.utils import logging

from torch_aot import Model

# Otherwise the build shows which heads the weights have besides, and a progress bar.
logging.set_verbosity_error()
logging.disable_progress_bar()

MAX_BATCH = 8


def _edges(config: BertConfig) -> Iterator[dict[str, torch.Tensor]]:
    """The smallest and largest sizes, the first and last ids, padded tails."""
    vocabulary, length = config.vocab_size, config.max_position_embeddings
    for ids in (
        torch.tensor([[0]]),
        torch.tensor([[0, vocabulary - 1]]),
        torch.randint(vocabulary, (1, length)),
    ):
        yield {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    ids = torch.randint(vocabulary, (MAX_BATCH, length))
    tokens = torch.randint(1, length + 1, (MAX_BATCH, 1))
    yield {"input_ids": ids, "attention_mask": (torch.arange(length) < tokens).long()}


def bert(weights: dict[str, torch.Tensor]) -> Model:
    """A BERT without the heads that it was trained with.

    Inputs:
        input_ids: int64[batch, seq], 0 <= id < 100; 1 <= batch <= 8, 1 <= seq <= 64.
        attention_mask: int64[batch, seq], 1 for a token, 0 for padding.

    Outputs:
        last_hidden_state: float32[batch, seq, 32].
        pooler_output: float32[batch, 32].
    """
    config = BertConfig.from_json_file("examples/transformers/config.json")
    module, report = BertModel.from_pretrained(
        None, config=config, state_dict=weights, output_loading_info=True
    )
    # transformers would give them random values.
    if missing := report["missing_keys"]:
        raise ValueError(f"the weights lack {', '.join(sorted(missing))}")
    batch = Dim("batch", min=1, max=MAX_BATCH)
    seq = Dim("seq", min=1, max=config.max_position_embeddings)
    ids = torch.randint(config.vocab_size, (2, 6))
    return Model(
        module,
        inputs={"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        dynamic_shapes={
            "input_ids": {0: batch, 1: seq},
            "attention_mask": {0: batch, 1: seq},
        },
        test_inputs=lambda: _edges(config),
    )
