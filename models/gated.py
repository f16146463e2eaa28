"""Data-dependent control flow: nested `torch.cond`, then a `while_loop`.

Both branches of every conditional are compiled, and each call takes the one that its
data asks for; the loop runs as many times as its data asks for. Two rules of
`torch.cond` shape the code: a branch may use the module's parameters, but must return
a new tensor, never one of its operands or a view of one; and all branches must return
the same shapes and dtypes.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch._higher_order_ops.while_loop import while_loop
from torch.export import Dim

from torch_aot import Model

MAX_STEPS = 12
TOLERANCE = 1e-3


def expert(width: int) -> nn.Sequential:
    """A small network without biases: scaling its input scales its output."""
    return nn.Sequential(
        nn.Linear(8, width, bias=False), nn.ReLU(), nn.Linear(width, 8, bias=False)
    )


def overshoot(x: torch.Tensor) -> torch.Tensor:
    """How far each element of x lies outside [-1, 1], with its sign."""
    return x - x.clamp(-1.0, 1.0)


class Gated(nn.Module):
    """Routes a batch to one of three experts, then pulls the result into [-1, 1].

    The whole batch takes one route: expert A if the mean of x is positive, else B's
    first half if any element is positive, else B's second half. Each step of the
    refinement halves the distance to [-1, 1], until no element is further away than
    `TOLERANCE`, or `MAX_STEPS` have been made.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expert_a = expert(16)
        self.expert_b_mixed = expert(16)
        self.expert_b_negative = expert(32)

    def route(self, x: torch.Tensor) -> torch.Tensor:
        def route_b(x: torch.Tensor) -> torch.Tensor:
            return torch.cond(
                x.amax() > 0, self.expert_b_mixed, self.expert_b_negative, (x,)
            )

        return torch.cond(x.mean() > 0, self.expert_a, route_b, (x,))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        def unfinished(step: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return (step < MAX_STEPS) & (overshoot(y).abs().amax() > TOLERANCE)

        def refine(
            step: torch.Tensor, y: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return step + 1, y - 0.5 * overshoot(y)

        start = torch.zeros((), dtype=torch.int64)
        steps, y = while_loop(unfinished, refine, (start, self.route(x)))
        return y, steps

    def scaled_to(self, x: torch.Tensor, peak: float) -> torch.Tensor:
        """x times the positive factor that makes its route's largest output `peak`."""
        return x * (peak / self.route(x).abs().amax())


def gated() -> Model:
    """Conditionals within conditionals, and a loop.

    Input:
        x: float32[batch, 8], 1 <= batch <= 64.

    Outputs:
        y: float32[batch, 8].
        steps: int64[], how often the loop ran, 0 to `MAX_STEPS`.
    """
    module = Gated()

    @torch.no_grad()
    def every_route_and_count() -> Iterator[tuple[torch.Tensor]]:
        noise = torch.randn(3, 8)
        routes = (
            noise.abs(),  # A
            noise - noise.mean() - 0.1,  # B, signs mixed
            -noise.abs(),  # B, all negative
        )
        for x in routes:
            yield (module.scaled_to(x, 0.5),)  # inside already: no step
            yield (module.scaled_to(x, 1 + 1.5 * TOLERANCE),)  # one step
            yield (module.scaled_to(x, 1 + 48 * TOLERANCE),)  # six steps
            yield (module.scaled_to(x, 1e5),)  # stopped by the limit
        yield (torch.zeros(1, 8),)

    return Model(
        module=module,
        inputs=(torch.randn(2, 8),),
        dynamic_shapes={"x": {0: Dim("batch", min=1, max=64)}},
        output_names=["y", "steps"],
        test_inputs=every_route_and_count,
    )
