// Where the time of runs goes: a record of their steps, for a viewer of traces.
#ifndef RULES_TORCH_TRACE_H_
#define RULES_TORCH_TRACE_H_

#include <memory>
#include <string>

#include "rules_torch/abi.h"
#include "rules_torch/status.h"

namespace rules_torch {

// Records each step of the runs that are given its tracer:
//
//   Trace trace;
//   RunOptions options;
//   options.tracer = trace.tracer();
//   ... model->Run(inputs, options) ...
//   Status status = trace.Write("run.json");  // for https://ui.perfetto.dev
//
// A step costs two readings of the clock and some 60 bytes. Thread-safe: runs of any
// models in any threads may share one. Shared libraries of these models must be loaded
// until it is written.
class Trace {
 public:
  Trace();
  ~Trace();
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  // For RunOptions.tracer; valid as long as this.
  const RTorchTracer* tracer() const;

  // Writes what there is as JSON in the Trace Event Format, times in microseconds since
  // this was made. An event has the step's name, and its operators and source as
  // arguments. Where the file cannot be written: INVALID_ARGUMENT, and there is none.
  // RESOURCE_EXHAUSTED where steps are missing, as memory ran out.
  Status Write(const std::string& path) const;

 private:
  class Recorder;
  std::unique_ptr<Recorder> recorder_;
};

}  // namespace rules_torch

#endif  // RULES_TORCH_TRACE_H_
