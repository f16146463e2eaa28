"""Names in generated code, from labels and attributes."""

load("//rules/private:cpp_names.bzl", "GLOBALS", "KEYWORDS", "MACROS", "MEMBERS")

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
    """`a/b` gives `a::b`, the root package `models`; what C++ has for itself gets a `_`.

    Args:
      package: string; a package's path.

    Returns:
      string; a C++ namespace.
    """
    parts = ["_".join(_words(part)) for part in package.split("/") if part]
    namespace = []
    for part in [part for part in parts if part]:
        if part[0].isdigit():
            part = "_" + part
        problem = _part_problem(part, is_global = not namespace)
        namespace.append(part + "_" if problem else part)
    return "::".join(namespace) or "models"

def cpp_class(label, given):
    """What the class of a model is called; fails if C++ cannot call it that.

    Args:
      label: Label; the target.
      given: string; the attribute `class_name`.

    Returns:
      string; a C++ identifier.
    """
    name = given or camel_case(label.name)
    problem = class_problem(name)
    if problem and not given:
        fail("the class of {} would be called '{}', {}; set class_name, to '{}Model' for example".format(
            label_text(label),
            name,
            problem,
            camel_case(label.name),
        ))
    if problem:
        fail("'{}' is {}; choose another name, like 'Resnet'".format(name, problem), attr = "class_name")
    return name

def cpp_namespace(label, given):
    """The namespace of what is generated; fails if C++ cannot have it.

    Args:
      label: Label; the target.
      given: string; the attribute `namespace`.

    Returns:
      string; a C++ namespace.
    """
    problem = namespace_problem(given) if given else None
    if problem:
        fail("'{}' has {}; choose another name, like 'acme::vision'".format(given, problem), attr = "namespace")
    return given or package_namespace(label.package)

def class_problem(name):
    """Why a model's class cannot have a name.

    Args:
      name: string.

    Returns:
      string, "a C++ keyword", or None.
    """
    if name in _names(MEMBERS):
        return "the name of one of its members"
    return _word_problem(name)

def namespace_problem(namespace):
    """Why generated code cannot be in a namespace.

    Args:
      namespace: string; `a::b`.

    Returns:
      string, "`asm`, a C++ keyword", or None.
    """
    parts = namespace.split("::")
    for i, part in enumerate(parts):
        problem = _part_problem(part, is_global = i == 0)
        if problem:
            return "`{}`, {}".format(part, problem) if part else "an empty part"
    return None

def label_text(label):
    """A label as people write it: `//models:resnet`, `@repository//models:resnet`.

    Args:
      label: Label.

    Returns:
      string.
    """
    return str(label) if label.workspace_name else str(label).lstrip("@")

def _names(text):
    return [name for line in text.splitlines() for name in line.split(" ") if name]

def _word_problem(word):
    if not word or word[0].isdigit() or [c for c in word.elems() if not (c.isalnum() or c == "_")]:
        return "no C++ identifier"
    if word in _names(KEYWORDS):
        return "a C++ keyword"
    if word in _names(MACROS):
        return "a macro of the compiler's or of C's headers"
    return None

def _part_problem(word, is_global):
    # `std` is looked up from within, wherever a namespace of that name is.
    if word == "std" or (is_global and word in _names(GLOBALS)):
        return "a name that C's, C++'s or rules_torch's headers have"
    return _word_problem(word)

def _words(text):
    spaced = "".join([c if c.isalnum() else " " for c in text.elems()])
    return [word for word in spaced.split(" ") if word]
