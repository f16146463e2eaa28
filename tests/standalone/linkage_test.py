"""What a program with a model of the standalone runtime needs of the machine."""

import os
import re
import subprocess

MAIN, LIBRARY = os.environ["MAIN"], os.environ["LIBRARY"]

# A C++ program has these.
SYSTEM = r"(libc|libm|libstdc\+\+|libgcc_s|ld-linux-x86-64)\.so\.\d+"


def needed(file):
    """The shared libraries that it and what it needs load."""
    listed = subprocess.run(["ldd", file], check=True, capture_output=True, text=True)
    return re.findall(r"^\s*(?:\S*/)?(\S+)(?: =>| \()", listed.stdout, re.MULTILINE)


def test_the_library_needs_the_systems_alone():
    foreign = [
        name
        for name in needed(LIBRARY)
        if not re.fullmatch(SYSTEM, name) and name != "linux-vdso.so.1"
    ]
    assert foreign == []


def test_no_shim_is_a_symbol():
    symbols = subprocess.run(
        ["nm", "-D", LIBRARY], check=True, capture_output=True, text=True
    ).stdout
    assert "rtorch_model_api" in symbols
    assert not re.search(r"aoti_|torch::|Sleef|omp_|GOMP", symbols)


def test_the_program_runs():
    assert re.fullmatch(
        r"-?\d+\.\d{3}\n",
        subprocess.run([MAIN], check=True, capture_output=True, text=True).stdout,
    )
