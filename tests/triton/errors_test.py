"""What cannot be compiled: what the tool says about each."""

import pathlib
import re
import subprocess

import pytest
from commands import declaration

HERE = pathlib.Path(__file__).parent
FILE = "bad_kernels/kernels.py"

FILL = {"x": "*fp32", "n": "i32"}
MATMUL = {"a": "*fp16:16", "b": "*fp16:16", "c": "*fp32", "k": "i32"}
BLOCK = {"BLOCK": 64}


def _marked_lines() -> dict[str, str]:
    """Lines by their comment `# error: NAME`: "bad_kernels/kernels.py:12"."""
    found = {}
    for path in sorted((HERE / "bad_kernels").glob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if marker := re.search(r"# error: (\w+)$", line):
                found[marker[1]] = f"{path.relative_to(HERE)}:{number}"
    return found


def _definitions() -> dict[str, str]:
    """The lines of kernels' `def`."""
    lines = (HERE / FILE).read_text().splitlines()
    found = ((re.match(r"def (\w+)", line), i) for i, line in enumerate(lines, start=1))
    return {match[1]: f"{FILE}:{i}" for match, i in found if match}


MARKED = _marked_lines()
DEFINED = _definitions()


@pytest.fixture
def fails(kernel, monkeypatch):
    """Compiles what fails; returns the message, its lines joined."""
    monkeypatch.chdir(HERE)

    def run(*declarations, source=FILE, architecture="sm_80", flags=()):
        flags = ("--import_path=.", *flags)
        result = kernel(source, *declarations, architecture=architecture, flags=flags)
        assert (result.status, result.files) == (1, [])
        check_form(result.output)
        return result.text

    return run


def check_form(output):
    """One message of a few lines, and nothing of Triton's beside it."""
    lines = output.splitlines()
    assert output.count("error: ") - output.count("# error: ") == 1
    assert len(lines) <= 8
    # A path of the test's own may be longer than a line.
    assert all(len(line) <= 100 or line.startswith("/") for line in lines)
    assert "Traceback" not in output
    assert "module {" not in output


# ---- The kernel is not there, or its arguments are not given.


def test_a_missing_file(fails):
    text = fails(declaration("fill", FILL), source="bad_kernels/none.py")
    assert text == (
        "bad_kernels/none.py: error: the file does not exist fix: check the path"
    )


@pytest.mark.parametrize(
    ("function", "what"),
    [
        ("fil", "there is no kernel 'fil' in this file"),
        ("not_a_kernel", "'not_a_kernel' is not a @triton.jit function"),
        ("NotAFunction", "'NotAFunction' is not a @triton.jit function"),
        ("tl", "'tl' is not a @triton.jit function"),
    ],
)
def test_not_a_kernel(function, what, fails):
    text = fails(declaration(function, FILL))
    assert text.startswith(f"{FILE}: error: {what}, which //pkg:lib compiles fix: ")
    assert "name one of its kernels: " in text
    assert " fill, undefined_name, " in text


@pytest.mark.parametrize(
    ("signature", "constexprs", "what", "fix"),
    [
        (FILL, {}, "gives no value to 'BLOCK'", "add it to `constexprs`"),
        ({"x": "*fp32"}, BLOCK, "gives no type to 'n'", "add it to `signature`"),
        (
            FILL,
            {**BLOCK, "WARPS": 4},
            "gives 'WARPS', which fill does not have as a parameter",
            "its parameters are x, n, BLOCK",
        ),
        (
            {**FILL, "m": "i32"},
            BLOCK,
            "gives 'm', which fill does not have as a parameter",
            "its parameters are x, n, BLOCK",
        ),
        (
            {**FILL, "BLOCK": "i32"},
            {},
            "gives a type to 'BLOCK', which the kernel declares as tl.constexpr",
            "give its value in `constexprs`",
        ),
        (
            FILL,
            {**BLOCK, "n": 3},
            "gives both a type and a value to 'n'",
            "leave it in one of `signature` and `constexprs`",
        ),
    ],
)
def test_arguments_that_do_not_fit(signature, constexprs, what, fix, fails):
    text = fails(declaration("fill", signature, constexprs=constexprs))
    assert text.startswith(f"{DEFINED['fill']}: error: //pkg:lib {what} ")
    assert text.endswith(f" fix: {fix}")


def test_a_value_that_names_no_type(fails):
    constexprs = {"DTYPE": "tl.float99"}
    text = fails(declaration("of_dtype", {"x": "*fp32"}, constexprs=constexprs))
    assert text.startswith(f"{DEFINED['of_dtype']}: error: 'tl.float99', the value of")
    assert "'DTYPE', is no type of triton.language" in text


def test_a_constexpr_that_tuning_chooses(fails):
    text = fails(declaration("tuned", FILL, constexprs=BLOCK))
    what = "error: //pkg:lib sets 'BLOCK', which @triton.autotune chooses"
    assert text.startswith(f"{DEFINED['tuned']}: {what} ")


def test_heuristics_that_need_arguments_of_the_launch(fails):
    text = fails(declaration("heuristics_of_arguments", FILL, constexprs=BLOCK))
    where = DEFINED["heuristics_of_arguments"]
    assert text.startswith(f"{where}: error: @triton.heuristics computes 'EVEN' from")
    assert "arguments that are known only at launch (KeyError: 'n')" in text
    assert "fix: give 'EVEN' in `constexprs`" in text


# ---- Declarations.


@pytest.mark.parametrize(
    ("type_", "what"),
    [
        ("float", "'float', the type of 'n', is none that Triton knows"),
        ("int32", "'int32', the type of 'n', is none that Triton knows"),
        ("", "'', the type of 'n', is none that Triton knows"),
        ("**fp32", "'**fp32', the type of 'n', is none that Triton knows"),
        ("*c fp32", "'*c fp32', the type of 'n', is none that Triton knows"),
        ("i32:x", "'i32:x', the type of 'n', is none that Triton knows"),
        ("*{T}", "the type of 'n', '*{T}', has the variable 'T', for which `types`"),
        ("i32:8", "the hint of 'n', 'i32:8', is not one that Triton uses"),
        ("*fp32:1", "the hint of 'n', '*fp32:1', is not one that Triton uses"),
        ("*fp32:32", "the hint of 'n', '*fp32:32', is not one that Triton uses"),
        ("fp32:16", "the hint of 'n', 'fp32:16', is not one that Triton uses"),
        ("fp32:1", "the hint of 'n', 'fp32:1', is not one that Triton uses"),
    ],
)
def test_types(type_, what, fails):
    text = fails(declaration("fill", {"x": "*fp32", "n": type_}, constexprs=BLOCK))
    assert text.startswith(
        f"//pkg:lib, kernel 'fill' of bad_kernels/kernels.py:9: error: {what} "
    )
    assert " fix: " in text


def test_an_unknown_type_in_types(fails):
    types = {"T": ["fp32", "half"]}
    signature = {"x": "*{T}", "n": "i32"}
    text = fails(declaration("fill", signature, types=types, constexprs=BLOCK))
    assert "error: '*half', the type of 'x', is none that Triton knows" in text


def test_a_variable_without_types(fails):
    text = fails(declaration("fill", FILL, types={"T": []}, constexprs=BLOCK))
    assert (
        text == "//pkg:lib, kernel 'fill' of bad_kernels/kernels.py:9: error: "
        "`types` lists nothing for 'T'"
    )


@pytest.mark.parametrize("attribute", ["when", "grid"])
@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("n <", "'n <' is no Python expression: invalid syntax"),
        ("(n", "'(n' is no Python expression: '(' was never closed"),
        ("n = 2", "'n = 2' is no Python expression"),
        ("n / 2", "has 'n / 2' in it; allowed are integers, names, + - * // %,"),
        ("n < 1.5", "has '1.5' in it"),
        ("n.real", "has 'n.real' in it"),
        ("print(n)", "has 'print(n)' in it"),
        ("n if n else 2", "has 'n if n else 2' in it"),
        ("[n]", "has '[n]' in it"),
        ("n is 2", "has 'n is 2' in it"),
        ("cdiv(n)", "gives cdiv 1 argument; it takes two"),
        ("cdiv(n, 2, 3)", "gives cdiv 3 arguments; it takes two"),
    ],
)
def test_expressions(attribute, expression, what, fails):
    given = {"when": expression} if attribute == "when" else {"grid": [expression]}
    text = fails(declaration("fill", FILL, constexprs=BLOCK, **given))
    assert text.startswith(
        f"//pkg:lib, kernel 'fill' of bad_kernels/kernels.py:9: error: `{attribute}`: "
    )
    assert what in text


