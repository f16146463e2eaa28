"""Networks of the kinds that are deployed on CPUs, with seeded weights."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn
from torch.nn import functional as F

from torch_aot import Model

CONVOLUTIONS = nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d


def _scaled(module: nn.Module) -> nn.Module:
    """He initialisation of convolutions: PyTorch's own lets deep networks fade to 0."""
    for each in module.modules():
        if isinstance(each, CONVOLUTIONS):
            nn.init.kaiming_normal_(each.weight, nonlinearity="relu")
    return module


class Layer(nn.Module):
    """A layer of a Transformer encoder, normalised after each half."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x, mask):
        def by_head(y):
            return y.unflatten(2, (self.heads, -1)).transpose(1, 2)

        attended = F.scaled_dot_product_attention(
            by_head(self.query(x)), by_head(self.key(x)), by_head(self.value(x)), mask
        )
        x = self.norm1(x + self.out(attended.transpose(1, 2).flatten(2)))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Bert(nn.Module):
    """Twelve layers of 768, as BERT-base, without its embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(768, 12) for _ in range(12))

    def forward(self, x, mask):
        for layer in self.layers:
            x = layer(x, mask)
        return x


def _bert(batch: int) -> Model:
    torch.manual_seed(0)
    mask = torch.zeros(batch, 1, 1, 128)
    mask[-1, ..., 100:] = -10000.0
    return Model(Bert(), inputs={"x": torch.randn(batch, 128, 768), "mask": mask})


def bert_1() -> Model:
    return _bert(1)


def bert_8() -> Model:
    return _bert(8)


class Pitch(nn.Module):
    """A pitch tracker: six 1-D convolutions of 512 and 64 taps over a frame of audio."""

    SHAPES = (
        (1, 1024, 512, 4),
        (1024, 128, 64, 1),
        (128, 128, 64, 1),
        (128, 128, 64, 1),
        (128, 256, 64, 1),
        (256, 512, 64, 1),
    )

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(i, o, taps, stride=stride) for i, o, taps, stride in self.SHAPES
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(o) for _, o, _, _ in self.SHAPES)
        self.classify = nn.Linear(2048, 360)

    def forward(self, frame):
        x = frame
        for conv, norm in zip(self.convs, self.norms, strict=True):
            taps, stride = conv.kernel_size[0], conv.stride[0]
            pad = (taps - stride) // 2
            x = F.pad(x, (pad, taps - stride - pad))
            x = F.max_pool1d(norm(F.relu(conv(x))), 2)
        return torch.sigmoid(self.classify(x.transpose(1, 2).flatten(1)))


def pitch() -> Model:
    torch.manual_seed(0)
    return Model(_scaled(Pitch()), inputs={"frame": torch.randn(1, 1, 1024)})


