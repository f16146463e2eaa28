"""What the rules that link have in common."""

def dynamic_libraries(cc_info):
    """Shared libraries that a binary needs at run time, for its runfiles.

    Args:
      cc_info: CcInfo of what was linked.

    Returns:
      list of Files: each library, and the link in _solib that the binary's RPATH
      leads to.
    """
    return [
        file
        for linker_input in cc_info.linking_context.linker_inputs.to_list()
        for library in linker_input.libraries
        if not (library.static_library or library.pic_static_library)
        for file in [library.dynamic_library, library.resolved_symlink_dynamic_library]
        if file
    ]
