// Whether what a compiled model computed is right.
#ifndef RULES_TORCH_TESTING_JUDGE_H_
#define RULES_TORCH_TESTING_JUDGE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rules_torch::testing {

struct Tolerance {
  double atol;
  double rtol;
};

// torch.testing.assert_close's; zero for integers and booleans.
Tolerance DefaultTolerance(std::int32_t dtype);

// The largest finite distance of an output's elements from what is held to be right.
struct Distance {
  double absolute = 0;
  double relative = 0;  // where what is right is not 0
};

// An output of one run, element by element. Not thread-safe.
//
// An element is right if it is within the tolerance of eager PyTorch's, that is
// |compiled - eager| <= atol + rtol * |eager|. NaN equals NaN, infinity itself.
//
// Where the same is known in float64, elements that are not may still be right: the
// compiled model may be no farther from float64 than eager is, by Factor(), plus the
// tolerance. One element's two roundings cannot be compared, for each has its luck. So
// an element's error beyond its tolerance may be as large as
//
//     Factor() times the largest error of eager's among the elements that are no more
//     than twice as large as this one, and the kPeers smallest,
//
// as small elements may have small errors beside large ones. And there may not be more
// of them: with the compiled model's errors beyond the tolerance, and eager's whole
// ones, each from the largest down,
//
//     compiled[k] <= Factor() * eager[k / Factor()]    for each k.
//
// So one wrong element of a million is found if eager has no error like it, and an
// error of all is found beside some that eager has too. Ranks are apart by the factor
// since eager and the compiled model may each cross a jump, the sign of a zero or a
// phase of pi, at other elements.
class Judge {
 public:
  // `float64`: the output's elements, row-major, or empty if they are not known. It
  // must outlive the judge.
  Judge(std::int32_t dtype, Tolerance tolerance, const std::vector<double>& float64);

  // Takes the next element in row-major order: the compiled model's and eager's bytes.
  void Add(const std::uint8_t* compiled, const std::uint8_t* eager);

  // The number of wrong elements among all that were added; at least 1 if any is.
  std::int64_t CountWrong();

  // Of the element that is farthest off, once CountWrong() is not 0: its place in
  // row-major order, and "2.5 instead of 2" or the like.
  std::int64_t worst() const { return worst_; }
  const std::string& what() const { return what_; }

  // From float64, or if it is not known from eager.
  const Distance& compiled_distance() const { return compiled_distance_; }
  // Of eager from float64; zero if that is not known.
  const Distance& eager_distance() const { return eager_distance_; }

  static constexpr std::size_t kPeers = 100;

  // 10, as libraries sum in blocks of other sizes, and few elements have luck; 3 for
  // the 16-bit dtypes, where eager rounds most.
  static int Factor(std::int32_t dtype);

 private:
  // Of an element that is finite everywhere.
  struct Errors {
    double size;      // of float64
    double compiled;  // beyond the tolerance; negative if within
    double eager;     // negative if eager's element is not finite
  };

  void Blame(std::int64_t place, double excess, const std::string& what);
  std::int64_t CountLargerThanPeers();
  std::int64_t CountTooMany() const;

  const std::int32_t dtype_;
  const Tolerance tolerance_;
  const std::vector<double>& float64_;
  std::int64_t next_ = 0;
  std::int64_t wrong_ = 0;  // whatever the errors of the others
  bool far_ = false;        // some element is not within the tolerance of eager's
  std::vector<Errors> errors_;
  std::int64_t worst_ = 0;
  double worst_excess_ = -1;
  std::string what_;
  Distance compiled_distance_;
  Distance eager_distance_;
};

}  // namespace rules_torch::testing

#endif  // RULES_TORCH_TESTING_JUDGE_H_
