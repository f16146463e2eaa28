// Which indices a model refuses: those that eager refuses. See corners.py.
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "tests/runtime/indexed.h"

namespace rules_torch {
namespace {

using corners::Indexed;

class CompiledIndexedTest : public ::testing::Test {
 protected:
  StatusOr<Indexed::Outputs> Call() const {
    StatusOr<Indexed> model = Indexed::Create();
    if (!model.ok()) return model.status();
    return model->Run({{x_.data(), {4, 3}},
                       {&add_, {1}},
                       {&copy_, {1}},
                       {&select_, {1}},
                       {&fill_, {1}}});
  }

  // The indices that the model takes where `index` is.
  std::vector<std::int64_t> Taken(std::int64_t* index) const {
    std::vector<std::int64_t> taken;
    for (*index = -9; *index < 9; ++*index) {
      if (Call().ok()) taken.push_back(*index);
    }
    return taken;
  }

  std::array<float, 12> x_{};
  std::int64_t add_ = 0;
  std::int64_t copy_ = 0;
  std::int64_t select_ = 0;
  std::int64_t fill_ = 0;
};

const std::vector<std::int64_t> kRows = {0, 1, 2, 3};

TEST_F(CompiledIndexedTest, IndexAdd) { EXPECT_EQ(Taken(&add_), kRows); }

TEST_F(CompiledIndexedTest, IndexCopy) { EXPECT_EQ(Taken(&copy_), kRows); }

TEST_F(CompiledIndexedTest, IndexSelect) { EXPECT_EQ(Taken(&select_), kRows); }

TEST_F(CompiledIndexedTest, IndexFillCountsFromTheEnd) {
  EXPECT_EQ(Taken(&fill_), (std::vector<std::int64_t>{-4, -3, -2, -1, 0, 1, 2, 3}));
  fill_ = -1;
  const StatusOr<Indexed::Outputs> outputs = Call();
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  EXPECT_TRUE(std::all_of(outputs->filled.begin(), outputs->filled.begin() + 9,
                          [](float value) { return value == 0; }));
  EXPECT_TRUE(std::all_of(outputs->filled.begin() + 9, outputs->filled.end(),
                          [](float value) { return value == 5; }));
}

}  // namespace
}  // namespace rules_torch
