// What instances say and do about the instruction set that they got.
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "rules_torch/model.h"
#include "tests/runtime/fake_model.h"

namespace rules_torch::testing {
namespace {

class ModelIsaTest : public ::testing::Test {
 protected:
  void TearDown() override { unsetenv("RTORCH_ISA"); }

  // A model without inputs or outputs.
  static FakeModel Compiled(std::vector<const char*> isas) {
    FakeSignature signature;
    signature.isas = std::move(isas);
    return FakeModel(std::move(signature), [](const RTorchTensor*, RTorchTensor*,
                                              Result*, std::string*) { return true; });
  }
};

TEST_F(ModelIsaTest, AnInstanceTellsWhatItUses) {
  const FakeModel fake = Compiled({"not of this CPU", kBaseline});
  const StatusOr<Model> model = Model::Create(&fake.api());
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_STREQ(model->isa(), kBaseline);
  EXPECT_TRUE(model->Run(nullptr, 0, nullptr, 0).ok());
}

TEST_F(ModelIsaTest, AnInstanceThatWasMovedFromUsesNone) {
  const FakeModel fake = Compiled({kBaseline});
  StatusOr<Model> model = Model::Create(&fake.api());
  ASSERT_TRUE(model.ok());
  const Model moved = *std::move(model);
  EXPECT_STREQ(model->isa(), "");  // NOLINT: on purpose
}

TEST_F(ModelIsaTest, ACpuWithNoneIsAnErrorAndNoCrash) {
  const FakeModel fake = Compiled({"not of this CPU"});
  const StatusOr<Model> model = Model::Create(&fake.api());
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.status().code(), RTORCH_UNIMPLEMENTED);
  EXPECT_EQ(model.status().message(),
            "//fake:model: compiled for not of this CPU, none of which this CPU runs");
  EXPECT_EQ(fake.instances(), 0);
}

TEST_F(ModelIsaTest, TheEnvironmentIsAskedAtEachCreate) {
  const FakeModel fake = Compiled({kBaseline});
  setenv("RTORCH_ISA", "misspelt", 1);
  const StatusOr<Model> refused = Model::Create(&fake.api());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), RTORCH_UNIMPLEMENTED);
  EXPECT_NE(refused.status().message().find("RTORCH_ISA is 'misspelt'"),
            std::string::npos);
  setenv("RTORCH_ISA", kBaseline, 1);
  EXPECT_TRUE(Model::Create(&fake.api()).ok());
}

}  // namespace
}  // namespace rules_torch::testing
