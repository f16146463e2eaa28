"""Explains exceptions of torch.export and AOTInductor: the catalogue of their messages."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aot_common.errors import FULL_TRACE_FLAG, UserError, error_at, first_lines
from aot_common.frames import Frame, chain, innermost
from torch_aot import blame, data_dependence
from torch_aot.frames import all_frames, model_frames

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
TRITON = "a Triton kernel is launched here, and models are compiled for the CPU"
TRITON_FIX = (
    "compute it with torch operators on the CPU, which the build takes alone: "
    'if x.device.type == "cuda": kernel[grid](x, ...), else: y = ...'
)
_KNOWN = [
    # Whatever fails in there: there is no driver, or tensors have no memory.
    (r"/triton/runtime/\w+\.py", TRITON, TRITON_FIX),
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
        "registered: torch.export.register_dataclass(cls); a model of transformers "
        "leaves its cache out by use_cache=False in its config",
    ),
    (
        r"argument 'size' failed to unpack(?s:.*)/nn/modules/rnn\.py",
        "a recurrent layer gets a packed sequence (pack_padded_sequence), whose sizes are "
        "data",
        "run it on the padded batch, y, _ = self.lstm(x), and leave out what was padded: "
        "y[torch.arange(len(x)), lengths - 1] is the last output of each sequence",
    ),
    (
        r"no loop for aten::(\w+) of a dynamic length",
        r"with libtorch aten::\1 has sequences of one length alone",
        'give the cc_torch_library runtime = "standalone", or leave the length out of '
        "dynamic_shapes",
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
    """Turns any exception of torch.export or AOTInductor into a UserError.

    Args:
        error: The exception.
        where: What to name if no line of the user's is to blame.

    Returns:
        As `recognise`; for an exception that it does not know, its type and the start
        of its message.
    """
    if known := recognise(error, where):
        return known
    root = root_cause(error)
    return error_at(
        f"{type(root).__name__}: {summary(root)}",
        frames=model_frames(error),
        where=where,
        fix=f"to see PyTorch's whole report, run again with {FULL_TRACE_FLAG}",
    )


def recognise(error: BaseException, where: str) -> UserError | None:
    """Explains an exception in the terms of the table above.

    Args:
        error: The exception.
        where: What to name if no line of the user's is to blame.

    Returns:
        None if the exception is not in the table.
    """
    for current in chain(error):
        if isinstance(current, UserError):  # Inductor wraps what we raise within it
            return current
    stack = model_frames(error)
    for current in chain(error):
        if data_dependence.is_data_dependent(current):
            return data_dependence.explain(current, stack, where)
        text = f"{current}\nthrough {' '.join(_files(current))}"
        for pattern, what, fix in _KNOWN:
            match = re.search(pattern, text)
            if match:
                stack = _into_loop_body(stack, str(current))
                return error_at(match.expand(what), frames=stack, where=where, fix=fix)
    return None


def _files(error: BaseException) -> list[str]:
    """The files that an exception passed through; some are known by them alone."""
    return [*dict.fromkeys(frame.path for frame in all_frames(error))]


def _into_loop_body(stack: Sequence[Frame], text: str) -> Sequence[Frame]:
    """Adds the line of a while_loop's body, at which TorchDynamo's errors stop short."""
    frame = innermost(stack)
    if frame and "Higher Order Operator: torch.while_loop" in text:
        body = blame.branch_frame(frame, "while_loop", 1, "mutation" not in text)
        return [*stack, body] if body else stack
    return stack


def summary(error: BaseException, count: int = 5) -> str:
    """The start of an exception's message, without torch's standing advice."""
    # TorchScript's traceback comes before what is wrong, in one text.
    text = re.sub(r"(?s).*<--- HERE\n(\w+Error: )?", "", str(error))
    lines = []
    for line in text.splitlines():
        if re.match(_BOILERPLATE_REST, line.strip()):
            break
        if line.strip() and not re.match(_BOILERPLATE_LINE, line.strip()):
            lines.append(re.sub(_BOILERPLATE_WORDS, "", line))
    return first_lines("\n".join(lines), count)


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
