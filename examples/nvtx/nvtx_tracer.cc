#include "examples/nvtx/nvtx_tracer.h"

#include <nvtx3/nvToolsExt.h>

#include <cstdio>

#include "rules_torch/abi.h"

namespace examples {
namespace {

// Nsight Systems cuts longer ones.
constexpr int kLongestMessage = 1024;

void Begin(void* domain, const RTorchStep* step) {
  char message[kLongestMessage];
  std::snprintf(message, sizeof message, "%s (%s, %s)", step->name, step->operators,
                step->source);
  nvtxEventAttributes_t range = {};
  range.version = NVTX_VERSION;
  range.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  range.messageType = NVTX_MESSAGE_TYPE_ASCII;
  range.message.ascii = message;
  nvtxDomainRangePushEx(static_cast<nvtxDomainHandle_t>(domain), &range);
}

void End(void* domain, const RTorchStep*) {
  nvtxDomainRangePop(static_cast<nvtxDomainHandle_t>(domain));
}

}  // namespace

const RTorchTracer* NvtxTracer() {
  static const RTorchTracer tracer = {sizeof(RTorchTracer), 0,
                                      nvtxDomainCreateA("rules_torch"), Begin, End};
  return tracer.context == nullptr ? nullptr : &tracer;
}

}  // namespace examples
