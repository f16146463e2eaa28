"""The C++ that launches kernels: what it declares, checks and passes."""

import json
import pathlib
import re

import pytest
from commands import compile_cpp, declaration

HERE = pathlib.Path(__file__).parent
FILE = "compiled.py"

ADD = {"out": "*{T}", "x": "*k{T}", "y": "*k{T}", "n": "i32"}
HINTED = {"out": "*{T}:16", "x": "*k{T}:16", "y": "*k{T}", "n": "i32:16"}
STATUS = "::rules_torch::Status"


class Made:
    """A generated library."""

    def __init__(self, folder):
        self.header = (folder / "lib.h").read_text()
        self.source = (folder / "lib.cc").read_text()
        self.manifest = json.loads((folder / "lib.manifest.json").read_text())
        self.blob = (folder / "lib.images.bin").read_bytes()

    @property
    def prototypes(self):
        """Of the header, each in a line."""
        found = re.findall(rf"(?m)^{STATUS} [^;]+;", self.header)
        return [" ".join(each.split()) for each in found]


@pytest.fixture
def make(library, monkeypatch, tmp_path):
    """Generates a library; what it makes is compiled, too."""
    monkeypatch.chdir(HERE)

    def run(*declarations, namespace="pkg", **settings):
        settings.setdefault("architectures", ["compute_80"])
        settings["stage_flags"] = [f"--namespace={namespace}"]
        result = library(FILE, *declarations, **settings)
        assert result.status == 0, result.output
        assert result.files == [
            "lib.cc",
            "lib.h",
            "lib.images.bin",
            "lib.manifest.json",
        ]
        compile_cpp(tmp_path / "out/lib.cc")
        return Made(tmp_path / "out")

    return run


# ---- Signatures.


def test_overloads(make):
    types = {"T": ["fp32", "bf16", "i64"]}
    made = make(declaration("add", ADD, types=types, grid=["cdiv(n, BLOCK)"]))
    assert made.prototypes == [
        f"{STATUS} add(void* stream, {t}* out, const {t}* x, const {t}* y, std::int32_t n);"
        for t in ("float", "::rules_torch::bfloat16", "std::int64_t")
    ] + [f"{STATUS} LoadLib();", f"{STATUS} UnloadLib();"]
    # One comment over the three: they want the same.
    assert made.header.count("// out = x + y.\n") == 1
    assert made.header.count("// The grid is (cdiv(n, BLOCK)).\n") == 1
    assert made.header.count("// Takes any values.\n") == 1
    assert "A second paragraph" not in made.header
    # What is passed: addresses of the arguments, and two places that Triton wants.
    const = "const_cast<void*>(static_cast<const void*>"
    assert f"{{&out, {const}(&x)), {const}(&y)), &n, nullptr, nullptr}};" in made.source


@pytest.mark.parametrize(
    ("type_", "cpp"),
    [
        *(("i1", "bool"), ("i8", "std::int8_t"), ("i16", "std::int16_t")),
        *(("i32", "std::int32_t"), ("i64", "std::int64_t"), ("u8", "std::uint8_t")),
        *(("u16", "std::uint16_t"), ("u32", "std::uint32_t"), ("u64", "std::uint64_t")),
        *(("fp16", "::rules_torch::float16"), ("bf16", "::rules_torch::bfloat16")),
        *(("fp32", "float"), ("fp64", "double")),
        ("fp8e4nv", "::rules_torch::float8_e4m3fn"),
        ("fp8e5", "::rules_torch::float8_e5m2"),
    ],
)
def test_types(type_, cpp, make):
    integer = type_[0] in "iu"
    made = make(
        declaration(
            "store",
            {"x": f"*{type_}", "value": type_ + (":16" if type_[1:] == "32" else "")},
            grid=["max(value, 1)"] if integer else (),
            when="value < 100" if integer else "",
        ),
        architectures=["compute_89"],
    )
    grid = "" if integer else "::rules_torch::Grid grid, "
    assert (
        made.prototypes[0]
        == f"{STATUS} store(void* stream, {grid}{cpp}* x, {cpp} value);"
    )


