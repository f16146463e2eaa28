#include "rules_torch/loader.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "gtest/gtest.h"

namespace {

// Opens what cannot be opened; returns the message.
std::string Refused(const char* path, RTorchCode code) {
  RTorchLibrary library = {&library, nullptr};
  RTorchError error = {};
  EXPECT_EQ(rtorch_open_library(path, &library, &error), code) << path;
  EXPECT_EQ(error.code, code);
  EXPECT_EQ(library.handle, nullptr);
  EXPECT_EQ(library.api, nullptr);
  EXPECT_EQ(rtorch_open_library(path, &library, nullptr), code);
  rtorch_close_library(&library);  // nothing to do
  return error.message;
}

bool IsLoaded(const char* path) {
  void* const handle = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
  if (handle != nullptr) dlclose(handle);
  return handle != nullptr;
}

TEST(LoaderTest, OpensRunsAndCloses) {
  const char* const path = std::getenv("FAKE_LIBRARY");
  RTorchLibrary library;
  RTorchError error;
  ASSERT_EQ(rtorch_open_library(path, &library, &error), RTORCH_OK) << error.message;
  EXPECT_TRUE(IsLoaded(path));
  EXPECT_EQ(library.api->num_inputs, 1);

  RTorchCreateOptions options = {};
  options.struct_size = sizeof options;
  RTorchModel* model = nullptr;
  ASSERT_EQ(library.api->create(library.api, &options, &model, &error), RTORCH_OK);
  std::array<float, 3> x = {1, 2, 3};
  const std::int64_t sizes[] = {3};
  const RTorchTensor input = rtorch_host_tensor(x.data(), RTORCH_FLOAT32, 1, sizes);
  RTorchTensor output = {};
  ASSERT_EQ(library.api->run(model, &input, 1, &output, 1, nullptr, &error), RTORCH_OK);
  EXPECT_EQ(static_cast<const float*>(output.data)[2], 3.0F);
  library.api->release(&output);
  library.api->destroy(model);
  rtorch_close_library(&library);
  EXPECT_EQ(library.handle, nullptr);
  EXPECT_FALSE(IsLoaded(path));
  rtorch_close_library(&library);  // once is enough
}

TEST(LoaderTest, RefusesWhatIsNoModelOfThisVersion) {
  EXPECT_NE(Refused("./missing.so", RTORCH_NOT_FOUND).find("cannot open"),
            std::string::npos);
  EXPECT_EQ(Refused("libm.so.6", RTORCH_INVALID_ARGUMENT),
            "no compiled model: it does not export rtorch_model_api, as what "
            "cc_torch_shared_library makes does");
  const char* const old = std::getenv("OLD_LIBRARY");
  EXPECT_EQ(Refused(old, RTORCH_UNIMPLEMENTED),
            "it has version 2 of rules_torch's C ABI, and this program knows 3; build "
            "both with one rules_torch");
  EXPECT_FALSE(IsLoaded(old));
  const char* const cut = std::getenv("SHORT_LIBRARY");
  EXPECT_EQ(Refused(cut, RTORCH_UNIMPLEMENTED).rfind("its table has 64 bytes, ", 0),
            0U);
  EXPECT_FALSE(IsLoaded(cut));
}

TEST(LoaderTest, RefusesLibrariesOfAnotherCpu) {
  std::ifstream fake(std::getenv("FAKE_LIBRARY"), std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(fake), {}};
  ASSERT_GT(bytes.size(), 20U);
  bytes[18] = bytes[19] = 8;  // no machine's number, in either byte order
  const std::string path = testing::TempDir() + "/libother.so";
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_EQ(Refused(path.c_str(), RTORCH_UNIMPLEMENTED)
                .rfind("it is built for another kind of CPU, ELF machine 2056, ", 0),
            0U);
  // What is no library at all keeps the reason that dlopen has.
  std::ofstream(path, std::ios::binary) << "text";
  EXPECT_EQ(Refused(path.c_str(), RTORCH_NOT_FOUND).find("CPU"), std::string::npos);
}

TEST(LoaderTest, HostTensorsAreRowMajor) {
  float data[24];
  const std::int64_t sizes[] = {2, 3, 4};
  const RTorchTensor tensor = rtorch_host_tensor(data, RTORCH_FLOAT32, 3, sizes);
  EXPECT_EQ(tensor.data, data);
  EXPECT_EQ(tensor.device.type, RTORCH_CPU);
  EXPECT_EQ(tensor.strides[0], 12);
  EXPECT_EQ(tensor.strides[1], 4);
  EXPECT_EQ(tensor.strides[2], 1);
  EXPECT_EQ(rtorch_host_tensor(data, RTORCH_FLOAT32, 0, nullptr).rank, 0);
}

}  // namespace
