// The user's metadata of a tensor or bundle: a JSON object as text.
//
// Pure and thread safe.

#ifndef TENSORBROKER_CLIENT_METADATA_H_
#define TENSORBROKER_CLIENT_METADATA_H_

#include <string_view>

namespace tensorbroker {

// Throws InvalidArgumentError unless `metadata` is empty (none) or one JSON object of at most 64 KiB.
void check_metadata(std::string_view metadata);

// What users see for none.
inline constexpr std::string_view kNoMetadata = "{}";

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_METADATA_H_
