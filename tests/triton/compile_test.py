"""Machine code: the same on every machine, and what is said about it."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
from commands import arguments, declaration

HERE = pathlib.Path(__file__).parent
FILE = "compiled.py"

ADD = {"out": "*fp32", "x": "*kfp32", "y": "*kfp32", "n": "i32"}
ATTENTION = declaration(
    "attention",
    {
        **{name: "*fp16:16" for name in ("out", "q", "k", "v")},
        **{"columns": "i32", "stride": "i32:16", "scale": "fp32"},
    },
    constexprs={"BLOCK": 64, "D": 64},
)


@pytest.fixture
def build(kernel, monkeypatch, tmp_path):
    """Compiles; returns the metadata of each image with its `code`, and the output."""
    monkeypatch.chdir(HERE)

    def run(*declarations, architecture="sm_80", flags=()):
        result = kernel(FILE, *declarations, architecture=architecture, flags=flags)
        assert result.status == 0, result.output
        assert result.files == ["k.images", "k.json"]
        blob = (tmp_path / "out" / "k.images").read_bytes()
        part = json.loads((tmp_path / "out" / "k.json").read_text())
        assert part["architecture"] == architecture
        assert part["source"] == FILE
        assert part["declaration"] == list(declarations)
        rows = part["rows"]
        for row in rows:
            assert row["offset"] % 64 == 0
            row["code"] = blob[row["offset"] : row["offset"] + row["size"]]
        return rows, result.output

    return run


def entry(row):
    """The parameters of PTX's entry, and what follows it."""
    text = row["code"].decode()
    header, _, body = text[text.index(".entry") :].partition(")")
    return header.count(".param"), body


# ---- The same bytes everywhere.

ARCHITECTURES = ["sm_80", "sm_90", "sm_100", "compute_80", "gfx942"]


# The command lines to run are in a file.
SCRIPT = """
import json, sys, compile_model
for line in json.load(open(sys.argv[1])):
    assert compile_model.main(line) == 0
"""


def compile_in(folder, lines):
    """Starts a process that compiles flash attention in an odd place."""
    for name in ("home", "temporary", "work/src", "cache"):
        (folder / name).mkdir(parents=True)
    shutil.copy(HERE / FILE, folder / "work/src/compiled.py")
    (folder / "lines.json").write_text(json.dumps(lines))
    environment = {
        "HOME": str(folder / "home"),
        "PATH": os.environ["PATH"],
        "PYTHONHASHSEED": str(len(str(folder))),
        "PYTHONPATH": os.pathsep.join(filter(None, map(os.path.abspath, sys.path))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(folder / "temporary"),
        "TRITON_CACHE_DIR": str(folder / "cache"),
        "USER": folder.name,
    }
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder / "lines.json")],
        cwd=folder / "work",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders with the same compiled, at ARCHITECTURE.line_info.images and so on."""
    top = tmp_path_factory.mktemp("same")
    lines = [
        arguments(
            "src/compiled.py", [ATTENTION], name, *flags, out=name + "".join(flags)
        )
        for name in ARCHITECTURES
        for flags in ([], ["--line_info"])
    ]
    made = [top / "one", top / "another_place" / "much_further" / "down"]
    for process in [compile_in(folder, lines) for folder in made]:
        output, _ = process.communicate(timeout=300)
        assert (process.returncode, output) == (0, "")
    return made


def test_nothing_is_left_elsewhere(folders):
    """Not even in the cache that the user set."""
    for folder in folders:
        for name in ("home", "temporary", "cache"):
            assert [*(folder / name).iterdir()] == []


@pytest.mark.parametrize("flag", ["", "--line_info"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_same_bytes_from_other_places(architecture, flag, folders):
    images, others = (
        (folder / f"work/{architecture}{flag}.images").read_bytes()
        for folder in folders
    )
    part, other_part = (
        (folder / f"work/{architecture}{flag}.json").read_bytes() for folder in folders
    )
    assert images == others
    assert part == other_part
    # No path of this machine: of the source, of Triton, Python or the tool.
    roots = {HERE.parents[1], sys.prefix, os.path.expanduser("~"), folders[0].parent}
    for content in (images, part):
        for root in roots:
            assert f"{root}/".encode() not in content
        assert not re.search(rb"/(tmp|home|root|usr|var)/", content)
    # The line information names the source as the workspace does.
    assert (b"compiled.py" in images) == bool(flag)
    assert bool(re.search(rb"src[/\x00\"]", images)) == bool(flag)
    assert (b"debug_line" in images or b".loc\t" in images) == bool(flag)


def test_the_cache_of_the_user_is_not_read(build, monkeypatch, tmp_path):
    """A kernel in it may come from another Triton, or have been changed."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    build(declaration("add", ADD))
    assert not (tmp_path / "cache").exists()


