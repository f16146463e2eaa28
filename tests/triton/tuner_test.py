"""The tables of a tuner: what is measured, on what, and what of the table is kept.

How it measures and writes the table: //tests/gpu/tuning.
"""

import json
import pathlib
import re

import pytest
from commands import compile_cpp, declaration

HERE = pathlib.Path(__file__).parent
FILE = "compiled.py"

TUNED = {"x": "*fp32", "n": "i32"}
EXAMPLE = {"n": 1000, "x": "n + 24"}
MATMUL = {"a": "*fp16:16", "b": "*fp16:16", "c": "*fp32", "k": "i32"}


def tuned(**settings):
    settings = {"grid": ["cdiv(n, BLOCK)"], "example": EXAMPLE, **settings}
    return declaration("tuned", settings.pop("signature", TUNED), **settings)


@pytest.fixture
def tuner(library, monkeypatch, tmp_path):
    """Runs the stage `tuner`."""
    monkeypatch.chdir(HERE)

    def run(*declarations, table="{}", architectures=("sm_80",)):
        path = tmp_path / "table.json"
        path.write_text(table)
        return library(
            FILE,
            *declarations,
            architectures=architectures,
            flags=["--candidates"],
            stage="tuner",
            stage_flags=[f"--tuning={path}"],
        )

    return run


@pytest.fixture
def make(tuner, tmp_path):
    """Generates a tuner's source, compiles it, and returns it."""

    def run(*declarations, **settings):
        result = tuner(*declarations, **settings)
        assert (result.status, result.output) == (0, "")
        assert result.files == ["lib.cc", "lib.images.bin"]
        compile_cpp(tmp_path / "out/lib.cc")
        return (tmp_path / "out/lib.cc").read_text()

    return run


def arguments(source, case=0):
    """The rows of a case's kArguments."""
    body = source.partition(f"kArguments{case}[] = {{")[2].partition("};")[0]
    return re.findall(r'\{"(\w+)", "(\w+)", tuning::Kind::k(\w+), ([^}]+)\}', body)


def test_candidates(make, tmp_path):
    source = make(tuned(), architectures=["sm_80", "sm_90"])
    assert '{"tuned", "default", kArguments0, 2, kCandidates0, 3},' in source
    choices = re.findall(r'\{("\{.*\}"), &kKernel0_(\d),', source)
    assert [json.loads(json.loads(text)) for text, _ in choices] == [
        {"BLOCK": 64, "num_warps": 2, "num_stages": 3, "num_ctas": 1},
        {"BLOCK": 128, "num_warps": 4, "num_stages": 2, "num_ctas": 1},
        {"BLOCK": 256, "num_warps": 8, "num_stages": 3, "num_ctas": 1},
    ]
    # An image of each architecture, and a grid of each candidate.
    images = re.findall(r'\{\d+, \d+, "tuned", (\d+), ', source)
    assert images == ["64", "64", "128", "128", "256", "256"]
    for block in (64, 128, 256):
        assert f"CeilDiv(std::int64_t(1000), std::int64_t({block}))}}" in source
    assert (
        'kLibrary = {"//pkg:lib", &rtorch_pkg_lib_images, kTargets, 2, {}};' in source
    )
    table = str(tmp_path / "table.json")
    definition = f'tuner = {{"//pkg:lib", "{table}", &kLibrary, kCases, 1, kRows, 0}};'
    assert definition in " ".join(source.split())


def test_the_example(make):
    signature = {"x": "*{T}", "n": "{N}"}
    types = {"T": ["fp32", "bf16"], "N": ["i32", "i64"]}
    source = make(tuned(signature=signature, types=types))
    assert arguments(source) == [
        ("x", "fp32", "Pointer", "1024, 0.0"),
        ("n", "i32", "Integer", "1000, 0.0"),
    ]
    assert arguments(source, 3) == [
        ("x", "bf16", "Pointer", "1024, 0.0"),
        ("n", "i64", "Integer", "1000, 0.0"),
    ]
    assert "kCases, 4, kRows" in source
    assert '{"tuned", "T=bf16, N=i64", kArguments3, 2,' in source


def test_examples_in_terms_of_others(make):
    example = {"x": "max(n, 5) * 2", "n": "m // 3 * 3", "m": 100}
    source = make(tuned(example=example))
    assert [row[3] for row in arguments(source)] == ["198, 0.0", "99, 0.0"]


def test_hints_of_one_are_no_arguments(make):
    source = make(
        tuned(signature={"x": "*fp32", "n": "i32:1"}, example={"n": 1, "x": 64})
    )
    assert [row[0] for row in arguments(source)] == ["x"]


