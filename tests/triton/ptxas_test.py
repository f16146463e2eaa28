"""ptxas makes the same of the same source, whatever this machine maps, and where."""

import ctypes
import os
import re
import resource
import shutil
import subprocess
import sys
import types

import pytest
from commands import ROOT, arguments, declaration

import compile_model
from triton_aot import ptxas

# Of //kernels:flash_attention; its code is laid out by addresses.
SIGNATURE = {
    **{name: "*kfp16:16" for name in ("q", "k", "v")},
    **{"out": "*fp16:16", "heads": "i32", "head_size": "i32:16"},
    **{"scale": "fp32", "sequence": "i32"},
}
KERNELS = [
    declaration(
        "flash_attention",
        SIGNATURE,
        name=f"attention_{i}",
        constexprs={"CAUSAL": causal, "EVEN": even, "HEAD": head},
    )
    for i, (causal, even, head) in enumerate(
        [
            (False, False, 64),
            (False, True, 128),
            (False, False, 128),
            (True, False, 64),
            (True, False, 128),
        ]
    )
]
LIBRARY = """
#include <stdlib.h>
char large[12345678];
__attribute__((constructor)) void start(void) {
  for (size_t i = 1; i < 100; ++i) large[i] = *(char*)calloc(i, 1000);
}
"""
ADDR_NO_RANDOMIZE = 0x0040000  # Linux: <sys/personality.h>


def unrandomised():
    assert ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE) != -1


def limit_stack(size):
    _, hard = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (size, hard))


