"""triton_library: Python source with Triton kernels."""

load("@rules_python//python:defs.bzl", "PyInfo")
load("//rules:providers.bzl", "TritonInfo")
load("//rules/private:python.bzl", "import_roots", "python_files")

_DOC = """A Python file with `@triton.jit` kernels.

```starlark
triton_library(
    name = "softmax_py",
    src = "softmax.py",
)
```

`cc_triton_library` compiles its kernels. A `py_test` or `py_library` may depend on
it as on a `py_library`, and import it.

The file is imported when kernels are compiled, on a machine with no GPU and with
Triton as the only package: a wrapper beside the kernels that needs torch imports
it in the function, or names it in `deps`.
"""

def _triton_library_impl(ctx):
    deps = ctx.attr.deps
    sources = depset([ctx.file.src], transitive = [python_files(deps)])
    return [
        DefaultInfo(
            files = depset([ctx.file.src]),
            runfiles = ctx.runfiles([ctx.file.src]).merge_all([
                dep[DefaultInfo].default_runfiles
                for dep in deps
            ]),
        ),
        PyInfo(
            transitive_sources = depset(
                [ctx.file.src],
                transitive = [dep[PyInfo].transitive_sources for dep in deps],
            ),
            imports = depset(transitive = [dep[PyInfo].imports for dep in deps]),
            has_py3_only_sources = True,
        ),
        TritonInfo(
            source = ctx.file.src,
            sources = sources,
            imports = import_roots(ctx, deps),
        ),
    ]

triton_library = rule(
    implementation = _triton_library_impl,
    doc = _DOC,
    attrs = {
        "src": attr.label(
            allow_single_file = [".py"],
            doc = "The Python file that holds the kernels.",
            mandatory = True,
        ),
        "deps": attr.label_list(
            doc = "Python libraries that `src` imports, beside Triton: other kernels' too.",
            providers = [PyInfo],
        ),
    },
    provides = [PyInfo, TritonInfo],
)
