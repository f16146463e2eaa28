"""The user's code behind exceptions of torch's and behind nodes of its graphs."""

from __future__ import annotations

import re
import traceback
import types
from collections.abc import Iterator
from typing import Any

from aot_common.frames import Frame, user_frames


def model_frames(error: BaseException) -> list[Frame]:
    """As aot_common's `user_frames`, also where torch did not run the user's code."""
    return user_frames(error, all_frames)


def all_frames(error: BaseException) -> Iterator[Frame]:
    """The frames that one exception passed through, and those behind the graph's nodes."""
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
        r'File "([^"]+)", line (\d+)(?:, in (\w+))?', node.meta.get("stack_trace") or ""
    )
    return [Frame(path, int(line), function) for path, line, function in found]
