"""Python processes of their own, for what a process can see once."""

import os
import subprocess
import sys


def python(code: str, **environment: str) -> str:
    """Runs code with this process's imports; returns what it printed, to both streams."""
    path = os.pathsep.join(os.path.abspath(each) for each in sys.path)
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.stdout.strip()
