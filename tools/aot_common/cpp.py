"""What the generated C++ of models and of kernels has in common."""

from __future__ import annotations

import json
import re


def namespaces(namespace: str, id: str) -> tuple[str, str]:
    """Opens and closes the namespaces of one library's header and source.

    Two libraries may give what they define one name, and the linker would take the
    first in silence: an inline namespace keeps them apart, and is not written by users.

    Args:
        namespace: The library's, "models" or "a::b"; may be empty.
        id: A C identifier unique to the library.
    """
    names = [f"namespace {namespace}"] if namespace else []
    names.append(f"inline namespace {id}")
    opening = "\n".join(f"{name} {{" for name in names)
    closing = "\n".join(f"}}  // {name}" for name in reversed(names))
    return opening, closing


def literal(text: str) -> str:
    """A C++ string literal; what is not printable becomes a blank."""
    # JSON's escapes of control characters are not C++'s; it leaves `?` alone, and
    # trigraphs are gone.
    text = "".join(c if c.isprintable() else " " for c in text)
    return json.dumps(text, ensure_ascii=False)


def code_alone(source: str) -> str:
    """C++ without the texts that it has: string literals and comments to a line's end."""
    return re.sub(r'R"\([\s\S]*?\)"|"(\\.|[^"\\\n])*"|//.*', "", source)
