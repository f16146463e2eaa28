// A model in a shared library that is loaded and unloaded: cube_so.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/model.h"
#include "rules_torch/tensor.h"

namespace rules_torch {
namespace {

constexpr std::int64_t kSize = 80;  // enough for a loop in several threads

class SharedLibraryTest : public ::testing::Test {
 protected:
  // RTLD_NOLOAD: null unless it is loaded.
  static void* Open(int mode) { return dlopen(LIBRARY, mode); }

  static const RTorchModelApi* Table(void* library) {
    void* symbol = dlsym(library, RTORCH_ENTRY_POINT);
    if (symbol == nullptr) return nullptr;
    RTorchGetModelApi get;
    std::memcpy(&get, &symbol, sizeof get);
    return get();
  }

  static RTorchTensor Run(const Model& model) {
    std::vector<float> x(kSize, 2);
    const RTorchTensor input = TensorView<float, 1>(x.data(), {kSize}).abi();
    RTorchTensor output{};
    const Status status = model.Run(&input, 1, &output, 1);
    EXPECT_TRUE(status.ok()) << status.message();
    return output;
  }
};

TEST_F(SharedLibraryTest, OutputsOutliveIt) {
  for (int time = 0; time < 3; ++time) {
    void* library = Open(RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    RTorchTensor made;
    {
      const StatusOr<Model> model = Model::Create(Table(library));
      ASSERT_TRUE(model.ok()) << model.status().message();
      made = Run(*model);
    }
    dlclose(library);
    // Really gone, so that another version can be loaded from the same path.
    ASSERT_EQ(Open(RTLD_NOW | RTLD_NOLOAD), nullptr);
    const Tensor<float, 3> output(made);
    EXPECT_EQ(output(kSize - 1, 0, kSize - 1), 8);
    const pid_t child = fork();  // calls nothing of the library's
    if (child == 0) _exit(0);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
  }
}

}  // namespace
}  // namespace rules_torch
