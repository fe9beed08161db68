// The texts that users and other processes give: handles, names, metadata, instances, names of segments.

#include <tensorbroker/error.h>

#include <string>

#include "client/handle.h"
#include "client/metadata.h"
#include "proto/name.h"
#include "proto/segment_name.h"
#include "tests/fuzz/choices.h"

namespace tensorbroker::fuzz {
namespace {

template <class Check>
bool accepts(Check&& check) {
  try {
    check();
    return true;
  } catch (const InvalidArgumentError& error) {
    require(error.what()[0] != '\0', "an error says something");
    return false;
  }
}

void check_handle(std::string_view text) {
  Handle handle;
  if (!accepts([&] { handle = parse_handle(text); })) return;
  require(is_handle(text), "what is parsed as a handle begins as one");
  require(parse_handle(format_handle(handle)) == handle, "a handle is read as it was written");
  require(!accepts([&] { check_name(text); }), "no name is a handle");
}

void check_segment_name(std::string_view text) {
  const InstanceName instance{.uid = 1000, .instance = "default"};
  const auto id = parse_segment_name(instance, text);
  if (id) require(instance.segment(id->kind, id->id) == text, "a segment's name is read as it was written");
}

}  // namespace
}  // namespace tensorbroker::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tensorbroker::fuzz;
  // Exactly as long as it is, for a read behind its end to be seen.
  const std::unique_ptr<char[]> copy(new char[size]);
  std::copy(data, data + size, copy.get());
  const std::string_view text(copy.get(), size);
  check_handle(text);
  check_segment_name(text);
  accepts([&] { tensorbroker::check_name(text); });
  accepts([&] { tensorbroker::check_instance(text); });
  accepts([&] { tensorbroker::check_metadata(text); });
  return 0;
}
