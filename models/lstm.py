"""A streaming sequence tagger: two LSTM layers, dynamic batch and dynamic length.

The recurrence is written with `scan`, which compiles to a loop of any length: so can
cells be that PyTorch has no layer of. The parameters are those of `nn.LSTM`, and a tagger
trained with it loads as it is.

The state goes in and comes out as a tuple: a long sequence may be tagged in pieces.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn
from torch._higher_order_ops.scan import scan
from torch.export import Dim

from torch_aot import Model

FEATURES = 16
HIDDEN = 32
LAYERS = 2
TAGS = 5
MAX_BATCH = 32
MAX_LENGTH = 100

State = tuple[torch.Tensor, torch.Tensor]


class ScanLSTM(nn.LSTM):
    """`nn.LSTM`, one direction and no dropout, with its loop over time kept a loop."""

    def layer(
        self, x: torch.Tensor, state: State, index: int
    ) -> tuple[State, torch.Tensor]:
        """Runs layer `index` over x [seq, batch, features]; h, c: [batch, hidden]."""
        weight = getattr(self, f"weight_hh_l{index}")
        batch, hidden = x.shape[1], self.hidden_size
        # The inputs' share of the gates needs no recurrence: one large product.
        shares = F.linear(
            x,
            getattr(self, f"weight_ih_l{index}"),
            getattr(self, f"bias_ih_l{index}") + getattr(self, f"bias_hh_l{index}"),
        )

        def step(hc: torch.Tensor, share: torch.Tensor) -> tuple[torch.Tensor, ...]:
            h, c = hc.chunk(2, dim=-1)
            # Naming the batch here is what makes its size known inside the loop.
            gates = (share + h @ weight.T).view(batch, 4, hidden)
            i, f, g, o = gates.unbind(dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            return torch.cat([h, c], dim=-1), h

        # One tensor carries h and c: what is carried may not alias what is put out.
        hc, y = scan(step, torch.cat(state, dim=-1), shares)
        return hc.chunk(2, dim=-1), y

    def forward(self, x: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        x = x.transpose(0, 1)
        ends = []
        for index in range(self.num_layers):
            end, x = self.layer(x, (state[0][index], state[1][index]), index)
            ends.append(end)
        h, c = (torch.stack(parts) for parts in zip(*ends, strict=True))
        return x.transpose(0, 1), (h, c)


class Tagger(nn.Module):
    """Scores each step of a sequence for each tag."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = ScanLSTM(FEATURES, HIDDEN, LAYERS, batch_first=True)
        self.scores = nn.Linear(HIDDEN, TAGS)

    def forward(self, x: torch.Tensor, state: State) -> tuple[torch.Tensor, State]:
        y, state = self.lstm(x, state)
        return self.scores(y), state


def _inputs(batch: int, length: int) -> tuple[torch.Tensor, State]:
    h, c = torch.randn(2, LAYERS, batch, HIDDEN)
    return torch.randn(batch, length, FEATURES), (h, c)


def _edges() -> Iterator[tuple[torch.Tensor, State]]:
    """The smallest and largest sizes, the usual zero state, saturated gates."""
    for batch in (1, MAX_BATCH):
        for length in (1, 2, MAX_LENGTH):
            yield _inputs(batch, length)
    x, (h, c) = _inputs(3, 8)
    yield x, (torch.zeros_like(h), torch.zeros_like(c))
    yield 100 * x, (h, c)


def lstm() -> Model:
    """A two-layer tagger; 1 <= batch <= 32, 1 <= seq <= 100.

    Inputs:
        x: float32[batch, seq, 16].
        state: (h, c), each float32[2, batch, 32], one row a layer; zeros at the start.

    Outputs:
        y: float32[batch, seq, 5], the scores of the tags.
        h_out, c_out: float32[2, batch, 32], the state after the last step.
    """
    batch = Dim("batch", min=1, max=MAX_BATCH)
    seq = Dim("seq", min=1, max=MAX_LENGTH)
    return Model(
        module=Tagger(),
        inputs=_inputs(2, 6),
        dynamic_shapes={"x": {0: batch, 1: seq}, "state": ({1: batch}, {1: batch})},
        input_names=["x", "h", "c"],
        output_names=["y", "h_out", "c_out"],
        test_inputs=_edges,
    )
