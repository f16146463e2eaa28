"""The C++ around machine code, as whole files."""

from commands import compile_cpp, declaration

from triton_aot import architectures, launcher, tuner
from triton_aot import declaration as declarations

LABEL = "//pkg:lib"
ARCHITECTURES = [architectures.parse(each, LABEL) for each in ("sm_90", "compute_80")]

ADD = {"out": "*{T}:16", "x": "*k{T}:16", "y": "*k{T}", "n": "i32"}
SCAN = {"x": "*fp32", "n": "i64:16", "step": "i32:1", "decay": "fp32"}


def image(offset, parameters, **settings):
    """What the stage `kernel` says of an image."""
    return {
        "name": "",
        "id": "",
        "where": "kernels.py:7",
        "doc": "",
        "parameters": [*parameters, "BLOCK"],
        "choice": {},
        "constexprs": {"BLOCK": 128},
        "num_warps": 4,
        "num_stages": 3,
        "num_ctas": 1,
        "threads": 128,
        "shared_bytes": 0,
        "scratch_bytes": 0,
        "scratch_alignment": 1,
        "symbol": "kernel",
        "offset": offset,
        "size": 64,
        **settings,
    }


def test_a_launcher(golden, tmp_path):
    add = declarations.parse(
        [
            declaration(
                "add",
                ADD,
                types={"T": ["fp32", "bf16"]},
                when="n >= BLOCK",
                grid=["min(multiprocessors, cdiv(n, BLOCK))"],
            ),
            declaration(
                "add",
                {**ADD, "out": "*{T}", "x": "*k{T}"},
                types={"T": ["fp32"]},
                constexprs={"BLOCK": 32},
                grid=["cdiv(n, BLOCK)"],
            ),
        ],
        LABEL,
    )
    [scan] = declarations.parse([declaration("scan", SCAN, name="scan_rows")], LABEL)
    [fill] = declarations.parse(
        [declaration("fill", {"x": "*i1"}, grid=["1", "2"])], LABEL
    )
    doc = "out = x + y,\nwhich is said in two lines.\n\nThis is not said."
    compiled = [
        launcher.Compiled(
            each,
            [
                image(
                    256 * i + 128 * j,
                    ADD,
                    doc=doc,
                    symbol="add",
                    constexprs={"BLOCK": 128 << j, **each.constexprs},
                )
                for j in range(2)
            ],
        )
        for i, each in enumerate(add)
    ]
    compiled += [
        launcher.Compiled(
            scan,
            [
                image(1024, SCAN, num_ctas=2, shared_bytes=4096),
                image(1152, SCAN, scratch_bytes=512, scratch_alignment=128),
            ],
        ),
        launcher.Compiled(fill, [image(1280, "x"), image(1408, "x")]),
    ]
    library = launcher.Library("kernels.py", ARCHITECTURES, compiled, b"")
    target = launcher.Target(
        LABEL, "pkg_lib", "Lib", "a::b", "pkg/lib.h", "pkg/kernels.py"
    )
    launcher.check(target, compiled)
    files = {
        "lib.h": launcher.header(target, library),
        "lib.cc": launcher.source(target, library),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        golden(name, text)
    golden("lib.manifest.json", launcher.manifest(target, library))
    compile_cpp(tmp_path / "lib.cc")


def test_a_tuner(golden, tmp_path):
    signature = {"x": "*{T}", "n": "i32:16", "step": "i32:1", "decay": "fp32"}
    instantiations = declarations.parse(
        [
            declaration(
                "scan",
                signature,
                types={"T": ["fp32", "fp16"]},
                grid=["cdiv(n, BLOCK)", "multiprocessors"],
                example={"n": 1024, "step": 1, "decay": 0.5, "x": "n * 4"},
            )
        ],
        LABEL,
    )
    cases = [
        tuner.Case(
            each,
            [
                [
                    image(
                        512 * i + 256 * j + 64 * k,
                        signature,
                        constexprs={"BLOCK": 64 << j},
                        choice={"BLOCK": 64 << j, "num_warps": 4},
                    )
                    for k in range(2)
                ]
                for j in range(2)
            ],
        )
        for i, each in enumerate(instantiations)
    ]
    library = tuner.Library(ARCHITECTURES, cases, b"")
    table = {"scan": {"T=fp16": {"sm_80": {"BLOCK": 64}, "sm_90": {"BLOCK": 128}}}}
    text = tuner.source(LABEL, "pkg_lib", library, table, "pkg/lib.tuning.json")
    (tmp_path / "tuner.cc").write_text(text)
    golden("tuner.cc", text)
    compile_cpp(tmp_path / "tuner.cc")
