"""What the tool needs to import the user's Python."""

load("@rules_python//python:defs.bzl", "PyInfo")

def import_paths(ctx, deps):
    """Directories, from the execution root, that Python imports are looked up in.

    Args:
      ctx: the rule's context.
      deps: list of Targets with PyInfo.

    Returns:
      list of strings.
    """
    roots = [".", ctx.bin_dir.path]
    for path in depset(transitive = [dep[PyInfo].imports for dep in deps]).to_list():
        repository, _, rest = path.partition("/")
        if repository != ctx.workspace_name:
            rest = "external/" + path
        roots += [rest, ctx.bin_dir.path + "/" + rest]
    return roots

def python_files(deps):
    """All files that importing some libraries may read.

    Args:
      deps: list of Targets with PyInfo.

    Returns:
      depset of Files.
    """
    return depset(
        transitive = [dep[PyInfo].transitive_sources for dep in deps] +
                     [dep[DefaultInfo].default_runfiles.files for dep in deps],
    )
