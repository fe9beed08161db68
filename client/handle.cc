#include "client/handle.h"

#include <tensorbroker/error.h>

#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "proto/limits.h"
#include "proto/name.h"

namespace tensorbroker {
namespace {

constexpr std::string_view kScheme = "tb://";
constexpr std::size_t kKeyDigits = 16;
constexpr std::size_t kMostDigits = 20;  // of a number
constexpr std::array<std::pair<std::string_view, OpenMode>, 3> kModes{
    {{"r", OpenMode::kRead}, {"r+", OpenMode::kReadWrite}, {"c", OpenMode::kCopyOnWrite}}};

void append_number(std::uint64_t number, std::string* text) {
  std::array<char, kMostDigits> digits;
  text->append(digits.data(), std::to_chars(digits.begin(), digits.end(), number).ptr);
}

std::string hex_key(std::uint64_t key) {
  std::string text(kKeyDigits, '0');
  for (std::size_t i = kKeyDigits; i > 0; --i, key >>= 4) text[i - 1] = "0123456789abcdef"[key & 0xf];
  return text;
}

// Cuts `*rest` at the first `separator`; the part before it.
std::optional<std::string_view> cut(std::string_view* rest, char separator) {
  const std::size_t at = rest->find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view part = rest->substr(0, at);
  rest->remove_prefix(at + 1);
  return part;
}

template <class Number>
bool read_number(std::optional<std::string_view> text, int base, Number* number) {
  if (!text || text->empty()) return false;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *number, base);
  return error == std::errc() && end == text->data() + text->size();
}

bool read_mode(std::string_view text, OpenMode* mode) {
  for (const auto& [name, value] : kModes) {
    if (text == name) {
      *mode = value;
      return true;
    }
  }
  return false;
}

bool read_handle(std::string_view rest, Handle* handle) {
  const auto instance = cut(&rest, '/');
  const auto key = cut(&rest, '/');
  if (!instance || !key || key->size() != kKeyDigits) return false;
  handle->instance = *instance;
  return read_number(key, 16, &handle->instance_key) && read_number(cut(&rest, '.'), 10, &handle->entry) &&
         read_number(cut(&rest, '.'), 10, &handle->version) && handle->version <= (~std::uint64_t{0} >> 1) &&
         read_mode(rest, &handle->mode);
}

}  // namespace

std::uint64_t instance_key(const InstanceId& id) noexcept {
  std::uint64_t key = 0;
  for (std::size_t i = 0; i < sizeof key; ++i) key = key << 8 | id[i];
  return key;
}

std::string handle_beginning(std::string_view instance, std::uint64_t instance_key) {
  return std::string(kScheme).append(instance).append("/").append(hex_key(instance_key)).append("/");
}

std::string format_handle(std::string_view beginning, EntryId entry, std::uint64_t version, OpenMode mode) {
  std::string text;
  text.reserve(beginning.size() + kMostDigits + 1 + kMostDigits + 1 + 2);
  append_number(entry, &text.append(beginning));
  append_number(version, &text.append("."));
  text.append(".");
  for (const auto& [name, value] : kModes) {
    if (value == mode) text.append(name);
  }
  return text;
}

std::string format_handle(const Handle& handle) {
  return format_handle(handle_beginning(handle.instance, handle.instance_key), handle.entry, handle.version,
                       handle.mode);
}

bool is_handle(std::string_view text) noexcept { return text.starts_with(kScheme); }

Handle parse_handle(std::string_view text) {
  Handle handle;
  if (!is_handle(text) || !read_handle(text.substr(kScheme.size()), &handle)) {
    throw InvalidArgumentError("'" + std::string(text.substr(0, 2 * kMaxNameBytes)) +
                               "' is not a handle; take one from a tensor's handle");
  }
  check_instance(handle.instance);
  return handle;
}

}  // namespace tensorbroker
