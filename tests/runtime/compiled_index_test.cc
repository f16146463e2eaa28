// A model that looks up a table by its data: //models:encoder. A token that the
// table does not have is an error, not the end of the process.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "models/encoder.h"

namespace rules_torch {
namespace {

using models::Encoder;

constexpr std::int64_t kVocabulary = 512;

class CompiledIndexTest : public ::testing::Test {
 protected:
  using Ids = std::vector<std::int64_t>;

  static Encoder Make() {
    StatusOr<Encoder> made = Encoder::Create();
    if (!made.ok()) ADD_FAILURE() << made.status().message();
    return *std::move(made);
  }

  // Runs on `batch` sequences without padding, unless `attend` is false: then all
  // of it is padding.
  StatusOr<Encoder::Outputs> Run(const Ids& ids, std::int64_t batch = 1,
                                 bool attend = true) const {
    const std::array<std::int64_t, 2> sizes = {
        batch, static_cast<std::int64_t>(ids.size()) / batch};
    const std::unique_ptr<bool[]> mask(new bool[ids.size()]);
    std::fill(mask.get(), mask.get() + ids.size(), attend);
    return model_.Run({{ids.data(), sizes}, {mask.get(), sizes}});
  }

  // Valid ids, all of them different where there are enough.
  static Ids Tokens(std::size_t count) {
    Ids ids(count);
    for (std::size_t i = 0; i < count; ++i) {
      ids[i] = static_cast<std::int64_t>(i * 211) % kVocabulary;
    }
    return ids;
  }

  const Encoder model_ = Make();
};

TEST_F(CompiledIndexTest, TheFirstAndTheLastTokenAreFine) {
  const StatusOr<Encoder::Outputs> outputs = Run({0, kVocabulary - 1});
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  EXPECT_EQ(outputs->hidden.sizes(), (std::array<std::int64_t, 3>{1, 2, 64}));
  EXPECT_EQ(outputs->pooled.sizes(), (std::array<std::int64_t, 2>{1, 64}));
}

TEST_F(CompiledIndexTest, AnyOtherIsAnError) {
  for (const std::int64_t id : {std::int64_t{-1}, kVocabulary, -kVocabulary,
                                -kVocabulary - 1, INT64_MAX, INT64_MIN}) {
    for (const Ids& ids : {Ids{id}, Ids{id, 3}, Ids{3, id}}) {
      const StatusOr<Encoder::Outputs> outputs = Run(ids);
      ASSERT_FALSE(outputs.ok()) << id;
      EXPECT_EQ(outputs.status().code(), RTORCH_INTERNAL);
      const std::string& message = outputs.status().message();
      EXPECT_EQ(message.find("//models:encoder: index " + std::to_string(id) +
                             " is out of bounds for size 512 (embedding, "
                             "models/encoder.py:"),
                0u)
          << message;
    }
  }
}

TEST_F(CompiledIndexTest, OneAmongManyIsFoundWhereverItIs) {
  for (const std::size_t at : {std::size_t{0}, std::size_t{1000}, std::size_t{2047}}) {
    Ids ids = Tokens(16 * 128);
    ASSERT_TRUE(Run(ids, 16).ok());
    ids[at] = kVocabulary;
    EXPECT_FALSE(Run(ids, 16).ok()) << at;
  }
}

TEST_F(CompiledIndexTest, BuffersAreAnErrorToo) {
  const Ids ids = {-1, 3};
  const std::array<bool, 2> mask = {true, true};
  std::vector<float> hidden(128);
  std::vector<float> pooled(64);
  const Status status =
      model_.Run({{ids.data(), {1, 2}}, {mask.data(), {1, 2}}},
                 {{hidden.data(), {1, 2, 64}}, {pooled.data(), {1, 64}}});
  EXPECT_EQ(status.code(), RTORCH_INTERNAL);
}

TEST_F(CompiledIndexTest, TheModelWorksOnAfterAnError) {
  const StatusOr<Encoder::Outputs> before = Run(Tokens(24), 3);
  ASSERT_TRUE(before.ok());
  for (int i = 0; i < 20; ++i) {
    ASSERT_FALSE(Run({-1, 3}).ok());
    const StatusOr<Encoder::Outputs> after = Run(Tokens(24), 3);
    ASSERT_TRUE(after.ok());
    ASSERT_TRUE(std::equal(before->hidden.begin(), before->hidden.end(),
                           after->hidden.begin(), after->hidden.end()));
  }
}

TEST_F(CompiledIndexTest, ErrorsOfOneThreadDoNotReachAnother) {
  const StatusOr<Encoder::Outputs> expected = Run(Tokens(64), 4);
  ASSERT_TRUE(expected.ok());
  std::vector<int> right(8, 0);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < right.size(); ++t) {
    threads.emplace_back([&, t] {
      Ids ids = Tokens(64);
      if (t % 2 == 1) ids[63] = kVocabulary;
      for (int run = 0; run < 100; ++run) {
        const StatusOr<Encoder::Outputs> outputs = Run(ids, 4);
        if (outputs.ok() != (t % 2 == 0)) continue;
        right[t] += !outputs.ok() ||
                    std::equal(expected->pooled.begin(), expected->pooled.end(),
                               outputs->pooled.begin(), outputs->pooled.end());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(8, 100));
}

TEST_F(CompiledIndexTest, PaddingGivesZeros) {
  const StatusOr<Encoder::Outputs> outputs = Run(Tokens(6), 2, /*attend=*/false);
  ASSERT_TRUE(outputs.ok()) << outputs.status().message();
  EXPECT_EQ(std::count(outputs->hidden.begin(), outputs->hidden.end(), 0.0f), 6 * 64);
  EXPECT_EQ(std::count(outputs->pooled.begin(), outputs->pooled.end(), 0.0f), 2 * 64);
}

TEST_F(CompiledIndexTest, SizesThatDisagreeAreNamed) {
  const Ids ids = Tokens(12);
  const std::array<bool, 10> mask{};
  const auto outputs = model_.Run({{ids.data(), {2, 6}}, {mask.data(), {2, 5}}});
  EXPECT_EQ(outputs.status().code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(
      outputs.status().message(),
      "input 'mask': expected bool[batch, seq] with 1 <= batch <= 16, 1 <= seq <= "
      "128, got bool[2, 5]: seq is 5 here, but 6 before");
}

}  // namespace
}  // namespace rules_torch
