// A tool that reads NVTX, in place of Nsight Systems: writes each range to the standard
// error. Programs load it where NVTX_INJECTION64_PATH names it.
#include <nvtx3/nvToolsExt.h>

#include <cstdint>
#include <cstdio>

namespace {

struct Domain {
  const char* name;
  int depth;
};

nvtxDomainHandle_t NVTX_API Create(const char* name) {
  static Domain domain;  // the program has one, and one thread
  domain = {name, 0};
  return reinterpret_cast<nvtxDomainHandle_t>(&domain);
}

int NVTX_API Push(nvtxDomainHandle_t handle, const nvtxEventAttributes_t* range) {
  auto* domain = reinterpret_cast<Domain*>(handle);
  std::fprintf(stderr, "%s: begin %s\n", domain->name, range->message.ascii);
  return domain->depth++;
}

int NVTX_API Pop(nvtxDomainHandle_t handle) {
  auto* domain = reinterpret_cast<Domain*>(handle);
  std::fprintf(stderr, "%s: end\n", domain->name);
  return --domain->depth;
}

template <typename Function>
void Set(NvtxFunctionTable table, int id, Function* function) {
  *table[id] = reinterpret_cast<NvtxFunctionPointer>(function);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int InitializeInjectionNvtx2(
    NvtxGetExportTableFunc_t get_export_table) {
  const auto* callbacks = static_cast<const NvtxExportTableCallbacks*>(
      get_export_table(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable table = nullptr;
  unsigned int size = 0;
  if (callbacks == nullptr ||
      callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &table, &size) == 0 ||
      size <= NVTX_CBID_CORE2_DomainRangePop) {
    return 0;
  }
  Set(table, NVTX_CBID_CORE2_DomainCreateA, Create);
  Set(table, NVTX_CBID_CORE2_DomainRangePushEx, Push);
  Set(table, NVTX_CBID_CORE2_DomainRangePop, Pop);
  return 1;
}
