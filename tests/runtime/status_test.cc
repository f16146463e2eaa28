#include "rules_torch/status.h"

#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>

#include "gtest/gtest.h"

namespace rules_torch {
namespace {

static_assert(std::is_copy_constructible_v<Status>);
static_assert(std::is_nothrow_default_constructible_v<Status>);
static_assert(std::is_copy_constructible_v<StatusOr<int>>);
// A result that cannot be copied makes a StatusOr that cannot.
static_assert(!std::is_copy_constructible_v<StatusOr<std::unique_ptr<int>>>);
static_assert(std::is_move_constructible_v<StatusOr<std::unique_ptr<int>>>);

TEST(StatusTest, IsOkByDefault) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), RTORCH_OK);
  EXPECT_EQ(status.message(), "");
}

TEST(StatusTest, KeepsCodeAndMessage) {
  const Status status(RTORCH_INVALID_ARGUMENT, "input 'x': no");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), RTORCH_INVALID_ARGUMENT);
  EXPECT_EQ(status.message(), "input 'x': no");
}

TEST(StatusTest, EveryOtherCodeIsAnError) {
  for (const RTorchCode code :
       {RTORCH_INVALID_ARGUMENT, RTORCH_RESOURCE_EXHAUSTED, RTORCH_INTERNAL}) {
    EXPECT_FALSE(Status(code, "").ok()) << code;
  }
}

TEST(StatusTest, CodesHaveAbseilsNames) {
  std::set<std::string> names;
  for (const RTorchCode code :
       {RTORCH_OK, RTORCH_CANCELLED, RTORCH_INVALID_ARGUMENT, RTORCH_NOT_FOUND,
        RTORCH_RESOURCE_EXHAUSTED, RTORCH_UNIMPLEMENTED, RTORCH_INTERNAL,
        RTORCH_UNAVAILABLE, RTORCH_DATA_LOSS}) {
    names.insert(CodeName(code));
  }
  EXPECT_EQ(names,
            (std::set<std::string>{"OK", "CANCELLED", "INVALID_ARGUMENT", "NOT_FOUND",
                                   "RESOURCE_EXHAUSTED", "UNIMPLEMENTED", "INTERNAL",
                                   "UNAVAILABLE", "DATA_LOSS"}));
  EXPECT_EQ(CodeName(42), "code 42");
  EXPECT_EQ(CodeName(-1), "code -1");
}

TEST(StatusTest, Prints) {
  EXPECT_EQ(Status().ToString(), "OK");
  const Status status(RTORCH_NOT_FOUND, "no file 'a'");
  EXPECT_EQ(status.ToString(), "NOT_FOUND: no file 'a'");
  EXPECT_EQ(Status(99, "newer").ToString(), "code 99: newer");
  std::ostringstream stream;
  stream << status << '\n' << Status();
  EXPECT_EQ(stream.str(), "NOT_FOUND: no file 'a'\nOK");
}

TEST(StatusTest, ComparesCodeAndMessage) {
  const Status status(RTORCH_INTERNAL, "reason");
  EXPECT_EQ(status, Status(RTORCH_INTERNAL, "reason"));
  EXPECT_NE(status, Status(RTORCH_INTERNAL, "other"));
  EXPECT_NE(status, Status(RTORCH_UNAVAILABLE, "reason"));
  EXPECT_EQ(Status(), Status());
}

TEST(StatusTest, CopiesAndMoves) {
  const Status status(RTORCH_INTERNAL, "reason");
  Status copy = status;
  EXPECT_EQ(copy.message(), "reason");
  const Status moved = std::move(copy);
  EXPECT_EQ(moved.code(), RTORCH_INTERNAL);
  EXPECT_EQ(moved.message(), "reason");
  EXPECT_EQ(status.message(), "reason");
}

// A function of the kind that StatusOr is made for.
StatusOr<std::unique_ptr<int>> Make(bool well) {
  if (!well) return Status(RTORCH_RESOURCE_EXHAUSTED, "none left");
  return std::make_unique<int>(42);
}

TEST(StatusOrTest, HoldsAValue) {
  StatusOr<std::unique_ptr<int>> made = Make(true);
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE(made.status().ok());
  EXPECT_EQ(*made.value(), 42);
  EXPECT_EQ(**made, 42);
}

TEST(StatusOrTest, HoldsAnError) {
  const StatusOr<std::unique_ptr<int>> made = Make(false);
  EXPECT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), RTORCH_RESOURCE_EXHAUSTED);
  EXPECT_EQ(made.status().message(), "none left");
}

// There is nothing to read: to look at ok() or at the status has to say so.
TEST(StatusOrTest, OfAnOkStatusIsAnError) {
  const StatusOr<int> made = Status();
  EXPECT_FALSE(made.ok());
  EXPECT_FALSE(made.status().ok());
  EXPECT_EQ(made.status().code(), RTORCH_INTERNAL);
  EXPECT_EQ(made.status().message(), "an OK status in place of a value");
}

TEST(StatusOrTest, GivesTheValueAway) {
  StatusOr<std::unique_ptr<int>> made = Make(true);
  const std::unique_ptr<int> value = *std::move(made);
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(*value, 42);
  EXPECT_EQ(*Make(true).value(), 42);
}

TEST(StatusOrTest, IsReadThroughPointersAndReferences) {
  StatusOr<std::string> text(std::string("tensor"));
  const StatusOr<std::string>& read_only = text;
  EXPECT_EQ(text->size(), 6u);
  EXPECT_EQ(read_only->size(), 6u);
  *text += "s";
  text.value() += "!";
  EXPECT_EQ(*read_only, "tensors!");
  EXPECT_EQ(read_only.value(), "tensors!");
}

TEST(StatusOrTest, OffersAnotherValueInPlaceOfAnError) {
  const StatusOr<std::string> text(std::string("tensor"));
  EXPECT_EQ(text.value_or("none"), "tensor");
  EXPECT_EQ(StatusOr<std::string>(Status(RTORCH_INTERNAL, "")).value_or("none"),
            "none");
  // Of a temporary the value is moved out.
  EXPECT_EQ(*Make(true).value_or(nullptr), 42);
  EXPECT_EQ(Make(false).value_or(nullptr), nullptr);
}

TEST(StatusOrTest, GivesTheStatusAway) {
  const Status status = Make(false).status();
  EXPECT_EQ(status, Status(RTORCH_RESOURCE_EXHAUSTED, "none left"));
}

TEST(StatusOrTest, CanBeAssigned) {
  StatusOr<std::string> text(std::string("tensor"));
  text = Status(RTORCH_INTERNAL, "gone");
  EXPECT_FALSE(text.ok());
  EXPECT_EQ(text.status().message(), "gone");
  text = std::string("back");
  ASSERT_TRUE(text.ok());
  EXPECT_TRUE(text.status().ok());
  EXPECT_EQ(*text, "back");
}

}  // namespace
}  // namespace rules_torch
