"""Errors that a user can act on: what is wrong, where, and what to do."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
import linecache
import os
import re
import sysconfig
import textwrap
import traceback
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

_WIDTH = 100
_MAX_STACK = 4  # frames shown beside the one that the error is at
_TOOLS_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OWN_DIRS = tuple(
    os.path.join(_TOOLS_DIR, name, "") for name in ("torch_aot", "triton_aot")
)
_OWN_FILES = {os.path.join(_TOOLS_DIR, "compile_model.py")}
_PACKAGES = f"site-packages{os.sep}"
_TORCH_PACKAGES = {
    "torch",
    "functorch",
    "mpmath",
    "networkx",
    "numpy",
    "sympy",
    "triton",
}

FULL_TRACE_FLAG = "--full_trace (under Bazel: --@rules_torch//rules:full_trace)"
FULL_TRACE = f"to see PyTorch's whole report, run again with {FULL_TRACE_FLAG}"


@dataclasses.dataclass(frozen=True)
class Frame:
    """A line of code that was being run.

    Attributes:
        path: As the interpreter knows it.
        line: From 1.
        function: What the line is in; may be empty.
        text: The line itself, as the graph of an exported program keeps it; may be empty.
    """

    path: str
    line: int
    function: str = ""
    text: str = dataclasses.field(default="", compare=False)

    @property
    def where(self) -> str:
        """`models/resnet.py:31`."""
        return f"{shorten_path(self.path)}:{self.line}"

    @property
    def code(self) -> str:
        """The source line, if it is kept or the file can be read."""
        return self.text or _source_line(self.path, self.line)


class UserError(Exception):
    """A mistake in the user's model, entry, weights or arguments.

    Attributes:
        what: What is wrong: a sentence or two, or a few lines.
        where: "models/resnet.py:31", "//models:resnet", or an empty string.
        fix: What to do about it; may be lines.
        stack: The user's frames, outermost first; the one at `where` among them.
    """

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", stack: Sequence[Frame] = ()
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix
        self.stack = tuple(stack)

    def __str__(self) -> str:
        prefix = f"{self.where}: error: " if self.where else "error: "
        lines = _wrap(prefix + self.what)
        path, _, line = self.where.rpartition(":")
        if line.isdigit():
            kept = (frame.text for frame in self.stack if frame.where == self.where)
            code = next(kept, "") or _source_line(path, int(line))
            lines += [_clip(f"  {line} | {code}")] if code else []
        lines += [_clip(line) for line in self._other_frames()]
        if self.fix:
            lines += _wrap(f"  fix: {self.fix}")
        return "\n".join(lines)

    def _other_frames(self) -> list[str]:
        """Says how the line came to run, and where below it the error arose."""
        places = [frame.where for frame in self.stack]
        if self.where not in places:
            return []
        at = len(places) - 1 - places[::-1].index(self.where)
        inner = [("in", frame) for frame in self.stack[:at:-1]]
        outer = [("called from", frame) for frame in reversed(self.stack[:at])]
        shown = []
        for relation, frame in inner[:1] + outer:
            code = f": {frame.code}" if frame.code else ""
            if frame.where != self.where:
                shown.append(f"  {relation} {frame.where}{code}")
        return list(dict.fromkeys(shown))[:_MAX_STACK]


def _source(path: str) -> list[str]:
    """A file's lines, or none if it cannot be read."""
    linecache.checkcache(path)
    return linecache.getlines(path)


def _source_line(path: str, line: int) -> str:
    return "".join(_source(path)[line - 1 : line]).strip()


