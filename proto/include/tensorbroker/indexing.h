// The terms of basic indexing, tensor[1, 2:8:2, ..., None]. Plain values.

#ifndef TENSORBROKER_INDEXING_H_
#define TENSORBROKER_INDEXING_H_

#include <cstdint>
#include <optional>
#include <variant>

namespace tensorbroker {

// start:stop:step of Python; an absent bound is the end in that direction.
struct Slice {
  std::optional<std::int64_t> start;
  std::optional<std::int64_t> stop;
  std::int64_t step = 1;
};
struct Ellipsis {};
struct NewAxis {};

using Index = std::variant<std::int64_t, Slice, Ellipsis, NewAxis>;

}  // namespace tensorbroker

#endif  // TENSORBROKER_INDEXING_H_
