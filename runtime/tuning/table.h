// Tables of choices as JSON:
//   {"matmul": {"T=fp16, m > 64": {"sm_90": {"BLOCK_M": 128, "num_warps": 8}}}}
#ifndef RULES_TORCH_TUNING_TABLE_H_
#define RULES_TORCH_TUNING_TABLE_H_

#include <map>
#include <string>

#include "rules_torch/status.h"
#include "runtime/tuning/tune.h"

namespace rules_torch::tuning {

// By function, instantiation and architecture; what was chosen is JSON.
using Table =
    std::map<std::string, std::map<std::string, std::map<std::string, std::string>>>;

// The key of an instantiation, which has no name if it is a kernel's only one.
std::string InstantiationKey(const char* instantiation);

// The table as it was when the tuner was built.
Table BuiltTable(const Tuner& tuner);

// Sorted and indented, a choice a line.
std::string ToJson(const Table& table);

// Whether the directory of `path` can be written to.
Status CheckWritable(const std::string& path);

// Replaces the file `path` by `text`; on failure the file is as it was.
Status ReplaceFile(const std::string& path, const std::string& text);

}  // namespace rules_torch::tuning

#endif  // RULES_TORCH_TUNING_TABLE_H_