@pytest.mark.parametrize("num_warps", [2, 4])
def test_declared_twice(num_warps, fails):
    first = declaration("fill", FILL, constexprs=BLOCK, num_warps=2)
    text = fails(
        first, declaration("fill", FILL, constexprs=BLOCK, num_warps=num_warps)
    )
    what = "error: 'fill' is declared twice with BLOCK=64 fix: remove one"
    assert text.startswith(
        f"//pkg:lib, kernel 'fill' of bad_kernels/kernels.py:9: {what}"
    )


# ---- Architectures and their limits.


@pytest.mark.parametrize(
    "architecture",
    [
        "sm_999",
        "sm_70",
        "",
        "sm90",
        "90",
        "SM_90",
        "compute_999",
        "gfx900",
        "compute_gfx942",
    ],
)
def test_unknown_architectures(architecture, fails):
    made = declaration("fill", FILL, constexprs=BLOCK)
    text = fails(made, architecture=architecture)
    what = (
        f"there is no GPU architecture {architecture!r} that Triton and its assembler"
    )
    assert text.startswith(f"//pkg:lib: error: {what} know fix: give one of sm_75, ")
    assert "--@rules_torch//rules:gpu_architectures" in text


@pytest.mark.parametrize("number", [90, 100, 120])
def test_ptx_that_runs_on_one_architecture(number, fails):
    made = declaration("fill", FILL, constexprs=BLOCK)
    text = fails(made, architecture=f"compute_{number}")
    assert text.startswith(f"//pkg:lib: error: PTX for compute_{number} runs on that")
    assert (
        f"fix: give sm_{number}; as a fallback for newer GPUs give compute_80" in text
    )


