"""torch.cond and while_loop, used as they may not be."""

import torch
from torch import nn
from torch._higher_order_ops.while_loop import while_loop

from torch_aot import Model


def model(forward) -> Model:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return forward(self, x)

    return Model(Net(), inputs=(torch.randn(2, 4),))


def returns_its_input() -> Model:
    def double(x):
        return x * 2

    def same(x):
        return x  # error: returns_its_input

    def forward(self, x):
        return torch.cond(x.sum() > 0, double, same, (x,))

    return model(forward)


def returns_a_view() -> Model:
    def forward(self, x):
        def turned(x):
            y = x[:1]
            return y.view(4)  # error: returns_a_view

        return torch.cond(x.sum() > 0, lambda x: x[0] * 2, turned, (x,))

    return model(forward)


def nested_returns_its_input() -> Model:
    def outer(x):
        def inner(x):
            return x.contiguous()

        return torch.cond(  # error: nested_returns_its_input
            x.max() > 1, inner, lambda x: x + 1, (x,)
        )

    def forward(self, x):
        return torch.cond(x.sum() > 0, outer, lambda x: x * 2, (x,))

    return model(forward)


def ranks_differ() -> Model:
    def forward(self, x):
        return torch.cond(  # error: ranks_differ
            x.sum() > 0, lambda x: x + 1, lambda x: x.sum(), (x,)
        )

    return model(forward)


def dtypes_differ() -> Model:
    def forward(self, x):
        return torch.cond(  # error: dtypes_differ
            x.sum() > 0, lambda x: x + 1, lambda x: x.double() * 2, (x,)
        )

    return model(forward)


def counts_differ() -> Model:
    def forward(self, x):
        return torch.cond(  # error: counts_differ
            x.sum() > 0, lambda x: (x + 1, x + 2), lambda x: (x * 2,), (x,)
        )

    return model(forward)


def returns_a_number() -> Model:
    def forward(self, x):
        scale = torch.cond(
            x.sum() > 0,
            lambda x: 1,  # error: returns_a_number
            lambda x: 2,
            (x,),
        )
        return x * scale

    return model(forward)


def returns_one_twice() -> Model:
    def twice(x):
        y = x + 1
        return y, y  # error: returns_one_twice

    def forward(self, x):
        return torch.cond(x.sum() > 0, twice, lambda x: (x * 2, x * 3), (x,))

    return model(forward)


def returns_a_slice() -> Model:
    def forward(self, x):
        return torch.cond(  # error: returns_a_slice
            x.sum() > 0, lambda x: x[0] * 2, lambda x: x[1], (x,)
        )

    return model(forward)


def if_in_a_branch() -> Model:
    def route(x):
        if x.max() > 1:  # error: if_in_a_branch
            return x + 1
        return x - 1

    def forward(self, x):
        return torch.cond(x.sum() > 0, route, lambda x: x * 2, (x,))

    return model(forward)


def predicate_of_many() -> Model:
    def forward(self, x):
        return torch.cond(  # error: predicate_of_many
            x > 0, lambda x: x + 1, lambda x: x - 1, (x,)
        )

    return model(forward)


def operand_is_a_number() -> Model:
    def forward(self, x):
        return torch.cond(  # error: operand_is_a_number
            x.sum() > 0, lambda x, n: x + n, lambda x, n: x - n, (x, 3)
        )

    return model(forward)


def wrong_operand_count() -> Model:
    def forward(self, x):
        return torch.cond(  # error: wrong_operand_count
            x.sum() > 0, lambda x, y: x + y, lambda x, y: x - y, (x,)
        )

    return model(forward)


def raises_in_a_branch() -> Model:
    def project(self, x):
        return x @ x  # error: raises_in_a_branch

    def forward(self, x):
        return torch.cond(
            x.sum() > 0, lambda x: project(self, x), lambda x: x * 2, (x,)
        )

    return model(forward)


def returns_captured() -> Model:
    def forward(self, x):
        y = x + 1
        return torch.cond(
            x.sum() > 0,
            lambda x: y,  # error: returns_captured
            lambda x: x * 2,
            (x,),
        )

    return model(forward)


def loop_returns_its_input() -> Model:
    def forward(self, x):
        def body(i, x, k):
            return i + 1, x * 2, k  # error: loop_returns_its_input

        _, x, k = while_loop(
            lambda i, x, k: i < 3, body, (torch.tensor(0), x, torch.ones(1))
        )
        return x * k

    return model(forward)


def loop_changes_its_input() -> Model:
    def forward(self, x):
        def body(i, x):  # error: loop_changes_its_input
            x.mul_(2)
            return i + 1, x + 1

        _, x = while_loop(lambda i, x: i < 3, body, (torch.tensor(0), x.clone()))
        return x

    return model(forward)


def loop_changes_shape() -> Model:
    def forward(self, x):
        _, x = while_loop(
            lambda i, x: i < 3,
            lambda i, x: (i + 1, torch.cat([x, x])),  # error: loop_changes_shape
            (torch.tensor(0), x),
        )
        return x

    return model(forward)


def loop_changes_dtype() -> Model:
    def forward(self, x):
        _, x = while_loop(
            lambda i, x: i < 3,
            lambda i, x: (i + 1, x.double()),  # error: loop_changes_dtype
            (torch.tensor(0), x),
        )
        return x

    return model(forward)


def loop_counts_in_python() -> Model:
    def forward(self, x):
        _, x = while_loop(  # error: loop_counts_in_python
            lambda i, x: i < 3, lambda i, x: (i + 1, x * 2), (0, x)
        )
        return x

    return model(forward)
