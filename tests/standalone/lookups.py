"""What is looked up in tables: sorted ones, and those of embeddings."""

import torch

from torch_aot import Model

functional = torch.nn.functional


class Lookups(torch.nn.Module):
    """Searches and bags, of all that they can be told."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(11, 300))
        self.register_buffer("indices", torch.tensor([1, 3, 3, 10, 0, 5, 3]))
        self.register_buffer("offsets", torch.tensor([0, 2, 2, 7]))

    def forward(self, x, lines):
        indices, offsets = self.indices, self.offsets
        edges = torch.sort(lines, dim=1)[0]
        line = edges[0].contiguous()
        order = torch.argsort(lines, dim=1)
        gaps = torch.where(x > 1, torch.nan, x)

        def bags(mode, **kwargs):
            table = kwargs.pop("table", self.table)
            return functional.embedding_bag(
                indices, table, offsets, mode=mode, **kwargs
            )

        return {
            "found": torch.searchsorted(edges, x),
            "found_right": torch.searchsorted(edges, lines, right=True),
            "found_left": torch.searchsorted(edges, lines, side="left"),
            "found_short": torch.searchsorted(edges, x, out_int32=True),
            "found_missing": torch.searchsorted(edges, gaps),
            "found_turned": torch.searchsorted(edges, x.T.contiguous().T),
            "found_unsorted": torch.searchsorted(lines, x, sorter=order),
            "found_number": torch.searchsorted(line, 0.25),
            "found_half": torch.searchsorted((line * 9).to(torch.int64), 2.5),
            "bucket": torch.bucketize(x, line),
            "bucket_right": torch.bucketize(lines, lines[0].sort()[0], right=True),
            "bucket_integers": torch.bucketize(
                indices, torch.arange(0, 9, 3), out_int32=True
            ),
            "bucket_halves": torch.bucketize(x.bfloat16(), line.bfloat16()),
            "bucket_none": torch.bucketize(x, line[:0]),
            "sum": bags("sum"),
            "mean": bags("mean"),
            "most": bags("max"),
            "weighted": bags("sum", per_sample_weights=x.reshape(-1)[:7]),
            "padded": bags("mean", padding_idx=3),
            "ended": bags("sum", include_last_offset=True),
            "halves": bags("sum", table=self.table.bfloat16()),
            "doubles": bags("mean", table=self.table.double().T.contiguous().T),
            "together": functional.embedding_bag(
                indices.reshape(1, 7).expand(3, 7).to(torch.int32), self.table
            ),
        }


def lookups() -> Model:
    return Model(
        Lookups(),
        inputs={
            "x": torch.randn(3, 8),
            "lines": torch.randn(3, 21),
        },
    )
