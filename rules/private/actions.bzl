"""How the rules run tools/compile_model.py."""

load("@bazel_skylib//rules:common_settings.bzl", "BuildSettingInfo")
load("//rules:toolchains.bzl", "COMPILER_TOOLCHAIN_TYPE")

# Nothing of the machine that an action runs on may reach its outputs. Libraries pick
# their code by the CPU, and sums and even sines come out differently: of ATen, libm,
# MKL, numpy and OpenBLAS every CPU is given the same. //tests/target tries other CPUs.
TOOL_ENV = {
    "ATEN_CPU_CAPABILITY": "default",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3,X86_V4,AVX512_ICL,AVX512_SPR",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_CORETYPE": "Nehalem",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    "PYTHONSAFEPATH": "1",
}

# Of what an action is told, only paths of Files have a configuration in them: with
# --experimental_output_paths=strip one result does for several. Bazel 7 maps a worker's
# program as well, to a path where it is not.
_PROCESS = {"supports-path-mapping": "1"}

# See tools/torch_aot/worker.py.
_WORKER = {
    "requires-worker-protocol": "json",
    "supports-multiplex-sandboxing": "1",
    "supports-multiplex-workers": "1",
    "supports-worker-cancellation": "1",
    "supports-workers": "1",
    # One for all stages, or torch would be in memory once a stage.
    "worker-key-mnemonic": "Torch",
}

TOOL_ATTRS = {
    "_full_trace": attr.label(default = "//rules:full_trace", providers = [BuildSettingInfo]),
}

def run_tool(
        ctx,
        *,
        stage,
        arguments,
        inputs,
        outputs,
        mnemonic,
        progress_message,
        toolchain_type = COMPILER_TOOLCHAIN_TYPE):
    """Declares an action that runs one stage of the tool.

    Args:
      ctx: the rule's context; the rule needs TOOL_ATTRS and the toolchain.
      stage: string; the tool's command.
      arguments: list of Args, which this function may change.
      inputs: depset or list of Files.
      outputs: list of Files.
      mnemonic: string.
      progress_message: string.
      toolchain_type: Label; the toolchain whose `compiler` is run.
    """
    compiler = ctx.toolchains[toolchain_type].compiler
    flags = ctx.actions.args()
    flags.add(stage)
    if ctx.attr._full_trace[BuildSettingInfo].value:
        flags.add("--full_trace")
    arguments = [flags] + arguments
    command = []
    if compiler.start_worker:
        arguments.append(ctx.actions.args().add_all(inputs, format_each = "--input=%s"))

        # What a worker gets per request; the rest of a command line is the worker's own.
        for args in arguments:
            args.use_param_file("@%s", use_always = True)
            args.set_param_file_format("multiline")
        command.append(ctx.actions.args().add(compiler.program.executable))
    ctx.actions.run(
        executable = compiler.start_worker or compiler.program,
        tools = [compiler.program],
        arguments = command + arguments,
        inputs = inputs,
        outputs = outputs,
        env = TOOL_ENV,
        execution_requirements = _WORKER if compiler.start_worker else _PROCESS,
        mnemonic = mnemonic,
        progress_message = progress_message,
        toolchain = toolchain_type,
    )
