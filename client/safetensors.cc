#include "client/safetensors.h"

#include <tensorbroker/error.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <unordered_set>
#include <utility>

#include "proto/geometry.h"

namespace tensorbroker::safetensors {
namespace {

static_assert(std::endian::native == std::endian::little, "the format's integers and elements are little-endian");

constexpr std::string_view kMetadataKey = "__metadata__";
// Keeps metadata whose values are not all strings, which the format cannot.
constexpr const char* kWholeMetadataKey = "tensorbroker";

[[noreturn]] void refuse(const std::string& what) {
  throw InvalidArgumentError("not a safetensors file that can be read: " + what);
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kShown = 60;
  return "'" + std::string(text.substr(0, kShown)) + (text.size() > kShown ? "...'" : "'");
}

// Takes the JSON event by event, so that depth, repeated names and types are judged before anything is stored.
class Reader : public nlohmann::json_sax<nlohmann::json> {
 public:
  Header finish() && {
    if (!metadata_.empty()) header_.metadata = metadata_text();
    return std::move(header_);
  }

  bool null() override { return wrong("null"); }
  bool boolean(bool /*value*/) override { return wrong("a boolean"); }
  bool number_integer(number_integer_t value) override { return wrong(std::to_string(value)); }
  bool number_float(number_float_t /*value*/, const string_t& text) override { return wrong(text); }
  bool binary(binary_t& /*value*/) override { return wrong("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (state_ == State::kShape) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) wrong(std::to_string(value));
      member().sizes.push_back(static_cast<std::int64_t>(value));
    } else if (state_ == State::kOffsets && offsets_ < 2) {
      (offsets_++ == 0 ? member().begin : member().end) = value;
    } else {
      wrong(std::to_string(value));
    }
    return true;
  }

  bool string(string_t& value) override {
    if (state_ == State::kMetadata) {
      metadata_[key_] = value;
    } else if (state_ == State::kTensor && key_ == "dtype") {
      const auto dtype = dtype_from_safetensors(value);
      if (!dtype)
        refuse("the dtype " + in_quotes(value) + " of " + in_quotes(member().name) + " is none that tensors have");
      member().dtype = *dtype;
    } else {
      wrong(in_quotes(value));
    }
    return true;
  }

  bool start_object(std::size_t /*elements*/) override {
    if (state_ == State::kBegin) {
      state_ = State::kRoot;
    } else if (state_ == State::kRoot) {
      fields_.clear();
      if (key_ == kMetadataKey) {
        state_ = State::kMetadata;
      } else {
        state_ = State::kTensor;
        header_.members.push_back({.name = key_, .dtype = {}, .sizes = {}});
        offsets_ = 0;
      }
    } else {
      wrong("an object");
    }
    return true;
  }

  bool key(string_t& value) override {
    std::unordered_set<std::string>& known = state_ == State::kRoot ? names_ : fields_;
    if (!known.insert(value).second) refuse("the name " + in_quotes(value) + " occurs twice");
    if (state_ == State::kTensor && value != "dtype" && value != "shape" && value != "data_offsets") {
      refuse(in_quotes(member().name) + " has a field " + in_quotes(value));
    }
    key_ = value;
    return true;
  }

  bool end_object() override {
    if (state_ == State::kTensor) check_member();
    state_ = state_ == State::kRoot ? State::kBegin : State::kRoot;
    return true;
  }

  bool start_array(std::size_t /*elements*/) override {
    if (state_ == State::kTensor && key_ == "shape") {
      state_ = State::kShape;
    } else if (state_ == State::kTensor && key_ == "data_offsets") {
      state_ = State::kOffsets;
    } else {
      wrong("an array");
    }
    return true;
  }

  bool end_array() override {
    if (state_ == State::kOffsets && offsets_ != 2)
      refuse("data_offsets of " + in_quotes(member().name) + " are not two");
    state_ = State::kTensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    refuse("its header is no JSON at byte " + std::to_string(position));
  }

 private:
  enum class State { kBegin, kRoot, kMetadata, kTensor, kShape, kOffsets };

  Member& member() { return header_.members.back(); }

  // A value of a kind that cannot stand where it stands.
  [[noreturn]] bool wrong(const std::string& value) const {
    refuse(value + " stands where " + (key_.empty() ? "the header should be" : in_quotes(key_) + " is described"));
  }