# ---- Formats.


@pytest.mark.parametrize(
    ("architecture", "magic"),
    [
        ("sm_75", b"\x7fELF"),
        ("sm_80", b"\x7fELF"),
        ("sm_90", b"\x7fELF"),
        ("sm_120", b"\x7fELF"),
        ("compute_75", b"//\n// Generated by LLVM NVPTX"),
        ("compute_80", b"//\n// Generated by LLVM NVPTX"),
        ("gfx90a", b"\x7fELF"),
        ("gfx942", b"\x7fELF"),
        ("gfx950", b"\x7fELF"),
        ("gfx1100", b"\x7fELF"),
    ],
)
def test_formats(architecture, magic, build):
    [row], output = build(declaration("add", ADD), architecture=architecture)
    assert output == ""
    assert row["code"].startswith(magic)
    # The driver looks the kernel up by this name.
    assert row["symbol"] == "add"
    assert b"add\0" in row["code"] or b".entry add(" in row["code"]
    if architecture.startswith("compute_"):
        target = architecture.replace("compute_", "sm_")
        assert f".target {target}\n".encode() in row["code"]
        assert row["code"].index(b"\0") == len(row["code"]) - 1
    # 4 warps, of 64 threads on gfx9.
    assert row["threads"] == (256 if architecture.startswith("gfx9") else 128)


def test_metadata(build):
    [row], _ = build(
        declaration("add", ADD, num_warps=8, num_stages=2, constexprs={"BLOCK": 256})
    )
    del row["code"]
    size = row.pop("size")
    assert size > 1000
    lines = (HERE / FILE).read_text().splitlines()
    [line] = [i for i, text in enumerate(lines, start=1) if text.startswith("def add(")]
    assert row == {
        "name": "add",
        "id": "",
        "where": f"{FILE}:{line}",
        "doc": "out = x + y.\n\nA second paragraph.",
        "parameters": ["out", "x", "y", "n", "BLOCK"],
        "choice": {"num_warps": 8, "num_stages": 2},
        "constexprs": {"BLOCK": 256},
        "num_warps": 8,
        "num_stages": 2,
        "num_ctas": 1,
        "threads": 256,
        "shared_bytes": 0,
        "scratch_bytes": 0,
        "scratch_alignment": 1,
        "symbol": "add",
        "offset": 0,
    }


def test_metadata_of_shared_memory_and_clusters(build):
    [row], _ = build(ATTENTION, architecture="sm_80")
    assert row["shared_bytes"] >= 2 * 64 * 64
    assert row["constexprs"] == {"BLOCK": 64, "D": 64}
    [row], _ = build(declaration("add", ADD, num_ctas=2), architecture="sm_90")
    assert (row["num_ctas"], row["threads"]) == (2, 128)


def test_images_of_several_instantiations(build):
    signature = {"out": "*{T}", "x": "*k{T}", "y": "*k{T}", "n": "{N}"}
    types = {"T": ["fp32", "fp16"], "N": ["i32", "i64"]}
    rows, _ = build(
        declaration("add", signature, types=types),
        declaration("add", ADD, constexprs={"BLOCK": 64}, when="n < BLOCK"),
        architecture="compute_80",
    )
    assert [row["id"] for row in rows] == [
        "T=fp32, N=i32",
        "T=fp32, N=i64",
        "T=fp16, N=i32",
        "T=fp16, N=i64",
        "n < BLOCK, BLOCK=64",
    ]
    assert len({row["code"] for row in rows}) == 5
    ends = [row["offset"] + row["size"] for row in rows]
    assert all(end <= row["offset"] for end, row in zip(ends, rows[1:], strict=False))