def test_the_grid_is_the_callers_without_one(make):
    made = make(declaration("add", ADD, types={"T": ["fp32"]}))
    assert (
        "add(void* stream, ::rules_torch::Grid grid, float* out," in made.prototypes[0]
    )
    assert "stream, grid, rt_arguments, 4);" in made.source
    assert "The grid is" not in made.header


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        (["cdiv(n, 4 * 32)"], "rules_torch::CeilDiv(std::int64_t(n), 128)"),
        (["n", "2", "n % 3 + 1"], "std::int64_t(n), 2, ((std::int64_t(n) % 3) + 1)"),
        (
            ["min(n, multiprocessors)"],
            "std::min<std::int64_t>(std::int64_t(n), std::int64_t(rt_device.multiprocessors))",
        ),
        (["n // BLOCK"], "(std::int64_t(n) / std::int64_t(rt_constants[0]))"),
    ],
)
def test_grids(grid, expected, make):
    made = make(declaration("add", ADD, types={"T": ["fp32"]}, grid=grid))
    assert f"::rules_torch::Grid{{{expected}}}, rt_arguments" in made.source
    assert f"// The grid is ({', '.join(grid)}).\n" in made.header


def test_names_that_cpp_has_taken(make):
    names = ["stream", "grid", "operator", "requires", "int"]
    signature = {
        **{"stream": "*i32:16", "grid": "*ki32", "operator": "i32:16"},
        **{"requires": "i32:1", "int": "i64", "n": "i32"},
    }
    made = make(
        declaration(
            "keywords",
            signature,
            constexprs={"BLOCK": 4},
            grid=["operator + int"],
            when="requires <= int",
        )
    )
    for name in names:
        assert re.search(rf"[ *]{name}_[,)]", made.prototypes[0]), name
    # Messages say what Python and the declaration say.
    assert '"operator is a multiple of 16", "operator", static_cast<std::int64_t>(' in (
        made.source
    )


def test_functions_of_other_names(make):
    made = make(
        declaration("add", ADD, name="add_floats", types={"T": ["fp32"]}),
        declaration("store", {"x": "*i32", "value": "i32"}, name="set"),
    )
    assert [each.split("(")[0] for each in made.prototypes] == [
        f"{STATUS} add_floats",
        f"{STATUS} set",
        f"{STATUS} LoadLib",
        f"{STATUS} UnloadLib",
    ]
    where = r"add of compiled\.py:\d+\.\n"
    assert re.search(rf"(?m)^// {where}", made.header)
    assert '{"pkg::add_floats", &kLibrary, kImages0, {}}' in made.source
    assert "kKernels[] = {&kKernel0, &kKernel1};" in made.source
    assert " rt::LoadKernels(kLibrary, kKernels, 2);" in made.source
    assert " rt::UnloadKernels(kLibrary, kKernels, 2);" in made.source


@pytest.mark.parametrize("namespace", ["", "a", "a::b::c"])
def test_namespaces(namespace, make):
    made = make(declaration("add", ADD, types={"T": ["fp32"]}), namespace=namespace)
    for text in (made.header, made.source):
        opened = re.findall(r"(?m)^((?:inline )?namespace [\w:]+) \{$", text)
        outer = [f"namespace {namespace}"] if namespace else []
        assert opened == [*outer, "inline namespace rtorch_pkg_lib"]
    name = f"{namespace}::add" if namespace else "add"
    assert f'FindDevice(kLibrary, "{name}", ' in made.source
    assert made.manifest["namespace"] == namespace


def test_the_header_says_where_it_is_from(make):
    made = make(declaration("add", ADD, types={"T": ["fp32"]}))
    assert made.header.startswith(
        "// Generated by rules_torch from compiled.py for //pkg:lib.\n"
    )
    assert "// Triton kernels, compiled for compute_80. " in made.header
    assert (
        re.findall(r"#\w+ (\w+_)$", made.header, re.M)[:2]
        == ["rtorch_pkg_lib_pkg_lib_h_"] * 2
    )
    assert re.findall(r'#include ["<](.+)[">]', made.header) == [
        "cstdint",
        "rules_torch/kernel.h",
    ]


