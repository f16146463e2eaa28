// Shows the steps of runs to Nsight Systems and to whatever else reads NVTX.
#ifndef EXAMPLES_NVTX_NVTX_TRACER_H_
#define EXAMPLES_NVTX_NVTX_TRACER_H_

#include "rules_torch/abi.h"

namespace examples {

// For RunOptions.tracer, of any models in any threads. Each step is a range of the
// thread that runs, in the domain "rules_torch": "cpp_fused_relu_0 (aten.relu,
// models/tiny.py: x = self.hidden(x).relu())". Null where no tool listens when it is
// first called; then a run costs nothing more.
const RTorchTracer* NvtxTracer();

}  // namespace examples

#endif  // EXAMPLES_NVTX_NVTX_TRACER_H_
