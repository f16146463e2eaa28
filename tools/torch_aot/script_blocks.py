"""TorchScript's `if` and loops on data, as torch.cond and torch's while_loop.

A block is tried first, in which nothing gets into the exported graph: that tells what it
changes and what comes out of it. Then it is traced as a function of all that it takes, on
copies of what it changes, and its changes are made to what was there before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from aot_common.frames import Frame
from torch_aot import upstream
from torch_aot.script_memory import Memory
from torch_aot.script_operators import HARMLESS
from torch_aot.script_values import (
    Data,
    Mismatch,
    Template,
    items_of,
    kind_of,
    leaves_of,
    like,
    refill,
    tensors_of,
    to_tensor,
)

if TYPE_CHECKING:
    from torch_aot.script_interpreter import Interpreter

_Result = TypeVar("_Result")


class Raised(Exception):
    """The scripted code's own error.

    Attributes:
        frames: The lines that raised it, outermost first.
    """

    def __init__(self, text: str, frames: Sequence[Frame]) -> None:
        super().__init__(text)
        self.frames = [*frames]


def run_if(
    run: Interpreter, node: Any, condition: Any, names: dict[int, Any]
) -> Sequence[Any]:
    """Runs `prim::If`; returns the values of its outputs."""
    blocks = [*node.blocks()]
    side = upstream.known_truth(condition)
    if side is None:
        try:
            if _is_harmless(node):
                return _choose(run, blocks, condition, names)
            return _run_both(run, blocks, condition, names)
        except Mismatch as error:
            if isinstance(condition, Data):
                raise run.failure(
                    "the two sides of this `if` on data cannot be one graph: they leave "
                    f"{error}",
                    "let both sides leave values of the same types, shapes and dtypes",
                ) from error
        side = bool(condition)  # of sizes: torch.export says what that asks of them
    return run.run_block(blocks[0 if side else 1], [], names)


def run_loop(
    run: Interpreter, node: Any, values: Sequence[Any], names: dict[int, Any]
) -> Sequence[Any]:
    """Runs `prim::Loop`; returns the values of its outputs.

    Iterations of which it is known that there are any are unrolled, however many.
    """
    limit, condition, *carried = values
    (block,) = node.blocks()
    index = 0
    while True:
        if isinstance(limit, int) and index >= limit:
            return carried
        more = upstream.known_truth(condition)
        if more is False:
            return carried
        if more is None or not isinstance(limit, int):
            try:
                return _Loop(run, block, names, index, limit).run(condition, carried)
            except Mismatch as error:
                raise run.failure(
                    "this loop, whose number of iterations is data or a dynamic size, "
                    f"cannot be one graph: an iteration leaves {error}",
                    "let each iteration leave values of the types, shapes and dtypes that "
                    "it got, and lists as long as they were; or make the number static",
                ) from error
        if index == _MOST:
            raise run.failure(
                f"this loop has more than {_MOST} iterations, which the exported graph "
                "would all have in it",
                "compute with tensors, or let the loop's condition be a tensor's value",
            )
        condition, *carried = run.run_block(block, [index, *carried], names)
        index += 1


_MOST = 10_000


def _is_harmless(node: Any) -> bool:
    kinds = {name.type().kind() for name in node.outputs()}
    inner = (each.kind() for block in node.blocks() for each in block.nodes())
    return kinds <= {"BoolType", "FloatType", "IntType"} and HARMLESS.issuperset(inner)


def _choose(
    run: Interpreter, blocks: Sequence[Any], condition: Any, names: dict[int, Any]
) -> Sequence[Any]:
    """Computes both sides: `a and b` of numbers is an `if` in TorchScript."""
    first, second = (run.run_block(block, [], names) for block in blocks)
    chosen = to_tensor(condition)
    return [
        Data(torch.where(chosen, to_tensor(a), to_tensor(b)), kind_of(a))
        for a, b in zip(first, second, strict=True)
    ]


class _Taken:
    """What blocks take of what was there before them.

    Attributes:
        names: The values of TorchScript's names, by torch's numbers of them.
        state: The attributes that they use, by path.
        sets: The paths of those that they set.
        tensors: The tensors and symbols in all these, once each.
    """

    def __init__(
        self, run: Interpreter, blocks: Sequence[Any], names: dict[int, Any]
    ) -> None:
        self.names = {name: names[name] for name in _free_names(blocks)}
        read, self.sets = run.attributes_of(blocks)
        self.state = {path: run.attribute(path) for path in read}
        self.tensors: list[Any] = []
        self._index: dict[int, int] = {}
        for value in [*self.names.values(), *self.state.values()]:
            for leaf in leaves_of(value):
                if id(leaf) not in self._index:
                    if isinstance(leaf, torch.Tensor):
                        run.check_read(leaf)
                    self._index[id(leaf)] = len(self.tensors)
                    self.tensors.append(leaf)

    def position(self, leaf: Any) -> int | None:
        """Where a tensor or symbol is among `tensors`."""
        return self._index.get(id(leaf))


def _free_names(blocks: Sequence[Any]) -> list[int]:
    bound: set[int] = set()
    used: dict[int, None] = {}

    def visit(block: Any) -> None:
        bound.update(name.unique() for name in block.inputs())
        for node in block.nodes():
            used.update((name.unique(), None) for name in node.inputs())
            for inner in node.blocks():
                visit(inner)
            if node.kind() != "prim::Constant":  # these are there from the beginning
                bound.update(name.unique() for name in node.outputs())
        used.update((name.unique(), None) for name in block.outputs())

    for block in blocks:
        visit(block)
    return [name for name in used if name not in bound]


class _Copies:
    """What a block takes, made of other tensors.

    Attributes:
        tensors: In the place of `_Taken.tensors`.
        containers: The lists and dicts in it, each with its copy.
    """

    def __init__(self, taken: _Taken, tensors: Sequence[Any]) -> None:
        self.tensors = tensors
        self.containers: list[tuple[Any, Any, list[Any]]] = []
        self._taken = taken
        self._made: dict[int, Any] = {}

    def of(self, value: Any) -> Any:
        """The copy of a value; the same one whenever it is asked for."""
        position = self._taken.position(value)
        if position is not None:
            return self.tensors[position]
        if isinstance(value, Data):
            return Data(self.of(value.tensor), value.kind)
        if not isinstance(value, list | tuple | dict):
            return value
        if id(value) not in self._made:
            items = [self.of(item) for item in items_of(value)]
            self._made[id(value)] = copy = like(value, items)
            if not isinstance(value, tuple):
                self.containers.append((value, copy, items))
        return self._made[id(value)]

    def changed(self) -> list[int]:
        """Which of the containers have other items now."""
        return [
            i
            for i, (_, copy, items) in enumerate(self.containers)
            if len(copy) != len(items)
            or any(a is not b for a, b in zip(items_of(copy), items, strict=True))
        ]


@dataclasses.dataclass
class _Outcome:
    """What a block leaves.

    Attributes:
        results: The values of its outputs.
        state: The module's attributes then.
        copies: What it was given, and has changed.
        memory: What it wrote to.
    """

    results: list[Any]
    state: dict[str, Any]
    copies: _Copies
    memory: Memory

    def written(self) -> set[int]:
        """The positions of the tensors that it wrote to, among those that it took."""
        return {
            i
            for i, tensor in enumerate(self.copies.tensors)
            if isinstance(tensor, torch.Tensor) and self.memory.is_written(tensor)
        }


@dataclasses.dataclass
class _Changes:
    """What blocks change of what was there before: attributes, tensors, containers."""

    paths: list[str]
    tensors: list[int]
    containers: list[int]

    def tree(self, outcome: _Outcome, results: Any) -> list[Any]:
        """What a block leaves there, behind results."""
        containers = (outcome.copies.containers[i][1] for i in self.containers)
        return [
            results,
            [outcome.state[path] for path in self.paths],
            [outcome.copies.tensors[i] for i in self.tensors],
            [like(each, items_of(each)) for each in containers],
        ]

    def separate(self, tensors: Sequence[Any]) -> list[Any]:
        """Copies those that are written to: operators' arguments may not be."""
        return [t.clone() if i in self.tensors else t for i, t in enumerate(tensors)]

    def apply(
        self, run: Interpreter, taken: _Taken, copies: _Copies, tree: list[Any]
    ) -> Any:
        """Does to what was there what was done to its copies; returns the results."""
        results, state, tensors, containers = tree
        run.state.update(zip(self.paths, state, strict=True))
        for i, tensor in zip(self.tensors, tensors, strict=True):
            run.apply(torch.ops.aten.copy_.default, taken.tensors[i], tensor)
        for i, items in zip(self.containers, containers, strict=True):
            refill(copies.containers[i][0], items)
        return results


