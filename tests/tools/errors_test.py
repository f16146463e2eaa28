"""Models that cannot be compiled: what the tool says about each."""

import ast
import pathlib
import re

import pytest

from aot_common.errors import UserError
from torch_aot import torch_errors

BAD_MODELS = pathlib.Path(__file__).parent / "bad_models"
OUTPUTS = ("--program=OUT/model.pt2", "--signature=OUT/model.json")
CODEGEN = (
    *("codegen", "OUT/model.pt2", "OUT/model.json", "--out=OUT/model"),
    *("--label=//:model", "--id=model", "--class=Model"),
)

# By file and entry: words of the message, and words of the fix. Where the error
# is, the file says itself, in a comment `# error: entry` on the line.
EXPECTED = {
    "control_flow.py": {
        "if_on_a_tensor": ("this `if` depends on a tensor's value", "torch.cond"),
        "if_on_a_tensor_in_a_helper": (
            "this `if` depends on a tensor's value",
            "torch.cond",
        ),
        "if_in_a_submodule": (
            "this conditional expression depends on a tensor's value",
            "torch.where",
        ),
        "assert_on_a_tensor": (
            "this `assert` depends on a tensor's value",
            "`if not torch.compiler.is_compiling():`",
        ),
        "loop_over_item": (
            "the number of iterations of this `for` depends on a tensor's value",
            "torch.while_loop",
        ),
        "while_on_a_tensor": (
            "this `while` depends on a tensor's value",
            "torch.while_loop",
        ),
        "slice_by_a_tensor": (
            "on a number that comes from data (u1 > 1)",
            "torch.where",
        ),
        "list_indexed_by_a_tensor": (
            "a Python number needed on this line (a size, an index, a truth value) "
            "depends on a tensor's value",
            "torch.index_select",
        ),
        "nonzero_reshaped": (
            "depends on a number that comes from data (2*u0 < 2)",
            "torch._check(2*found.shape[0] >= 2)",
        ),
        "to_numpy": ("takes a tensor out of PyTorch, to NumPy", "torch operators"),
        "to_list": ("depends on a number that comes from data", "torch.where"),
        "compared_with_equal": ("this `if` depends on a tensor's value", "torch.cond"),
        "condition_of_two_lines": (
            "this `if` depends on a tensor's value",
            "torch.cond",
        ),
        "tensor_kept_between_calls": (
            "forward() reads self.last and then assigns it",
            "self.last.copy_(...)",
        ),
        "raises_in_forward": (
            "the model fails on its example inputs, also when it is not compiled: "
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x4 and 5x4)",
            "correct forward or the example inputs",
        ),
    },
    "branches.py": {
        "returns_its_input": (
            "the false branch of torch.cond returns one of its inputs",
            "x.clone()",
        ),
        "returns_a_view": (
            "the false branch of torch.cond returns a view of one of its inputs",
            "x.clone()",
        ),
        "nested_returns_its_input": (
            "the true branch of torch.cond returns one of its inputs",
            "x.clone()",
        ),
        "returns_captured": (
            "the true branch of torch.cond returns one of its inputs",
            "x.clone()",
        ),
        "returns_one_twice": (
            "the true branch of torch.cond returns one tensor twice",
            "y.clone()",
        ),
        "returns_a_slice": ("a branch of torch.cond returns a view", ".clone()"),
        "ranks_differ": (
            "the branches of torch.cond return tensors of different ranks: 2 and 0",
            "make every branch return the same number of tensors",
        ),
        "dtypes_differ": (
            "return tensors of different dtypes: torch.float32 and torch.float64",
            "make every branch return the same number of tensors",
        ),
        "counts_differ": (
            "the branches of torch.cond return different numbers or nestings of tensors",
            "make every branch return the same number of tensors",
        ),
        "returns_a_number": (
            "the true branch of torch.cond returns a Python number",
            "torch.tensor(1)",
        ),
        "if_in_a_branch": ("this `if` depends on a tensor's value", "torch.cond"),
        "predicate_of_many": (
            "is a tensor of shape [2, 4], not one bool",
            "pred.any()",
        ),
        "operand_is_a_number": (
            "an operand of torch.cond is not a tensor",
            "the branches may use Python numbers",
        ),
        "wrong_operand_count": (
            "takes another number of arguments than it gets",
            "one parameter for each operand",
        ),
        "raises_in_a_branch": (
            "also when it is not compiled: RuntimeError: a and b must have same reduction",
            "correct forward",
        ),
        "loop_returns_its_input": ("returns one of its inputs", "x.clone()"),
        "loop_changes_its_input": (
            "the body of a while_loop changes one of its inputs in place",
            "x + 1 instead of x.add_(1)",
        ),
        "loop_changes_shape": (
            "the body of a while_loop returns a tensor of another shape",
            "keep the number, shapes and dtypes",
        ),
        "loop_changes_dtype": (
            "another dtype than the one it got: torch.float64 instead of torch.float32",
            "keep the number, shapes and dtypes",
        ),
        "loop_counts_in_python": (
            "an initial value of a while_loop is a Python number",
            "torch.tensor(0)",
        ),
    },
    "dynamic.py": {
        "reshaped_to_a_constant": (
            "dynamic dimension batch can only be 2 here, but dynamic_shapes says 1 <= "
            "batch <= 64",
            "no reshape to a fixed size",
        ),
        "looped_over": ("dynamic dimension batch can only be 2 here", "no loop over"),
        "unpacked": ("dynamic dimension batch can only be 2 here", "unpacking"),
        "example_of_one": (
            "dimension 0 of input 'image' is declared dynamic (batch), but the example has "
            "size 1 there",
            "an example of size 2 or more",
        ),
        "example_of_none": ("but the example has size 0 there", "size 2 or more"),
        "compared_with_a_size": (
            "dynamic dimension batch must be at most 8 here, but dynamic_shapes says 1 <= "
            "batch <= 64",
            "torch.export.Dim('batch', …, max=8)",
        ),
        "more_than_the_positions": (
            "dynamic dimension length must be at most 16 here",
            "torch.export.Dim('length', …, max=16)",
        ),
        "example_outside_the_range": (
            "size 2 in dimension 0 of input 'image', outside of the declared range: 4 <= "
            "batch <= 64",
            "an example within the range",
        ),
        "one_dim_for_two_sizes": (
            "one Dim, batch, stands for different sizes of the example: 2 in dimension 0 "
            "of input 'image', 3 in dimension 0 of input 'mask'",
            "a Dim of another name",
        ),
        "two_dims_that_must_agree": (
            "dynamic dimensions rows and batch must be equal here",
            "one torch.export.Dim for both",
        ),
        "must_be_even": (
            "dynamic dimension batch must be of the form 2*_batch here",
            "_batch = Dim('_batch', min=1, max=32); batch = 2*_batch",
        ),
        "not_of_the_derived_form": (
            "size 3 in dimension 0 of input 'image', which is not of the form 2*half",
            "2*half",
        ),
        "must_be_at_least_three": (
            "dynamic dimension batch must be at least 3 here",
            "torch.export.Dim('batch', …, min=3)",
        ),
        "linear_of_a_dynamic_width": (
            "dynamic dimension width can only be 4 here",
            "no weight or buffer of that size",
        ),
        "one_left": (
            "this line works only if length - 1 != 1 (PyTorch compiles sizes of 0 and 1 "
            "apart)",
            "choose the range of the Dim",
        ),
        "two_violations": (
            "also dynamic.py:{two_violations-1}: dynamic dimension length must be at most "
            "16 here",
            "leave the dimension out",
        ),
        "unknown_argument": (
            "dynamic_shapes has the keys 'picture', but the example gives forward the "
            "arguments 'image'",
            "a dict from forward's argument names",
        ),
        "too_many_shapes": (
            "dynamic_shapes has 2 entries, but the inputs there number 1",
            "a tuple with one entry for each argument",
        ),
        "shapes_not_in_a_tuple": (
            "dynamic_shapes has the keys 0",
            "a tuple with one entry for each argument",
        ),
        "wrong_nesting": (
            "dynamic_shapes['image'] has 1 entries for a tensor of 2 dimensions",
            "nested like the argument",
        ),
        "dimension_out_of_range": (
            "names dimension 5 of input 'image', which has 2 dimensions",
            "from 0",
        ),
        "dimension_is_a_string": (
            "dynamic_shapes['image'] has 'batch' for dimension 0, which is no Dim",
            "{dimension: Dim}",
        ),
        "too_few_dimensions": (
            "dynamic_shapes['image'] has 1 entries for a tensor of 2 dimensions",
            "{dimension: Dim}",
        ),
        "two_definitions_of_a_dim": (
            "one name has two meanings in dynamic_shapes: Dim('batch', min=1, max=64) and "
            "Dim('batch', min=1, max=32)",
            "one Dim object",
        ),
        "shape_of_a_number": (
            "dynamic_shapes[1] is a shape, but the input there is no tensor: it is of the "
            "type int",
            "an entry is None",
        ),
        "shapes_are_a_dim": (
            "dynamic_shapes is of the type Dim",
            "a dict from forward's",
        ),
        "bad_dim": ("a torch.export.Dim has min 8 above its max 4", "max"),
        "dynamic_hint_specialised": (
            "dynamic dimension args[0].shape[0] can only be 2 here",
            "no reshape to a fixed size",
        ),
    },
    "arguments.py": {
        "too_few_inputs": (
            "do not fit forward(x, y): missing a required argument: 'y'; there are 1",
            "in the order of forward's parameters",
        ),
        "too_many_inputs": (
            "do not fit forward(x, y): too many positional arguments; there are 3",
            "in the order of forward's parameters",
        ),
        "unknown_input": (
            "missing a required argument: 'y'; there are 2 (x, z)",
            "a dict with their names",
        ),
        "inputs_are_a_tensor": ("the example inputs are of the type Tensor", "(x,)"),
        "numpy_input": ("input 'y' is of the type ndarray", "torch.from_numpy(x)"),
        "dataclass_input": (
            "input 'x' is of the type Pair",
            "torch.export.register_dataclass(Pair)",
        ),
        "keyless_input": (
            "input 'x': Did not find a flatten_with_keys_fn for type",
            "register the type with that",
        ),
        "object_input": ("input 'y' is of the type object", "torch.tensor(x)"),
        "complex_input": ("input 'y' has the dtype complex64", "torch.view_as_real(x)"),
        "input_of_rank_9": ("input 'y' has rank 9; the most is 8", "x.flatten(...)"),
        "sparse_input": ("input 'y' is sparse", "x.to_dense()"),
        "meta_input": ("input 'y' is on the device meta", "on the CPU"),
        "meta_module": ("parameter 'weight' is on the device meta", "on the CPU"),
        "cuda_module": ("the code asks for a CUDA device", "leave out .cuda()"),
        "cuda_inside": ("cuda", "device=x.device"),
        "two_devices": (
            "tensors of two devices meet here: cpu and meta",
            "device=x.device",
        ),
        "number_output": ("output 'output_1' is a Python int", "torch.tensor(x)"),
        "size_output": ("output 'output_1' is a Python int", "x.shape tells sizes"),
        "string_output": ("output 'output_1' is a Python str", "leave it out"),
        "object_output": (
            "forward returns an object of the type object",
            "tuples, lists and dicts of tensors",
        ),
        "no_output": ("the model returns no tensor", "return a tensor from forward"),
        "complex_output": ("output 'output' has the dtype complex64", "view_as_real"),
        "output_of_rank_9": ("output 'output' has rank 9; the most is 8", "x.flatten"),
        "sparse_output": ("output 'output' is sparse", "x.to_dense()"),
    },
    "names.py": {
        "too_few": (
            "input_names has 1 names, but the model has 2 input tensors (x, y)",
            "one name for each",
        ),
        "too_many": (
            "output_names has 3 names, but the model has 2 output tensors (output_0, "
            "output_1)",
            "one name for each",
        ),
        "duplicate": ("the name 'a' in input_names is given twice", "another name"),
        "keyword": (
            "the name 'class' in output_names is a C++ keyword",
            "another name",
        ),
        "python_keyword": (
            "the name 'lambda' in output_names is a Python keyword",
            "another name",
        ),
        "argument": (
            "the name 'out' in input_names is the name of another argument in Python",
            "another name",
        ),
        "macro": (
            "the name 'unix' in input_names is a macro of the compiler's",
            "another name",
        ),
        "own_struct": (
            "the name 'Buffers' in output_names is the name of that struct",
            "another name",
        ),
        "not_an_identifier": (
            "the name 'top-1' in output_names is not a C++ identifier",
            "another name",
        ),
        "not_a_string": (
            "the name 1 in output_names is not a C++ identifier",
            "another name",
        ),
        "a_bare_string": ("input_names is of the type str", 'input_names=["x"]'),
    },
    "entries.py": {
        "returns_none": (
            "returns_none() returned None, not a torch_aot.Model",
            "Model(",
        ),
        "returns_a_module": ("returned a ReLU, not a torch_aot.Model", "Model("),
        "returns_a_tuple": ("returned a tuple, not a torch_aot.Model", "Model("),
        "NotAModel": ("NotAModel() returned a NotAModel", "Model("),
        "module_is_a_class": ("the Model's module is the class ReLU", "ReLU(...)"),
        "module_is_a_function": (
            "the Model's module is the function relu",
            "forward of a torch.nn.Module",
        ),
        "raises": (
            "raises() raised TypeError: Linear.__init__() missing 1 required positional "
            "argument: 'out_features'",
            "--full_trace (under Bazel: --@rules_torch//rules:full_trace)",
        ),
        "exits": ("exits() raised SystemExit: 0", "--full_trace"),
        "unknown_field": (
            "TypeError: Model.__init__() got an unexpected keyword argument 'input'",
            "--full_trace",
        ),
        "needs_an_argument": (
            "needs_an_argument() needs the arguments size",
            "give them defaults",
        ),
        "reads_a_missing_file": (
            "FileNotFoundError: [Errno 2] No such file or directory: 'no/such/file.txt'",
            "the torch_model's `data`",
        ),
        "raises_its_own_error": ("raised ValueError: no input", "--full_trace"),
    },
    "random_numbers.py": {
        "dropout": ("aten::dropout draws random numbers", "training=self.training"),
        "dropout_of_channels": (
            "aten::feature_dropout draws random numbers",
            "training=self.training",
        ),
        "native_dropout": (
            "aten::native_dropout draws random numbers",
            "training=self.training",
        ),
        "attention_dropout": (
            "aten::scaled_dot_product_attention draws",
            "dropout_p=0.0",
        ),
        "lstm_in_training": ("aten::lstm draws random numbers", "self.layer.eval()"),
        "rrelu_in_training": (
            "aten::rrelu draws random numbers",
            "training=self.training",
        ),
        "rand_like": (
            "aten::rand_like draws random numbers",
            "forward(self, x, noise)",
        ),
        "randn": ("aten::randn draws random numbers", "forward(self, x, noise)"),
        "randint": ("aten::randint draws random numbers", "forward(self, x, noise)"),
        "randperm": ("aten::randperm draws random numbers", "forward(self, x, noise)"),
        "bernoulli": (
            "aten::bernoulli draws random numbers",
            "forward(self, x, noise)",
        ),
        "bernoulli_in_place": ("aten::bernoulli_ draws", "pass the random numbers"),
        "multinomial": (
            "aten::multinomial draws random numbers",
            "forward(self, x, noise)",
        ),
        "normal_in_place": (
            "aten::normal_ draws random numbers",
            "forward(self, x, noise)",
        ),
        "uniform_in_place": (
            "aten::uniform_ draws random numbers",
            "forward(self, x, noise)",
        ),
        "exponential": (
            "aten::exponential_ draws random numbers",
            "forward(self, x, noise)",
        ),
        "with_a_generator": (
            "aten::randn draws random numbers",
            "forward(self, x, noise)",
        ),
        "in_a_branch": (
            "aten::rand_like draws random numbers",
            "forward(self, x, noise)",
        ),
        "in_a_loop": (
            "aten::rand_like draws random numbers",
            "forward(self, x, noise)",
        ),
        "under_autocast": (
            "aten::rand_like draws random numbers",
            "forward(self, x, noise)",
        ),
    },
    "state.py": {
        "tensor_changed_in_place": (
            "changes the tensor 'total' in place, which is no buffer",
            "self.register_buffer(name, tensor)",
        ),
        "tensor_in_a_list": (
            "forward() reads self.states[0] and then assigns it",
            "self.register_buffer",
        ),
        "buffer_with_a_view": (
            "the buffer 'ring' in place, and 'tail' shares its memory",
            "self.ring[4:]",
        ),
        "view_of_a_buffer": (
            "the buffer 'tail' in place, and 'ring' shares its memory",
            "self.ring[4:]",
        ),
        "buffer_of_two_names": ("shares its memory", "keep one of them"),
        "attribute_of_a_buffer": (
            "the buffer 'ring' in place, and 'tail' shares its memory",
            "self.ring[4:]",
        ),
        "element_assigned": (
            "the index that is assigned to here",
            "x[i.reshape(1)] = y",
        ),
        "element_added_to": (
            "the index that is assigned to here",
            "x[i.reshape(1)] = y",
        ),
        "slice_assigned": (
            "the index that is assigned to here",
            "x[i + torch.arange(n)] = y",
        ),
    },
    "modules.py": {
        "scripted_if": (
            "the two sides of this `if` on data cannot be one graph: they leave a list of 2 "
            "or a list of 1",
            "the same types, shapes and dtypes",
        ),
        "scripted_part_with_a_loop": (
            "this loop, whose number of iterations is data or a dynamic size, cannot be one "
            "graph: an iteration leaves a list or dict that it has changed",
            "lists as long as they were",
        ),
        "scripted_size": (
            "an iteration leaves a list or dict that it has changed",
            "or make the number static",
        ),
        "scripted_change": (
            "changes a tensor in place that an `if` or a loop on data may have left by "
            "another name",
            "x = x + 1 in the place of x += 1",
        ),
        "scripted_list": (
            "forward changes a list that the module has",
            "in a buffer of a fixed size",
        ),
        "scripted_buffer": (
            "forward sets self.seen to what compiled models do not keep: float32[2, 4] or "
            "float32[4, 4]",
            "a buffer of its final size",
        ),
        "scripted_failure": (
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x4 and 5x4)",
            "correct",
        ),
        "program_and_inputs": (
            "has inputs beside an ExportedProgram",
            "Model(program)",
        ),
        "program_and_shapes": (
            "has dynamic_shapes beside an ExportedProgram",
            "Model(program)",
        ),
        "program_without_example": (
            "has no example inputs",
            "program.example_inputs = ",
        ),
        "no_example": ("the Model has no example inputs", "Model(module, inputs=(x,))"),
        "lazy": ("the module's parameter 'weight' has no shape yet", "module(x)"),
        "quantised": ("quantised by torch.ao.quantization", "in float"),
        "quantised_tensor": (
            "a quantised tensor (torch.qint8)",
            "torch.round(x / scale)",
        ),
        "packed_sequence": (
            "a packed sequence (pack_padded_sequence)",
            "y[torch.arange(len(x)), lengths - 1]",
        ),
        "packed_sequences": (
            "a packed sequence (pack_padded_sequence)",
            "padded batch",
        ),
        "packed_input": (
            "an example input is a packed sequence",
            "the padded batch and the lengths",
        ),
        "gradient": ("differentiates with torch.func", "torch.autograd.grad(f(x), x)"),
        "distribution": (
            "torch.distributions makes of this distribution",
            "validate_args=False",
        ),
    },
    "operators.py": {
        "complex_operator": (
            "the runtime has no operator aten::tanh of complex64 tensors",
            "torch.view_as_real(x)",
        ),
        "operator_of_half_precision": (
            "the runtime has no operator aten::index_add of bfloat16 tensors",
            "x.float()",
        ),
        "custom_operator": (
            "bad_models::triple is a custom operator",
            "PyTorch's own operators",
        ),
        "operator_without_kernel": (
            "the runtime has no operator aten::bincount",
            "other operators",
        ),
        "operator_of_a_decomposition": (
            "the runtime has no operator aten::_linalg_svd",
            "other operators",
        ),
        "operator_without_fake": (
            "a custom operator has no fake implementation",
            "register_fake",
        ),
        "view_too_long": (
            "the view reaches to byte 40 of a tensor that has 32",
            "stay within the tensor",
        ),
        "mask_that_stretches": (
            "the mask of masked_select stretches its input, [4], to [2, 4]",
            "x.expand(mask.shape)",
        ),
        "mutated_input": ("the model changes its input 'x' in place", "x.clone()"),
        "mutated_view_of_an_input": (
            "the model changes its input 'state_hidden' in place",
            "x.clone()",
        ),
        "mutated_part_of_an_input": (
            "the model changes its input 'x' in place",
            "x.clone()",
        ),
        "mutated_in_a_branch": (
            "the model changes its input 'x' in place",
            "x.clone()",
        ),
    },
}

