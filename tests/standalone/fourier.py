"""Fourier transforms and complex tensors."""

import torch

from torch_aot import Model

# Powers of two, all factors, and prime lengths with a convolution.
LENGTHS = (1, 2, 3, 4, 6, 8, 30, 35, 77, 97, 128, 169, 256, 331, 400)


class Transforms(torch.nn.Module):
    """Of many lengths, along any dimensions, in both directions."""

    def forward(self, x, y):
        view = torch.view_as_real
        pairs = torch.view_as_complex(y)
        results = {
            f"real{n}": view(torch.fft.rfft(x[:, :n], norm="ortho")) for n in LENGTHS
        }
        results |= {
            f"complex{n}": view(torch.fft.fft(pairs[:, :n], norm="ortho"))
            for n in LENGTHS
        }
        spectrum = torch.fft.rfft(x)
        return results | {
            "back": torch.fft.irfft(spectrum, n=400),
            "odd": torch.fft.irfft(spectrum[:, :17], n=33),
            "ifft": view(torch.fft.ifft(pairs, norm="ortho")),
            "turned": view(torch.fft.fft(pairs.T, dim=0, norm="ortho")),
            "plane": torch.fft.fft2(x[:, :36].reshape(-1, 4, 9)).abs(),
            "planes": view(torch.fft.rfft2(x[:, :36].reshape(-1, 4, 9))),
            "plane_back": torch.fft.irfft2(
                torch.fft.rfft2(x[:, :36].reshape(-1, 4, 9)), s=(4, 9)
            ),
            "doubles": view(torch.fft.rfft(x.double())),
            "long_doubles": view(torch.fft.rfft(x[:, :331].double())),
            "missing": torch.fft.rfft(torch.where(x > 3, torch.nan, x)).abs(),
        }


def transforms() -> Model:
    batch = torch.export.Dim("batch", min=1, max=20)
    return Model(
        Transforms(),
        inputs={"x": torch.randn(3, 400), "y": torch.randn(3, 400, 2)},
        dynamic_shapes={"x": {0: batch}, "y": {0: batch}},
    )


class Spectrogram(torch.nn.Module):
    """Sound as a picture, a network on it, and sound again."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))
        self.network = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.Conv2d(4, 1, 3, padding=1),
            torch.nn.Sigmoid(),
        )

    def forward(self, sound):
        frames = torch.stft(sound, 64, 16, window=self.window, return_complex=True)
        parts = torch.view_as_real(frames)
        mask = self.network(frames.abs()[:, None])[:, 0]
        masked = torch.view_as_complex((parts * mask[..., None]).contiguous())
        return {
            "mask": mask,
            "sound": torch.istft(masked, 64, 16, window=self.window),
        }


def spectrogram() -> Model:
    batch = torch.export.Dim("batch", min=1, max=9)
    return Model(
        Spectrogram(),
        inputs={"sound": torch.randn(2, 800)},
        dynamic_shapes={"sound": {0: batch}},
    )