class Bottleneck(nn.Module):
    """An inverted residual of MobileNetV3."""

    def __init__(self, width, inner, out, taps, stride, squeezes, act) -> None:
        super().__init__()
        self.act = act
        self.is_residual = width == out and stride == 1
        self.expand = nn.Conv2d(width, inner, 1, bias=False)
        self.expand_norm = nn.BatchNorm2d(inner)
        self.depthwise = nn.Conv2d(
            inner, inner, taps, stride, taps // 2, groups=inner, bias=False
        )
        self.depthwise_norm = nn.BatchNorm2d(inner)
        self.project = nn.Conv2d(inner, out, 1, bias=False)
        self.project_norm = nn.BatchNorm2d(out)
        few = max(8, inner // 4 // 8 * 8)
        self.squeeze = nn.Conv2d(inner, few, 1) if squeezes else None
        self.excite = nn.Conv2d(few, inner, 1) if squeezes else None

    def forward(self, x):
        y = self.act(self.expand_norm(self.expand(x)))
        y = self.act(self.depthwise_norm(self.depthwise(y)))
        if self.squeeze is not None:
            gate = F.relu(self.squeeze(y.mean((2, 3), keepdim=True)))
            y = y * F.hardsigmoid(self.excite(gate))
        y = self.project_norm(self.project(y))
        return x + y if self.is_residual else y


class MobileNet(nn.Module):
    """MobileNetV3-Large."""

    BLOCKS = (
        (16, 16, 16, 3, 1, False, F.relu),
        (16, 64, 24, 3, 2, False, F.relu),
        (24, 72, 24, 3, 1, False, F.relu),
        (24, 72, 40, 5, 2, True, F.relu),
        (40, 120, 40, 5, 1, True, F.relu),
        (40, 120, 40, 5, 1, True, F.relu),
        (40, 240, 80, 3, 2, False, F.hardswish),
        (80, 200, 80, 3, 1, False, F.hardswish),
        (80, 184, 80, 3, 1, False, F.hardswish),
        (80, 184, 80, 3, 1, False, F.hardswish),
        (80, 480, 112, 3, 1, True, F.hardswish),
        (112, 672, 112, 3, 1, True, F.hardswish),
        (112, 672, 160, 5, 2, True, F.hardswish),
        (160, 960, 160, 5, 1, True, F.hardswish),
        (160, 960, 160, 5, 1, True, F.hardswish),
    )

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        self.blocks = nn.ModuleList(Bottleneck(*shape) for shape in self.BLOCKS)
        self.head = nn.Conv2d(160, 960, 1, bias=False)
        self.head_norm = nn.BatchNorm2d(960)
        self.hidden = nn.Linear(960, 1280)
        self.classify = nn.Linear(1280, 1000)

    def forward(self, image):
        x = F.hardswish(self.stem_norm(self.stem(image)))
        for block in self.blocks:
            x = block(x)
        x = F.hardswish(self.head_norm(self.head(x))).mean((2, 3))
        return self.classify(F.hardswish(self.hidden(x)))


def mobilenet() -> Model:
    torch.manual_seed(0)
    return Model(_scaled(MobileNet()), inputs={"image": torch.randn(1, 3, 224, 224)})


class Twice(nn.Sequential):
    """Two convolutions of a U-Net."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__(
            nn.Conv2d(width, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(),
        )


class UNet(nn.Module):
    """Four levels, with transposed convolutions on the way up."""

    def __init__(self) -> None:
        super().__init__()
        widths = (32, 64, 128, 256)
        self.down = nn.ModuleList(
            Twice(i, o) for i, o in zip((3, *widths), widths, strict=False)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, 2, stride=2)
            for width in widths[-2::-1]
        )
        self.merge = nn.ModuleList(Twice(2 * width, width) for width in widths[-2::-1])
        self.out = nn.Conv2d(32, 2, 1)

    def forward(self, image):
        x, skipped = image, []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skipped.append(x)
        for up, merge, skip in zip(self.up, self.merge, skipped[-2::-1], strict=True):
            x = merge(torch.cat([up(x), skip], dim=1))
        return self.out(x)


def unet() -> Model:
    torch.manual_seed(0)
    return Model(_scaled(UNet()), inputs={"image": torch.randn(1, 3, 128, 128)})


class Speaker(nn.Module):
    """An LSTM of three layers over 160 frames, and what the last one says."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, num_layers=3, batch_first=True)
        self.out = nn.Linear(256, 256)

    def forward(self, frames):
        _, (state, _) = self.lstm(frames)
        x = F.relu(self.out(state[-1]))
        return x / x.norm(dim=1, keepdim=True)


def lstm() -> Model:
    torch.manual_seed(0)
    return Model(Speaker(), inputs={"frames": torch.randn(1, 160, 40)})


class Spectral(nn.Module):
    """A keyword spotter: the log spectrogram of a second of audio, then convolutions."""

    WINDOW, HOP, WORDS = 512, 160, 35

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(self.WINDOW))
        widths = (1, 32, 64, 128)
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False)
            for i, o in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in widths[1:])
        self.classify = nn.Linear(widths[-1], self.WORDS)

    def forward(self, audio):
        parts = torch.stft(
            audio, self.WINDOW, self.HOP, window=self.window, return_complex=True
        )
        x = torch.log(parts.real.square() + parts.imag.square() + 1e-6)[:, None]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(conv(x)))
        return self.classify(x.mean((2, 3)))


def spectral() -> Model:
    torch.manual_seed(0)
    return Model(_scaled(Spectral()), inputs={"audio": torch.randn(1, 16000)})


class Step(nn.Module):
    """A decoder's step as GPT-2 small takes it: one token, and 256 before it."""

    WIDTH, HEADS, LAYERS, WORDS = 768, 12, 12, 50257

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(self.WORDS, self.WIDTH)
        self.places = nn.Embedding(1024, self.WIDTH)
        self.norms = nn.ModuleList(
            nn.LayerNorm(self.WIDTH) for _ in range(2 * self.LAYERS + 1)
        )
        self.qkv = nn.ModuleList(
            nn.Linear(self.WIDTH, 3 * self.WIDTH) for _ in range(self.LAYERS)
        )
        self.out = nn.ModuleList(
            nn.Linear(self.WIDTH, self.WIDTH) for _ in range(self.LAYERS)
        )
        self.up = nn.ModuleList(
            nn.Linear(self.WIDTH, 4 * self.WIDTH) for _ in range(self.LAYERS)
        )
        self.down = nn.ModuleList(
            nn.Linear(4 * self.WIDTH, self.WIDTH) for _ in range(self.LAYERS)
        )

    def forward(self, token, place, keys, values):
        x = self.words(token) + self.places(place)
        new_keys, new_values = [], []
        for i in range(self.LAYERS):
            heads = self.qkv[i](self.norms[2 * i](x)).unflatten(2, (3, self.HEADS, -1))
            query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
            new_keys.append(key)
            new_values.append(value)
            y = F.scaled_dot_product_attention(
                query,
                torch.cat([keys[i], key], dim=2),
                torch.cat([values[i], value], dim=2),
            )
            x = x + self.out[i](y.transpose(1, 2).flatten(2))
            y = F.gelu(self.up[i](self.norms[2 * i + 1](x)), approximate="tanh")
            x = x + self.down[i](y)
        scores = F.linear(self.norms[-1](x), self.words.weight)
        return scores, torch.stack(new_keys), torch.stack(new_values)


def gpt2_step() -> Model:
    torch.manual_seed(0)
    past = (Step.LAYERS, 1, Step.HEADS, 256, Step.WIDTH // Step.HEADS)
    return Model(
        Step(),
        inputs={
            "token": torch.tensor([[123]]),
            "place": torch.tensor([[256]]),
            "keys": torch.randn(past) / math.sqrt(Step.WIDTH),
            "values": torch.randn(past) / math.sqrt(Step.WIDTH),
        },
    )