# Those that are exported, and fail only when C++ is generated.
FAIL_AT_CODEGEN = {
    "complex_operator",
    "operator_of_a_decomposition",
    "operator_of_half_precision",
    "operator_without_kernel",
}

CASES = [
    (file, entry, what, fix)
    for file, entries in EXPECTED.items()
    for entry, (what, fix) in entries.items()
]


def _marked_lines() -> dict[str, str]:
    """Where the errors are, by entry: "dynamic.py:27"."""
    found = {}
    for path in sorted(BAD_MODELS.glob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            marker = re.search(r"# error: (\w+)$", line)
            if marker:
                found[marker[1]] = f"{path.name}:{number}"
    return found


MARKED = _marked_lines()


def test_every_model_is_tested():
    entries = {
        path.name: {
            node.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in MARKED
        }
        for path in BAD_MODELS.glob("*.py")
    }
    assert {k: v for k, v in entries.items() if v} == {
        file: set(expected) for file, expected in EXPECTED.items()
    }


@pytest.mark.parametrize(("file", "entry", "what", "fix"), CASES, ids=lambda x: x[:40])
def test_message(file, entry, what, fix, tool, monkeypatch):
    monkeypatch.chdir(BAD_MODELS)
    result = tool("export", f"{file}:{entry}", "--import_path=.", *OUTPUTS)
    if entry in FAIL_AT_CODEGEN:
        assert (result.status, result.files) == (0, ["model.json", "model.pt2"])
        result = tool(*CODEGEN)
        assert result.files == ["model.json", "model.pt2"]
    else:
        assert result.files == []
    assert result.status == 1

    what = re.sub(
        r"\{(\w+)-1\}", lambda m: str(int(MARKED[m[1]].partition(":")[2]) - 1), what
    )
    start, _, fixes = result.text.partition(" fix: ")
    assert start.startswith(f"{MARKED[entry]}: error: ")
    assert what in start
    assert fix in fixes

    # One screen, and nothing of torch's beside the message.
    lines = result.output.splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 100
    assert "Traceback" not in result.output
    assert "draft_export" not in result.output


# The operator's schema does not say that it writes the running statistics.
def test_an_undeclared_change_of_an_input_fails_later(write, tool):
    write(
        "model.py",
        """
        import torch
        from torch import nn
        from torch.nn import functional as F
        from torch_aot import Model


        class Net(nn.Module):
            def forward(self, x, mean, var):
                return F.batch_norm(x, mean, var, training=True)


        def net():
            x = torch.randn(3, 4)
            return Model(Net(), inputs=(x, torch.zeros(4), torch.ones(4)))
        """,
    )
    assert tool("export", "model.py:net", *OUTPUTS).status == 0
    result = tool(*CODEGEN)
    assert result.status == 1
    assert "the model changes its input number 1 in place" in result.text
    assert result.files == ["model.json", "model.pt2"]


def test_a_parametrisation_without_kernel(write, tool):
    """Orthogonal weights take a matrix exponential; the fix computes it in Python."""
    write(
        "model.py",
        """
        import torch
        from torch import nn
        from torch.nn.utils import parametrizations, parametrize
        from torch_aot import Model


        def net():
            layer = parametrizations.orthogonal(nn.Linear(4, 4))
            return Model(layer, inputs=(torch.ones(1, 4),))


        def baked():
            layer = parametrizations.orthogonal(nn.Linear(4, 4))
            parametrize.remove_parametrizations(layer, "weight")
            return Model(layer, inputs=(torch.ones(1, 4),))
        """,
    )
    assert tool("export", "model.py:net", *OUTPUTS).status == 0
    result = tool(*CODEGEN)
    assert result.status == 1
    assert "the runtime has no operator aten::linalg_matrix_exp" in result.text
    assert 'remove_parametrizations(layer, "weight")' in result.text
    assert tool("export", "model.py:baked", *OUTPUTS).status == 0
    assert tool(*CODEGEN).status == 0


def test_a_whole_message(tool, monkeypatch):
    monkeypatch.chdir(BAD_MODELS)
    entry = "control_flow.py:if_on_a_tensor_in_a_helper"
    result = tool("export", entry, "--import_path=.", *OUTPUTS)
    source = (BAD_MODELS / "control_flow.py").read_text().splitlines()
    call = source.index("            return sign_of(x)") + 1
    assert result.output == (
        "helper.py:7: error: this `if` depends on a tensor's value, which is not known when "
        "the model is\n"
        "    compiled\n"
        "  7 | if x.sum() > 0:  # error: if_on_a_tensor_in_a_helper\n"
        f"  called from control_flow.py:{call}: return sign_of(x)\n"
        "  fix: use torch.cond(pred, true_fn, false_fn, operands), which compiles both "
        "branches, or\n"
        "    torch.where(pred, a, b) to choose by element\n"
    )


def test_full_trace(tool, monkeypatch):
    monkeypatch.chdir(BAD_MODELS)
    entry = "control_flow.py:if_on_a_tensor"
    result = tool("export", entry, "--import_path=.", "--full_trace", *OUTPUTS)
    assert result.status == 1
    assert "GuardOnDataDependentSymNode" in result.output
    assert "Traceback (most recent call last)" in result.output
    # The message is the last thing, where people look first.
    tail = result.output.rpartition("aot_common.errors.UserError: ")[2]
    assert f"\n{MARKED['if_on_a_tensor']}: error: this `if` depends" in tail
    assert tail.endswith("to choose by element\n")


MODEL = """
    import torch
    from torch import nn
    from torch_aot import Model

    class Net(nn.Module):
        def forward(self, x):
            {line}

    def net() -> Model:
        return Model(Net(), inputs=(torch.ones(2, 3),))
"""


def export_line(write, tool, line, *flags):
    """Exports a model whose forward is one line, line 7 of model.py."""
    write("model.py", MODEL.replace("{line}", line))
    return tool("export", "model.py:net", "--import_path=.", *flags, *OUTPUTS)


def test_what_the_model_prints_is_kept(write, tool):
    line = "import sys; print('seen', x.shape, file=sys.stderr); return x if x.sum() else -x"
    result = export_line(write, tool, line)
    assert result.output.startswith("seen torch.Size([2, 3])\nmodel.py:7: error: ")
    assert "torch.ops.aten" not in result.output


def test_a_warning_of_the_model_is_kept(write, tool):
    line = "import warnings; warnings.warn('mind the gap'); return x * 2"
    result = export_line(write, tool, line)
    assert result.status == 0
    assert "model.py:7: UserWarning: mind the gap" in result.output


def test_an_attribute_to_look_at_is_a_warning(write, tool):
    result = export_line(write, tool, "self.seen = x + 1; return x * 2")
    assert result.status == 0
    assert result.output.startswith(
        "model.py:7: UserWarning: forward() assigns self.seen"
    )


def test_random_numbers_of_python_are_a_warning(write, tool):
    line = "import random; return x * random.random()"
    result = export_line(write, tool, line)
    assert result.status == 0
    assert "UserWarning: forward() draws random numbers from Python's random" in (
        result.text
    )
    line = "import numpy; return x * float(numpy.random.rand())"
    assert "draws random numbers" in export_line(write, tool, line).text


def test_an_error_that_is_not_known(write, tool, monkeypatch):
    # One that no plain run explains: it happens only in torch.export.
    line = "\n".join(
        [
            "if torch.compiler.is_compiling():",
            "                raise RuntimeError('first\\nsecond')",
            "            return x",
        ]
    )
    result = export_line(write, tool, line)
    assert result.output == (
        "model.py:8: error: RuntimeError: first\n"
        "    second\n"
        "  8 | raise RuntimeError('first\\nsecond')\n"
        "  fix: to see PyTorch's whole report, run again with --full_trace (under Bazel:\n"
        "    --@rules_torch//rules:full_trace)\n"
    )


def test_a_long_message_of_torch_is_cut(write, tool):
    line = "\n".join(
        [
            "if torch.compiler.is_compiling():",
            "                raise RuntimeError('\\n'.join(['word ' * 200] * 50))",
            "            return x",
        ]
    )
    result = export_line(write, tool, line)
    lines = result.output.splitlines()
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 100


def test_an_error_in_a_package_names_both_lines(write, tool):
    write("site-packages/theirs.py", "def size(x):\n    return int(x.sum())\n")
    write(
        "model.py",
        """
        import torch
        from torch import nn
        from torch_aot import Model
        import theirs

        class Net(nn.Module):
            def forward(self, x):
                return x.new_zeros([2]) if theirs.size(x) > 2 else x

        def net() -> Model:
            return Model(Net(), inputs=(torch.ones(2, 3),))
        """,
    )
    result = tool("export", "model.py:net", "--import_path=site-packages", *OUTPUTS)
    assert result.output.splitlines()[0].startswith("model.py:8: error: ")
    assert "  in site-packages/theirs.py:2: return int(x.sum())\n" in result.output


def test_errors_of_ours_within_others_are_found():
    ours = UserError("no", where="models/net.py:3")
    try:
        try:
            raise ours
        except UserError as error:
            raise RuntimeError("wrapped: no") from error
    except RuntimeError as error:
        assert torch_errors.explain(error, "models/net.py:net") is ours


def test_inner_lines_are_found_through_modules_of_torch(write, tool):
    write(
        "parts/inner.py",
        """
        from torch import nn

        class Inner(nn.Module):
            def forward(self, x):
                return [x, -x][x.argmax()]
        """,
    )
    write(
        "model.py",
        """
        import torch
        from torch import nn
        from torch_aot import Model
        from parts.inner import Inner

        class Outer(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Linear(3, 3), nn.Sequential(Inner()))

            def forward(self, x):
                return self.layers(x)

        def net() -> Model:
            return Model(Outer(), inputs=(torch.ones(2, 3),))
        """,
    )
    result = tool("export", "model.py:net", "--import_path=.", *OUTPUTS)
    assert result.output.startswith("parts/inner.py:5: error: a Python number needed")
    assert "  called from model.py:12: return self.layers(x)\n" in result.output
