"""A workspace of a user's: the README's first model, word for word."""

from __future__ import annotations

import os
import re
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

    def test_its_files_are_the_readmes(self) -> None:
        with open(
            os.path.join(self.workspace.path, "README.md"), encoding="utf-8"
        ) as f:
            blocks = re.findall(
                r"```(?:python|starlark|cpp)\n(.*?)```", f.read(), re.DOTALL
            )
        for name in ("rank.py", "BUILD.bazel", "main.cc"):
            path = os.path.join(self.workspace.path, "tests/e2e/consumer/shop", name)
            with open(path, encoding="utf-8") as file:
                self.assertIn(file.read(), blocks, name)

    def test_it_builds_and_runs(self) -> None:
        self.workspace.build("//shop:main", "//shop:rank_test")
        numbers = self.workspace.run("//shop:main").split()
        self.assertEqual(2, len(numbers))
        self.assertNotEqual(float(numbers[0]), float(numbers[1]))


if __name__ == "__main__":
    unittest.main()
