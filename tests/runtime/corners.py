"""Models whose outputs are what the runtime has to be most careful with."""

import torch
import torch.nn.functional as F
from torch import nn
from torch._higher_order_ops.while_loop import while_loop
from torch.export import Dim

from torch_aot import Model


class Sharing(nn.Module):
    """Returns views of its state, its weights and its input, all twice, and None."""

    total: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(2, 3))
        self.weight = nn.Parameter(torch.arange(6.0).reshape(2, 3))

    def forward(
        self, x: torch.Tensor, absent: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor | None]:
        self.total.add_(x)
        doubled = 2 * x
        outputs = {
            "total": self.total,
            "total_row": self.total[1],
            "weight": self.weight,
            "weight_t": self.weight.T,
            "weight_row": self.weight[1],
            "constant": torch.tensor([7.0, 8.0]),
            "x": x,
            "x_row": x[1],
            "x_t": x.T,
            "doubled": doubled,
            "doubled_row": doubled[1],
            "empty": x[2:] * 3,
        }
        again = {f"{name}_again": value for name, value in outputs.items()}
        return {"first": None, **outputs, "absent": absent, **again, "last": None}


def sharing() -> Model:
    """Input x float32[2, 3]; outputs that share memory wherever PyTorch lets them."""
    return Model(Sharing(), inputs=(torch.ones(2, 3), None))


class Positive(nn.Module):
    """The places of positive elements: how many, only the run knows."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.nonzero(x > 0), x + 1


def positive() -> Model:
    """Input x float32[n], 2 <= n <= 100; outputs int64[?, 1] and float32[n]."""
    return Model(
        Positive(),
        inputs=(torch.ones(4),),
        dynamic_shapes={"x": {0: Dim("n", min=2, max=100)}},
        output_names=["places", "next"],
    )


class Cube(nn.Module):
    """All products of three elements: a small input, a result of any size."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, None, None] * x[None, :, None] * x[None, None, :]


def cube() -> Model:
    """Input x float32[n], n of any size; output float32[n, n, n]."""
    return Model(
        Cube(),
        inputs=(torch.ones(4),),
        dynamic_shapes={"x": {0: Dim("n", min=1)}},
        output_names=["y"],
    )


