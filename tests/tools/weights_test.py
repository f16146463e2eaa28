"""Weights files: what is read, how it is loaded, and what is refused."""

import os
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from aot_common.errors import UserError
from torch_aot import program_file, weights

STATE = {
    "weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "bias": torch.tensor([1, 2], dtype=torch.int64),
    "scale": torch.tensor(0.5, dtype=torch.bfloat16),
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def save_zip(state, path):
    torch.save(state, path)


def save_old(state, path):
    torch.save(state, path, _use_new_zipfile_serialization=False)


def equal(found, expected):
    return found.keys() == expected.keys() and all(
        found[key].dtype == expected[key].dtype
        and torch.equal(found[key], expected[key])
        for key in expected
    )


def error(*paths):
    with pytest.raises(UserError) as caught:
        weights.read(paths)
    text = str(caught.value)
    assert text.startswith(f"{caught.value.where}: error: ")
    assert len(text.splitlines()) <= 6
    return " ".join(text.split())


# ---- Reading.


@pytest.mark.parametrize(
    ("save", "path"),
    [
        (save_file, "w.safetensors"),
        (save_zip, "w.pth"),
        (save_zip, "w.pt"),
        (save_zip, "w.bin"),
        (save_old, "w.pth"),
    ],
)
def test_formats(save, path):
    save(STATE, path)
    assert equal(weights.read([path]), STATE)


def test_old_and_new_formats_are_not_the_same_file():
    save_zip(STATE, "zip.pth")
    save_old(STATE, "old.pth")
    assert zipfile.is_zipfile("zip.pth")
    assert not zipfile.is_zipfile("old.pth")


def test_a_state_dict_within_a_checkpoint():
    save_zip({"epoch": 3, "state_dict": STATE, "args": {"lr": 0.1}}, "w.pth")
    assert equal(weights.read(["w.pth"]), STATE)


def test_parameters_are_tensors_too():
    save_zip(nn.Linear(2, 2).state_dict(), "w.pth")
    save_zip(dict(nn.Linear(2, 2).named_parameters()), "p.pth")
    assert weights.read(["w.pth"]).keys() == weights.read(["p.pth"]).keys()


def test_shards_are_merged():
    save_file({"weight": STATE["weight"]}, "one.safetensors")
    save_zip({"bias": STATE["bias"], "scale": STATE["scale"]}, "two.bin")
    assert equal(weights.read(["one.safetensors", "two.bin"]), STATE)


def test_an_empty_file_of_no_tensors():
    save_zip({}, "w.pth")
    assert weights.read(["w.pth"]) == {}


def test_a_key_in_two_files():
    save_file(STATE, "one.safetensors")
    save_zip({"bias": STATE["bias"]}, "two.pth")
    message = error("one.safetensors", "two.pth")
    assert message.startswith(
        "two.pth: error: the key 'bias' is in this weights file and in one.safetensors"
    )


def test_an_unknown_kind():
    with open("weights.npz", "wb") as file:
        file.write(b"?")
    message = error("weights.npz")
    assert message == (
        "weights.npz: error: a weights file of unknown kind fix: give a .safetensors, .pth, "
        ".pt or .bin file"
    )


def test_a_missing_file():
    assert "the weights file does not exist" in error("gone.pth")


@pytest.mark.parametrize(
    ("name", "save"),
    [("w.safetensors", save_file), ("zip.pth", save_zip), ("old.pth", save_old)],
)
def test_truncated_files(name, save):
    save({"weight": torch.zeros(1000)}, name)
    whole = os.path.getsize(name)
    for size in (0, 40, whole // 2, whole - 1):
        os.truncate(name, size)
        kind = "safetensors" if name.endswith("rs") else "torch.save"
        message = error(name)
        assert message.startswith(f"{name}: error: not a readable {kind} file: ")
        assert f"({size:,} bytes)" in message
        assert "fix: fetch it again" in message
        save({"weight": torch.zeros(1000)}, name)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_files_of_another_kind(name):
    for content in (b"<html>not found</html>", b"version 2\n", b"\x80\x04N."):
        with open(name, "wb") as file:
            file.write(content)
        assert "not a readable" in error(name)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_pointers_of_git_lfs(name):
    with open(name, "wb") as file:
        file.write(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
        )
    assert "the file is a Git LFS pointer, not the weights fix: run `git lfs pull`" in (
        error(name)
    )


class Malicious:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


@pytest.mark.parametrize("save", [save_zip, save_old])
def test_unsafe_pickles_are_not_executed(save):
    save({"weight": torch.zeros(2), "extra": Malicious()}, "w.pth")
    message = error("w.pth")
    assert "the file holds more than tensors (posix.mkdir), so unpickling it could" in (
        message
    )
    assert "fix: save the state dict alone: torch.save(module.state_dict(), path)" in (
        message
    )
    assert not os.path.exists("executed")


def test_a_pickled_module():
    save_zip(nn.Linear(2, 2), "w.pth")
    assert "more than tensors (torch.nn.modules.linear.Linear)" in error("w.pth")


def test_what_is_no_dict():
    save_zip([torch.zeros(2)], "w.pth")
    assert "the file holds no state dict (names to tensors) but a list" in error(
        "w.pth"
    )
    save_zip(torch.zeros(2), "w.pth")
    assert "the file holds no state dict (names to tensors) but a Tensor" in error(
        "w.pth"
    )


def test_a_dict_of_other_things():
    save_zip({"weight": torch.zeros(2), "epoch": 3}, "w.pth")
    assert "its key 'epoch' has the type int" in error("w.pth")
    save_zip({"model": {"weight": torch.zeros(2)}}, "w.pth")
    assert "its key 'model' has the type dict" in error("w.pth")


# ---- Loading into a module.


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(4))
        self.register_buffer("steps", torch.zeros(1))
        self.register_buffer("cache", torch.zeros(1), persistent=False)


def test_a_strict_load():
    state = {
        key: torch.full_like(value, 3) for key, value in Net().state_dict().items()
    }
    net = Net()
    weights.load_strictly(net, state, "model.py:1")
    assert equal(net.state_dict(), state)


def misfit(change):
    state = dict(Net().state_dict())
    change(state)
    with pytest.raises(UserError) as caught:
        weights.load_strictly(Net(), state, "model.py:7")
    assert caught.value.where == "model.py:7"
    assert "rename keys" in caught.value.fix
    return caught.value.what.splitlines()


def test_a_missing_key():
    assert misfit(lambda state: state.pop("layers.1.bias")) == [
        "the weights do not fit the module",
        "1 key missing in the weights: layers.1.bias",
    ]


def test_an_unexpected_key():
    assert misfit(lambda state: state.update(extra=torch.zeros(1))) == [
        "the weights do not fit the module",
        "1 key unexpected in the weights: extra",
    ]


def test_a_wrong_shape():
    def change(state):
        state["layers.0.weight"] = torch.zeros(2, 3)
        state["layers.2.bias"] = torch.zeros(())

    assert misfit(change) == [
        "the weights do not fit the module",
        "2 wrong shapes: layers.0.weight ([2, 3] in the weights, [2, 2] in the module), "
        "layers.2.bias ([] in the weights, [2] in the module)",
    ]


def test_all_problems_are_reported_at_once_and_briefly():
    def change(state):
        for key in list(state):
            state[f"module.{key}"] = state.pop(key)

    assert misfit(change) == [
        "the weights do not fit the module",
        "9 keys missing in the weights: layers.0.bias, layers.0.weight, layers.1.bias, "
        "layers.1.weight, layers.2.bias, and 4 more",
        "9 keys unexpected in the weights: module.layers.0.bias, module.layers.0.weight, "
        "module.layers.1.bias, module.layers.1.weight, module.layers.2.bias, and 4 more",
    ]


def test_a_buffer_that_is_not_saved_is_not_wanted():
    assert "cache" not in Net().state_dict()
    weights.load_strictly(Net(), Net().state_dict(), "model.py:1")


# ---- Through the tool.

MODEL = """
    import torch
    from torch import nn
    from torch_aot import Model

    def net():
        return Model(
            nn.Linear(3, 2), inputs=(torch.ones(1, 3),)
        )

    def renamed(weights):
        layer = nn.Linear(3, 2)
        layer.load_state_dict({key.removeprefix("m."): weights[key] for key in weights})
        return Model(layer, inputs=(torch.ones(1, 3),))

    def optional(weights=None):
        assert weights is None
        return net()
"""
OUTPUTS = ("--program=OUT/m.pt2", "--signature=OUT/m.json")


def test_weights_reach_the_program(write, tool, tmp_path):
    write("model.py", MODEL)
    state = {"weight": torch.full((2, 3), 2.0), "bias": torch.full((2,), 1.0)}
    save_file({"weight": state["weight"]}, "one.safetensors")
    save_zip({"bias": state["bias"]}, "two.pth")
    result = tool(
        *("export", "model.py:net", "--weights=one.safetensors", "--weights=two.pth"),
        *OUTPUTS,
    )
    assert (result.status, result.output) == (0, "")
    program = program_file.load(str(tmp_path / "out" / "m.pt2"))
    assert equal(program.state_dict, state)
    assert program.module()(torch.ones(1, 3)).tolist() == [[7, 7]]


def test_an_entry_may_load_weights_itself(write, tool, tmp_path):
    write("model.py", MODEL)
    state = {"m.weight": torch.full((2, 3), 2.0), "m.bias": torch.full((2,), 1.0)}
    save_zip(state, "w.pth")
    result = tool("export", "model.py:renamed", "--weights=w.pth", *OUTPUTS)
    assert (result.status, result.output) == (0, "")
    program = program_file.load(str(tmp_path / "out" / "m.pt2"))
    assert program.state_dict["bias"].tolist() == [1, 1]


def test_an_entry_may_do_without_weights(write, tool):
    write("model.py", MODEL)
    assert tool("export", "model.py:optional", *OUTPUTS).status == 0


def test_weights_that_do_not_fit_name_the_model(write, tool):
    write("model.py", MODEL)
    save_zip({"weight": torch.zeros(2, 4), "m.bias": torch.zeros(2)}, "w.pth")
    result = tool("export", "model.py:net", "--weights=w.pth", *OUTPUTS)
    assert (result.status, result.files) == (1, [])
    assert result.output == (
        "model.py:6: error: the weights do not fit the module\n"
        "    1 key missing in the weights: bias\n"
        "    1 key unexpected in the weights: m.bias\n"
        "    1 wrong shape: weight ([2, 4] in the weights, [2, 3] in the module)\n"
        "  6 | return Model(\n"
        "  fix: check that the weights belong to this architecture; to rename keys, give the "
        "entry function a\n"
        "    parameter `weights` and load them there\n"
    )


def test_an_entry_that_fails_to_load_weights(write, tool):
    write("model.py", MODEL)
    save_zip({"weight": torch.zeros(2, 3)}, "w.pth")
    result = tool("export", "model.py:renamed", "--weights=w.pth", *OUTPUTS)
    assert (result.status, result.files) == (1, [])
    assert result.output.startswith(
        "model.py:12: error: renamed() raised RuntimeError: "
    )
    assert 'Missing key(s) in state_dict: "bias"' in result.text


# ---- Training checkpoints and whole models.

CHECKPOINT = {"step": 7, "model_state": STATE, "lr": 0.1}


def test_a_training_checkpoint_says_the_way_out():
    save_zip(CHECKPOINT, "w.pth")
    message = error("w.pth")
    assert "its key 'step' has the type int" in message
    assert "a parameter `weights`" in message
    assert "load weights['model_state'] there" in message


def test_a_training_checkpoint_is_read_whole():
    save_zip(CHECKPOINT, "w.pth")
    found = weights.read(["w.pth"], whole=True)
    assert found.keys() == CHECKPOINT.keys()
    assert found["step"] == 7
    assert equal(found["model_state"], STATE)


def test_an_entry_gets_a_training_checkpoint(write, tool, tmp_path):
    write(
        "model.py",
        """
        import torch
        from torch import nn
        from torch_aot import Model

        def net(weights):
            layer = nn.Linear(3, 2)
            layer.load_state_dict(weights["model_state"])
            return Model(layer, inputs=(torch.ones(1, 3),))
        """,
    )
    state = {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}
    save_zip({"step": 7, "model_state": state}, "w.pth")
    result = tool("export", "model.py:net", "--weights=w.pth", *OUTPUTS)
    assert (result.status, result.output) == (0, "")
    program = program_file.load(str(tmp_path / "out" / "m.pt2"))
    assert equal(program.state_dict, state)


@pytest.mark.parametrize("name", ["w.pt", "w.jit", "w.ts", "w.torchscript", "w.pth"])
def test_a_torchscript_archive_of_any_ending(name):
    torch.jit.script(nn.Linear(2, 2)).save(name)
    message = error(name)
    assert "the file is a TorchScript archive, not a state dict" in message
    assert "Model(torch.jit.load(path), ...)" in message


@pytest.mark.parametrize("name", ["w.pt2", "w.pt"])
def test_an_exported_program_is_no_state_dict(name):
    program = torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),))
    with open(name, "wb") as file:
        torch.export.save(program, file)
    message = error(name)
    assert "the file is an ExportedProgram, not a state dict" in message
    assert "make it the torch_model's `program` instead" in message


def test_a_compiled_package_is_no_state_dict():
    with zipfile.ZipFile("w.pt", "w") as archive:
        archive.writestr("w/data/aotinductor/model/model.so", b"")
    assert "the file is an AOTInductor package, not a state dict" in error("w.pt")


# What those messages say to do.
def test_whole_models_as_data(write, tool):
    write(
        "model.py",
        """
        import torch
        from torch_aot import Model

        def script():
            return Model(torch.jit.load("m.jit"), (torch.ones(1, 2),))

        def program():
            return Model(torch.export.load("m.pt2"))
        """,
    )
    layer = nn.Linear(2, 2)
    torch.jit.script(layer).save("m.jit")
    torch.export.save(torch.export.export(layer, (torch.ones(1, 2),)), "m.pt2")
    for entry in ("script", "program"):
        assert tool("export", f"model.py:{entry}", *OUTPUTS).status == 0
    torch.save(torch.jit.load("m.jit").state_dict(), "one.pth")
    torch.save(torch.export.load("m.pt2").state_dict, "two.pth")
    assert equal(weights.read(["one.pth"]), layer.state_dict())
    assert equal(weights.read(["two.pth"]), layer.state_dict())
