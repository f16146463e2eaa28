"""Compiles Python files to bytecode that is the same on every machine.

Usage: compile_bytecode.py LIST

Each line of LIST is `SOURCE OUTPUT`.
"""

import pathlib
import py_compile
import sys


def main() -> None:
    """Compiles every file of the list."""
    with open(sys.argv[1], encoding="utf-8") as lines:
        for line in lines:
            source, output = line.split()
            # The import system does not compare it with the source, whose time
            # stamp means nothing here, and puts the real path into code objects.
            compiled = py_compile.compile(
                source,
                cfile=output,
                dfile=source.partition("site-packages/")[2] or source,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
                quiet=2,
            )
            if compiled is None:
                # Not for this Python. An empty file makes it try the source.
                pathlib.Path(output).touch()


if __name__ == "__main__":
    main()
