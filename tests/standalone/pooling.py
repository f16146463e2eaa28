"""Pooling of windows that Inductor leaves to a library."""

import torch

from torch_aot import Model

functional = torch.nn.functional


class Pooling(torch.nn.Module):
    """Large windows, in every layout, with all that they can be told."""

    def forward(self, image, volume, tall):
        last = image.contiguous(memory_format=torch.channels_last)
        gaps = torch.where(image > 2, torch.nan, image)
        results = {
            "mean": functional.avg_pool2d(image, 7),
            "mean_last": functional.avg_pool2d(last, 7, 3, 2) + 1,
            "mean_of_some": functional.avg_pool2d(
                image, (9, 4), 2, (3, 1), ceil_mode=True, count_include_pad=False
            ),
            "sum": functional.avg_pool2d(image, 6, divisor_override=1),
            "mean_of_one": functional.avg_pool2d(image[0], 7),
            "adapted_halves": functional.adaptive_avg_pool2d(image.bfloat16(), 2),
            "mean_of_doubles": functional.avg_pool2d(image.double(), 7, 1),
            "mean_of_volume": functional.avg_pool3d(
                volume, (3, 4, 5), 2, 1, ceil_mode=True
            ),
            "mean_of_tall": functional.avg_pool2d(tall, 7, 1, 3),
            "adapted_tall": functional.adaptive_avg_pool2d(tall, 2),
            "adapted": functional.adaptive_avg_pool2d(image, (2, 3)),
            "adapted_last": functional.adaptive_avg_pool2d(last, (3, 2)) * 2,
            "adapted_one": functional.adaptive_avg_pool2d(image[0], 2),
            "adapted_volume": functional.adaptive_avg_pool3d(volume, (2, 3, 4)),
            "area": functional.interpolate(volume, size=(2, 2, 3), mode="area"),
        }
        for name, (values, at) in {
            "most": functional.max_pool2d(image, 9, 1, 4, return_indices=True),
            "most_of_tall": functional.max_pool2d(tall, 9, 1, 4, return_indices=True),
            "most_13": functional.max_pool2d(last, 13, 1, 6, return_indices=True),
            "most_apart": functional.max_pool2d(
                image, 6, 3, 2, 2, ceil_mode=True, return_indices=True
            ),
            "most_missing": functional.adaptive_max_pool2d(
                gaps, 2, return_indices=True
            ),
            "most_adapted_tall": functional.adaptive_max_pool2d(
                tall, (3, 2), return_indices=True
            ),
            "most_of_integers": functional.max_pool2d(
                (image * 2).to(torch.int64), 6, return_indices=True
            ),
            "most_of_volume": functional.max_pool3d(
                volume, (3, 4, 6), 2, 1, return_indices=True
            ),
            "most_adapted": functional.adaptive_max_pool2d(
                image, 2, return_indices=True
            ),
            "most_adapted_last": functional.adaptive_max_pool2d(
                last, (2, 3), return_indices=True
            ),
            "most_adapted_volume": functional.adaptive_max_pool3d(
                volume, 2, return_indices=True
            ),
        }.items():
            results[name] = values
            results[name + "_at"] = at
        return results


def pooling() -> Model:
    rows = torch.export.Dim("rows", min=14, max=40)
    return Model(
        Pooling(),
        inputs={
            "image": torch.randn(2, 67, 19, 17),
            "volume": torch.randn(2, 3, 7, 9, 11),
            "tall": torch.randn(1, 2, 15, 9),
        },
        dynamic_shapes={"image": {}, "volume": {}, "tall": {2: rows}},
    )