@pytest.mark.parametrize(
    ("options", "architecture", "what"),
    [
        ({"num_warps": 3}, "sm_80", "num_warps=3; on sm_80 it is a power of two of at"),
        ({"num_warps": 64}, "sm_80", "at most 32"),
        ({"num_warps": 32}, "gfx942", "at most 16"),
        ({"num_warps": -1}, "sm_80", "num_warps=-1"),
        ({"num_ctas": 3}, "sm_90", "num_ctas=3; on sm_90 it is a power of two of at"),
        ({"num_ctas": 32}, "sm_90", "at most 16"),
        ({"num_ctas": 2}, "sm_80", "num_ctas > 1 requires NVIDIA SM90+"),
        ({"num_stages": -1}, "sm_80", "num_stages=-1"),
    ],
)
def test_options(options, architecture, what, fails):
    made = declaration("fill", FILL, constexprs=BLOCK, **options)
    text = fails(made, architecture=architecture)
    assert text.startswith(f"{DEFINED['fill']}: error: fill of //pkg:lib ")
    assert what in text


def test_a_type_that_the_architecture_lacks(fails):
    text = fails(declaration("stores", {"x": "*fp8e4nv", "n": "fp32"}))
    assert text.startswith(f"{DEFINED['stores']}: error: stores of //pkg:lib cannot be")
    assert "type fp8e4nv not supported in this architecture" in text


