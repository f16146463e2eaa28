"""A tuner on the fake CUDA driver; fake_tuner.cc has its cases and times."""

import json
import os
import resource
import signal
import struct
import subprocess

import pytest

TUNER = os.environ["TUNER"]
DRIVER = os.path.abspath(os.environ["DRIVER"])

SCALE = 'T=fp32, mode="a\\b"'

# The rows that the tuner was built with, and what is fastest on sm_90.
TABLE = r"""{
  "add": {
    "default": {
      "sm_80": {"BLOCK": 64},
      "sm_90": {"BLOCK": 128}
    }
  },
  "scale": {
    "T=fp32, mode=\"a\\b\"": {
      "sm_90": {"num_warps": 1}
    },
    "gone": {
      "sm_90": {"num_warps": 4}
    }
  }
}
"""


class Tune:
    """Runs the tuner, in a directory of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.table = directory / "table.json"
        self.report = directory / "report.txt"

    def __call__(self, *flags, table=True, cwd=None, preexec_fn=None, **environment):
        environment = {
            "LD_LIBRARY_PATH": os.path.dirname(DRIVER),
            "FAKE_REPORT": str(self.report),
            **environment,
        }
        if table:
            flags = (f"--table={self.table}", *flags)
        return subprocess.run(
            [os.path.abspath(TUNER), *flags],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            cwd=cwd or self.directory,
            preexec_fn=preexec_fn,
        )

    def fails(self, *flags, status=1, **arguments):
        """Runs it on an old table, which must not change; returns the error."""
        self.table.write_text("old")
        result = self(*flags, **arguments)
        assert result.returncode == status, result.stderr
        assert self.table.read_text() == "old"
        assert not list(self.directory.glob("*.new"))
        assert result.stderr.startswith("//kernels:tune_test: error: ")
        return result.stderr

    def reported(self):
        """The order of launches, what is still alive, and the kernels' arguments."""
        order, alive, *lines = self.report.read_text().splitlines()
        kernels = {}
        for line in lines:
            name, grid, *arguments = line.split(" ")
            kernels[name] = grid, [bytes.fromhex(each) for each in arguments]
        return order.split(), alive, kernels


@pytest.fixture
def tune(tmp_path):
    return Tune(tmp_path)


def rows(result):
    """The lines of candidates, without their times."""
    lines = [line.split("{", 1) for line in result.stdout.splitlines()]
    return ["{" + line[1] for line in lines if len(line) == 2]


def test_the_fastest_are_written(tune):
    result = tune()
    assert result.returncode == 0, result.stderr
    assert tune.table.read_text() == TABLE
    assert json.loads(TABLE)["scale"][SCALE] == {"sm_90": {"num_warps": 1}}
    assert not list(tune.directory.glob("*.new"))
    assert (
        f"wrote {tune.table}: 2 measured for sm_90, 2 of them changed" in result.stdout
    )


def test_candidates_are_listed_by_time(tune):
    result = tune()
    assert "//kernels:tune_test on Fake GPU (sm_90), 20 rounds" in result.stdout
    assert rows(result) == [
        '{"num_warps": 1}  <- fastest',
        '{"num_warps": 2}',
        '{"BLOCK": 128}  <- fastest',
        '{"BLOCK": 256}  <- in the table',
        '{"BLOCK": 64}',
        '{"BLOCK": 512}  (does not fit sm_90)',
    ]
    text = " ".join(result.stdout.split())
    assert '100.00 1.000 {"BLOCK": 128}' in text
    assert '300.00 3.000 {"BLOCK": 64}' in text
    assert '4.00 1.000 {"num_warps": 1}' in text
    assert '2500.00 625.000 {"num_warps": 2}' in text
    assert f"scale {SCALE}" in result.stdout
    assert "on out=16 x fp32, x=1000 x fp16" in result.stdout
    assert "fp32=0.25" in result.stdout


def test_the_candidates_take_turns(tune):
    assert tune("--filter=add", "--rounds=3").returncode == 0
    order, _, _ = tune.reported()
    assert order == ["add_64", "add_128", "add_256"] * 4  # warmed up first


