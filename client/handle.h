// The text of a handle: what names one published tensor or bundle, by entry and version, in any process of the
// instance.
//
//   tb://<instance>/<16 hex digits: the first half of the instance's id>/<entry>.<version>.<r|r+|c>
//
// Pure and thread safe.

#ifndef TENSORBROKER_CLIENT_HANDLE_H_
#define TENSORBROKER_CLIENT_HANDLE_H_

#include <tensorbroker/client.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/catalog_layout.h"
#include "proto/segment.h"

namespace tensorbroker {

struct Handle {
  std::string instance;
  std::uint64_t instance_key = 0;  // instance_key() of the instance's id
  EntryId entry = kNoEntry;
  std::uint64_t version = 0;
  OpenMode mode = OpenMode::kRead;

  friend bool operator==(const Handle&, const Handle&) = default;
};

// The first 8 bytes of an instance's id, most significant first.
std::uint64_t instance_key(const InstanceId& id) noexcept;

std::string format_handle(const Handle& handle);

// The same in two steps, for many handles of one instance: how all of them begin, and the rest of one.
std::string handle_beginning(std::string_view instance, std::uint64_t instance_key);
std::string format_handle(std::string_view beginning, EntryId entry, std::uint64_t version, OpenMode mode);

// Whether `text` is meant as a handle: no name begins so.
bool is_handle(std::string_view text) noexcept;

// Throws InvalidArgumentError, naming the text, where it is not a well-formed handle.
Handle parse_handle(std::string_view text);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_HANDLE_H_
