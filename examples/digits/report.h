// What the worker says on standard output: a line for people, or one JSON object for each line.
//
// Not thread safe: the request thread alone reports.

#ifndef TENSORBROKER_EXAMPLES_DIGITS_REPORT_H_
#define TENSORBROKER_EXAMPLES_DIGITS_REPORT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace digits {

// What one version of the model did in its first pass through the held-out images.
struct Tally {
  std::int64_t first_answer = 0;  // when, steady clock, nanoseconds; 0 before there is one
  std::int64_t images = 0;
  std::int64_t correct = 0;
  bool reported = false;
};

class Report {
 public:
  explicit Report(bool json) : json_(json) {}

  void ready() const;

  // `latency`: nanoseconds from put returning in the trainer to the first answer, where that is known.
  // `metadata`: the model's, a JSON object as text. `copied`: bytes of weights and request that had to be copied.
  void version(std::uint64_t version, std::string_view metadata, const Tally& tally,
               std::optional<std::int64_t> latency, std::size_t nbytes, std::size_t copied) const;

  void end(std::int64_t requests, std::int64_t images, std::int64_t versions) const;

 private:
  bool json_;
};

}  // namespace digits

#endif  // TENSORBROKER_EXAMPLES_DIGITS_REPORT_H_
