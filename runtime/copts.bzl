"""How the runtime's C++ is compiled."""

# A plain build does not optimise, and a call would cost many times what it does. `opt`
# and `dbg` say for themselves; a flag here would come behind the user's `--copt`.
RUNTIME_COPTS = select({
    Label("//runtime:fastbuild"): ["-O2"],
    "//conditions:default": [],
})
