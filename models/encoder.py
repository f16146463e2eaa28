"""A Transformer encoder over token ids, with dynamic batch and dynamic length.

Attention is `F.scaled_dot_product_attention` under a padding mask, which becomes one
fused kernel call. Pre-norm layers, learned positions.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim

from torch_aot import Model

VOCABULARY = 512
MAX_BATCH = 16
MAX_LENGTH = 128


class SelfAttention(nn.Module):
    """Multi-head self-attention; `mask` bool[batch, 1, 1, seq] is True to attend."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        # [batch, seq, 3 * width] to three of [batch, heads, seq, width / heads].
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.output(x.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """Attention, then a feed-forward network, each normalised first and added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.attention_norm(x), mask)
        return x + self.feed_forward(self.feed_forward_norm(x))


class Encoder(nn.Module):
    """Encodes each token, and the sequence as the mean of its unmasked tokens."""

    def __init__(self, width: int = 64, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, width)
        self.positions = nn.Parameter(torch.randn(MAX_LENGTH, width) * 0.1)
        self.layers = nn.ModuleList(EncoderLayer(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.tokens(ids) + self.positions[: ids.shape[1]]
        attention_mask = mask[:, None, None, :]
        for layer in self.layers:
            x = layer(x, attention_mask)
        hidden = self.norm(x).masked_fill(~mask[:, :, None], 0.0)
        pooled = hidden.sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        return {"hidden": hidden, "pooled": pooled}


def _edges() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The smallest and largest sizes, padded tails, one token or none, extreme ids."""
    for batch, length in ((1, 1), (1, MAX_LENGTH), (MAX_BATCH, 1), (3, 7)):
        ids = torch.randint(0, VOCABULARY, (batch, length))
        yield ids, torch.ones(batch, length, dtype=torch.bool)
    ids = torch.randint(0, VOCABULARY, (MAX_BATCH, MAX_LENGTH))
    place = torch.arange(MAX_LENGTH)
    yield ids, place < torch.randint(1, MAX_LENGTH + 1, (MAX_BATCH, 1))
    yield ids, place == torch.randint(0, MAX_LENGTH, (MAX_BATCH, 1))
    yield ids, torch.zeros(MAX_BATCH, MAX_LENGTH, dtype=torch.bool)
    yield torch.tensor([[0, VOCABULARY - 1]]), torch.ones(1, 2, dtype=torch.bool)


def encoder() -> Model:
    """A two-layer encoder of width 64.

    Inputs:
        ids: int64[batch, seq], 0 <= id < 512; 1 <= batch <= 16, 1 <= seq <= 128.
        mask: bool[batch, seq], True for a token, False for padding.

    Outputs:
        hidden: float32[batch, seq, 64], zero at padding.
        pooled: float32[batch, 64], zero for a sequence that is all padding.
    """
    batch = Dim("batch", min=1, max=MAX_BATCH)
    seq = Dim("seq", min=1, max=MAX_LENGTH)
    ids = torch.randint(0, VOCABULARY, (2, 6))
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    return Model(
        module=Encoder(),
        inputs=(ids, mask),
        dynamic_shapes={"ids": {0: batch, 1: seq}, "mask": {0: batch, 1: seq}},
        test_inputs=_edges,
    )
