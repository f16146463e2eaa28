"""Names that generated C++ cannot give to what is the user's: texts, a space between two.

Valid Python and valid Starlark: rules/private/cpp_names.bzl is a copy, as each language
loads its own files alone.
"""

# C++26's keywords and alternative tokens, and with them every older standard's.
KEYWORDS = """
alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t
char32_t char8_t class co_await co_return co_yield compl concept const const_cast
consteval constexpr constinit continue contract_assert decltype default delete do double
dynamic_cast else enum explicit export extern false float for friend goto if inline int
long mutable namespace new noexcept not not_eq nullptr operator or or_eq private
protected public register reinterpret_cast requires return short signed sizeof static
static_assert static_cast struct switch template this thread_local throw true try
typedef typeid typename union unsigned using virtual void volatile wchar_t while xor
xor_eq
"""

# Macros that are plausible names: compilers' own, for some target, in the GNU dialects
# that they speak by default, and those of C's headers, which every program includes.
MACROS = """
BUFSIZ EOF EXIT_FAILURE EXIT_SUCCESS HUGE_VAL INFINITY NAN NULL RAND_MAX alloca assert
errno hpux i386 linux major makedev minor mips offsetof sparc stderr stdin stdout sun
unix vax
"""

# What a namespace at global scope cannot be called, of plausible names: functions, types
# and variables of C's and POSIX's headers, and the namespaces of others.
GLOBALS = """
abort abs accept access acct alarm basename bind brk ceil clock clone close connect cos
crypt daemon daylight div dup encrypt environ erf exit exp floor fork free gamma getline
getopt group hypot index ioctl j0 j1 jn kill lconv link listen log malloc mount nice open
option passwd pause pipe poll pow printf profil raise rand random read recv remainder
remove rename revoke rewind rint round rules_torch select send shutdown signal sin sleep
socket splice sqrt stat std swab sync sysinfo system tan tee time times timespec timeval
timezone tm trunc truncate unlink wait write y0 y1 yn
"""

# Members of a model's class. C++ lets no member have the class's own name.
MEMBERS = """
Api Buffers Create FindInput InputShapes Inputs OutputShapes OutputSizes Outputs Run Swap
Symbols Warmup isa kInputNames kMaxSizes kMinSizes kOutputNames model_
"""