def _run_apart(
    run: Interpreter,
    taken: _Taken,
    tensors: Sequence[Any],
    block: Any,
    arguments: Callable[[], Sequence[Any]],
    then: Callable[[_Outcome], _Result],
) -> _Result:
    """Runs a block on copies of what it takes, so that nothing changes outside.

    Args:
        run: The run that this is part of.
        taken: What the block takes.
        tensors: In the place of the tensors in it.
        block: A block of TorchScript's.
        arguments: Gives the values of the block's own inputs.
        then: Takes what the block leaves, while it is there.
    """
    copies = _Copies(taken, tensors)
    names = {name: copies.of(value) for name, value in taken.names.items()}
    before = run.memory, run.state
    run.memory = Memory()
    run.depth += 1
    run.state = {path: copies.of(value) for path, value in taken.state.items()}
    try:
        results = run.run_block(block, arguments(), names)
        return then(_Outcome(results, run.state, copies, run.memory))
    finally:
        run.memory, run.state = before
        run.depth -= 1


def _attempt(
    run: Interpreter,
    taken: _Taken,
    block: Any,
    arguments: Callable[[], Sequence[Any]] = list,
) -> _Outcome:
    """Runs a block without tracing it."""
    before, run.dry = run.dry, True
    try:
        with upstream.untraced(taken.tensors):
            tensors = [
                each.clone() if isinstance(each, torch.Tensor) else each
                for each in taken.tensors
            ]
            return _run_apart(run, taken, tensors, block, arguments, lambda out: out)
    finally:
        run.dry = before


