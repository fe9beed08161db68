// Names: of tensors and bundles, and of instances. Pure and thread safe.

#ifndef TENSORBROKER_PROTO_NAME_H_
#define TENSORBROKER_PROTO_NAME_H_

#include <cstdint>
#include <string_view>

namespace tensorbroker {

// Throws InvalidArgumentError unless `name` is 1 to 255 bytes of UTF-8 without control characters (Unicode category
// Cc) that does not begin with "tb://".
void check_name(std::string_view name);

// XXH3-64 of the name's bytes: the key of the name index and of the futex words.
std::uint64_t hash_name(std::string_view name) noexcept;

// Throws InvalidArgumentError unless `instance` is 1 to 64 characters of [A-Za-z0-9_-], so that it can stand in
// file names between dots.
void check_instance(std::string_view instance);

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_NAME_H_
