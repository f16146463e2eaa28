"""Elements that data names: read, written, counted."""

import torch

from torch_aot import Model


class Placing(torch.nn.Module):
    """Puts and scatters values, alone or together, by indices and masks."""

    def forward(self, x, mask, rows, columns, values, places):
        halves = x.bfloat16()
        truths = x > 0
        deep = x[:, None].expand(-1, 2, -1).contiguous()
        # Of values that fall on one element, which one stays is open.
        apart = torch.argsort(x, dim=0)
        return {
            "one": x.index_put((rows, columns), values),
            "sum": x.index_put((rows, columns), values, accumulate=True),
            "number": x.index_put((rows,), torch.tensor(7.0), accumulate=True),
            "masked": x.index_put((mask,), torch.tensor(7.0)),
            "masked_rows": x.index_put((x[:, 0] > 0,), values[:1], accumulate=True),
            "between": deep.index_put((rows, rows % 2, columns), values),
            "integers": places.index_put((rows, columns), rows, accumulate=True),
            "halves": halves.index_put((rows, columns), values.bfloat16()),
            "truths": truths.index_put((rows, columns), values > 0),
            "scattered": x.scatter(0, apart, 2 * x),
            "filled": x.scatter(1, places, 3.0),
            "turned": x.T.scatter(1, apart.T, x.T),
            "few": x.scatter(0, apart[:2, :3], x),
            "added": x.scatter_add(1, places, x),
            "added_integers": places.scatter_add(1, places, places),
            "multiplied": x.scatter_reduce(1, places, x, "prod"),
            "mean": x.scatter_reduce(1, places, x, "mean"),
            "mean_alone": x.scatter_reduce(1, places, x, "mean", include_self=False),
            "mean_integers": (places - 3).scatter_reduce(1, places, places - 3, "mean"),
            "largest": x.scatter_reduce(1, places, x, "amax"),
            "largest_alone": x.scatter_reduce(
                0, places % 2, x, "amax", include_self=False
            ),
            "least": x.double().scatter_reduce(1, places, x.double(), "amin"),
            "least_alone": places.scatter_reduce(
                1, places, places, "amin", include_self=False
            ),
            "taken": x.masked_scatter(mask, 2 * x),
            "taken_rows": x.masked_scatter(mask[:, :1], 2 * x),
        }


def placing() -> Model:
    length = torch.export.Dim("length", min=6, max=40)
    return Model(
        Placing(),
        inputs={
            "x": torch.randn(5, 9),
            "mask": torch.rand(5, 9) > 0.5,
            "rows": torch.tensor([4, -1, 0]),
            "columns": torch.tensor([0, -2, 5]),
            "values": torch.randn(3),
            "places": torch.randint(0, 6, (5, 9)),
        },
        dynamic_shapes={
            "x": {1: length},
            "mask": {1: length},
            "rows": {},
            "columns": {},
            "values": {},
            "places": {1: length},
        },
    )


class Choosing(torch.nn.Module):
    """Results whose sizes data says."""

    def forward(self, x, counts):
        cube = x.reshape(2, 2, -1)
        return {
            "places": torch.nonzero(x > 0),
            "numbers": torch.nonzero(counts),
            "none": torch.nonzero(x > 1e6),
            "chosen": x[x > 0],
            "rows": x[x[:, 0] > 0],
            "turned": x.T[x.T[:, 0] > 0],
            "inner": cube[:, cube[0, :, 0] > 0],
            "selected": torch.masked_select(x, x > 0.5),
            "selected_rows": torch.masked_select(x, x[:, :1] > 0),
            "repeated": torch.repeat_interleave(counts),
        }


def choosing() -> Model:
    length = torch.export.Dim("length", min=2, max=40)
    return Model(
        Choosing(),
        inputs={"x": torch.randn(4, 9), "counts": torch.tensor([2, 0, 3, 1])},
        dynamic_shapes={"x": {1: length}, "counts": {}},
    )
