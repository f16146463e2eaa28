"""Every operator of the standalone runtime, in the shapes and dtypes that models have."""

import torch
from torch.nn import functional

from torch_aot import Model


class Convolutions(torch.nn.Module):
    """One to three dimensions, transposed ones, groups, dilation, padding."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Conv1d(4, 10, 5, stride=2, padding=3, dilation=2)
        self.grouped = torch.nn.Conv2d(6, 9, 3, padding=1, groups=3, bias=False)
        self.depthwise = torch.nn.Conv2d(
            6, 6, (5, 3), stride=(1, 2), padding=(2, 0), groups=6
        )
        self.multiplied = torch.nn.Conv2d(6, 12, 3, groups=6)
        self.pointwise = torch.nn.Conv2d(6, 17, 1)
        self.strided = torch.nn.Conv2d(6, 7, 1, stride=2)
        self.volume = torch.nn.Conv3d(2, 3, (1, 2, 3), padding=(0, 1, 2))
        self.grouped_volume = torch.nn.Conv3d(
            2, 4, 2, stride=(1, 2, 2), padding=1, groups=2
        )
        self.back = torch.nn.ConvTranspose2d(6, 8, 4, stride=2, padding=1, groups=2)
        self.back_line = torch.nn.ConvTranspose1d(
            4, 3, 3, stride=3, output_padding=1, dilation=2
        )
        self.back_volume = torch.nn.ConvTranspose3d(2, 3, (1, 2, 3), stride=2)
        self.doubled = torch.nn.ConvTranspose2d(6, 18, 2, stride=2)

    def forward(self, line, image, volume):
        return {
            "line": self.line(line),
            "grouped": self.grouped(image),
            "depthwise": self.depthwise(image),
            "multiplied": self.multiplied(image),
            "pointwise": self.pointwise(image),
            "strided": self.strided(image),
            "volume": self.volume(volume),
            "grouped_volume": self.grouped_volume(volume),
            "back_volume": self.back_volume(volume),
            "doubled": self.doubled(image),
            "doubled_last": self.doubled(image.to(memory_format=torch.channels_last)),
            "back": self.back(image),
            "back_line": self.back_line(line),
            "last": self.pointwise(image.to(memory_format=torch.channels_last)),
        }


def convolutions() -> Model:
    batch = torch.export.Dim("batch", min=1, max=5)
    width = torch.export.Dim("width", min=7, max=40)
    return Model(
        Convolutions(),
        inputs={
            "line": torch.randn(2, 4, 33),
            "image": torch.randn(2, 6, 9, 11),
            "volume": torch.randn(2, 2, 3, 4, 5),
        },
        dynamic_shapes={
            "line": {0: batch},
            "image": {0: batch, 3: width},
            "volume": {0: batch},
        },
    )


class Products(torch.nn.Module):
    """Matrices in any order, of every dtype, and what is added to them.

    No term is negative: sums of large terms that cancel differ by more than their last
    places, libtorch's as well, from those of the reference.
    """

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(24, 35)
        self.halfs = torch.nn.Linear(24, 5).to(torch.float16)
        self.brains = torch.nn.Linear(24, 5).to(torch.bfloat16)
        self.doubles = torch.nn.Linear(24, 5).to(torch.float64)
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter)

    def forward(self, rows, columns, batches, numbers):
        rows, columns, batches = rows.abs(), columns.abs(), batches.abs()
        return {
            "linear": self.linear(rows),
            "half": self.halfs(rows.to(torch.float16)),
            "brain": self.brains(rows.to(torch.bfloat16)),
            "double": self.doubles(rows.to(torch.float64)),
            "plain": rows @ columns,
            "turned": (columns.T @ rows.T).T,
            "scaled": torch.addmm(rows[:, :1], rows, columns, beta=0.5, alpha=2.0),
            "unread": torch.addmm(rows[0, :1] / 0.0, rows, columns, beta=0.0),
            "batched": torch.bmm(batches, batches.transpose(1, 2)),
            "column": rows @ columns[:, 0],
            "integers": numbers @ numbers.T,
        }


def products() -> Model:
    count = torch.export.Dim("count", min=1, max=130)
    return Model(
        Products(),
        inputs={
            "rows": torch.randn(7, 24),
            "columns": torch.randn(24, 19),
            "batches": torch.randn(3, 5, 8),
            "numbers": torch.randint(-9, 9, (4, 6)),
        },
        dynamic_shapes={
            "rows": {0: count},
            "columns": None,
            "batches": None,
            "numbers": None,
        },
    )


class Fused(torch.nn.Module):
    """What follows products: scales, shifts, residuals, activations; what cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(5, 18, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(18)
        self.second = torch.nn.Conv2d(18, 18, 3, padding=1, bias=False)
        self.depthwise = torch.nn.Conv2d(18, 18, 3, stride=2, groups=18)
        self.line = torch.nn.Conv1d(5, 18, 3)
        self.line_norm = torch.nn.BatchNorm1d(18)
        self.scale = torch.nn.Parameter(torch.rand(18, 1, 1))
        self.up = torch.nn.Linear(18, 40)
        self.down = torch.nn.Linear(40, 18)
        for norm in (self.norm, self.line_norm):
            torch.nn.init.uniform_(norm.running_mean)
            torch.nn.init.uniform_(norm.running_var, 0.5, 2)
            torch.nn.init.uniform_(norm.weight)
            torch.nn.init.uniform_(norm.bias)

    def forward(self, image):
        first = functional.relu(self.norm(self.first(image)))
        second = functional.relu(self.norm(self.second(first)) + first)
        small = self.depthwise(second)
        rows = second.flatten(2).transpose(1, 2)
        hidden = self.up(rows)
        return {
            "second": second,
            "gelu": functional.gelu(self.second(second) * self.scale - 0.5),
            "gelu_tanh": functional.gelu(self.second(first), approximate="tanh"),
            "hardsigmoid": functional.hardsigmoid(self.second(first)),
            "hardswish": functional.hardswish(self.depthwise(first)),
            "limited": functional.relu6(self.second(first) * self.scale),
            "sigmoid": torch.sigmoid(small),
            "silu": functional.silu(self.first(image) + first),
            "tanh": torch.tanh(
                self.second(first) - self.scale.flatten()[:, None, None]
            ),
            "line": functional.relu(self.line_norm(self.line(image[:, :, 0]))),
            "rows": rows + self.down(functional.gelu(hidden)),
            "hidden": hidden,  # read twice
            "broadcast": self.second(first) + first[:, :1],
            "last": self.second(second.to(memory_format=torch.channels_last)) + second,
        }


def fused() -> Model:
    batch = torch.export.Dim("batch", min=1, max=5)
    width = torch.export.Dim("width", min=7, max=40)
    return Model(
        Fused(),
        inputs={"image": torch.randn(2, 5, 11, 9)},
        dynamic_shapes={"image": {0: batch, 3: width}},
    )


class Attention(torch.nn.Module):
    """Masks of both kinds, causal, other sizes of keys and values, shared heads."""

    def forward(self, query, key, value, mask):
        attend = functional.scaled_dot_product_attention
        return {
            "plain": attend(query, key, value),
            "causal": attend(query, query, query, is_causal=True),
            "masked": attend(query, key, value, attn_mask=mask),
            "chosen": attend(query, key, value, attn_mask=mask > 0, scale=0.3),
            "shared": attend(query, key[:, :2], value[:, :2], enable_gqa=True),
            "step": attend(query[:, :, :1], key, value, attn_mask=mask[:, :, :1]),
            "many": attend(key, key, value),
            "turned": attend(
                query.transpose(1, 2),
                key[:, :4].transpose(1, 2)[:, :4],
                value[:, :4].transpose(1, 2)[:, :4],
            ),
        }


def attention() -> Model:
    return Model(
        Attention(),
        inputs={
            "query": torch.randn(2, 4, 4, 16),
            "key": torch.randn(2, 4, 9, 16),
            "value": torch.randn(2, 4, 9, 16),
            "mask": torch.randn(2, 1, 4, 9),
        },
    )


class Concatenation(torch.nn.Module):
    """Of bytes, for which Inductor calls an operator: in any layout, and of nothing."""

    def forward(self, image, rows):
        last = image.to(memory_format=torch.channels_last)
        small = rows.to(torch.int8)
        return {
            "channels": torch.cat([image, image + 1], dim=1),
            "last": torch.cat([last, last + 1, last[:, :1]], dim=1),
            "mixed": torch.cat([last, image], dim=-1),
            "batch": torch.cat([image[1:], image]),
            "one": torch.cat([image]),
            "signed": torch.cat([small, small[:, :0], -small.flip(1)], dim=1),
            "turned": torch.cat([small.T, small.T[:2]], dim=0),
            "nothing": torch.cat([rows[0, :0], rows, rows[:0]]),
            "empty": torch.cat([rows[0, :0], rows[0, :0]]),
            "truths": torch.cat([rows > 3, rows < 7], dim=1),
        }


def concatenation() -> Model:
    batch = torch.export.Dim("batch", min=3, max=9)
    return Model(
        Concatenation(),
        inputs={
            "image": torch.randint(0, 250, (4, 3, 5, 7), dtype=torch.uint8),
            "rows": torch.randint(0, 128, (4, 37), dtype=torch.uint8),
        },
        dynamic_shapes={"image": {0: batch}, "rows": {}},
    )
