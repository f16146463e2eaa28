// What is refused, and what is said then.
#include "gtest/gtest.h"
#include "tests/gpu/fixture.h"

namespace fake {
namespace {

using rules_torch::Grid;
using rules_torch::Status;
using rules_torch::internal::IsAligned;
using rules_torch::internal::KernelMisfit;
using rules_torch::internal::MisfitError;

using ErrorsTest = GpuTest;

TEST_F(ErrorsTest, RefusesGrids) {
  TestLibrary library;
  for (const Grid grid :
       {Grid{0, 1, 1}, Grid{1, 0, 1}, Grid{1, 1, 0}, Grid{-1, 1, 1}, Grid{1, -7, 1},
        Grid{1, 1, -7}, Grid{0x80000000, 1, 1}, Grid{1, 65536, 1}, Grid{1, 1, 65536},
        Grid{INT64_MIN, 1, 1}, Grid{INT64_MAX, INT64_MAX, INT64_MAX}}) {
    Status status = library.Launch(grid);
    EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
    ExpectMessage(status,
                  {"kernels::add: the grid is (", std::to_string(grid.x).c_str(),
                   "from 1 to 2147483647", "65535"});
  }
  EXPECT_TRUE(state().launches.empty());
  EXPECT_TRUE(state().loads.empty());
}

TEST_F(ErrorsTest, RefusesGridsOfTooManyClusters) {
  if (hip()) GTEST_SKIP() << "no clusters";
  TestLibrary library;
  library.image().cluster = 2;
  EXPECT_TRUE(library.Launch({0x3fffffff, 1, 1}).ok());
  Status status = library.Launch({0x40000000, 1, 1});
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
  ExpectMessage(status, {"from 1 to 1073741823", "clusters of 2"});
}

TEST_F(ErrorsTest, SaysWhatTheDeviceIsAndWhatTheLibraryHas) {
  UseDevices({hip() ? "gfx1100" : "sm_75"});
  state().devices[0].name = "Some GPU";
  TestLibrary library({"sm_80", "sm_90", "gfx942"});
  if (!hip()) {
    Status status = library.Launch();
    EXPECT_EQ(status.code(), RTORCH_UNIMPLEMENTED);
    ExpectMessage(status, {"kernels::add: //kernels:test is compiled for sm_80, sm_90, "
                           "gfx942, and not for device 0, Some GPU, which is sm_75"});
  } else {
    Status status = library.Launch();
    EXPECT_EQ(status.code(), RTORCH_UNIMPLEMENTED);
    ExpectMessage(status, {"Some GPU, which is gfx1100"});
  }
  EXPECT_TRUE(state().launches.empty());
}

TEST_F(ErrorsTest, SaysHowToMakeAContextCurrent) {
  if (hip()) GTEST_SKIP() << "no contexts";
  TestLibrary library;
  driver().set_context(nullptr);
  Status status = library.Launch();
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
  ExpectMessage(status, {"kernels::add: no CUDA context is current on this thread",
                         "cudaSetDevice or cuCtxSetCurrent"});
  SetDevice(0);
  ASSERT_TRUE(library.Launch().ok());
  // The same once the kernel is loaded.
  driver().set_context(nullptr);
  ExpectMessage(library.Launch(), {"no CUDA context is current"});
}

TEST_F(ErrorsTest, RefusesDevicesThatItHasNoRoomFor) {
  TestLibrary library;
  SetDevice(64);
  Status status = library.Launch();
  EXPECT_EQ(status.code(), RTORCH_UNIMPLEMENTED);
  ExpectMessage(status, {"kernels::add: the current device is 64", "0 to 63"});
}

TEST_F(ErrorsTest, SaysWhatTheDriverSaysOfTheDevice) {
  TestLibrary library;
  Fail(Name("cuCtxGetDevice", "hipGetDevice"), 999, 0, 2);
  Status status = library.Launch();
  EXPECT_EQ(status.code(), RTORCH_INTERNAL);
  ExpectMessage(status, {"kernels::add: ", Name("cuCtxGetDevice", "hipGetDevice"),
                         " failed: ", "_ERROR_OTHER (999): what ", " says of 999"});

  Fail(Name("cuDeviceGetAttribute", "hipGetDevicePropertiesR0600"), 999);
  ExpectMessage(library.Launch(),
                {Name("cuDeviceGetAttribute", "hipGetDevicePropertiesR0600")});
}

TEST_F(ErrorsTest, RefusesMoreSharedMemoryThanThereIs) {
  state().devices[0].shared_bytes = 60000;
  TestLibrary library;
  library.image().shared_bytes = 60001;
  Status status = library.Launch();
  EXPECT_EQ(status.code(), RTORCH_RESOURCE_EXHAUSTED);
  ExpectMessage(status, {"kernels::add: needs 60001 bytes of shared memory", "60000"});
  EXPECT_TRUE(state().loads.empty());
}

TEST_F(ErrorsTest, RefusesClustersWithoutThem) {
  if (!hip()) GTEST_SKIP() << "has clusters";
  TestLibrary library;
  library.image().cluster = 2;
  Status status = library.Launch();
  EXPECT_EQ(status.code(), RTORCH_UNIMPLEMENTED);
  ExpectMessage(status, {"kernels::add: clusters (num_ctas = 2)", "HIP"});
}

TEST_F(ErrorsTest, SaysWhyLoadingFailed) {
  struct Case {
    int code;
    RTorchCode status;
    const char* hint;
  };
  for (const Case& c : {Case{209, RTORCH_UNIMPLEMENTED, "for another GPU"},
                        Case{218, RTORCH_UNIMPLEMENTED, "cannot compile the PTX"},
                        Case{222, RTORCH_UNIMPLEMENTED, "update the driver"},
                        Case{2, RTORCH_RESOURCE_EXHAUSTED, "OUT_OF_MEMORY (2)"},
                        Case{999, RTORCH_INTERNAL, "ERROR_OTHER (999)"}}) {
    TestLibrary library;
    const char* const function = Name("cuLibraryLoadData", "hipModuleLoadData");
    Fail(function, c.code);
    Status status = library.Launch();
    EXPECT_EQ(status.code(), c.status);
    ExpectMessage(status, {"kernels::add: loading the code for ", Architecture(),
                           function, c.hint});
  }
  EXPECT_TRUE(state().launches.empty());
}

TEST_F(ErrorsTest, SaysWhichAttributeCouldNotBeSet) {
  if (hip()) GTEST_SKIP() << "sets none";
  TestLibrary library;
  library.image().shared_bytes = 100000;
  Fail("cuKernelSetAttribute", 1);
  Status status = library.Launch();
  EXPECT_EQ(status.code(), RTORCH_INTERNAL);
  ExpectMessage(status, {"kernels::add", "cuKernelSetAttribute"});
}

TEST_F(ErrorsTest, SaysWhyALaunchFailed) {
  TestLibrary library;
  struct Case {
    int code;
    RTorchCode status;
    const char* hint;
  };
  for (const Case& c :
       {Case{700, RTORCH_INTERNAL,
             "a kernel that ran before used memory out of bounds"},
        Case{716, RTORCH_INTERNAL,
             "a kernel that ran before used a misaligned pointer"},
        Case{719, RTORCH_INTERNAL, "a kernel that ran before failed"},
        Case{209, RTORCH_UNIMPLEMENTED, "the code is for another GPU"},
        Case{222, RTORCH_UNIMPLEMENTED, "update the driver"},
        Case{400, RTORCH_INVALID_ARGUMENT, "the stream is not one of the current"},
        Case{701, RTORCH_RESOURCE_EXHAUSTED, "registers or threads"},
        Case{1, RTORCH_INTERNAL, "ERROR_INVALID_VALUE (1): what "}}) {
    const char* const function = Name("cuLaunchKernel", "hipModuleLaunchKernel");
    Fail(function, c.code);
    Status status = library.Launch();
    EXPECT_EQ(status.code(), c.status) << c.code;
    ExpectMessage(status, {"kernels::add: ", function, " failed: ", c.hint});
  }
  EXPECT_TRUE(library.Launch().ok());
}

TEST_F(ErrorsTest, SaysWhyALaunchOfClustersFailed) {
  if (hip()) GTEST_SKIP() << "no clusters";
  TestLibrary library;
  library.image().cluster = 2;
  Fail("cuLaunchKernelEx", 1);
  ExpectMessage(library.Launch(), {"kernels::add: cuLaunchKernelEx failed"});
}

// Scratch memory.

TEST_F(ErrorsTest, SaysHowMuchScratchThereWasNot) {
  TestLibrary library;
  library.image().scratch_bytes = 64;
  Fail(Name("cuMemAllocAsync", "hipMallocAsync"), 2);
  Status status = library.Launch({10, 1, 1});
  EXPECT_EQ(status.code(), RTORCH_RESOURCE_EXHAUSTED);
  ExpectMessage(status, {"kernels::add: 640 bytes of scratch memory"});
  EXPECT_TRUE(state().launches.empty());
}

TEST_F(ErrorsTest, RefusesMoreScratchThanThereAreAddresses) {
  TestLibrary library;
  library.image().scratch_bytes = 8;
  Status status = library.Launch({0x7fffffff, 65535, 65535});
  EXPECT_EQ(status.code(), RTORCH_RESOURCE_EXHAUSTED);
  ExpectMessage(status, {"8 bytes of scratch memory for each of (2147483647, 65535"});
  EXPECT_EQ(Count(Name("cuMemAllocAsync", "hipMallocAsync")), 0);

  TestLibrary aligned;
  aligned.image().scratch_bytes = UINT64_MAX;
  aligned.image().scratch_alignment = 512;
  EXPECT_EQ(aligned.Launch().code(), RTORCH_RESOURCE_EXHAUSTED);
  EXPECT_TRUE(state().launches.empty());
}

TEST_F(ErrorsTest, GivesScratchBackWhenTheLaunchFails) {
  TestLibrary library;
  library.image().scratch_bytes = 64;
  Fail(Name("cuLaunchKernel", "hipModuleLaunchKernel"), 700);
  ExpectMessage(library.Launch(), {"ERROR_ILLEGAL_ADDRESS"});
  ASSERT_EQ(state().allocations.size(), 1u);
  EXPECT_TRUE(state().allocations[0].freed);
}

TEST_F(ErrorsTest, SaysWhenScratchCouldNotBeGivenBack) {
  TestLibrary library;
  library.image().scratch_bytes = 64;
  const char* const function = Name("cuMemFreeAsync", "hipFreeAsync");
  Fail(function, 700);
  ExpectMessage(library.Launch(), {"kernels::add: ", function});
  // For the next test.
  state().live_memory = 0;
  ::operator delete(state().allocations[0].memory, std::align_val_t{256});
}

// Broken promises.

TEST(MisfitErrorTest, SaysWhatAnInstantiationNeeds) {
  const KernelMisfit misfit = {"", "x is aligned to 16 bytes", "x", 0x7f0004, true};
  Status status = MisfitError("kernels::add", &misfit, 1);
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(status.message(),
            "kernels::add: needs that x is aligned to 16 bytes, but x is 0x7f0004");
}

TEST(MisfitErrorTest, SaysItOfEach) {
  const KernelMisfit misfits[] = {
      {"BLOCK=1024", "columns <= BLOCK (1024)", "columns", 5000, false},
      {"BLOCK=4096", "columns <= BLOCK (4096)", "columns", 5000, false}};
  EXPECT_EQ(MisfitError("kernels::softmax", misfits, 2).message(),
            "kernels::softmax: no instantiation fits the arguments: "
            "[BLOCK=1024] needs that columns <= BLOCK (1024), but columns is 5000; "
            "[BLOCK=4096] needs that columns <= BLOCK (4096), but columns is 5000");
}

TEST(MisfitErrorTest, ShowsNegativeValues) {
  const KernelMisfit misfit = {nullptr, "n is divisible by 16", "n", -3, false};
  ExpectMessage(MisfitError("f", &misfit, 1), {"but n is -3"});
}

TEST(IsAlignedTest, LooksAtTheAddress) {
  EXPECT_TRUE(IsAligned(nullptr, 16));
  EXPECT_TRUE(IsAligned(reinterpret_cast<void*>(0x7f10), 16));
  EXPECT_FALSE(IsAligned(reinterpret_cast<void*>(0x7f18), 16));
}

}  // namespace
}  // namespace fake
