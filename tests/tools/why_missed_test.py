"""tools/why_missed.py tells causes from what follows from them."""

import json

import why_missed


def spawn(output, mnemonic="TorchCodegen", **changes):
    """A part of Bazel's SpawnExec."""
    inputs = changes.pop("inputs", {"model.pt2": "aa"})
    variables = changes.pop("variables", {"PYTHONHASHSEED": "0"})
    return {
        "commandArgs": ["compile_model", "codegen"],
        "environmentVariables": [
            {"name": name, "value": value} for name, value in variables.items()
        ],
        "inputs": [
            {"path": path, "digest": {"hash": digest, "sizeBytes": "1"}}
            for path, digest in inputs.items()
        ],
        "listedOutputs": [output],
        "mnemonic": mnemonic,
        "targetLabel": "//models:mlp",
    } | changes


def report(capsys, tmp_path, one, two):
    """The exit status and what is printed for two builds."""
    for name, spawns in (("one", one), ("two", two)):
        # As Bazel writes it: values without a separator.
        text = "".join(json.dumps(each, indent=2) for each in spawns)
        (tmp_path / name).write_text(text + "\n")
    status = why_missed.main([str(tmp_path / "one"), str(tmp_path / "two")])
    return status, capsys.readouterr().out


def test_equal_builds(capsys, tmp_path):
    status, text = report(
        capsys, tmp_path, [spawn("a"), spawn("b")], [spawn("b"), spawn("a")]
    )
    assert status == 0
    assert text == (
        "2 actions are in both logs: 0 differ by themselves, 0 follow from them\n"
    )


def test_what_follows_is_counted(capsys, tmp_path):
    one = [
        spawn("m.h"),
        spawn("m.o", "CppCompile", inputs={"m.h": "11", "stdio.h": "22"}),
        spawn("m.a", "CppArchive", inputs={"m.o": "33"}),
    ]
    two = [
        spawn("m.h", variables={"PYTHONHASHSEED": "7", "TZ": "UTC"}),
        spawn("m.o", "CppCompile", inputs={"m.h": "12", "stdio.h": "22"}),
        spawn("m.a", "CppArchive", inputs={"m.o": "34"}),
    ]
    status, text = report(capsys, tmp_path, one, two)
    assert status == 1
    assert text == (
        "TorchCodegen //models:mlp m.h\n"
        "  variable PYTHONHASHSEED: '0', then '7'\n"
        "  variable TZ: none, then 'UTC'\n"
        "3 actions are in both logs: 1 differ by themselves, 2 follow from them\n"
    )


def test_inputs_arguments_and_platform(capsys, tmp_path):
    one = spawn(
        "m.h",
        inputs={"model.pt2": "aa", "python3": "bb"},
        commandArgs=["tool", "--x=1"],
    )
    two = spawn(
        "m.h",
        inputs={"model.pt2": "ab", "cc": "cc"},
        commandArgs=["tool", "--x=2"],
        platform={"properties": [{"name": "OSFamily", "value": "linux"}]},
    )
    _, text = report(capsys, tmp_path, [one], [two])
    assert text.splitlines()[1:-1] == [
        "  argument '--x=1', then '--x=2'",
        "  platform OSFamily: none, then 'linux'",
        "  input model.pt2 has other content",
        "  input python3 is only in the first",
        "  input cc is only in the second",
    ]


def test_an_argument_in_the_middle(capsys, tmp_path):
    one = spawn("m.o", commandArgs=["gcc", "-O1", "-c", "m.cc"])
    two = spawn("m.o", commandArgs=["/bin/gcc", "-O1", "-DX", "-c", "m.cc"])
    _, text = report(capsys, tmp_path, [one], [two])
    assert text.splitlines()[1:-1] == [
        "  argument 'gcc', then '/bin/gcc'",
        "  argument none, then '-DX'",
    ]


def test_actions_of_one_build_alone_are_not_compared(capsys, tmp_path):
    status, text = report(capsys, tmp_path, [spawn("a"), spawn("b")], [spawn("a")])
    assert (status, text.split()[0]) == (0, "1")
