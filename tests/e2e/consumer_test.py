"""A workspace of a user's: what the guides have, word for word."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import unittest
from collections.abc import Iterator

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
            ("docs/python.md", "prices", ("linear.py", "BUILD.bazel", "main.py")),
            ("docs/kernels.md", "maths", ("scale.py", "BUILD.bazel", "main.cc")),
            ("docs/setup.md", "", ("WORKSPACE", ".bazelrc", "packages.bzl")),
            ("docs/setup.md", "photos", ("patches.py", "BUILD.bazel")),
        ):
            blocks = re.findall(
                r"^```\w*\n(.*?)^```",
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

    def test_python_calls_a_model(self) -> None:
        self.workspace.build("//prices:main")
        numbers = self.workspace.run("//prices:main").split()
        self.assertEqual(2, len(numbers))
        self.assertNotEqual(float(numbers[0]), float(numbers[1]))

    def test_a_model_uses_packages_and_weights_of_a_hub_of_the_users(self) -> None:
        self.workspace.test("//photos:patches_test")

    def test_its_worker_starts_in_a_sandbox(self) -> None:
        # Bazel 7 leaves the empty folder of the main repository out of it.
        spawns = self.workspace.build(
            "//shop:rank_model",
            flags=[
                "--worker_sandboxing",
                "--experimental_worker_multiplex_sandboxing",
                "--nolegacy_external_runfiles",
            ],
        )
        self.assertIn(
            ("TorchExport", "worker"),
            [(spawn["mnemonic"], spawn["runner"]) for spawn in spawns],
        )

    def test_an_undeclared_file_is_not_there_without_a_sandbox(self) -> None:
        rank = "tests/e2e/consumer/shop/rank.py"
        path = os.path.join(self.workspace.path, os.path.dirname(rank), "sibling.py")
        with open(path, "w", encoding="utf-8"):
            pass
        self.addCleanup(os.remove, path)
        first = self._read(rank).splitlines()[0]
        with self._edited(rank, first, f"import shop.sibling\n{first}"):
            said = self._failure("//shop:rank_model", "--noworker_sandboxing")
        self.assertIn("shop/rank.py:1: error: there is no module named 'shop", said)

    def test_a_worker_that_does_not_start_ends_the_build(self) -> None:
        # Bazel 7 would wait for it for ever.
        with self._edited(
            "tools/torch_aot/worker.py",
            "from __future__ import annotations\n",
            "from __future__ import annotations\nimport not_on_this_machine\n",
        ):
            said = self._failure("//shop:rank_model")
        self.assertIn("error: the worker cannot start (exit status 1):", said)
        self.assertIn("No module named 'not_on_this_machine'", said)

    @contextlib.contextmanager
    def _edited(self, path: str, old: str, new: str) -> Iterator[None]:
        self.workspace.edit(path, old, new)
        try:
            yield
        finally:
            self.workspace.edit(path, new, old)

    def _failure(self, target: str, *flags: str) -> str:
        with self.assertRaises(AssertionError) as raised:
            self.workspace.build(target, flags=flags)
        return str(raised.exception)

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