# ---- Parameters.

SIZES = {
    **{"i1": 8, "i8": 8, "i16": 16, "i32": 32, "i64": 64},
    **{"u8": 8, "u16": 16, "u32": 32, "u64": 64, "fp32": 32, "fp64": 64},
}


@pytest.mark.parametrize("type_", [*SIZES, "fp16", "bf16", "fp8e4nv", "fp8e5"])
def test_scalars_of_all_types(type_, build):
    """The size of what PTX reads is the size of what is passed: see errors_test.py."""
    [row], _ = build(
        declaration("store", {"x": f"*{type_}", "value": type_}),
        architecture="compute_89",
    )
    if type_ in SIZES:
        assert re.search(
            rf"\.param \.[uf]{SIZES[type_]} store_param_1,", row["code"].decode()
        )


def test_hints_of_one_are_no_parameters(build):
    [plain], _ = build(
        declaration("store", {"x": "*i32", "value": "i32"}), architecture="compute_80"
    )
    [one], _ = build(
        declaration("store", {"x": "*i32", "value": "i32:1"}), architecture="compute_80"
    )
    assert entry(plain)[0] == 4  # with the two that Triton adds
    assert entry(one)[0] == 3
    # It is no constexpr of the declaration's, either.
    assert one["constexprs"] == {}


def test_hints_of_sixteen_widen_loads(build):
    plain, hinted = (
        build(
            declaration(
                "add",
                {name: type_ + hint for name, type_ in ADD.items()},
                constexprs={"BLOCK": 1024},
            ),
            architecture="compute_80",
        )[0][0]
        for hint in ("", ":16")
    )
    assert "ld.global.v4" not in entry(plain)[1]
    assert "ld.global.v4" in entry(hinted)[1]


# ---- Constexprs.


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, str(0x40400000)),  # the float's bits
        (2.5, str(0x40200000)),
        (True, str(0x3F800000)),
        (None, "cvt.rn.f32."),
    ],
)
def test_constexprs(value, expected, build):
    constexprs = {"BLOCK": 64, "VALUE": value}
    [row], _ = build(
        declaration("constant", {"x": "*fp32"}, constexprs=constexprs),
        architecture="compute_80",
    )
    assert row["constexprs"] == constexprs
    assert type(row["constexprs"]["VALUE"]) is type(value)
    assert expected in entry(row)[1]


def test_defaults(build):
    """A parameter that the declaration leaves out has the value that Python gives it."""
    [row], _ = build(declaration("constant", {"x": "*fp32"}, constexprs={"BLOCK": 64}))
    assert row["constexprs"] == {"BLOCK": 64, "VALUE": 7}
    [row], _ = build(declaration("add", ADD))
    assert row["constexprs"] == {"BLOCK": 128}


@pytest.mark.parametrize(
    ("name", "expected", "instruction"),
    [("tl.float16", "fp16", "cvt.rn.f16.f32"), ("tl.bfloat16", "bf16", "cvt.rn.bf16")],
)
def test_constexprs_that_are_types(name, expected, instruction, build):
    [row], _ = build(
        declaration("cast", {"x": "*fp32", "y": "*fp32"}, constexprs={"DTYPE": name}),
        architecture="compute_80",
    )
    assert row["constexprs"] == {"DTYPE": expected}
    assert instruction in entry(row)[1]


@pytest.mark.parametrize(("block", "wide"), [(64, False), (128, True)])
def test_heuristics_over_constexprs(block, wide, build):
    [row], _ = build(
        declaration("heuristic", {"x": "*i32"}, constexprs={"BLOCK": block})
    )
    assert row["constexprs"] == {"BLOCK": block, "WIDE": wide}


def test_heuristics_give_way_to_declarations(build):
    constexprs = {"BLOCK": 64, "WIDE": True}
    [row], _ = build(declaration("heuristic", {"x": "*i32"}, constexprs=constexprs))
    assert row["constexprs"] == constexprs


# ---- Tuning.

TUNED = {"x": "*fp32", "n": "i32"}


def test_the_first_configuration(build):
    [row], output = build(declaration("tuned", TUNED))
    assert row["constexprs"] == {"BLOCK": 64}
    assert row["num_warps"] == 2
    line = row["where"]
    assert output == (
        f"{line}: note: no tuning table has an entry for tuned (default) on sm_80: compiled "
        "with the first configuration, BLOCK=64, num_warps=2, num_stages=3, num_ctas=1\n"
    )


