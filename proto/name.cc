#include "proto/name.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>
#include <string>

#include "proto/limits.h"
#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

constexpr std::string_view kHandlePrefix = "tb://";

// The code point at the front of `text`, removed from it; nullopt where it is not well-formed UTF-8
// (Unicode 15, table 3-7).
std::optional<char32_t> take_code_point(std::string_view& text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  std::size_t length = 1;
  char32_t point = lead;
  char32_t least = 0;
  if (lead >= 0x80) {
    if (lead >= 0xc2 && lead <= 0xdf) {
      length = 2, point = lead & 0x1fu, least = 0x80;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      length = 3, point = lead & 0x0fu, least = 0x800;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      length = 4, point = lead & 0x07u, least = 0x10000;
    } else {
      return std::nullopt;
    }
  }
  if (text.size() < length) return std::nullopt;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return std::nullopt;
    point = point << 6 | (byte(i) & 0x3fu);
  }
  if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return std::nullopt;
  text.remove_prefix(length);
  return point;
}

// Whether eight bytes are printable ASCII: 0x20 to 0x7e. Each is tried by subtracting and adding in its place, which
// sets its highest bit where it is not; the first such one from the right is not misled by those beside it.
bool are_plain(const char* bytes) {
  constexpr std::uint64_t kOnes = 0x0101010101010101;
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return (((word - 0x20 * kOnes) | word | (word + kOnes)) & 0x80 * kOnes) == 0;
}

// How many bytes at its front are printable ASCII.
std::size_t plain_prefix(std::string_view text) {
  std::size_t n = 0;
  while (n + sizeof(std::uint64_t) <= text.size() && are_plain(text.data() + n)) n += sizeof(std::uint64_t);
  while (n < text.size() && text[n] >= 0x20 && text[n] < 0x7f) ++n;
  return n;
}

// The text for a message: what cannot be printed is shown as \xNN, what is long is cut.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 80)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      constexpr char kHex[] = "0123456789abcdef";
      out += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  if (text.size() > 80) out += "...";
  return out;
}

}  // namespace

void check_name(std::string_view name) {
  if (name.empty()) throw InvalidArgumentError("a name must not be empty: give it 1 to 255 bytes of UTF-8");
  if (name.size() > kMaxNameBytes) {
    throw InvalidArgumentError("the name '" + printable(name) + "' has " + std::to_string(name.size()) +
                               " bytes; shorten it to 255");
  }
  if (name.starts_with(kHandlePrefix)) {
    throw InvalidArgumentError("the name '" + printable(name) +
                               "' begins with tb://, which marks handles; choose another, or open() the handle");
  }
  std::string_view rest = name;
  rest.remove_prefix(plain_prefix(rest));  // nearly always the whole of it
  while (!rest.empty()) {
    const auto point = take_code_point(rest);
    if (!point) throw InvalidArgumentError("the name '" + printable(name) + "' is not UTF-8; encode it so");
    if (*point < 0x20 || (*point >= 0x7f && *point < 0xa0)) {
      throw InvalidArgumentError("the name '" + printable(name) + "' has a control character; leave it out");
    }
  }
}

std::uint64_t hash_name(std::string_view name) noexcept { return XXH3_64bits(name.data(), name.size()); }

void check_instance(std::string_view instance) {
  const auto fits = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; };
  if (instance.empty() || instance.size() > 64 || !std::all_of(instance.begin(), instance.end(), fits)) {
    throw InvalidArgumentError("the instance name '" + printable(instance) +
                               "' must be 1 to 64 characters of A-Z a-z 0-9 _ -");
  }
}

}  // namespace tensorbroker
