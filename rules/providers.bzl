"""What the rules hand to each other."""

TorchModelInfo = provider(
    doc = "An exported model: what `torch_model` makes.",
    fields = {
        "program": "File: the ExportedProgram, `.pt2`.",
        "signature": "File: its inputs and outputs, names, dtypes and symbolic shapes, as JSON.",
        "source": "File: the Python file that holds the entry point, an exported program, `.pt2`, or " +
                  "TorchScript.",
        "entry": "string: the entry point, a function of `source`; empty for another file.",
        "example_inputs": "list of strings: inputs of TorchScript, `float32[batch=1..64, 8]`.",
        "weights": "list of Files: state dicts that are merged and loaded.",
        "seed": "int: seed of random initialisation.",
        "imports": "list of strings: directories in which imports are found, below the execution root and, for " +
                   "what is generated, below the root of outputs.",
        "op_libraries": "list of Files: shared libraries that register operators which the model calls.",
        "sources": "depset of Files: what the entry point reads: Python sources, data, weights, libraries of operators.",
    },
)

TorchOpsInfo = provider(
    doc = "Operators that C++ registers: what `torch_op_library` makes, and the `ops` of a `torch_model` become.",
    fields = {
        "libraries": "list of Files: what `torch.ops.load_library` takes.",
        "needed": "depset of Files: what these load, and the Python that comes with them.",
        "imports": "list of strings: where that Python is imported from, as in TorchModelInfo.",
    },
)

TorchCodegenInfo = provider(
    doc = "What was generated from an exported model: what `cc_torch_library` compiled.",
    fields = {
        "id": "string: a C identifier, unique to the target; every symbol with external linkage starts with it.",
        "model": "TorchModelInfo: what it was generated from.",
        "isas": "list of strings: the instruction sets, the one to prefer first.",
        "runtime": "string: what the code stands on, `libtorch` or `standalone`.",
        "threads": "string: `openmp`, or how many threads a call computes in.",
        "header": "File: the public C++ header.",
        "include": "string: how the header is included, `models/resnet.h`.",
        "table": "File: the C++ source of the model's table, which `rules_torch/abi.h` documents.",
        "wrappers": "dict of strings to Files: by instruction set, the C++ source that runs the graph.",
        "kernels": "dict of strings to Files: by instruction set, the C++ source of its kernels.",
        "sources": "list of Files: all C++ sources.",
        "weights": "File: the parameters and buffers, as `.safetensors`, in the kernels' layout.",
        "weights_fingerprint": "File: a digest of the weights, as text.",
        "embeds_weights": "bool: whether the library has the weights in it, or `Create` is given the file.",
        "manifest": "File: label, class, ISAs, signature, runtime operators, and the model's operators and lines by kernel, as JSON.",
    },
)

TorchCompilerInfo = provider(
    doc = "What compiles models, or kernels: what `torch_compiler_toolchain` and `triton_toolchain` provide.",
    fields = {
        "program": "FilesToRunProvider: a program with the command line of `tools/compile_model.py`.",
        "start_worker": "File: what starts `program` as a persistent worker. None: it is run for each action.",
    },
)

TorchOperatorsInfo = provider(
    doc = "The operators of models without libtorch, which the models of a program share.",
    fields = {
        "threaded": "dict of strings to CcInfos: by instruction set, the operators, which use OpenMP's threads.",
        "serial": "dict of strings to CcInfos: likewise, for models with `threads = \"none\"`.",
    },
)

TorchRuntimeInfo = provider(
    doc = "A runtime that generated code calls: what `torch_runtime_toolchain` provides.",
    fields = {
        "interface": "CcInfo: the public headers, and the code that all models share.",
        "backend": "CcInfo: the headers and libraries behind the seam, for generated code alone.",
        "standalone": "CcInfo: likewise, for models that carry their own operators; may be None.",
        "operators": "TorchOperatorsInfo: the operators that `standalone` comes with; None where that is.",
    },
)

TritonInfo = provider(
    doc = "Triton kernels in Python: what `triton_library` makes.",
    fields = {
        "source": "File: the Python file that holds the kernels.",
        "sources": "depset of Files: what importing it reads.",
        "imports": "list of strings: directories in which its imports are found, as in TorchModelInfo.",
    },
)

TritonCodegenInfo = provider(
    doc = "What was generated from kernels: what `cc_triton_library` compiled.",
    fields = {
        "id": "string: a C identifier, unique to the target; every C symbol starts with it.",
        "kernels": "list of strings: the declarations, as `triton_kernel` returned them.",
        "architectures": "list of strings: what they were compiled for, `sm_90`.",
        "triton": "TritonInfo: the Python source.",
        "tuning": "File: the tuning table, or None.",
        "header": "File: the public C++ header.",
        "include": "string: how the header is included, `kernels/softmax.h`.",
        "source": "File: the C++ source.",
        "images": "File: the machine code, embedded as it is.",
        "manifest": "File: every instantiation with its signature, constexprs and resources, as JSON.",
    },
)
