"""A workspace of a user's: what the guides have, word for word."""

from __future__ import annotations

import os
import re
import subprocess
import unittest

from tests.e2e import nested


class ConsumerTest(unittest.TestCase):
    """Builds tests/e2e/consumer, which has rules_torch as an external repository."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.workspace = nested.Workspace(
            os.environ["TEST_TMPDIR"], folder="tests/e2e/consumer"
        )
        cls.addClassCleanup(cls.workspace.close)

    def test_its_files_are_the_guides(self) -> None:
        for guide, package, names in (
            ("README.md", "shop", ("rank.py", "BUILD.bazel", "main.cc")),
            ("docs/kernels.md", "maths", ("scale.py", "BUILD.bazel", "main.cc")),
            ("docs/setup.md", "", ("WORKSPACE", ".bazelrc", "packages.bzl")),
            ("docs/setup.md", "photos", ("patches.py", "BUILD.bazel")),
        ):
            blocks = re.findall(
                r"^```(?:python|starlark|cpp)?\n(.*?)^```",
                self._read(guide),
                re.DOTALL | re.MULTILINE,
            )
            for name in names:
                path = os.path.join("tests/e2e/consumer", package, name)
                # The consumer lies in what a user has in third_party/.
                text = self._read(path).replace("../../..", "third_party/rules_torch")
                self.assertIn(text, blocks, path)

    def _read(self, path: str) -> str:
        with open(os.path.join(self.workspace.path, path), encoding="utf-8") as file:
            return file.read()

    def test_it_builds_and_runs(self) -> None:
        self.workspace.build("//shop:main")
        self.workspace.test("//shop:rank_test")
        numbers = self.workspace.run("//shop:main").split()
        self.assertEqual(2, len(numbers))
        self.assertNotEqual(float(numbers[0]), float(numbers[1]))

    def test_a_model_uses_packages_and_weights_of_a_hub_of_the_users(self) -> None:
        self.workspace.test("//photos:patches_test")

    def test_its_kernel_builds_and_runs(self) -> None:
        self.workspace.build("//maths:main")
        try:
            self.assertEqual("10\n20\n30\n", self.workspace.run("//maths:main"))
        except subprocess.CalledProcessError as error:
            # A machine without a GPU: the program starts, and says so.
            self.assertEqual(1, error.returncode)
            self.assertIn("there is no NVIDIA GPU", error.stderr)


if __name__ == "__main__":
    unittest.main()