# ---- What is checked.


def test_hints(make):
    made = make(declaration("add", HINTED, types={"T": ["fp32"]}, grid=["1"]))
    assert "if (!(rt::IsAligned(out, 16))) {" in made.source
    assert '"out is aligned to 16 bytes", "out", reinterpret_cast<' in made.source
    assert "if (!(n % 16 == 0)) {" in made.source
    assert "IsAligned(y" not in made.source
    assert "// Requires out, x aligned to 16 bytes; n multiples of 16.\n" in made.header
    assert 'return rt::MisfitError("pkg::add", rt_misfits, 1);' in made.source


def test_hints_of_one_are_checked_and_not_passed(make):
    made = make(declaration("store", {"x": "*i32", "value": "i32:1"}, grid=["1"]))
    assert (
        made.prototypes[0]
        == f"{STATUS} store(void* stream, std::int32_t* x, std::int32_t value);"
    )
    assert "if (!(value == 1)) {" in made.source
    assert "rt_arguments[] = {&x, nullptr, nullptr};" in made.source
    assert "rt_arguments, 1);" in made.source
    assert "// Requires value equal to 1.\n" in made.header


def test_nothing_to_check(make):
    made = make(declaration("add", ADD, types={"T": ["fp32"]}, grid=["1"]))
    assert "rt_misfits" not in made.source
    assert "// Takes any values.\n" in made.header


def test_instantiations_of_one_signature(make):
    """They are tried in the order of their declaration."""
    types = {"T": ["fp32"]}
    made = make(
        declaration(
            "add", HINTED, types=types, constexprs={"BLOCK": 1024}, when="n >= BLOCK"
        ),
        declaration("add", HINTED, types=types, constexprs={"BLOCK": 64}),
        declaration("add", ADD, types=types, constexprs={"BLOCK": 32}),
    )
    assert len(made.prototypes) == 3  # with Load and Unload
    assert (
        "// Launches the first of these instantiations whose requirements hold:\n"
        "// 1. out, x aligned to 16 bytes; n multiples of 16; n >= 1024\n"
        "// 2. out, x aligned to 16 bytes; n multiples of 16\n"
        "// 3. any values\n"
    ) in made.header
    launches = re.findall(r"LaunchKernel\(kKernel(\d)", made.source)
    assert launches == ["0", "1", "2"]
    assert (
        '"T=fp32, n >= BLOCK, BLOCK=1024", "n >= 1024", "n", static_cast<'
        in made.source
    )


def test_conditions_of_several_lines(make):
    when = "(\n    n > 3\n    and n % 2 == 0\n)"
    made = make(
        declaration("add", ADD, types={"T": ["fp32"]}, when=when, grid=["cdiv(n,\n2)"]),
        declaration(
            "add", ADD, types={"T": ["fp32"]}, constexprs={"BLOCK": 8}, grid=["1"]
        ),
    )
    assert "1. ( n > 3 and n % 2 == 0 )\n" in made.header
    [kernel] = made.manifest["kernels"]
    assert kernel["instantiations"][0]["id"] == "T=fp32, ( n > 3 and n % 2 == 0 )"


def test_conditions_without_arguments(make):
    made = make(
        declaration("add", ADD, types={"T": ["fp32"]}, when="BLOCK > 64", grid=["1"])
    )
    assert "// Requires 128 > 64.\n" in made.header


def test_texts_are_quoted(make):
    modes = ['a"\\b', "two\nlines", "é"]
    made = make(
        *(
            declaration(
                "mode",
                {"x": "*i32:16"},
                constexprs={"MODE": mode, "SIZE": i},
                when=f"SIZE > {i}",
            )
            for i, mode in enumerate(modes)
        )
    )
    assert len(made.manifest["kernels"][0]["instantiations"]) == 3


# ---- Architectures, and what is known of images.