@pytest.mark.parametrize(
    ("architecture", "limit"),
    [("sm_86", "101,376"), ("compute_80", "166,912"), ("gfx942", "65,536")],
)
def test_too_much_shared_memory(architecture, limit, fails):
    made = declaration("matmul", MATMUL, constexprs=BLOCK, num_stages=16)
    text = fails(made, architecture=architecture)
    where = MARKED["matmul"]
    needed = re.match(
        rf"{where}: error: matmul \(num_stages=16\) needs ([\d,]+) bytes of shared memory, "
        rf"and a program has at most {limit} on {architecture} ",
        text,
    )
    assert needed, text
    assert int(needed[1].replace(",", "")) > int(limit.replace(",", ""))
    assert text.endswith("fix: give //pkg:lib smaller tiles or fewer num_stages")


def test_too_much_shared_memory_is_never_assembled(kernel, fails, monkeypatch):
    """The assembler can take minutes for what is to be refused anyway."""
    started = []
    run = subprocess.run
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda *args, **kw: (started.append(args), run(*args, **kw))[1],
    )
    fails(
        declaration("matmul", MATMUL, constexprs=BLOCK, num_stages=16),
        architecture="sm_86",
    )
    assert not [each for each in started if "ptxas" in str(each)]
    made = declaration("matmul", MATMUL, constexprs=BLOCK, num_stages=2)
    result = kernel(FILE, made, flags=["--import_path=."], architecture="sm_86")
    assert result.status == 0
    assert [each for each in started if "ptxas" in str(each)], "ptxas is run otherwise"


# ---- Kernels that are wrong.


@pytest.mark.parametrize(
    ("function", "signature", "constexprs", "what"),
    [
        ("undefined_name", FILL, BLOCK, "NameError: missing is not defined"),
        ("error_in_a_callee", FILL, BLOCK, "ValueError: Cannot make_shape_compatible"),
        ("error_in_another_file", FILL, BLOCK, "ValueError: Cannot make_shape"),
        ("asserts", FILL, BLOCK, "BLOCK is over 64"),
        ("several_lines", FILL, {}, "input and other must have equal ranks >= 2"),
        (
            "stores",
            {"x": "*kfp32", "n": "i32"},
            {},
            "Cannot store to a constant pointer",
        ),
        (
            "of_dtype",
            {"x": "*fp32"},
            {"DTYPE": "half"},
            "'str' object has no attribute",
        ),
    ],
)
def test_kernels_that_do_not_compile(function, signature, constexprs, what, fails):
    text = fails(declaration(function, signature, constexprs=constexprs))
    start = f"{function} of //pkg:lib cannot be compiled for sm_80 (Triton's default"
    assert text.startswith(f"{MARKED[function]}: error: {start} options): {what}")


@pytest.mark.parametrize("function", ["error_in_a_callee", "error_in_another_file"])
def test_the_call_of_a_function_that_does_not_compile(function, fails):
    text = fails(declaration(function, FILL, constexprs=BLOCK))
    assert f" called from {MARKED[f'call_of_{function}']}: " in text


def test_the_instantiation_that_does_not_compile(fails):
    types = {"T": ["fp32", "fp16"]}
    signature = {"x": "*{T}", "n": "i32"}
    text = fails(declaration("fill", signature, types=types, constexprs={"BLOCK": 65}))
    assert (
        "cannot be compiled for sm_80 with T=fp32, BLOCK=65 (Triton's default" in text
    )
    assert text.startswith(f"{MARKED['block_of_65']}: error: fill of //pkg:lib ")
    assert "arange's range must be a power of 2" in text


def test_a_whole_message(kernel, monkeypatch):
    monkeypatch.chdir(HERE)
    made = declaration("asserts", FILL, constexprs=BLOCK)
    result = kernel(FILE, made, flags=["--import_path=."])
    line = MARKED["asserts"].rpartition(":")[2]
    assert result.output == (
        f"{FILE}:{line}: error: asserts of //pkg:lib cannot be compiled for sm_80 "
        "(Triton's\n"
        "    default options):\n"
        "    BLOCK is over 64\n"
        f'  {line} | tl.static_assert(BLOCK > 64, "BLOCK is over 64")  # error: asserts\n'
        "  fix: correct the kernel, or what the target instantiates it with\n"
    )


