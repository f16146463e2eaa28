"""triton_kernel: the declaration of a kernel's instantiations."""

def triton_kernel(
        function,
        *,
        signature,
        name = None,
        types = {},
        constexprs = {},
        when = "",
        grid = [],
        num_warps = 0,
        num_stages = 0,
        num_ctas = 0,
        example = {}):
    """Declares what a kernel is compiled with, for `cc_triton_library`.

    It is to a kernel what an explicit instantiation is to a C++ template:

    ```starlark
    triton_kernel(
        function = "fused_softmax",
        signature = {
            "out": "*{T}:16",
            "x": "*k{T}:16",
            "stride": "i32:16",
            "rows": "i32",
            "columns": "i32",
        },
        types = {"T": ["fp32", "fp16"]},
        constexprs = {"BLOCK": 1024},
        when = "columns <= BLOCK",
        grid = ["rows"],
    )
    ```

    makes two overloads of one C++ function:

    ```cpp
    Status fused_softmax(void* stream, float* out, const float* x, int32_t stride,
                         int32_t rows, int32_t columns);
    Status fused_softmax(void* stream, float16* out, const float16* x, int32_t stride,
                         int32_t rows, int32_t columns);
    ```

    Several declarations of one name are tried in their order at each call, and the
    first whose hints and `when` hold is launched. If none does, the call is an
    error that says what each of them wants.

    Args:
      function: string; the `@triton.jit` function.
      signature: dict from parameter to type, for every parameter that is no
        constexpr. Types are Triton's: `i32`, `fp16`, `*bf16` (pointer), `*kfp32`
        (pointer to const). A hint after it is a promise that Triton makes use of
        and the C++ function checks: `:16` (an integer is a multiple of 16, a
        pointer aligned to 16 bytes), `:1` (an integer is 1).
      name: string; the C++ function. Default: `function`.
      types: dict from a variable to types. `{T}` in the signature stands for each
        of them in turn; several variables are combined.
      constexprs: dict from parameter to an int, bool, float, string or None;
        `"tl.float16"` is the type of that name. What `@triton.autotune` chooses
        is left out.
      when: string; a condition on integer arguments and constexprs, in Python:
        `columns <= BLOCK and rows % 4 == 0`.
      grid: list of up to three strings; the launch grid, as expressions of integer
        arguments, constexprs and `multiprocessors` (the device's number of SMs),
        with `cdiv`, `min`, `max`: `["cdiv(n, BLOCK)"]`. Without it the C++
        function takes a `rules_torch::Grid` after the stream.
      num_warps: int; 0 for Triton's default, or the autotuned choice.
      num_stages: int; likewise.
      num_ctas: int; likewise.
      example: dict; arguments to measure with, for `triton_tuner`: values of
        scalars, and for pointers the number of elements, as numbers or
        expressions: `{"rows": 4096, "columns": 1000, "x": "rows * columns"}`.

    Returns:
      string; JSON.
    """
    if len(grid) > 3:
        fail("triton_kernel '{}': 'grid' has {} axes, and a GPU three".format(function, len(grid)))
    return json.encode({
        "constexprs": constexprs,
        "example": example,
        "function": function,
        "grid": grid,
        "name": name or function,
        "options": {"num_ctas": num_ctas, "num_stages": num_stages, "num_warps": num_warps},
        "signature": signature,
        "types": types,
        "when": when,
    })