def _wrap(text: str) -> list[str]:
    """Wraps each line of a text; all but the first are indented."""
    wrapped: list[str] = []
    for line in text.splitlines():
        indent = "    " if wrapped else ""
        wrapped += textwrap.wrap(
            line.strip() if wrapped else line,
            width=_WIDTH,
            initial_indent=indent,
            subsequent_indent=indent + "    " if indent else "    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return wrapped


def _clip(line: str) -> str:
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def fail(what: str, *, where: str = "", fix: str = "") -> NoReturn:
    """Raises a UserError."""
    raise UserError(what, where=where, fix=fix)


def shorten_path(path: str) -> str:
    """Makes a path fit for a message: relative, if it lies below this directory."""
    if _PACKAGES in path:
        return _PACKAGES + path.rpartition(_PACKAGES)[2]
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def portable_path(path: str) -> str:
    """Makes a path fit for an output: the same on every machine."""
    relative = shorten_path(path)
    if not os.path.isabs(relative):
        return relative
    for root in _standard_library():
        if path.startswith(root):
            return os.path.join("python", os.path.relpath(path, root))
    return os.path.basename(path)


@functools.cache
def _standard_library() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple(
        {
            root + os.sep
            for name in ("stdlib", "platstdlib")
            for root in (paths[name], os.path.realpath(paths[name]))
        }
    )


@functools.cache
def is_user_file(path: str) -> bool:
    """Whether a path is code of the user's: no package, nor Python's, nor ours."""
    if not path.endswith(".py") or path.startswith("<") or _PACKAGES in path:
        return False
    path = os.path.abspath(path)
    if path in _OWN_FILES or path.startswith(_OWN_DIRS):
        return False
    return not path.startswith((*_standard_library(), *_package_dirs()))


@functools.cache
def _package_dirs() -> tuple[str, ...]:
    """Where torch and Triton are, of those that there are."""
    specs = [importlib.util.find_spec(name) for name in ("torch", "triton")]
    return tuple(
        os.path.dirname(os.path.abspath(spec.origin)) + os.sep
        for spec in specs
        if spec and spec.origin
    )


def _is_library_file(path: str) -> bool:
    """Whether a path is of a package that the user imports, other than torch."""
    package = path.rpartition(_PACKAGES)[2].partition(os.sep)[0]
    return _PACKAGES in path and package not in _TORCH_PACKAGES


def chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it was raised from or while handling, outermost first."""
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        # torch raises many `from None`, and the cause alone has the stack.
        current = current.__cause__ or current.__context__


def user_frames(error: BaseException) -> list[Frame]:
    """Finds the lines of the user's code that an error passed through.

    Args:
        error: An exception; its causes are searched too, until one has any.

    Returns:
        The frames, outermost first, the last of them the user's. If that one
        called a package in which the error arose, the package's line follows.
    """
    for current in chain(error):
        frames = [
            frame
            for frame in _frames(current)
            if _is_library_file(frame.path) or is_user_file(frame.path)
        ]
        last = max(
            (i for i, frame in enumerate(frames) if is_user_file(frame.path)),
            default=None,
        )
        if last is not None:
            users = [frame for frame in frames[:last] if is_user_file(frame.path)]
            return [*users, frames[last], *frames[-1:][: len(frames) - 1 - last]]
    return []


def innermost(frames: Sequence[Frame]) -> Frame | None:
    """The user's innermost frame among those of user_frames."""
    return next((f for f in reversed(frames) if is_user_file(f.path)), None)


def _frames(error: BaseException) -> Iterator[Frame]:
    """All frames that one exception passed through, outermost first."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield Frame(frame.f_code.co_filename, line, frame.f_code.co_name)
        yield from _node_frames(frame)
    # TorchDynamo, which traces the branches of torch.cond, does not run the
    # user's frames; it keeps their stack beside the exception.
    for summary in getattr(error, "real_stack", None) or ():
        yield Frame(summary.filename, summary.lineno or 0, summary.name)


def _node_frames(frame: types.FrameType) -> Iterator[Frame]:
    """The user's frames behind the graph node that a frame of torch works on.

    After the export only graphs are left. Whatever walks one (torch.fx's
    interpreter, Inductor's lowering) has the node in a variable, and the node
    keeps, as text, the stack of the code that made it.
    """
    for name in ("n", "node"):
        node = frame.f_locals.get(name)
        meta = getattr(node, "meta", None)
        if isinstance(meta, dict) and hasattr(node, "op"):
            yield from frames_of_node(node)
            return


def frames_of_node(node: Any) -> list[Frame]:
    """The frames of the code that made a torch.fx.Node, outermost first."""
    found = re.findall(
        r'File "([^"]+)", line (\d+)(?:, in ([\w<>]+))?(?:\n {4}(\S.*))?',
        node.meta.get("stack_trace") or "",
    )
    return [
        Frame(path, int(line), function, text) for path, line, function, text in found
    ]


def operator_of_node(node: Any) -> str:
    """The operator that a torch.fx.Node is of, before decomposition: "aten.relu"."""
    operator = node.meta.get("original_aten") or node.target
    if hasattr(operator, "overloadpacket"):
        return str(operator.overloadpacket)
    return getattr(operator, "__name__", str(operator))


def error_at(
    what: str, *, frames: Iterable[Frame], where: str = "", fix: str = ""
) -> UserError:
    """Makes a UserError at the innermost user's line of a stack.

    Args:
        what: What is wrong.
        frames: The stack, outermost first.
        where: Where the error is if no line of the stack is the user's.
        fix: What to do about it.
    """
    users = [frame for frame in frames if is_user_file(frame.path)]
    return UserError(
        what, where=users[-1].where if users else where, fix=fix, stack=users
    )


def first_lines(error: BaseException, count: int = 5) -> str:
    """The start of an exception's message, without torch's standing advice."""
    # TorchScript's traceback comes before what is wrong, in one text.
    text = re.sub(r"(?s).*<--- HERE\n(\w+Error: )?", "", str(error))
    lines = []
    for line in text.splitlines():
        if re.match(_BOILERPLATE_REST, line.strip()):
            break
        if line.strip() and not re.match(_BOILERPLATE_LINE, line.strip()):
            lines.append(re.sub(_BOILERPLATE_WORDS, "", line).strip())
    return "\n".join(textwrap.shorten(line, 200) for line in lines[:count])


# What torch adds to messages for the readers of its own logs.
_BOILERPLATE_REST = (
    r"The error above occurred when calling torch\.export|from user code:|"
    r"Set TORCHDYNAMO_VERBOSE|Developer debug context|Original traceback:|"
    r"While executing %|To fix the error, insert one of|For more information, run with"
)
_BOILERPLATE_LINE = (
    r"Hint: (Your code may result in an error when running in eager|Please open an "
    r"issue|This graph break is fundamental)|For more (details|debugging)|"
    r"This higher order operator doesn't work unless|For extended logs|"
    r"If you suspect the guard was triggered from C\+\+|\(Size-like symbols"
)
_BOILERPLATE_WORDS = (
    r"For more information about this error, see: \S+|"
    r"See https://github\.com/pytorch/\S+ for .*|"
    r"This typically means our tracing system.*|Please file an issue.*"
)


def root_cause(error: BaseException) -> BaseException:
    """The exception that others only repeat: torch wraps some several times."""
    root = error
    for current in chain(error):
        if str(current) and str(current) in str(root) and current is not root:
            root = current
    return root


# What people meet, recognised by its text where torch raises the same few types
# for all of it. Each row: a pattern, what to say, and what to do; \1 is the
# pattern's first group.
_COND_FIX = (
    "make every branch return the same number of tensors, with the same ranks and "
    "dtypes (.to(...), .reshape(...))"
)
_CPU_FIX = (
    'models are exported on the CPU: leave out .cuda() and device="cuda", load weights '
    'with map_location="cpu", and make new tensors with device=x.device'
)
_KNOWN = [
    (
        r"Encountered aliasing during higher order op|(?:might|may) be aliasing the input",
        "a branch of torch.cond, or the body of a while_loop, returns one of its inputs, "
        "a view of one, or one tensor twice",
        "return a copy: x.clone() instead of x",
    ),
    (
        r"Encountered input mutation during higher order op|"
        r"(?:might|may) be modifying the input",
        "a branch of torch.cond, or the body of a while_loop, changes one of its inputs "
        "in place",
        "compute a new tensor: x + 1 instead of x.add_(1)",
    ),
    (
        r"one of cond's output stride|in torch\.cond,\s+expected same storage_offset",
        "a branch of torch.cond returns a view, or a tensor with gaps in memory",
        "return a dense copy from every branch: x.view(...).clone()",
    ),
    (
        r"When merging two branches' output in torch\.cond,\s+expected same dim but got "
        r"(\d+) and (\d+)",
        r"the branches of torch.cond return tensors of different ranks: \1 and \2",
        _COND_FIX,
    ),
    (
        r"When merging two branches' output in torch\.cond,\s+expected same (\w+) but got "
        r"(\S+) and (\S+?)\.?[\"']?[)\s]*(?:\n|$)",
        r"the branches of torch.cond return tensors of different \1s: \2 and \3",
        _COND_FIX,
    ),
    (
        r"torch\.cond: differing branch outputs",
        "the branches of torch.cond return different numbers or nestings of tensors",
        _COND_FIX,
    ),
    (
        r"Expected pred to be .*?but got FakeTensor\(\.\.\., size=\(([^)]*)\)",
        r"the predicate of torch.cond is a tensor of shape [\1], not one bool",
        "reduce it, e.g. pred.any() or pred.all(); to choose by element use torch.where",
    ),
    (
        r"Expect operands to be a tuple",
        "an operand of torch.cond is not a tensor",
        "pass tensors alone as operands; the branches may use Python numbers of the "
        "enclosing function directly",
    ),
    (
        r"(?s)failed to bind arguments.*?Higher Order Operator: torch\.\w+",
        "a function given to torch.cond or while_loop takes another number of arguments "
        "than it gets",
        "let it take one parameter for each operand",
    ),
    (
        r"(?s)Expected body_fn_output and carried_inputs to have same metadata.*?"
        r"differ in '(\w+): (?:torch\.Size\()?(.+?)\)? vs (?:torch\.Size\()?(.+?)\)?'",
        r"the body of a while_loop returns a tensor of another \1 than the one it got: \2 "
        r"instead of \3",
        "keep the number, shapes and dtypes of the carried tensors from one iteration to "
        "the next",
    ),
    (
        r"Torch not compiled with CUDA|not linked with support for cuda|"
        r"Found no NVIDIA driver|No CUDA GPUs are available|"
        r"Attempting to deserialize object on a CUDA device",
        "the code asks for a CUDA device",
        _CPU_FIX,
    ),
    (
        r"Expected all tensors to be on the same device, but found at least two devices, "
        r"(\S+) and (\S+?)!",
        r"tensors of two devices meet here: \1 and \2",
        _CPU_FIX,
    ),
    (
        r"\.numpy\(\) is not supported for tensor subclasses|"
        r"(?:can't|cannot) convert .*FakeTensor.* to (?:a )?numpy|"
        r"Cannot access data pointer of Tensor \(e\.g\. FakeTensor",
        "the code takes a tensor out of PyTorch, to NumPy or to raw memory; when the "
        "model is compiled there are no values in it",
        "compute with torch operators instead",
    ),
    (
        r"Found <class '([^']+)'> in output, which is not a known type",
        r"forward returns an object of the type \1, which PyTorch cannot take apart",
        "return tensors, or tuples, lists and dicts of tensors; a dataclass has to be "
        "registered: torch.export.register_dataclass(cls)",
    ),
    (
        r"(?s)failed in the TorchScript interpreter.*data-dependent",
        "an `if` or a loop of the TorchScript module depends on a tensor's value, which is "
        "not known when the model is compiled",
        "compile the Python module that was scripted, with torch.cond or torch.where there, "
        "and with the weights: module.load_state_dict(torch.jit.load(path).state_dict())",
    ),
    (
        r"argument 'size' failed to unpack(?s:.*)/nn/modules/rnn\.py",
        "a recurrent layer gets a packed sequence (pack_padded_sequence), whose sizes are "
        "data",
        "run it on the padded batch, y, _ = self.lstm(x), and leave out what was padded: "
        "y[torch.arange(len(x)), lengths - 1] is the last output of each sequence",
    ),
    (
        r"torch\.classes\.quantized\.",
        "the module was quantised by torch.ao.quantization (quantize_dynamic, convert), "
        "which packs weights into objects that only eager PyTorch can read",
        "compile the module as it was before, in float",
    ),
    (
        r"^torch\.(qu?int\d+)\n",
        r"the code makes a quantised tensor (torch.\1), which PyTorch does not export",
        "round in float, to the same numbers: q = (torch.round(x / scale) + zero_point)"
        ".clamp(-128, 127), then (q - zero_point) * scale",
    ),
    (
        r"Cannot access storage of TensorWrapper",
        "the code differentiates with torch.func (grad, vjp, jacrev), which PyTorch does "
        "not export here",
        "use torch.autograd: with torch.enable_grad(): x = x.detach().requires_grad_(), "
        "then torch.autograd.grad(f(x), x)",
    ),
    (
        r"no fake impl registered|There was no fake impl",
        "a custom operator has no fake implementation, so its output's shape is unknown",
        "add one with @my_operator.register_fake",
    ),
    (
        r"Cannot create Dim with inconsistent min=(\S+), max=(\S+)",
        r"a torch.export.Dim has min \1 above its max \2",
        "give a max that is not below its min",
    ),
]


def explain(error: BaseException, where: str) -> UserError:
    """Turns an exception of torch.export or AOTInductor into a UserError.

    Args:
        error: The exception.
        where: What to name if no line of the user's is to blame.

    Returns:
        An error in the terms of the table above; for one that it does not
        know, the exception's type and the start of its message.
    """
    for current in chain(error):
        if isinstance(current, UserError):  # Inductor wraps what we raise within it
            return current
    stack: Sequence[Frame] = user_frames(error)
    frame = innermost(stack)
    where = frame.where if frame else where
    for current in chain(error):
        if _is_data_dependent(current):
            return _explain_data_dependence(current, where, stack)
        text = f"{current}\nthrough {' '.join(_files(current))}"
        for pattern, what, fix in _KNOWN:
            match = re.search(pattern, text)
            if match:
                stack = _into_loop_body(stack, str(current))
                if (frame := innermost(stack)) is not None:
                    where = frame.where
                return UserError(match.expand(what), where=where, fix=fix, stack=stack)
    root = root_cause(error)
    return UserError(
        f"{type(root).__name__}: {first_lines(root)}",
        where=where,
        fix=FULL_TRACE,
        stack=stack,
    )


def _files(error: BaseException) -> list[str]:
    """The files that an exception passed through; some are known by them alone."""
    return [*dict.fromkeys(frame.path for frame in _frames(error))]


def _into_loop_body(stack: Sequence[Frame], text: str) -> Sequence[Frame]:
    """Adds the line of a while_loop's body, at which TorchDynamo's errors stop short."""
    frame = innermost(stack)
    if frame and "Higher Order Operator: torch.while_loop" in text:
        body = branch_frame(frame, "while_loop", 1, "mutation" not in text)
        return [*stack, body] if body else stack
    return stack


def _is_data_dependent(error: BaseException) -> bool:
    from torch_aot import upstream  # not above: kernels are compiled without torch

    if isinstance(error, upstream.DynamoError):
        return "Data-dependent" in str(error)
    return isinstance(error, upstream.DATA_DEPENDENT)


# By the kind of statement: what depends on data, and what to do instead.
_DATA_DEPENDENCE = {
    ast.If: (
        "this `if`",
        "use torch.cond(pred, true_fn, false_fn, operands), which compiles both branches, "
        "or torch.where(pred, a, b) to choose by element",
    ),
    ast.IfExp: (
        "this conditional expression",
        "use torch.where(pred, a, b), or torch.cond(pred, true_fn, false_fn, operands), "
        "which runs only the branch it takes",
    ),
    ast.While: (
        "this `while`",
        "use torch.while_loop(cond_fn, body_fn, carried_inputs)",
    ),
    ast.For: (
        "the number of iterations of this `for`",
        "use torch.while_loop(cond_fn, body_fn, carried_inputs), or loop to a fixed bound "
        "and choose with torch.where",
    ),
    ast.Assert: (
        "this `assert`",
        "leave it out when compiling: `if not torch.compiler.is_compiling():`",
    ),
    None: (
        "a Python number needed on this line (a size, an index, a truth value)",
        "keep it a tensor: x[i] and torch.index_select take tensors as indices, torch.where "
        "and torch.cond as conditions; for one of several modules nest torch.cond",
    ),
}


# For lines of the last kind.
_ELEMENT = (
    "the index that is assigned to here, which PyTorch needs as a Python number,",
    "index with a tensor of rank 1: x[i.reshape(1)] = y in the place of x[i] = y, and "
    "x[i + torch.arange(n)] = y in that of x[i : i + n] = y",
)
_DISTRIBUTION = (
    "the check that torch.distributions makes of this distribution's arguments",
    "leave it out: validate_args=False",
)


def _assigns_element(frame: Frame) -> bool:
    """Whether a line assigns at a computed index: `x[i] = y`, `x[i : i + 2] += y`."""
    return any(
        isinstance(target, ast.Subscript)
        and any(
            isinstance(part, ast.Name | ast.Attribute | ast.Call)
            for part in ast.walk(target.slice)
        )
        for node in _nodes_at(frame)
        if isinstance(node, ast.Assign | ast.AugAssign)
        for target in getattr(node, "targets", [getattr(node, "target", None)])
    )


def _explain_data_dependence(
    error: BaseException, where: str, stack: Sequence[Frame]
) -> UserError:
    frame = innermost(stack)
    kind = None
    if frame is not None and frame.where == where:
        kind, line = _statement(frame)
        moved = Frame(frame.path, line, frame.function)
        stack = [moved if other == frame else other for other in stack]
        where = moved.where
    what, fix = _DATA_DEPENDENCE[kind]
    if kind is None and frame is not None and _assigns_element(frame):
        what, fix = _ELEMENT
    if any("/torch/distributions/" in path for path in _files(error)):
        what, fix = _DISTRIBUTION
    found = re.search(r"data-dependent expression (.+?) \(unhinted", str(error))
    # `Eq(u0, 1)` is what PyTorch calls the truth of a tensor; it tells nothing.
    if found and not re.fullmatch(r"Eq\(\w+, 1\)|\w+", found[1]):
        what += f" depends on a number that comes from data ({found[1]})"
    else:
        what += " depends on a tensor's value"
    checks = re.findall(r"(?m)^\s*\d\. (torch\._check.*)$", str(error))
    if checks:
        fix += "\nor, if one of these holds for all data, state it before this line: "
        fix += ", ".join(checks[:2])
    return UserError(
        f"{what}, which is not known when the model is compiled",
        where=where,
        fix=fix,
        stack=stack,
    )


def _statement(frame: Frame) -> tuple[type[ast.AST] | None, int]:
    """The kind and first line of the statement whose condition a line is in.

    Returns:
        A key of _DATA_DEPENDENCE, and the frame's own line if that is None.
    """
    for node in reversed(_nodes_at(frame)):
        header = getattr(node, "test", getattr(node, "iter", None))
        if type(node) in _DATA_DEPENDENCE and header is not None:
            end = header.end_lineno
            if isinstance(node, ast.IfExp) or node.lineno <= frame.line <= end:
                return type(node), node.lineno
    return None, frame.line


def _nodes_at(frame: Frame) -> list[Any]:
    """The statements and expressions that a line is part of, outermost first."""
    try:
        tree = ast.parse("".join(_source(frame.path)))
    except (SyntaxError, ValueError):
        return []
    return sorted(
        (
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.stmt | ast.expr)
            and node.lineno <= frame.line <= (node.end_lineno or node.lineno)
        ),
        key=lambda node: (node.lineno, -(node.end_lineno or 0), node.col_offset),
    )


def branch_frame(
    call: Frame, operator: str, argument: int, at_return: bool = True
) -> Frame | None:
    """Finds the function that a line gives to torch.cond or while_loop.

    Args:
        call: The line of the call.
        operator: The called function's name, "cond".
        argument: Position of the argument: 1 for cond's true branch.
        at_return: Whether to give the line where the function returns, if it
            has one `return`, and not where it begins.

    Returns:
        None if the argument is no lambda or function of the same file.
    """
    for node in reversed(_nodes_at(call)):
        if not isinstance(node, ast.Call) or len(node.args) <= argument:
            continue
        if getattr(node.func, "attr", getattr(node.func, "id", "")) != operator:
            continue
        function = node.args[argument]
        if isinstance(function, ast.Lambda):
            return Frame(call.path, function.body.lineno, "<lambda>")
        if isinstance(function, ast.Name):
            return _function_frame(call, function.id, at_return)
    return None


def _function_frame(call: Frame, name: str, at_return: bool) -> Frame | None:
    """A line of the last function of a name that is defined above a call."""
    tree = ast.parse("".join(_source(call.path)))
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.name == name
        and node.lineno < call.line
    ]
    if not found:
        return None
    function = max(found, key=lambda node: node.lineno)
    returns = list(_returns(function.body))
    line = returns[0].lineno if at_return and len(returns) == 1 else function.lineno
    return Frame(call.path, line, name)


def _returns(body: Iterable[ast.AST]) -> Iterator[ast.Return]:
    """The return statements of a function, without those of functions inside it."""
    for node in body:
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            yield from _returns(ast.iter_child_nodes(node))
