"""Runs pytest on one file, as the main program of a py_test.

pytest_main.py FILE [PYTEST_ARGUMENT...]
"""

import os
import sys

import pytest

if __name__ == "__main__":
    flags = ["-q"]
    # What Bazel tells a test: where it may write, and where the results go.
    if "TEST_TMPDIR" in os.environ:
        flags.append(f"--basetemp={os.environ['TEST_TMPDIR']}/pytest-tmp")
    if "XML_OUTPUT_FILE" in os.environ:
        flags.append(f"--junitxml={os.environ['XML_OUTPUT_FILE']}")
    # No cache: a test may not write beside its sources. Warnings and logs go where
    # they go outside of pytest, for tests to see. Exit status 5 is "collected no
    # tests", which fails too.
    without = [f"-pno:{plugin}" for plugin in ("cacheprovider", "logging", "warnings")]
    sys.exit(pytest.main([*flags, *without, *sys.argv[1:]]))
