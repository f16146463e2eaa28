// What the kernels of //kernels are tried on.
#ifndef EXAMPLES_KERNELS_PROBLEMS_H_
#define EXAMPLES_KERNELS_PROBLEMS_H_

#include <vector>

#include "examples/kernels/problem.h"

// Every kernel, dtype and instantiation: sizes that fill tiles and that do not, padded
// rows, unaligned addresses.
std::vector<Problem> AllProblems();

// One of each kernel, which a GPU solves in some microseconds.
std::vector<Problem> SmallProblems();

#endif  // EXAMPLES_KERNELS_PROBLEMS_H_
