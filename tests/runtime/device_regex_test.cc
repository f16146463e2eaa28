// The stand-in for <regex> of generated code, on what model_base.h does with it.
#include <regex>
#include <string>

#include "gtest/gtest.h"

namespace {

#ifndef RULES_TORCH_INTERNAL_REGEX_
#error "this is C++'s own <regex>"
#endif

// "kind", "kind:index" or "no match".
std::string Parsed(const std::string& device) {
  const std::regex expression("(cpu|cuda|xpu|mps)(:([0-9]+))?");
  std::smatch match;
  if (!std::regex_match(device, match, expression)) return "no match";
  EXPECT_EQ(match[0].str(), device);
  return match[1].str() + (match[3].matched ? ":" + match[3].str() : "");
}

TEST(DeviceRegexTest, Devices) {
  for (const char* device : {"cpu", "cuda", "cuda:0", "cuda:12", "xpu:1", "mps"}) {
    EXPECT_EQ(Parsed(device), device);
  }
}

TEST(DeviceRegexTest, NoDevices) {
  for (const char* device : {"", ":", "cpu:", "cpu:x", "cuda:1x", "cuda:1:2", "gpu",
                             "cpu ", " cpu", "cpu0", ":1", "CPU"}) {
    EXPECT_EQ(Parsed(device), "no match") << device;
  }
}

}  // namespace