def _own(tensors: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """Copies, as what operators return shares no memory."""
    contiguous = torch.contiguous_format
    return tuple(tensor.clone(memory_format=contiguous) for tensor in tensors)


def _operands(run: Interpreter, taken: _Taken) -> tuple[Any, ...]:
    """What blocks take, without views: operators' arguments share no memory either."""
    return tuple(
        each.clone(memory_format=torch.contiguous_format)
        if isinstance(each, torch.Tensor) and run.memory.owner(each) is not each
        else each
        for each in taken.tensors
    )


def _outer(taken: _Taken, outcome: _Outcome, tensor: Any) -> Iterator[torch.Tensor]:
    """Those tensors outside whose memory one inside may be, in TorchScript."""
    owners = outcome.memory.shared([tensor])
    for before, copy in zip(taken.tensors, outcome.copies.tensors, strict=True):
        if isinstance(copy, torch.Tensor) and owners & outcome.memory.shared([copy]):
            yield before


def _check_apart(run: Interpreter, taken: _Taken, written: set[int]) -> None:
    """Refuses to change, by copying, one of two tensors that share memory."""
    owners = [
        run.memory.shared([t]) if isinstance(t, torch.Tensor) else set()
        for t in taken.tensors
    ]
    for i in written:
        for j, other in enumerate(owners):
            if i != j and owners[i] & other:
                raise run.failure(
                    "an `if` or a loop on data changes a tensor in place, and reads it by "
                    "another name, or a part of it",
                    "compute a new tensor in it: y = torch.where(...), torch.cat(...)",
                )


# ---- if


def _run_both(
    run: Interpreter, blocks: Sequence[Any], condition: Any, names: dict[int, Any]
) -> Sequence[Any]:
    taken = _Taken(run, blocks, names)
    outcomes: list[_Outcome] = []
    for i, block in enumerate(blocks):
        try:
            outcomes.append(_attempt(run, taken, block))
        except Raised as error:
            side = 1 - i
            _assert(run, condition, side, str(error))
            return run.run_block(blocks[side], [], names)
    changes = _Changes(
        taken.sets,
        sorted(set().union(*(outcome.written() for outcome in outcomes))),
        sorted({i for outcome in outcomes for i in outcome.copies.changed()}),
    )
    _check_apart(run, taken, {*changes.tensors})
    trees = [changes.tree(outcome, outcome.results) for outcome in outcomes]
    template = Template.of(*trees)

    def traced(block: Any) -> Callable[..., tuple[torch.Tensor, ...]]:
        def side(*tensors: Any) -> tuple[torch.Tensor, ...]:
            return _run_apart(
                run,
                taken,
                changes.separate(tensors),
                block,
                list,
                lambda out: _own(template.flatten(changes.tree(out, out.results))),
            )

        return side

    if run.dry:
        made = _own(template.flatten(trees[0]))
    else:
        made = torch.ops.higher_order.cond(
            to_tensor(condition),
            *map(traced, blocks),
            _operands(run, taken),
        )
    tree = template.unflatten(iter(made))
    results = changes.apply(run, taken, outcomes[0].copies, tree)
    for outcome in outcomes:
        _relate(run, taken, outcome, results, outcome.results)
        paths = changes.paths
        after = [outcome.state[path] for path in paths]
        _relate(run, taken, outcome, [run.state[path] for path in paths], after)
    return results


def _relate(
    run: Interpreter, taken: _Taken, outcome: _Outcome, made: Any, inside: Any
) -> None:
    """Notes what the tensors that came out share with others, in TorchScript."""
    pairs = [*zip(tensors_of(made), tensors_of(inside), strict=False)]
    for i, (tensor, origin) in enumerate(pairs):
        for before in _outer(taken, outcome, origin):
            run.memory.relate(tensor, before)
        for other, its_origin in pairs[:i]:
            if outcome.memory.shared([origin]) & outcome.memory.shared([its_origin]):
                run.memory.relate(tensor, other)


def _assert(run: Interpreter, condition: Any, side: int, text: str) -> None:
    """Lets a run fail that goes where the scripted code raises an error."""
    if not run.dry:
        holds = to_tensor(condition)
        holds = holds if side == 0 else holds.logical_not()
        torch.ops.aten._assert_async.msg(holds, text)


# ---- loops


class _Loop:
    """A loop that becomes a while_loop.

    Args:
        run: The run that this is part of.
        block: The loop's body.
        names: The values of the names outside.
        start: The number of the first iteration.
        limit: That behind the last one's.
    """

    def __init__(
        self,
        run: Interpreter,
        block: Any,
        names: dict[int, Any],
        start: int,
        limit: Any,
    ) -> None:
        self._run = run
        self._block = block
        self._start = start
        self._limit = limit
        self._taken = _Taken(run, [block], names)
        self._changes = _Changes(self._taken.sets, [], [])

    def run(self, condition: Any, carried: Sequence[Any]) -> Sequence[Any]:
        """Runs it; returns what the last iteration leaves.

        Raises:
            Mismatch: An iteration leaves what the next one cannot take.
        """
        run, changes = self._run, self._changes
        first, outcome = self._settle(carried)
        after = self._template.flatten(changes.tree(outcome, outcome.results[1:]))
        before = self._template.flatten(first)
        in_place = self._check_memory(before, after, outcome)
        made = self._trace(condition, before)
        tree = self._template.unflatten(iter(made))
        results = changes.apply(run, self._taken, outcome.copies, tree)
        for i in in_place:
            run.apply(torch.ops.aten.copy_.default, before[i], made[i])
        for i, tensor in enumerate(made):
            run.memory.relate(tensor, before[i])
            for other in _outer(self._taken, outcome, after[i]):
                run.memory.relate(tensor, other)
        return results

    def _settle(self, carried: Sequence[Any]) -> tuple[list[Any], _Outcome]:
        """Tries iterations until what they change is known; what they get and leave."""
        run, changes = self._run, self._changes
        while True:
            first = [
                [*carried],
                [run.attribute(path) for path in changes.paths],
                [self._taken.tensors[i] for i in changes.tensors],
                [],
            ]
            self._template = Template.of(first, first, vary=True)

            def arguments(first: list[Any] = first) -> list[Any]:
                self._tried = _own(self._template.flatten(first))
                return self._begin(self._tried, torch.zeros((), dtype=torch.int64))

            outcome = _attempt(run, self._taken, self._block, arguments)
            if outcome.copies.changed():
                raise Mismatch("a list or dict that it has changed")
            written = outcome.written()
            if written <= {*changes.tensors}:
                break
            changes.tensors = sorted(written)
        _check_apart(run, self._taken, written)
        self._template = Template.of(
            first, changes.tree(outcome, outcome.results[1:]), vary=True
        )
        return first, outcome

    def _check_memory(
        self,
        before: Sequence[torch.Tensor],
        after: Sequence[torch.Tensor],
        outcome: _Outcome,
    ) -> list[int]:
        """Finds what iterations change in place of what they get from the last one."""
        inside, outside = outcome.memory, self._run.memory
        found = [i for i, t in enumerate(self._tried) if inside.is_written(t)]
        taken = [t for t in self._taken.tensors if isinstance(t, torch.Tensor)]
        for i in found:
            others = [t for j, t in enumerate(before) if j != i]
            shares = outside.shared([before[i]]) & outside.shared([*others, *taken])
            if after[i] is not self._tried[i] or shares:
                raise Mismatch("a tensor that was changed in place and then replaced")
        # What the next iteration gets must not be changed by another name.
        written = [self._tried[i] for i in found]
        written += [outcome.copies.tensors[i] for i in outcome.written()]
        for i, tensor in enumerate(after):
            owners = inside.shared([tensor])
            for other in written:
                same = other is tensor
                if not same and owners & inside.shared([other]):
                    raise Mismatch("a tensor by two names, which it changes in place")
            for other in after[:i]:
                if inside.is_written(tensor) and owners & inside.shared([other]):
                    raise Mismatch("a tensor by two names, which it changes in place")
        return found

    def _begin(self, leaves: Sequence[torch.Tensor], index: torch.Tensor) -> list[Any]:
        """Puts what is carried into its places; returns the block's arguments."""
        tree = self._template.unflatten(iter(leaves))
        results, state, _, _ = tree
        self._run.state.update(zip(self._changes.paths, state, strict=True))
        return [Data(index, "int"), *results]

    def _trace(
        self, condition: Any, before: Sequence[torch.Tensor]
    ) -> Sequence[torch.Tensor]:
        if self._run.dry:
            return _own(before)
        count = len(before)
        alive, limit = to_tensor(condition), to_tensor(self._limit)
        start = torch.full((), self._start, dtype=torch.int64)

        def go_on(index: Any, alive: Any, *rest: Any) -> torch.Tensor:
            return torch.logical_and(alive, torch.lt(index, rest[-1]))

        def body(index: Any, alive: Any, *rest: Any) -> tuple[torch.Tensor, ...]:
            leaves = _own(rest[:count])
            tensors = [*rest[count:-1]]
            carried = self._template.unflatten(iter(leaves))[2]
            for i, tensor in zip(self._changes.tensors, carried, strict=True):
                tensors[i] = tensor

            def then(outcome: _Outcome) -> tuple[torch.Tensor, ...]:
                tree = self._changes.tree(outcome, outcome.results[1:])
                more = to_tensor(outcome.results[0])
                return (index + 1, *_own([more, *self._template.flatten(tree)]))

            return _run_apart(
                self._run,
                self._taken,
                tensors,
                self._block,
                lambda: self._begin(leaves, index),
                then,
            )

        made = torch.ops.higher_order.while_loop(
            go_on,
            body,
            (start, *_own([alive, *before])),
            (*_operands(self._run, self._taken), limit),
        )
        return made[2:]
