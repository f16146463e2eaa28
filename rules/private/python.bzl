"""The Python that the tool imports, and that rules generate."""

load("@rules_python//python:defs.bzl", "PyInfo")

def import_roots(ctx, deps):
    """Directories that Python imports are looked up in.

    Args:
      ctx: the rule's context.
      deps: list of Targets with PyInfo.

    Returns:
      list of strings: below the execution root and, for what is generated, below
      the root of outputs. The target's own repository comes first.
    """
    roots = [ctx.label.workspace_root, "."] if ctx.label.workspace_root else ["."]
    for path in depset(transitive = [dep[PyInfo].imports for dep in deps]).to_list():
        repository, _, rest = path.partition("/")
        roots.append(rest if repository == ctx.workspace_name else "external/" + path)
    return roots

def add_import_paths(args, roots, sources):
    """Adds the flags that say where imports are found.

    Args:
      args: Args of an action that runs the tool.
      roots: list of strings, from import_roots.
      sources: depset of Files; what may be imported. As for a py_binary, the root of each
        repository among them is a place to look.
    """
    for root in roots:
        args.add(root, format = "--import_path=%s")
        args.add_all(
            sources,
            map_each = _generated_below(root),
            allow_closure = True,
            format_each = "--import_path=%s",
            uniquify = True,
        )
    args.add_all(sources, map_each = _repository_root, format_each = "--import_path=%s", uniquify = True)

def _generated_below(root):
    def folder(file):
        if file.is_source:
            return None
        return file.root.path if root == "." else file.root.path + "/" + root

    return folder

def _repository_root(file):
    root = file.owner.workspace_root
    if not root:
        return None  # "." is among the roots
    return root if file.is_source else file.root.path + "/" + root

def add_entry_point(args, model):
    """Adds what the tool needs to call a model's entry point, or to read the file in its place.

    Args:
      args: Args of an action that runs the tool.
      model: TorchModelInfo.
    """
    entry = ":" + model.entry.replace("%", "%%") if model.entry else ""
    args.add(model.source, format = "%s" + entry)
    args.add_all(model.example_inputs, format_each = "--example_input=%s")
    args.add(model.seed, format = "--seed=%s")
    args.add_all(model.weights, format_each = "--weights=%s")
    args.add_all(model.op_libraries, format_each = "--op_library=%s")
    add_import_paths(args, model.imports, model.sources)

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

# Of rules that generate a module.
MODULE_ATTRS = {
    "_runtime": attr.label(default = "//runtime/python:rtorch", providers = [PyInfo]),
}

def check_module_name(name):
    """Fails if Python cannot import a module by a target's name.

    Args:
      name: string.
    """
    if name[0].isdigit() or [c for c in name.elems() if not (c.isalnum() or c == "_")]:
        fail("'{}' is no name of a Python module; choose one like 'resnet_py'".format(name), attr = "name")

def module_providers(ctx, *, module, files, libraries):
    """What a target gives to those that import its generated module.

    Args:
      ctx: the rule's context; the rule needs MODULE_ATTRS.
      module: File; the module.
      files: list of Files; the target's own, the module among them.
      libraries: list of Files; shared libraries that its own needs.

    Returns:
      list of DefaultInfo and PyInfo.
    """
    runtime = ctx.attr._runtime
    return [
        DefaultInfo(
            files = depset(files),
            runfiles = ctx.runfiles(files + libraries).merge(runtime[DefaultInfo].default_runfiles),
        ),
        PyInfo(
            imports = runtime[PyInfo].imports,
            transitive_sources = depset(
                [module],
                order = "postorder",
                transitive = [runtime[PyInfo].transitive_sources],
            ),
            uses_shared_libraries = True,
        ),
    ]
