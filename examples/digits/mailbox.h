// The mailbox through which one client asks and the worker answers: mutable tensors that both sides alias.
//
//   digits/request/images   float32 [64, 64]   the client writes an image to each row (8 x 8 pixels, 0 to 1)
//   digits/request/labels   int64 [64]         and the digit that it shows
//   digits/answer/classes   int64 [64]         the worker writes the digit that it takes each image for
//   digits/control          int64 [4]          the words below; created last, so whoever finds it finds the others
//
// A request: the client fills images, labels and kCount, then raises kRequested by one. The worker fills classes and
// kVersion, then sets kAnswered to kRequested. Each word has one writer. No message goes to the broker, so this goes on
// while there is none. The number is stored after what it announces: the worker uses release and acquire for that;
// Python has neither, and relies on the processor to keep stores in order, as x86-64 does.
//
// Not thread safe: one thread of the worker serves it, and one client at a time uses it.

#ifndef TENSORBROKER_EXAMPLES_DIGITS_MAILBOX_H_
#define TENSORBROKER_EXAMPLES_DIGITS_MAILBOX_H_

#include <tensorbroker/tensorbroker.h>

#include <cstdint>
#include <optional>
#include <span>

#include "model.h"

namespace digits {

inline constexpr std::int64_t kBatch = 64;  // images in a request, at most

enum ControlWord : std::uint8_t { kRequested, kCount, kAnswered, kVersion, kControlWords };

struct Request {
  std::int64_t number;
  MatrixView images;                     // [n, kPixels], in the client's own pages
  std::span<const std::int64_t> labels;  // n
  std::span<std::int64_t> classes;       // n, where the answer belongs
};

class Mailbox {
 public:
  // Creates the tensors, or opens those of an earlier worker.
  explicit Mailbox(tensorbroker::Client& client);

  // The request that waits for its answer, if there is one.
  std::optional<Request> next() const;

  // Tells the client that the classes are there, computed with the model of that version.
  void answer(const Request& request, std::uint64_t version) const;

  // Bytes of the request that do not lie in the broker's shared memory.
  std::size_t copied_bytes() const;

 private:
  std::int64_t* word(ControlWord word) const;

  tensorbroker::Tensor images_;
  tensorbroker::Tensor labels_;
  tensorbroker::Tensor classes_;
  tensorbroker::Tensor control_;
};

}  // namespace digits

#endif  // TENSORBROKER_EXAMPLES_DIGITS_MAILBOX_H_
