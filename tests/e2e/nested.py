"""A copy of this workspace with a Bazel server of its own, for tests of whole builds.

The copy uses the outer build's external repositories, so that it needs no network
and no time to fetch them.
"""

from __future__ import annotations

import dataclasses
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping

import why_missed


@dataclasses.dataclass(frozen=True)
class Build:
    """What a build did.

    Attributes:
        spawns: dicts of Bazel's execution log, with `mnemonic`, `listedOutputs`,
            `runner` and `cacheHit`.
        stderr: what Bazel said.
        seconds: how long it took.
    """

    spawns: list[dict]
    stderr: str
    seconds: float

    @property
    def ran(self) -> list[dict]:
        """The actions that ran, without those that a cache answered."""
        return [spawn for spawn in self.spawns if not spawn.get("cacheHit")]

    @property
    def warnings(self) -> list[str]:
        """The lines that Bazel marks as warnings."""
        return [
            line for line in self.stderr.splitlines() if line.startswith("WARNING:")
        ]


class Workspace:
    """A copy of this workspace below `root`, and a Bazel in it or in a folder of it."""

    def __init__(
        self,
        root: str,
        name: str = "workspace",
        folder: str = ".",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Copies the workspace.

        Args:
            root: the folder for the copy and what Bazel makes of it.
            name: of the copy, in `root`.
            folder: of the copy; where Bazel is run.
            environment: variables that Bazel has besides this program's.
        """
        source = os.path.dirname(os.path.realpath(runfile("rules_torch/MODULE.bazel")))
        external = os.path.realpath(
            runfile("pip_torch/site-packages/torch/version.py")
        ).removesuffix("/pip_torch/site-packages/torch/version.py")
        self.path = os.path.join(root, name)
        self._folder = os.path.join(self.path, folder)
        self._environment = dict(environment or {})
        self._output_base = os.path.join(root, f"{name}.output_base")
        self._log = os.path.join(root, f"{name}.log.json")
        shutil.copytree(
            source,
            self.path,
            symlinks=True,
            ignore=shutil.ignore_patterns(".git", "bazel-*", "user.bazelrc"),
        )
        overrides = os.path.join(root, f"{name}.repositories")
        self._flags = [
            f"--override_repository={repository}={_override(external, overrides, repository)}"
            for repository in sorted(os.listdir(external))
            if repository in ("pip", "host_python", "buildifier")
            or repository.startswith(("pip_", "pypi__"))
        ]

    def build(self, *targets: str, flags: Iterable[str] = ()) -> list[dict]:
        """Builds targets; returns `Build.ran`."""
        return self.record(*targets, flags=flags).ran

    def record(self, *targets: str, flags: Iterable[str] = ()) -> Build:
        """Builds targets; returns all that Bazel recorded."""
        if os.path.exists(self._log):
            os.remove(self._log)
        start = time.monotonic()
        stderr = self._bazel(
            "build",
            f"--execution_log_json_file={self._log}",
            "--noshow_progress",
            *self._flags,
            *flags,
            *targets,
        )
        seconds = time.monotonic() - start
        return Build(why_missed.read(self._log), stderr, seconds)

    def test(self, *targets: str) -> None:
        """Builds and runs tests, which must pass."""
        self._bazel("test", "--noshow_progress", *self._flags, *targets)

    def clean(self) -> None:
        """Deletes the outputs, and what Bazel knows of them."""
        self._bazel("clean")

    def run(self, target: str) -> str:
        """Runs a target that has been built; returns what it prints."""
        package, _, name = target.removeprefix("//").partition(":")
        program = os.path.join(self._folder, "bazel-bin", package, name)
        return subprocess.run(
            [program], check=True, capture_output=True, text=True
        ).stdout

    def edit(self, path: str, old: str, new: str) -> None:
        """Replaces a text, which must be there, in a file of the copy."""
        full = os.path.join(self.path, path)
        with open(full, encoding="utf-8") as file:
            text = file.read()
        assert old in text, f"{path} does not contain {old!r}"
        with open(full, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))

    def close(self) -> None:
        """Stops the server and deletes what it made."""
        self._bazel("shutdown")
        subprocess.run(["chmod", "-R", "u+w", self._output_base], check=False)
        shutil.rmtree(self._output_base, ignore_errors=True)

    def _bazel(self, *arguments: str) -> str:
        environment = os.environ | {
            # bazelw keeps Bazel below the user's home, which a test does not have.
            "HOME": pwd.getpwuid(os.getuid()).pw_dir,
            # Bazel takes the first compiler, and gcc finds its parts by its own path: in
            # a sandbox /bin is no link to /usr/bin.
            "PATH": f"/usr/bin:{os.environ['PATH']}",
            **self._environment,
        }
        for name in [
            n for n in environment if n.startswith(("TEST_", "RUNFILES", "JAVA"))
        ]:
            del environment[name]
        bazel = os.path.join(self.path, "bazelw")
        command = [bazel, f"--output_base={self._output_base}", "--max_idle_secs=60"]
        result = subprocess.run(
            [*command, *arguments],
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        if result.returncode:
            raise AssertionError(
                f"bazel {arguments[0]} failed:\n{result.stderr[-8000:]}"
            )
        return result.stderr


def mounts() -> list[str]:
    """What a sandbox gives to actions besides their inputs, as "source:target".

    The compiler, Python's library and what both load; no home, no checkout and no
    configuration of the machine's.
    """
    found: list[str] = []
    for path in (
        *("/usr", "/bin", "/lib", "/lib64", "/etc/alternatives"),
        sys.base_prefix,
    ):
        inside = any(path.startswith(f"{other}/") or path == other for other in found)
        if os.path.exists(path) and not inside:
            found.append(path)
    # A source must be no link, as Debian's /bin is.
    return [f"{os.path.realpath(path)}:{path}" for path in found]


def runfile(path: str) -> str:
    """Finds a file of the test's `data` by its repository and path."""
    return os.path.join(os.environ["TEST_SRCDIR"], path)


def _override(external: str, overrides: str, repository: str) -> str:
    """A directory of links to a repository, with the boundary file that Bazel wants."""
    directory = os.path.join(overrides, repository)
    os.makedirs(directory)
    for entry in os.listdir(os.path.join(external, repository)):
        if entry not in ("WORKSPACE", "WORKSPACE.bazel", "REPO.bazel"):
            os.symlink(
                os.path.join(external, repository, entry),
                os.path.join(directory, entry),
            )
    with open(os.path.join(directory, "WORKSPACE"), "w", encoding="utf-8"):
        pass
    return directory
