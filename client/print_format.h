// How torch writes the elements of one tensor: a common width and notation, chosen from those that are shown.
//
// A NumberFormat is built from the values, then writes any of them. Const calls are safe from any thread.

#ifndef TENSORBROKER_CLIENT_PRINT_FORMAT_H_
#define TENSORBROKER_CLIENT_PRINT_FORMAT_H_

#include <cstddef>
#include <span>
#include <string>

namespace tensorbroker {

// Floats with four digits: `1.` where all are integers, `1.5000`, or `1.5000e+00` where their range is wide.
class NumberFormat {
 public:
  // What counts as a number that the format must fit.
  enum class Counted { kFiniteNonzero, kE8M0 };

  // The format for these floats. float8_e8m0fnu is apart since torch asks the dtype itself: isfinite() is true of its
  // NaN, and ne(0) false of its smallest value.
  explicit NumberFormat(std::span<const double> values, Counted counted = Counted::kFiniteNonzero);
  // The format for texts that are what they are (integers and bools), padded to a common width.
  explicit NumberFormat(std::span<const std::string> texts);

  std::size_t width() const noexcept { return width_; }
  std::string format(double value) const;
  std::string pad(std::string text) const;

 private:
  std::string number(double value) const;

  bool integral_ = true;
  bool scientific_ = false;
  std::size_t width_ = 1;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_PRINT_FORMAT_H_
