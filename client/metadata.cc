#include "client/metadata.h"

#include <tensorbroker/error.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "proto/limits.h"

namespace tensorbroker {
namespace {

// Enough of a bad text to recognise it by.
std::string excerpt(std::string_view text) {
  constexpr std::size_t kShown = 40;
  return "'" + std::string(text.substr(0, kShown)) + (text.size() > kShown ? "...'" : "'");
}

bool is_object(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{' && nlohmann::json::accept(text);
}

}  // namespace

void check_metadata(std::string_view metadata) {
  if (metadata.empty()) return;
  if (metadata.size() > kMaxMetadataBytes) {
    throw InvalidArgumentError("metadata of " + std::to_string(metadata.size()) + " bytes as JSON; at most " +
                               std::to_string(kMaxMetadataBytes) + " fit, put the rest into a tensor");
  }
  if (!is_object(metadata)) {
    throw InvalidArgumentError("metadata must be one JSON object, such as {\"step\": 1}; not " + excerpt(metadata));
  }
}

}  // namespace tensorbroker
