"""Dynamic dimensions that do not fit the model."""

import torch
from torch import nn
from torch.export import Dim

from torch_aot import Model

BATCH = Dim("batch", min=1, max=64)


class Plain(nn.Module):
    def forward(self, image, mask=None):
        return image + 1 if mask is None else (image + 1, mask + 1)


def model(forward, *inputs: torch.Tensor, shapes: tuple) -> Model:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.positions = nn.Parameter(torch.randn(16, 4))
            self.layer = nn.Linear(4, 4)

        def forward(self, *args):
            return forward(self, *args)

    return Model(Net(), inputs=inputs, dynamic_shapes=(shapes,))


def reshaped_to_a_constant() -> Model:
    def forward(self, x):
        y = self.layer(x)
        return y.reshape(2, 2, 2)  # error: reshaped_to_a_constant

    return model(forward, torch.randn(2, 4), shapes=({0: BATCH},))


def looped_over() -> Model:
    def forward(self, x):
        rows = []
        for i in range(x.shape[0]):  # error: looped_over
            rows.append(x[i] * i)
        return torch.stack(rows)

    return model(forward, torch.randn(2, 4), shapes=({0: BATCH},))


def unpacked() -> Model:
    def forward(self, x):
        first, second = x  # error: unpacked
        return first + second

    return model(forward, torch.randn(2, 4), shapes=({0: BATCH},))


def example_of_one() -> Model:
    return Model(  # error: example_of_one
        Plain(), inputs=(torch.randn(1, 4),), dynamic_shapes=({0: BATCH},)
    )


def example_of_none() -> Model:
    return Model(  # error: example_of_none
        Plain(), inputs=(torch.randn(0, 4),), dynamic_shapes=({0: Dim.DYNAMIC},)
    )


def compared_with_a_size() -> Model:
    def forward(self, x):
        if x.shape[0] > 8:  # error: compared_with_a_size
            return x * 2
        return x + 1

    return model(forward, torch.randn(2, 4), shapes=({0: BATCH},))


def more_than_the_positions() -> Model:
    def forward(self, x):
        return x + self.positions[: x.shape[1]]  # error: more_than_the_positions

    length = Dim("length", min=2, max=512)
    return model(forward, torch.randn(2, 8, 4), shapes=({0: BATCH, 1: length},))


def example_outside_the_range() -> Model:
    batch = Dim("batch", min=4, max=64)
    return Model(  # error: example_outside_the_range
        Plain(), inputs=(torch.randn(2, 4),), dynamic_shapes=({0: batch},)
    )


def one_dim_for_two_sizes() -> Model:
    return Model(  # error: one_dim_for_two_sizes
        Plain(),
        inputs=(torch.randn(2, 4), torch.randn(3, 4)),
        dynamic_shapes=({0: BATCH}, {0: BATCH}),
    )


def two_dims_that_must_agree() -> Model:
    def forward(self, x, y):
        return x + y  # error: two_dims_that_must_agree

    rows = Dim("rows", min=1, max=64)
    return model(
        forward,
        torch.randn(2, 4),
        torch.randn(2, 4),
        shapes=({0: BATCH}, {0: rows}),
    )


def must_be_even() -> Model:
    def forward(self, x):
        return x.view(-1, 2, 4)  # error: must_be_even

    return model(forward, torch.randn(4, 4), shapes=({0: BATCH},))


def not_of_the_derived_form() -> Model:
    half = Dim("half", max=9)
    return Model(  # error: not_of_the_derived_form
        Plain(), inputs=(torch.randn(3, 4),), dynamic_shapes=({0: 2 * half},)
    )


def must_be_at_least_three() -> Model:
    def forward(self, x):
        return x.unfold(0, 3, 1)  # error: must_be_at_least_three

    return model(forward, torch.randn(5, 4), shapes=({0: BATCH},))


def linear_of_a_dynamic_width() -> Model:
    def forward(self, x):
        return self.layer(x)  # error: linear_of_a_dynamic_width

    width = Dim("width", min=1, max=64)
    return model(forward, torch.randn(2, 4), shapes=({1: width},))


def one_left() -> Model:
    def forward(self, x):
        return x[:, 1:].sum(1) + x[:, 0]  # error: one_left

    length = Dim("length", min=2, max=16)
    return model(forward, torch.randn(2, 8, 4), shapes=({1: length},))


def two_violations() -> Model:
    def forward(self, x):
        y = x + self.positions[: x.shape[1]]
        return y.reshape(2, -1)  # error: two_violations

    length = Dim("length", min=2, max=512)
    return model(forward, torch.randn(2, 8, 4), shapes=({0: BATCH, 1: length},))


def unknown_argument() -> Model:
    return Model(  # error: unknown_argument
        Plain(), inputs=(torch.randn(2, 4),), dynamic_shapes={"picture": {0: BATCH}}
    )


def too_many_shapes() -> Model:
    return Model(  # error: too_many_shapes
        Plain(),
        inputs=(torch.randn(2, 4),),
        dynamic_shapes=({0: BATCH}, {0: BATCH}),
    )


def shapes_not_in_a_tuple() -> Model:
    return Model(  # error: shapes_not_in_a_tuple
        Plain(), inputs=(torch.randn(2, 4),), dynamic_shapes={0: BATCH}
    )


def wrong_nesting() -> Model:
    return Model(  # error: wrong_nesting
        Plain(),
        inputs=(torch.randn(2, 4),),
        dynamic_shapes={"image": [{0: BATCH}]},
    )


def dimension_out_of_range() -> Model:
    return Model(  # error: dimension_out_of_range
        Plain(), inputs=(torch.randn(2, 4),), dynamic_shapes={"image": {5: BATCH}}
    )


def dimension_is_a_string() -> Model:
    return Model(  # error: dimension_is_a_string
        Plain(), inputs=(torch.randn(2, 4),), dynamic_shapes={"image": {0: "batch"}}
    )


def too_few_dimensions() -> Model:
    return Model(  # error: too_few_dimensions
        Plain(), inputs=(torch.randn(2, 4),), dynamic_shapes={"image": (BATCH,)}
    )


def two_definitions_of_a_dim() -> Model:
    return Model(  # error: two_definitions_of_a_dim
        Plain(),
        inputs=(torch.randn(2, 4), torch.randn(2, 4)),
        dynamic_shapes=({0: BATCH}, {0: Dim("batch", min=1, max=32)}),
    )


def shape_of_a_number() -> Model:
    return Model(  # error: shape_of_a_number
        Plain(), inputs=(torch.randn(2, 4), 3), dynamic_shapes=({0: BATCH}, {0: BATCH})
    )


def shapes_are_a_dim() -> Model:
    return Model(  # error: shapes_are_a_dim
        Plain(), inputs=(torch.randn(2, 4),), dynamic_shapes=BATCH
    )


def bad_dim() -> Model:
    return Model(
        Plain(),
        inputs=(torch.randn(2, 4),),
        dynamic_shapes=({0: Dim("batch", min=8, max=4)},),  # error: bad_dim
    )


def dynamic_hint_specialised() -> Model:
    def forward(self, x):
        return x.reshape(2, 2, 2)  # error: dynamic_hint_specialised

    return model(forward, torch.randn(2, 4), shapes=({0: Dim.DYNAMIC},))
