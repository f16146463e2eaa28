"""The source of the models in BUILD.bazel, which are analysed and never exported."""
