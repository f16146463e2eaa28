"""Names in generated code, from labels."""

def model_id(label):
    """A C identifier that no other label has.

    Mangled as JNI does: `/` becomes `_`, `_` becomes `_1`, the end of a
    repository's name `_2`, and anything else that is no letter or digit `_0`, its
    code and `_`.

    Args:
      label: Label.

    Returns:
      string; `//models:resnet` gives `rtorch_models_resnet`.
    """
    repository = _mangle(label.workspace_name) + "_2" if label.workspace_name else ""
    parts = [_mangle(part) for part in [label.package, label.name] if part]
    return "rtorch_" + repository + "_".join(parts)

def _mangle(text):
    mangled = ""
    previous = "/"
    for character in text.elems():
        if character == "/":
            mangled += "_"
        elif character == "_":
            mangled += "_1"
        elif character.isalnum() and not (character.isdigit() and previous == "/"):
            mangled += character
        else:
            # Also a digit that starts a part: it would be taken for an escape.
            mangled += "_0{}_".format(hash(character))  # one character's hash is its code
        previous = character
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
    return "::".join([_identifier(part) for part in parts if part]) or "models"

def label_text(label):
    """A label as people write it: `//models:resnet`, `@repository//models:resnet`.

    Args:
      label: Label.

    Returns:
      string.
    """
    return str(label) if label.workspace_name else str(label).lstrip("@")

# Those that are plausible names of a directory.
_KEYWORDS = (
    "auto bool break case char class const continue default delete do double else enum " +
    "explicit export extern float for friend goto if inline int long namespace new " +
    "operator private protected public register return short signed static struct " +
    "switch template this throw try typedef union unsigned using virtual void volatile while"
).split(" ")

def _identifier(word):
    if word[0].isdigit():
        return "_" + word
    return word + "_" if word in _KEYWORDS else word

def _words(text):
    spaced = "".join([c if c.isalnum() else " " for c in text.elems()])
    return [word for word in spaced.split(" ") if word]