def test_targets(make):
    made = make(
        declaration("add", ADD, types={"T": ["fp32"]}),
        architectures=["sm_80", "sm_90", "compute_80", "gfx942"],
    )
    assert (
        'kTargets[] = {{"sm_80", rt::KernelFormat::kCubin, 80}, '
        '{"sm_90", rt::KernelFormat::kCubin, 90}, '
        '{"compute_80", rt::KernelFormat::kPtx, 80}, '
        '{"gfx942", rt::KernelFormat::kHsaco, 0}};'
    ) in made.source
    assert "compiled for sm_80, sm_90, compute_80, gfx942." in " ".join(
        made.header.replace("//", "").split()
    )
    rows = re.findall(
        r'\{(\d+), (\d+), "add", (\d+), 1, 0, 1, 0, nullptr\}', made.source
    )
    assert len(rows) == 4
    assert [int(threads) for _, _, threads in rows] == [128, 128, 128, 256]
    starts = [made.blob[int(offset) :][:4] for offset, _, _ in rows]
    assert starts == [b"\x7fELF", b"\x7fELF", b"//\n/", b"\x7fELF"]
    assert all(int(offset) % 64 == 0 for offset, _, _ in rows)
    offset, size, _ = map(int, rows[2])
    assert made.blob[offset : offset + size].endswith(b"\0")


def test_tuned_constexprs_are_read_at_launch(make, tmp_path):
    table = {"tuned": {"default": {"sm_80": {"BLOCK": 128}, "gfx942": {"BLOCK": 512}}}}
    (tmp_path / "table.json").write_text(json.dumps(table))
    made = make(
        declaration(
            "tuned",
            {"x": "*fp32", "n": "i32"},
            grid=["cdiv(n, BLOCK)"],
            when="n > BLOCK",
        ),
        architectures=["sm_80", "gfx942"],
        flags=[f"--tuning={tmp_path / 'table.json'}"],
    )
    assert "kImages0Constants0[] = {128};" in made.source
    assert "kImages0Constants1[] = {512};" in made.source
    assert "rt_constants = kImages0[rt_device.target].constants;" in made.source
    # The name stays where the value is not the same everywhere.
    assert "// Requires n > BLOCK.\n" in made.header


def test_the_manifest(make):
    made = make(
        declaration(
            "add", HINTED, types={"T": ["fp32", "fp16"]}, grid=["cdiv(n, BLOCK)"]
        ),
        declaration("store", {"x": "*i32", "value": "i32"}, name="set", num_warps=1),
        architectures=["compute_80", "gfx942"],
    )
    kernels = made.manifest.pop("kernels")
    assert made.manifest == {
        "label": "//pkg:lib",
        "source": FILE,
        "include": "pkg/lib.h",
        "namespace": "pkg",
    }
    add, store = kernels
    assert (add["name"], add["function"]) == ("add", "add")
    assert (store["name"], store["function"]) == ("set", "store")
    assert re.fullmatch(r"compiled\.py:\d+", add["where"])
    assert add["parameters"] == ["out", "x", "y", "n", "BLOCK"]
    first, second = add["instantiations"]
    assert (first["id"], second["id"]) == ("T=fp32", "T=fp16")
    assert second["signature"] == {
        "out": "*fp16:16",
        "x": "*kfp16:16",
        "y": "*kfp16",
        "n": "i32:16",
    }
    assert (first["when"], first["grid"]) == ("", ["cdiv(n, BLOCK)"])
    assert list(first["targets"]) == ["compute_80", "gfx942"]
    target = first["targets"]["gfx942"]
    assert target["constexprs"] == {"BLOCK": 128}
    assert (target["num_warps"], target["threads"], target["symbol"]) == (4, 256, "add")
    assert target["offset"] + target["size"] <= len(made.blob)
    assert store["instantiations"][0]["targets"]["compute_80"]["threads"] == 32


def test_the_same_again(make, library, tmp_path):
    made = make(declaration("add", ADD, types={"T": ["fp32", "fp16"]}))
    before = {
        p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.is_file()
    }
    library(
        FILE,
        declaration("add", ADD, types={"T": ["fp32", "fp16"]}),
        architectures=["compute_80"],
        stage_flags=["--namespace=pkg"],
    )
    after = {
        p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.is_file()
    }
    assert before == after
    assert str(tmp_path) not in made.header + made.source + json.dumps(made.manifest)