@pytest.mark.parametrize("rounds", ["3", "4"])
def test_an_outlier_does_not_count(tune, rounds):
    result = tune("--filter=add", f"--rounds={rounds}", FAKE_OUTLIER="add_128")
    assert '100.00 1.000 {"BLOCK": 128} <- fastest' in " ".join(result.stdout.split())


def test_all_is_given_back(tune):
    assert tune().returncode == 0
    _, alive, _ = tune.reported()
    assert alive == "0 0 0"


def test_grids_are_the_candidates(tune):
    assert tune().returncode == 0
    _, _, kernels = tune.reported()
    assert kernels["add_64"][0] == "16,2,1"
    assert kernels["scale_1"][0] == "132,1,1"


def test_scalars_have_their_types(tune):
    assert tune().returncode == 0
    _, _, kernels = tune.reported()
    assert kernels["scale_1"][1][1:] == [
        b"\1",
        struct.pack("<b", -2),
        struct.pack("<H", 65535),
        struct.pack("<i", -3),
        struct.pack("<q", 1 << 40),
        struct.pack("<e", 1.5),
        struct.pack("<f", -2)[2:],
        struct.pack("<f", 0.25),
        struct.pack("<d", 1e300),
        struct.pack("<f", 1),
    ]


def test_floats_in_memory_are_random(tune):
    def spread(values):
        assert all(-1 <= value <= 1 for value in values)
        assert min(values) < -0.5 and max(values) > 0.5
        assert len(set(values)) > len(values) // 10

    assert tune().returncode == 0
    _, _, kernels = tune.reported()
    out, x, y, z, index, nothing, e4m3, e5m2 = kernels["add_64"][1]
    spread(struct.unpack("<16f", out))
    spread(struct.unpack("<1000e", x))
    spread([struct.unpack("<f", b"\0\0" + y[i : i + 2])[0] for i in range(0, 2000, 2)])
    spread(struct.unpack("<16d", z))
    end_of_large = kernels["scale_1"][1][0]
    spread(struct.unpack("<100f", end_of_large))
    assert index == bytes(64)
    assert nothing == b""
    # The upper half of a float16; and four bits of exponent, of which 7 is 2^0.
    spread([struct.unpack("<e", bytes([0, each]))[0] for each in e5m2])
    assert all(each & 0x7F <= 7 << 3 for each in e4m3)
    assert len(set(e4m3)) > 50

    tune("--filter=add")
    assert tune.reported()[2]["add_64"] == kernels["add_64"]  # in every run


def test_a_filter_keeps_other_rows(tune):
    result = tune("--filter=add")
    assert result.returncode == 0
    assert len(rows(result)) == 4
    expected = json.loads(TABLE)
    del expected["scale"][SCALE]
    assert json.loads(tune.table.read_text()) == expected


def test_a_filter_sees_function_and_instantiation(tune):
    assert len(rows(tune("--filter=scale T=fp32"))) == 2


def test_a_filter_that_nothing_matches(tune):
    error = tune.fails("--filter=mul", status=2)
    assert f"--filter=mul is in none of\n  scale {SCALE}\n  add\n" in error


def test_a_candidate_that_fails_is_left_out(tune):
    result = tune(FAKE_FAILS="add_128:701")
    assert result.returncode == 0
    assert rows(result)[2:] == [
        '{"BLOCK": 256}  <- fastest  <- in the table',
        '{"BLOCK": 64}',
        '{"BLOCK": 512}  (does not fit sm_90)',
        '{"BLOCK": 128}  (kernels::add: cuLaunchKernel failed: CUDA_ERROR_OTHER (701): '
        "what CUDA says of 701; the kernel needs more registers or threads than a "
        "block may have)",
    ]
    table = json.loads(tune.table.read_text())
    assert table["add"]["default"]["sm_90"] == {"BLOCK": 256}
    order, alive, _ = tune.reported()
    assert "add_128" not in order
    assert alive == "0 0 0"


def test_a_candidate_that_breaks_the_context_ends_it(tune):
    error = tune.fails(FAKE_BREAKS="add_128")
    assert 'error: add: {"BLOCK": 128}: ' in error
    assert "(700)" in error
    assert tune.reported()[0][-1] == "add_128"