# What is done in the process that becomes ptxas.
PROCESSES = {
    "as_it_is": lambda: None,
    "again": lambda: None,
    "unrandomised": unrandomised,
    "a_small_stack": lambda: limit_stack(1 << 20),
    "a_large_stack": lambda: limit_stack(resource.getrlimit(resource.RLIMIT_STACK)[1]),
    "one_core": lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    "a_terminal_for_output": lambda: os.dup2(os.openpty()[1], 1),
}
# {library} and {copies} are fixtures.
ENVIRONMENTS = {
    "a_large_environment": {f"VARIABLE_{i}": "x" * 1000 for i in range(100)},
    "another_locale": {"LANG": "tr_TR.UTF-8", "LC_ALL": "C.UTF-8"},
    "another_malloc": {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4096"},
    "another_library": {"LD_PRELOAD": "{library}"},
    # The loader does not read its cache, as where a sandbox hides it.
    "libraries_elsewhere": {"LD_LIBRARY_PATH": "{copies}"},
}
VARIATIONS = [*PROCESSES, *ENVIRONMENTS, "a_long_path"]


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Triton's command lines of ptxas for the kernels, but for their outputs."""
    folder = tmp_path_factory.mktemp("kernels")
    recorded = []

    def recorder(directory):
        made = assembler(directory)

        def run(command, **settings):
            ptx = folder / f"{len(recorded)}.ptx"
            shutil.copy(command[-3], ptx)
            recorded.append([*command[:-3], str(ptx), "-o"])
            return made.run(command, **settings)

        return types.SimpleNamespace(**{**vars(made), "run": run})

    assembler = ptxas.assembler
    source = str(ROOT / "kernels/flash_attention.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ptxas, "assembler", recorder)
        line = arguments(source, KERNELS, "sm_100", out=str(folder / "k"))
        assert compile_model.main(line) == 0
    assert len(recorded) == len(KERNELS)
    return recorded


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A library that takes memory before ptxas does."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "library.c").write_text(LIBRARY)
    made = folder / "library.so"
    compiler = [os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", made]
    subprocess.run([*compiler, folder / "library.c"], check=True)
    return made


@pytest.fixture(scope="module")
def copies(commands, tmp_path_factory):
    """All libraries that ptxas loads, in one folder."""
    folder = tmp_path_factory.mktemp("copies")
    listed = subprocess.run(
        commands[0][:1],
        env={"LD_TRACE_LOADED_OBJECTS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    for name, path in re.findall(r"(\S+) => (/\S+) ", listed.stdout):
        shutil.copy(path, folder / name)
    assert (folder / "libc.so.6").exists()
    return folder


@pytest.fixture
def assemble(commands, library, copies, monkeypatch, tmp_path):
    """Runs ptxas in one of the variations; returns what it makes of each kernel."""

    def run(variation):
        folder = tmp_path / ("long/" * 300 if variation == "a_long_path" else variation)
        folder.mkdir(parents=True)
        images = []
        for command in commands:
            with monkeypatch.context() as patch:
                for name, value in ENVIRONMENTS.get(variation, {}).items():
                    patch.setenv(name, value.format(library=library, copies=copies))
                ptxas.assembler(str(folder)).run(
                    [*command, str(folder / "out.cubin")],
                    check=True,
                    stderr=subprocess.DEVNULL,
                    preexec_fn=PROCESSES.get(variation),
                )
            images.append((folder / "out.cubin").read_bytes())
        return images

    return run


@pytest.fixture(scope="module")
def expected():
    """What the first variation gave."""
    return []


@pytest.mark.parametrize("variation", VARIATIONS)
def test_the_same_code(variation, assemble, expected):
    made = assemble(variation)
    assert all(image.startswith(b"\x7fELF") for image in made)
    if not expected:
        expected.extend(made)
    same = [a == b for a, b in zip(made, expected, strict=True)]
    assert all(same), same


def test_ptxas_needs_a_heap_of_its_own(assemble, monkeypatch):
    """Where it no longer does, ptxas_heap.c can go."""
    monkeypatch.setattr(ptxas, "_preload", lambda directory: {})
    first, *others = VARIATIONS
    expected = assemble(first)
    assert any(assemble(other) != expected for other in others)


USES = """
import ctypes, errno, threading
libc = ctypes.CDLL(None, use_errno=True)
for name in "malloc calloc realloc reallocarray memalign aligned_alloc valloc".split():
    getattr(libc, name).restype = ctypes.c_void_p
libc.malloc_usable_size.restype = ctypes.c_size_t
size, pointer = ctypes.c_size_t, ctypes.c_void_p

# No two blocks overlap, and all keep what is in them as they move.
def use(seed):
    for step in range(3000):
        n = (seed * 7919 + step * step * 31) % 5000 + 1
        block = libc.malloc(size(n))
        assert block % 16 == 0
        ctypes.memset(block, seed, n)
        block = libc.realloc(pointer(block), size(3 * n))
        assert ctypes.string_at(block, n) == bytes([seed]) * n
        zeros = libc.calloc(size(n), size(2))
        assert ctypes.string_at(zeros, 2 * n) == bytes(2 * n)
        ctypes.memset(zeros, 255, libc.malloc_usable_size(pointer(zeros)))
        libc.free(pointer(block))
        libc.free(pointer(zeros))
threads = [threading.Thread(target=use, args=(seed,)) for seed in range(1, 5)]
for each in threads: each.start()
for each in threads: each.join()

for alignment in (8, 16, 64, 4096, 1 << 20):
    for get in (libc.memalign, libc.aligned_alloc):
        block = get(size(alignment), size(100))
        assert block % alignment == 0 and libc.malloc_usable_size(pointer(block)) >= 100
        ctypes.memset(block, 7, 100)
        block = libc.realloc(pointer(block), size(9999))
        assert ctypes.string_at(block, 100) == bytes([7]) * 100
        libc.free(pointer(block))
block = pointer()
assert libc.posix_memalign(ctypes.byref(block), size(4096), size(1)) == 0
assert block.value % 4096 == 0
assert libc.posix_memalign(ctypes.byref(block), size(24), size(1)) == errno.EINVAL

for call in (
    lambda: libc.malloc(size(1 << 63)), lambda: libc.malloc(size(1 << 55)),
    lambda: libc.calloc(size(1 << 40), size(1 << 40)),
    lambda: libc.reallocarray(None, size(1 << 40), size(1 << 40)),
    lambda: libc.memalign(size(64), size((1 << 63) - 1)),
):
    ctypes.set_errno(0)
    assert call() is None and ctypes.get_errno() == errno.ENOMEM
large = libc.malloc(size(1 << 28))
ctypes.memset(large, 1, 1 << 28)
assert 3 << 37 <= large < 4 << 37  # ctypes is a library: not in the program's heap
print("done")
"""


def test_the_heap_is_a_heap(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", USES],
        env=os.environ | ptxas._preload(str(tmp_path)),
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_without_a_compiler(monkeypatch, tmp_path, capfd):
    """By hand, where Bazel has made no library."""
    monkeypatch.setattr(ptxas, "_HERE", str(tmp_path / "nowhere"))
    monkeypatch.setenv("CC", "no_such_compiler")
    assert ptxas._preload(str(tmp_path)) == {}
    assert ptxas._preload(str(tmp_path)) == {}
    said = capfd.readouterr().err
    assert said.startswith("note: 'no_such_compiler' cannot compile ")
    assert "set CC to a C compiler:\n" in said
    assert "No such file" in said
    assert said.count("note:") == 1


def test_what_is_preloaded_anyway_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("LD_PRELOAD", "other.so")
    assert ptxas._preload(str(tmp_path))["LD_PRELOAD"].endswith(
        "ptxas_heap.so:other.so"
    )
