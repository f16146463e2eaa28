"""What the public headers, and the tests, must compile with."""

# Projects that ask for this much include the headers.
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wpedantic",
    "-Wshadow",
    "-Werror",
]
