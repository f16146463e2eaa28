"""Copies generated files into the checkout, when started with `bazel run`.

Usage: update.py (GENERATED PATH_IN_CHECKOUT)...
"""

import os
import pathlib
import sys


def main() -> None:
    """Copies the files, and says which of them that changed."""
    checkout = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if not checkout:
        sys.exit("update.py writes into the checkout: start it with 'bazel run'")
    for generated, path in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
        target = pathlib.Path(checkout, path)
        content = pathlib.Path(generated).read_bytes()
        if target.exists() and target.read_bytes() == content:
            print(f"{path} is up to date")
            continue
        target.write_bytes(content)
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