def test_the_note_counts(build):
    types = {"T": ["fp32", "i32", "i64"]}
    rows, output = build(declaration("tuned", {"x": "*{T}", "n": "i32"}, types=types))
    assert len(rows) == 3
    assert (
        "no tuning table has an entry for tuned (T=fp32) and 2 more on sm_80" in output
    )
    assert output.count("\n") == 1


def test_declared_options_outdo_configurations(build):
    [row], _ = build(declaration("tuned", TUNED, num_warps=1))
    assert (row["num_warps"], row["num_stages"]) == (1, 3)
    assert row["choice"]["num_warps"] == 1


@pytest.fixture
def table(tmp_path):
    def write(content):
        path = tmp_path / "table.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return f"--tuning={path}"

    return write


def test_a_tuning_table(build, table):
    rows = {
        "sm_80": {"BLOCK": 256, "num_warps": 8, "num_stages": 1},
        "sm_90": {"BLOCK": 128},
        "gfx942": {"BLOCK": 512, "num_warps": 1},
    }
    flag = table({"tuned": {"default": rows}, "others": {}})
    expected = {**rows, "compute_80": rows["sm_80"]}
    for architecture, chosen in expected.items():
        [row], output = build(
            declaration("tuned", TUNED), architecture=architecture, flags=[flag]
        )
        assert output == ""
        assert row["constexprs"] == {"BLOCK": chosen["BLOCK"]}
        assert row["num_warps"] == chosen.get("num_warps", 4)
    [row], output = build(
        declaration("tuned", TUNED), architecture="sm_86", flags=[flag]
    )
    assert row["constexprs"] == {"BLOCK": 64}
    assert "no tuning table has an entry for tuned (default) on sm_86" in output


def test_a_tuning_table_of_instantiations(build, table):
    flag = table({"tuned": {"T=i32, n > 7": {"sm_80": {"BLOCK": 256}}}})
    rows, output = build(
        declaration(
            "tuned",
            {"x": "*{T}", "n": "i32"},
            types={"T": ["fp32", "i32"]},
            when="n > 7",
        ),
        flags=[flag],
    )
    assert [row["constexprs"]["BLOCK"] for row in rows] == [64, 256]
    assert "entry for tuned (T=fp32, n > 7) on sm_80" in output


@pytest.mark.parametrize("content", ["", "{}", '{"tuned": {}}'])
def test_an_empty_tuning_table(content, build, table):
    [row], output = build(declaration("tuned", TUNED), flags=[table(content)])
    assert row["constexprs"] == {"BLOCK": 64}
    assert "compiled with the first configuration" in output


def test_candidates(build):
    rows, output = build(declaration("tuned", TUNED), flags=["--candidates"])
    assert output == ""
    assert [row["choice"] for row in rows] == [
        {"BLOCK": 64, "num_warps": 2, "num_stages": 3, "num_ctas": 1},
        {"BLOCK": 128, "num_warps": 4, "num_stages": 2, "num_ctas": 1},
        {"BLOCK": 256, "num_warps": 8, "num_stages": 3, "num_ctas": 1},
    ]
    assert all(row["code"] for row in rows)


def test_candidates_that_do_not_fit(build):
    """The tuner leaves them out; the others are measured."""
    signature = {"a": "*fp16:16", "b": "*fp16:16", "c": "*fp32", "k": "i32"}
    made = declaration("tuned_matmul", signature)
    rows, output = build(made, flags=["--candidates"])
    assert output == ""
    assert [bool(row["code"]) for row in rows] == [True, False]
    assert rows[1]["choice"]["num_stages"] == 20


def test_a_file_called_like_a_module_does_not_take_its_place(kernel, write):
    import colorsys

    write(
        "colorsys.py",
        """
        import triton
        import triton.language as tl


        @triton.jit
        def put(x):
            tl.store(x, 1)
        """,
    )
    result = kernel("colorsys.py", declaration("put", {"x": "*i32"}))
    assert result.status == 0, result.output
    assert sys.modules["colorsys"] is colorsys