class Mended(nn.Module):
    """What the pinned torch compiles wrong unless it is mended: see upstream.py."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(4.0))
        self.register_buffer("fill", torch.tensor(-torch.inf))

    def forward(
        self,
        image: torch.Tensor,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        segments: torch.Tensor,
        flag: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        queries, keys, values = (x.transpose(1, 2) for x in (q, k, v))
        scores = (queries @ keys.transpose(-2, -1)).div(2.0)
        padding = (segments == 0).view(2, 1, 1, 4).expand_as(scores)
        return {
            "nearest": F.interpolate(image, scale_factor=(1.3, 2.1)),
            "bilinear": F.interpolate(image, scale_factor=1.1, mode="bilinear"),
            "attended": scores.masked_fill(padding, self.fill).softmax(-1) @ values,
            "scaled": torch.softmax(q @ k.transpose(-2, -1) / self.scale, -1) @ v,
            "chosen": torch.cond(
                flag.item() > 1, lambda x: 2 * x, lambda x: x + 1, (image,)
            ),
        }


def mended() -> Model:
    """Image float32[1, 3, h, w]; segments int64[2, 4], at least one of 4 is not 0."""
    segments = torch.tensor([[0, 1, 2, 3], [4, 0, 3, 5]])
    return Model(
        Mended(),
        inputs=(
            torch.randn(1, 3, 6, 7),
            *torch.randn(3, 2, 4, 8, 16),
            segments,
            torch.tensor(2),
        ),
        dynamic_shapes={
            "image": {2: Dim("h", min=2, max=20), 3: Dim("w", min=2, max=20)},
            **dict.fromkeys(("q", "k", "v", "segments", "flag")),
        },
    )


class Convolutional(nn.Module):
    """Halves an image's sizes, which are even, rounding up and padding on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.PReLU(4),
            nn.MaxPool2d(2, 2, ceil_mode=True),
            nn.Conv2d(4, 6, 3, stride=2, padding=1),
            nn.PReLU(6),
            nn.MaxPool2d(3, 2, padding=1),
            nn.Conv2d(6, 8, 3, padding=2, dilation=2),
            nn.PReLU(8),
        )
        self.box = nn.Conv2d(8, 4, 1)
        self.kind = nn.Conv2d(8, 2, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.head(x)
        return self.box(features), self.kind(features).softmax(1)


def convolutional() -> Model:
    """Input x float32[1, 3, 2*h, 2*w]."""
    height, width = Dim("h", min=6, max=100), Dim("w", min=6, max=100)
    return Model(
        Convolutional(),
        inputs=(torch.randn(1, 3, 24, 28),),
        dynamic_shapes={"x": {2: 2 * height, 3: 2 * width}},
        output_names=["box", "kind"],
    )


class Filtered(nn.Module):
    """Convolutions whose weights have all kinds of other readers, and none."""

    changed: torch.Tensor

    def __init__(self) -> None:
        super().__init__()

        def weight(*sizes: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*sizes) / 6)

        self.shared = weight(4, 4, 3, 3)
        self.grouped = weight(8, 2, 3, 3)
        self.transposed = weight(8, 3, 3, 2)
        self.looped = weight(4, 4, 3, 3)
        self.branch = weight(4, 4, 3, 3)
        self.volume = weight(4, 2, 2, 3, 3)
        self.read = weight(4, 4, 3, 3)
        self.returned = weight(4, 4, 3, 3)
        self.register_buffer("changed", torch.randn(4, 4, 3, 3) / 6)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        def plain(y: torch.Tensor) -> torch.Tensor:
            return F.conv2d(y, self.shared, padding=1)

        def scaled(y: torch.Tensor) -> torch.Tensor:
            return F.conv2d(y, self.branch, padding=1) * self.read.sum()

        def unfinished(step: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return step < 2

        def advance(
            step: torch.Tensor, y: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return step + 1, F.conv2d(y, self.looped, padding=1)

        start = torch.zeros((), dtype=torch.int64)
        grouped = F.conv2d(x, self.grouped, stride=2, groups=2)
        before = F.conv2d(x, self.changed)
        self.changed.mul_(0.5)
        return {
            "plain": plain(plain(x)),
            "grouped": grouped,
            "transposed": F.conv_transpose2d(grouped, self.transposed, groups=4),
            "chosen": torch.cond(x.sum() > 0, plain, scaled, (x,)),
            "looped": while_loop(unfinished, advance, (start, x))[1],
            "volume": F.conv3d(x.unflatten(1, (2, 2)), self.volume),
            "read": F.conv2d(x, self.read) + self.read[0, 0, 0, 0],
            "image": F.conv2d(x, self.returned)
            + F.conv2d(self.returned, self.read).sum(),
            "returned": self.returned,
            "before": before,
            "after": F.conv2d(x, self.changed),
        }


def filtered() -> Model:
    """Input x float32[batch, 4, h, 9]."""
    module = Filtered()
    x = torch.randn(2, 4, 8, 9)
    return Model(
        module,
        inputs=(x,),
        dynamic_shapes={
            "x": {0: Dim("batch", min=1, max=4), 2: Dim("h", min=5, max=9)}
        },
        test_inputs=lambda: [(x.abs(),), (-x.abs(),)],
    )


class Indexed(nn.Module):
    """Operators that refuse negative indices, and one that counts them from the end."""

    def forward(
        self,
        x: torch.Tensor,
        add: torch.Tensor,
        copy: torch.Tensor,
        select: torch.Tensor,
        fill: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        ones = torch.ones(1, 3)
        return {
            "added": x.index_add(0, add, ones),
            "copied": x.index_copy(0, copy, ones),
            "selected": x.index_select(0, select),
            "filled": x.index_fill(0, fill, 5.0),
        }


def indexed() -> Model:
    """Inputs x float32[4, 3] and four indices int64[1] into its rows."""
    return Model(Indexed(), inputs=(torch.zeros(4, 3), *torch.tensor([[1]] * 4)))


class Tilted(nn.Module):
    """What a large tensor lies like is all that matters."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def tilted() -> Model:
    """Input and output float32[a, b, c] of any size."""
    return Model(
        Tilted(),
        inputs=(torch.ones(4, 5, 6),),
        dynamic_shapes={"x": {i: Dim(name, min=1) for i, name in enumerate("abc")}},
        output_names=["y"],
    )


class Named(nn.Module):
    """Weights whose names C++ has other uses for."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("default", "inputs", "step", "buf0"):
            setattr(self, name, nn.Parameter(torch.randn(16, 16)))
        self.register_buffer("proxy_executor", torch.zeros(16, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.proxy_executor.add_(x.sum())
        y = torch.relu(x @ self.step) * self.default
        return torch.sin(y @ self.inputs + self.buf0) + self.proxy_executor


def named() -> Model:
    """Input x float32[16, 16]."""
    return Model(Named(), inputs=(torch.randn(16, 16),))