  void check_member() {
    const Member& m = member();
    if (fields_.size() != 3) refuse(in_quotes(m.name) + " lacks one of dtype, shape and data_offsets");
    std::int64_t bytes = 0;
    try {
      bytes = checked_nbytes(m.sizes, itemsize(m.dtype));
    } catch (const Error& error) {
      refuse("the shape of " + in_quotes(m.name) + ": " + error.what());
    }
    if (m.end < m.begin || m.end - m.begin != static_cast<std::uint64_t>(bytes)) {
      refuse("the data_offsets " + std::to_string(m.begin) + " and " + std::to_string(m.end) + " of " +
             in_quotes(m.name) + " do not hold its " + std::to_string(bytes) + " bytes");
    }
  }

  std::string metadata_text() {
    const auto whole = metadata_.find(kWholeMetadataKey);
    if (whole != metadata_.end()) {
      std::string text = whole->get<std::string>();
      if (nlohmann::json::parse(text, nullptr, false).is_object()) return text;
    }
    return metadata_.dump();
  }

  State state_ = State::kBegin;
  Header header_;
  nlohmann::ordered_json metadata_ = nlohmann::ordered_json::object();
  std::string key_;
  int offsets_ = 0;
  std::unordered_set<std::string> names_;
  std::unordered_set<std::string> fields_;
};

void check_cover(const std::vector<Member>& members, std::uint64_t data_bytes) {
  std::uint64_t end = 0;
  for (const std::size_t i : data_order(members)) {
    const Member& m = members[i];
    if (m.begin != end) {
      refuse("the data of " + in_quotes(m.name) + " begin at byte " + std::to_string(m.begin) +
             ", and those before end at " + std::to_string(end));
    }
    end = m.end;
  }
  if (end != data_bytes) {
    refuse("it holds " + std::to_string(data_bytes) + " bytes of data, and its tensors " + std::to_string(end));
  }
}

nlohmann::ordered_json string_values(std::string_view metadata) {
  const auto object = nlohmann::ordered_json::parse(metadata);
  auto strings = nlohmann::ordered_json::object();
  bool lossy = object.contains(kWholeMetadataKey);
  for (const auto& [key, value] : object.items()) {
    lossy = lossy || !value.is_string();
    strings[key] = value.is_string() ? value : nlohmann::ordered_json(value.dump());
  }
  if (lossy) strings[kWholeMetadataKey] = object.dump();
  return strings;
}

}  // namespace

std::uint64_t parse_length(std::span<const std::byte, kLengthBytes> bytes, std::uint64_t file_bytes) {
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    refuse("its header would be " + std::to_string(length) + " bytes long; the most are " +
           std::to_string(kMaxHeaderBytes));
  }
  if (file_bytes < kLengthBytes || length > file_bytes - kLengthBytes) {
    refuse("its header would be " + std::to_string(length) + " bytes long, the file " + std::to_string(file_bytes));
  }
  return length;
}

std::vector<std::size_t> data_order(std::span<const Member> members) {
  std::vector<std::size_t> order(members.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(members[a].begin, members[a].end) < std::pair(members[b].begin, members[b].end);
  });
  return order;
}

Header parse_header(std::string_view json, std::uint64_t data_bytes) {
  if (json.empty() || json.front() != '{') refuse("its header does not begin with '{'");
  Reader reader;
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  Header header = std::move(reader).finish();
  check_cover(header.members, data_bytes);
  return header;
}

std::string encode_header(std::span<const Member> members, std::string_view metadata) {
  auto json = nlohmann::ordered_json::object();
  if (!metadata.empty() && metadata != "{}") json[std::string(kMetadataKey)] = string_values(metadata);
  for (const Member& m : members) {
    const std::string_view dtype = info(m.dtype).safetensors;
    if (dtype.empty()) {
      throw TypeError("the dtype " + std::string(name(m.dtype)) + " of " + in_quotes(m.name) +
                      " has no name in safetensors files; convert it first");
    }
    if (m.name == kMetadataKey) throw InvalidArgumentError("a tensor cannot be called '__metadata__' in such a file");
    json[m.name] = {{"dtype", dtype}, {"shape", m.sizes}, {"data_offsets", {m.begin, m.end}}};
  }
  std::string text = json.dump();
  text.resize((text.size() + kLengthBytes - 1) / kLengthBytes * kLengthBytes, ' ');
  if (text.size() > kMaxHeaderBytes) {
    throw InvalidArgumentError("the file's header would be " + std::to_string(text.size()) +
                               " bytes long; the most are " + std::to_string(kMaxHeaderBytes));
  }
  const std::uint64_t length = text.size();
  std::array<char, kLengthBytes> prefix{};
  std::memcpy(prefix.data(), &length, kLengthBytes);
  return std::string(prefix.data(), kLengthBytes) + text;
}

}  // namespace tensorbroker::safetensors
