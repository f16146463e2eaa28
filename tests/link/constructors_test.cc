// Two models of two instruction sets each: what one's kernels construct is not the
// others'.
#include <array>
#include <cstdint>
#include <cstdlib>

#include "gtest/gtest.h"
#include "tests/link/constructors0.h"
#include "tests/link/constructors1.h"

namespace {

template <typename Model>
void ExpectRuns(const char* isa) {
  setenv("RTORCH_ISA", isa, 1);
  const auto model = Model::Create();
  unsetenv("RTORCH_ISA");
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_STREQ(model->isa(), isa);
  std::array<float, 128> x{};
  x[7] = 1;
  x[64 + 50] = 0.5f;
  const auto outputs = model->Run({{x.data(), {2, 64}}});
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  EXPECT_EQ(outputs->place(0), 7);
  EXPECT_EQ(outputs->place(1), 50);
  EXPECT_EQ(static_cast<float>(outputs->rounded(0, 7)), 1);
  EXPECT_EQ(static_cast<float>(outputs->rounded(1, 50)), 0.5f);
}

TEST(Constructors, AreEachKernelsOwn) {
  for (const char* isa : {"x86-64-v2", "x86-64-v3"}) {
    ExpectRuns<constructors0::Constructors>(isa);
    ExpectRuns<constructors1::Constructors>(isa);
  }
}

}  // namespace
