// Safetensors files: one that is accepted is read to where its header says, and its header can be written again.

#include <sys/mman.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/safetensors.h"
#include "client/safetensors_file.h"
#include "tests/fuzz/choices.h"

namespace tensorbroker::fuzz {
namespace {

namespace st = safetensors;

// One file in memory for all inputs.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("fuzz", MFD_CLOEXEC)), path_("/proc/self/fd/" + std::to_string(fd_)) {}
  void fill(const std::uint8_t* data, std::size_t size) const {
    require(ftruncate(fd_, static_cast<off_t>(size)) == 0 && pwrite(fd_, data, size, 0) == static_cast<ssize_t>(size),
            "the file can be written");
  }
  const std::string& path() const { return path_; }

 private:
  int fd_;
  std::string path_;
};

void check_written_again(const st::Header& header) {
  const std::string text = st::encode_header(header.members, header.metadata);
  std::uint64_t data_bytes = 0;
  for (const st::Member& m : header.members) data_bytes = std::max(data_bytes, m.end);
  const st::Header again = st::parse_header(std::string_view(text).substr(st::kLengthBytes), data_bytes);
  require(again.members.size() == header.members.size(), "as many tensors are read as were written");
  for (std::size_t i = 0; i < header.members.size(); ++i) {
    const st::Member& a = header.members[i];
    const st::Member& b = again.members[i];
    require(a.name == b.name && a.dtype == b.dtype && a.sizes == b.sizes && a.begin == b.begin && a.end == b.end,
            "a tensor is read as it was written");
  }
  const auto object = [](const std::string& metadata) {
    return nlohmann::json::parse(metadata.empty() ? "{}" : metadata);
  };
  require(object(again.metadata) == object(header.metadata), "metadata are read as they were written");
}

void check_file(const std::string& path, const std::uint8_t* data, std::size_t size) {
  const st::File file(path);
  const std::vector<st::Member>& members = file.header().members;
  std::vector<std::byte> block(file.block_bytes());
  file.read(block.data());
  std::uint64_t data_bytes = 0;
  for (const st::Member& m : members) data_bytes = std::max(data_bytes, m.end);
  for (std::size_t i = 0; i < members.size(); ++i) {
    const st::Member& m = members[i];
    const std::uint8_t* const from = data + (size - data_bytes) + m.begin;
    require(m.begin == m.end || std::memcmp(from, block.data() + file.specs()[i].offset, m.end - m.begin) == 0,
            "a tensor's bytes are those of the file");
  }
  check_written_again(file.header());
}

}  // namespace
}  // namespace tensorbroker::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tensorbroker::fuzz;
  static const MemoryFile file;
  file.fill(data, size);
  try {
    check_file(file.path(), data, size);
  } catch (const tensorbroker::InvalidArgumentError&) {  // refused
  }
  return 0;
}
