"""Names in generated code, from labels."""

def model_id(label):
    """A C identifier that no other label has.

    Mangled as JNI does: `/` becomes `_`, `_` becomes `_1`, anything else that is
    no letter or digit becomes `_0` and its place in the table.

    Args:
      label: Label.

    Returns:
      string; `//models:resnet` gives `rtorch_models_resnet`.
    """
    parts = [label.workspace_name, label.package, label.name]
    return "rtorch_" + "_".join([_mangle(part) for part in parts if part])

_OTHERS = "!%-@^\"#$&'()*+,;<=>?[]{|}~. \\:"

def _mangle(text):
    mangled = ""
    for character in text.elems():
        if character.isalnum():
            mangled += character
        elif character == "/":
            mangled += "_"
        elif character == "_":
            mangled += "_1"
        else:
            mangled += "_0{}_".format(_OTHERS.find(character) + 1)
    return mangled

def camel_case(name):
    """`efficientnet_lite0` gives `EfficientnetLite0`.

    Args:
      name: string; a target's name.

    Returns:
      string; a C++ identifier.
    """
    words = _words(name)
    text = "".join([word[0].upper() + word[1:] for word in words])
    return text if text and not text[0].isdigit() else "Model" + text

def package_namespace(package):
    """`a/b` gives `a::b`, the root package `models`.

    Args:
      package: string; a package's path.

    Returns:
      string; a C++ namespace.
    """
    parts = ["_".join(_words(part)) for part in package.split("/") if part]
    return "::".join([part if not part[0].isdigit() else "_" + part for part in parts if part]) or "models"

def _words(text):
    spaced = "".join([c if c.isalnum() else " " for c in text.elems()])
    return [word for word in spaced.split(" ") if word]
