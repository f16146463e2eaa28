"""What the generated C++ of models and of kernels has in common."""

from __future__ import annotations


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