def test_full_trace(kernel, monkeypatch):
    monkeypatch.chdir(HERE)
    made = declaration("undefined_name", FILL, constexprs=BLOCK)
    result = kernel(FILE, made, flags=["--import_path=.", "--full_trace"])
    assert (result.status, result.files) == (1, [])
    assert "Traceback (most recent call last)" in result.output
    assert result.output.count("NameError") > 1
    # The message is the last thing, where people look first.
    tail = result.output.rpartition("aot_common.errors.UserError: ")[2]
    assert f"\n{MARKED['undefined_name']}: error: undefined_name of //pkg:lib" in tail
    assert tail.endswith("or what the target instantiates it with\n")


def test_other_parameters_than_are_passed(fails, monkeypatch):
    """A Triton that passes arguments in another way is not taken for this one."""
    from triton_aot import declaration as declared

    monkeypatch.setitem(declared.SCALARS, "i32", ("std::int32_t", 8))
    text = fails(declaration("fill", FILL, constexprs=BLOCK))
    assert "takes parameters of [8, 4, 8, 8] bytes, and the launcher would pass" in text
    assert "[8, 8, 8, 8]" in text


# ---- Files that cannot be imported.


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "import triton\nimport kernels_of_theirs\n",
            "k.py:2: error: there is no module named 'kernels_of_theirs' 2 | import "
            "kernels_of_theirs fix: add the library that holds it to the triton_library's deps",
        ),
        (
            "import triton\n\nif True\n    pass\n",
            "k.py:3: error: SyntaxError: expected ':' 3 | if True",
        ),
        (
            "def fail():\n    raise RuntimeError('no GPU here')\n\n\nfail()\n",
            "k.py:2: error: importing the file raised RuntimeError: no GPU here 2 | raise "
            "RuntimeError('no GPU here') called from k.py:5: fail() fix: correct the line, "
            "or move it out of the module's body",
        ),
        (
            "import sys\n\nsys.exit('bye')\n",
            "k.py:3: error: importing the file raised SystemExit: bye 3 | sys.exit('bye') "
            "fix: correct the line, or move it out of the module's body",
        ),
    ],
    ids=["no module", "syntax", "raises", "exits"],
)
def test_files_that_cannot_be_imported(source, message, write, kernel):
    write("k.py", source)
    result = kernel("k.py", declaration("fill", FILL))
    assert (result.status, result.files) == (1, [])
    assert result.text == message


def test_a_module_missing_in_an_imported_file(write, kernel):
    write("parts/inner.py", "import gone\n")
    write("k.py", "import parts.inner\n")
    made = declaration("fill", FILL)
    result = kernel("k.py", made, flags=["--import_path=."])
    assert result.output.startswith(
        "parts/inner.py:1: error: there is no module named 'gone'\n"
        "  1 | import gone\n"
        "  called from k.py:1: import parts.inner\n"
    )


# ---- Tuning tables.


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("{", "the tuning table is no JSON: Expecting property name"),
        ("[]", "the tuning table is not of the form {function: {instantiation: "),
        ("3", "the tuning table is not of the form {function: {instantiation: "),
        ('{"tuned": 3}', "the tuning table is not of the form {function: "),
        (
            '{"tuned": {"default": []}}',
            "the tuning table is not of the form {function: ",
        ),
        ('{"tuned": {"default": {"sm_80": 3}}}', "the tuning table is not of the form"),
        (
            '{"tuned": {"default": {"sm_80": {"num_warps": 4}}}}',
            "the row of 'tuned', 'default', sm_80 sets nothing, but @triton.autotune "
            "chooses BLOCK fix: run the tuner again",
        ),
        (
            '{"tuned": {"default": {"sm_80": {"BLOCK": 64, "SPLIT": 2}}}}',
            "sm_80 sets BLOCK, SPLIT, but @triton.autotune chooses BLOCK fix: run the",
        ),
        (
            '{"tuned": {"default": {"sm_80": {"BLOCK": 64, "num_warps": "4"}}}}',
            "the row of 'tuned', 'default', sm_80 sets num_warps to '4', no number",
        ),
    ],
)
def test_tuning_tables(table, what, fails, tmp_path):
    path = tmp_path / "table.json"
    path.write_text(table)
    text = fails(declaration("tuned", FILL), flags=[f"--tuning={path}"])
    assert text.startswith(f"{path}: error: ")
    assert what in text