def test_no_candidate_runs(tune):
    error = tune.fails(FAKE_FAILS="scale_1:1 scale_2:701")
    assert f"scale {SCALE}: no candidate runs" in error


def test_no_memory_for_the_example(tune):
    error = tune.fails(FAKE_FUNCTION_FAILS="cuMemAlloc_v2:2")
    assert (
        f"error: scale {SCALE}: the example's x: Gpu: memory for 4400000 elements"
        in error
    )
    assert "CUDA_ERROR_OUT_OF_MEMORY" in error


def test_code_for_another_architecture(tune):
    error = tune.fails(FAKE_ARCHITECTURE="sm_86")
    assert "this GPU, Fake GPU, is sm_86 and would run code for sm_80" in error
    assert "build with sm_86 among the library's architectures" in error


def test_no_code_for_the_device(tune):
    error = tune.fails(FAKE_ARCHITECTURE="sm_75")
    assert "is compiled for sm_80, sm_90, and not for device 0, Fake GPU" in error


def test_another_architecture_gets_rows_of_its_own(tune):
    assert tune(FAKE_ARCHITECTURE="sm_80").returncode == 0
    table = json.loads(tune.table.read_text())
    assert table["add"]["default"] == {
        "sm_80": {"BLOCK": 128},
        "sm_90": {"BLOCK": 256},
    }
    assert list(table["scale"][SCALE]) == ["sm_80"]


def test_no_driver(tune):
    error = tune.fails(status=3, LD_LIBRARY_PATH="")
    assert "there is no NVIDIA GPU: libcuda.so.1: cannot open" in error


def test_no_device(tune):
    error = tune.fails(status=3, FAKE_CUDA_DEVICES="0")
    assert "the CUDA driver finds no device" in error


def test_a_device_that_is_not_there(tune):
    assert "there is no device 1: " in tune.fails("--device=1")


def test_a_directory_that_is_not_there_is_said_before_measuring(tune):
    result = tune("--table=nowhere/table.json", table=False)
    assert result.returncode == 1
    assert "cannot write nowhere/table.json: No such file" in result.stderr
    assert "give the table's path by --table=PATH" in result.stderr
    assert result.stdout == ""


def test_a_table_that_cannot_be_written_whole(tune):
    def limit():
        # Writing fails, instead of ending the process.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    error = tune.fails(preexec_fn=limit, FAKE_REPORT="/dev/null")
    assert f"cannot write {tune.table}: File too large; the table is above" in error


def test_a_table_that_cannot_be_replaced(tune):
    (tune.directory / "directory" / "file").mkdir(parents=True)
    result = tune("--table=directory", table=False)
    assert result.returncode == 1
    assert "cannot write directory: Is a directory; the table is above" in result.stderr
    assert result.stdout.endswith(TABLE)
    assert not list(tune.directory.glob("*.new"))


def test_under_bazel_run_the_workspace_has_the_table(tune, tmp_path):
    workspace = tmp_path / "workspace"
    (workspace / "kernels").mkdir(parents=True)
    result = tune(table=False, BUILD_WORKSPACE_DIRECTORY=str(workspace))
    assert result.returncode == 0, result.stderr
    assert (workspace / "kernels/test.tuning.json").read_text() == TABLE


def test_otherwise_it_is_below_the_working_directory(tune, tmp_path):
    (tmp_path / "kernels").mkdir()
    result = tune(table=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "kernels/test.tuning.json").read_text() == TABLE


@pytest.mark.parametrize(
    "flag",
    [
        "--rounds=0",
        "--rounds=",
        "--rounds=3x",
        "--rounds=99999999999",
        "--device=-1",
        "--table=",
        "--tables=x",
        "x",
    ],
)
def test_bad_usage(tune, flag):
    error = tune.fails(flag, status=2)
    assert f"bad argument: {flag}\nusage: " in error
    assert " kernels/test.tuning.json\n" in error


def test_help(tune):
    result = tune("--help")
    assert result.returncode == 0
    assert "Exit status: 0 written" in result.stdout
    assert not tune.table.exists()
