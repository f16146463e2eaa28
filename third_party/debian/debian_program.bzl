"""Programs that only tests run, from the machine or else from Debian's packages."""

def _debian_program_impl(rctx):
    program = rctx.attr.program
    names = rctx.attr.names or [program]
    installed = _installed(rctx, names)
    if installed:
        rctx.symlink(installed, "bin/" + program)
    else:
        rctx.path(Label("//third_party/debian:apt.sh"))  # a change fetches anew
        script = rctx.path(Label("//third_party/debian:debian_program"))
        result = rctx.execute([script, rctx.path("."), program, rctx.attr.package] + names, timeout = 900)
        if result.return_code:
            fail(("\n\n@{repository}: {names} is neither on PATH nor in /usr/sbin, and Debian's " +
                  "package {package} could not be had:\n{error}\n" +
                  "Install it (Debian: apt-get install {package}), or leave out the tests " +
                  "that need it.\n").format(
                error = result.stderr[-2000:].strip(),
                names = " or ".join(names),
                package = rctx.attr.package,
                repository = rctx.name,
            ))

    rctx.file("BUILD.bazel", """\
filegroup(
    name = "{program}",
    srcs = ["bin/{program}"],
    data = glob(
        [
            "lib/**",
            "libexec/**",
        ],
        allow_empty = True,
    ),
    visibility = ["//visibility:public"],
)
""".format(program = program))

def _installed(rctx, names):
    for name in names:
        for path in [rctx.which(name), rctx.path("/usr/sbin/" + name)]:
            if path and path.exists:
                return path
    return None

_debian_program = repository_rule(
    implementation = _debian_program_impl,
    doc = """Brings a program: the machine's own, or one unpacked from a Debian package.

It is fetched when a test that needs it is built, and nothing is installed.""",
    attrs = {
        "names": attr.string_list(doc = "What the file is called, the first found is taken. Default: `program`."),
        "package": attr.string(mandatory = True, doc = "The Debian package that has it."),
        "program": attr.string(mandatory = True, doc = "The target's name."),
    },
    environ = ["PATH"],
)

def debian_test_programs():
    """Declares what tests of rules_torch run: `@nginx//:nginx`, `@qemu_user//:qemu-x86_64`."""
    _debian_program(
        name = "nginx",
        package = "nginx",
        program = "nginx",
    )
    _debian_program(
        name = "qemu_user",
        # Needs nothing of the machine that it runs on.
        names = [
            "qemu-x86_64-static",
            "qemu-x86_64",
        ],
        package = "qemu-user-static",
        program = "qemu-x86_64",
    )