def test_a_missing_tuning_table(fails):
    text = fails(declaration("tuned", FILL), flags=["--tuning=none.json"])
    assert text == "none.json: error: No such file or directory"


# ---- What cannot be launched as it is declared.


@pytest.fixture
def launcher_fails(library, monkeypatch):
    """Compiles kernels whose launcher cannot be made; returns the message."""
    monkeypatch.chdir(HERE)

    def run(*declarations, **settings):
        settings["flags"] = [*settings.get("flags", ()), "--import_path=."]
        result = library(FILE, *declarations, **settings)
        assert (result.status, result.files) == (1, [])
        check_form(result.output)
        return result.text

    return run


def test_an_instantiation_that_another_hides(launcher_fails):
    text = launcher_fails(
        declaration("fill", FILL, constexprs={"BLOCK": 64}),
        declaration("fill", FILL, constexprs={"BLOCK": 128}),
    )
    assert text.startswith(
        "//pkg:lib: error: 'fill' with BLOCK=128 is never launched: BLOCK=64, declared "
        "before it, takes any arguments of these types fix: "
    )


def test_expressions_of_what_is_not_there(launcher_fails):
    text = launcher_fails(declaration("fill", FILL, constexprs=BLOCK, when="m < 3"))
    assert text.startswith(
        "//pkg:lib, kernel 'fill' of bad_kernels/kernels.py:9: error: `m < 3` reads 'm', which is"
    )
    assert "fix: state `when` in terms of integer arguments and constexprs" in text


@pytest.mark.parametrize("name", ["x", "f"])
def test_expressions_of_what_is_no_integer(name, launcher_fails):
    signature = {"x": "*fp32", "f": "fp32"}
    text = launcher_fails(declaration("scale", signature, grid=[f"{name} * 2"]))
    assert f"error: `{name} * 2` reads {name!r}, which is no integer argument" in text
    assert "fix: leave `grid` out, and the C++ function takes the grid from" in text


def test_multiprocessors_in_a_condition(launcher_fails):
    made = declaration("fill", FILL, constexprs=BLOCK, when="n < multiprocessors")
    text = launcher_fails(made)
    assert "error: `n < multiprocessors` reads 'multiprocessors', which is no" in text


@pytest.mark.parametrize(
    "name", ["delete", "co_yield", "linux", "two words", "2d", "a::b"]
)
def test_names_that_are_none_of_cpp(name, launcher_fails):
    text = launcher_fails(declaration("fill", FILL, constexprs=BLOCK, name=name))
    assert f"error: {name!r} cannot be the name of a C++ function" in text


def test_tuning_that_leaves_the_grid_open(launcher_fails, tmp_path):
    table = '{"tuned": {"default": {"sm_80": {"BLOCK": 64}, "sm_86": {"BLOCK": 128}}}}'
    (tmp_path / "table.json").write_text(table)
    text = launcher_fails(
        declaration("tuned", FILL),
        architectures=["sm_80", "sm_86"],
        flags=[f"--tuning={tmp_path / 'table.json'}"],
    )
    assert text.startswith(
        "//pkg:lib, kernel 'tuned' of bad_kernels/kernels.py:85: error: "
        "tuning chose BLOCK by architecture, and the "
        "caller of the C++ function cannot know the grid fix: give `grid`"
    )


def test_a_failure_leaves_old_outputs_as_they_were(kernel, write, tmp_path):
    write("k.py", (HERE / FILE).read_text().replace("bad_kernels.", ""))
    write("helper.py", (HERE / "bad_kernels/helper.py").read_text())
    flags = ["--import_path=."]
    made = declaration("fill", FILL, constexprs=BLOCK)
    assert kernel("k.py", made, flags=flags).files == ["k.images", "k.json"]
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    bad = declaration("asserts", FILL, constexprs=BLOCK)
    assert kernel("k.py", bad, flags=flags).status == 1
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