def test_grids_of_multiprocessors(make):
    source = make(tuned(grid=["min(multiprocessors, cdiv(n, BLOCK))", "2"]))
    assert (
        "return ::rules_torch::Grid{std::min<std::int64_t>(std::int64_t(multiprocessors), "
        "rules_torch::CeilDiv(std::int64_t(1000), std::int64_t(64))), 2};"
    ) in source


def test_candidates_that_do_not_fit(make):
    """They have images of no bytes, of the architecture that they do not fit."""
    example = {"a": 4096, "b": 4096, "c": 4096, "k": 1}
    source = make(
        declaration("tuned_matmul", MATMUL, grid=["1"], example=example),
        architectures=["sm_80", "sm_90"],
    )
    sizes = re.findall(r'\{\d+, (\d+), "tuned_matmul", ', source)
    assert [size != "0" for size in sizes] == [True, True, False, False]


def test_kernels_with_nothing_to_choose_are_left_out(make):
    source = make(
        declaration("store", {"x": "*i32", "value": "i32"}),
        tuned(),
    )
    assert '"store"' not in source
    assert "kCases, 1, kRows" in source


def test_kept_rows(make):
    """Those of other architectures stay; those of what is no longer declared do not."""
    rows = {"sm_80": {"BLOCK": 64}, "sm_90": {"BLOCK": 128, "num_warps": 8}}
    table = {"tuned": {"T=fp32": rows, "T=fp64": rows}, "gone": {"T=fp32": rows}}
    types = {"T": ["fp32", "i32"]}
    source = make(
        tuned(signature={"x": "*{T}", "n": "i32"}, types=types), table=json.dumps(table)
    )
    kept = source.partition("kRows[] = {\n")[2].partition("    {},\n};")[0]
    assert kept == (
        '    {"tuned", "T=fp32", "sm_80", "{\\"BLOCK\\": 64}"},\n'
        '    {"tuned", "T=fp32", "sm_90", "{\\"BLOCK\\": 128, \\"num_warps\\": 8}"},\n'
    )
    assert "kRows, 2}" in source


def test_an_empty_table(make):
    assert "kRows, 0}" in make(tuned(), table="")


# ---- What cannot be measured.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"example": {"n": 10}},
            "//pkg:lib, kernel 'tuned' of compiled.py:80: error: "
            "`example` has no value for 'x' fix: give "
            "scalars their values and pointers their numbers of elements: example = "
            '{"x": ...}',
        ),
        ({"example": {}}, "`example` has no value for 'x'"),
        (
            {"example": {"n": 10, "x": "m * 2"}},
            "//pkg:lib, kernel 'tuned' of compiled.py:80: error: "
            "`example` gives 'x' in terms of what it has "
            "no value for",
        ),
        (
            {"example": {"n": "x", "x": "n"}},
            "`example` gives 'n', 'x' in terms of what it has no value for",
        ),
        (
            {"signature": {"x": "*fp32", "n": "i32:16"}},
            "`example` gives 'n' 1000, no multiple of 16",
        ),
        (
            {"grid": []},
            "//pkg:lib, kernel 'tuned' of compiled.py:80: error: "
            "a kernel that is tuned needs `grid`",
        ),
        (
            {"grid": ["cdiv(m, BLOCK)"]},
            "`grid` reads 'm', for which `example` has no value",
        ),
        ({"example": {"n": 10, "x": "n // 0"}}, "'n // 0' divides by zero"),
        ({"example": {"n": 10, "x": -1}}, "`example` gives 'x' -1 elements"),
        ({"example": {"n": 1 << 31, "x": 4}}, f"`example` gives 'n' {1 << 31}, no i32"),
        (
            {"signature": {"x": "*fp32", "n": "i32:1"}},
            "`example` gives 'n' 1000, not 1",
        ),
    ],
)
def test_examples_that_are_none(settings, message, tuner):
    result = tuner(tuned(**settings))
    assert (result.status, result.files) == (1, [])
    assert message in result.text
    assert "//pkg:lib, kernel 'tuned' of compiled.py:80: error: " in result.output
    assert len(result.output.splitlines()) <= 4


def test_a_library_with_nothing_to_choose(tuner):
    result = tuner(declaration("store", {"x": "*i32", "value": "i32"}))
    assert (result.status, result.files) == (1, [])
    assert result.text.startswith(
        "//pkg:lib: error: none of the library's kernels has several configurations fix: "
        "give the kernel @triton.autotune("
    )


def test_a_table_that_is_none(tuner, tmp_path):
    result = tuner(tuned(), table="[]")
    assert (result.status, result.files) == (1, [])
    path = tmp_path / "table.json"
    assert result.text.startswith(f"{path}: error: the tuning table is not of the form")
