"""The flags, targets of @rules_torch//rules, and what documentation says of them."""

load("@bazel_skylib//rules:common_settings.bzl", "bool_flag", "string_flag", "string_list_flag")
load("//rules/private:isa.bzl", "ISAS")

# A flag is of its default's type; `values` and `doc` are Markdown.
SETTINGS = {
    "isas": struct(
        default = [],
        doc = "The instruction sets of every `cc_torch_library` without `isas`. With neither: " +
              "`x86-64-v3` (AVX2, FMA) on x86-64, `aarch64` (NEON) on 64-bit Arm. They are " +
              "declared, never the build machine's: what one builder compiles runs on every " +
              "machine that has one of them.",
        values = "list of {}".format(", ".join(["`{}`".format(isa) for isa in ISAS])),
    ),
    "runtime": struct(
        default = "standalone",
        doc = "The runtime of every `cc_torch_library` without `runtime`.",
        values = "`libtorch` or `standalone`",
    ),
    "threads": struct(
        default = "openmp",
        doc = "The threads of every `cc_torch_library` without `threads`.",
        values = "`openmp`, `none` or a number",
    ),
    "full_trace": struct(
        default = False,
        doc = "Print PyTorch's whole report, with its stack trace, when a model cannot be " +
              "exported or compiled, rather than the part that concerns the model.",
        values = "boolean",
    ),
    "gpu_architectures": struct(
        default = ["sm_80", "sm_90", "sm_100", "compute_80"],
        doc = "What every `cc_triton_library` without `architectures` is compiled for: cubins, " +
              "PTX that the driver compiles for newer GPUs, and hsaco for AMD.",
        values = "list of `sm_XX`, `compute_XX`, `gfxXXX`",
    ),
    "gpu_line_info": struct(
        default = False,
        doc = "Let the machine code of kernels refer to their source lines, for profilers and " +
              "debuggers.",
        values = "boolean",
    ),
}

_RULES = {
    "bool": bool_flag,
    "list": string_list_flag,
    "string": string_flag,
}

# buildifier: disable=unnamed-macro
def declare_settings():
    """Declares a target for each flag."""
    for name, setting in SETTINGS.items():
        _RULES[type(setting.default)](
            name = name,
            build_setting_default = setting.default,
        )

def settings_json():
    """The table, for programs.

    Returns:
      string; JSON.
    """
    return json.encode_indent(SETTINGS)
