// Safetensors files on disk: read straight into a block, written from tensors where they lie.
//
// Nothing of a file is mapped: one that shrinks while it is read is an error, never a signal. Thread safe.

#ifndef TENSORBROKER_CLIENT_SAFETENSORS_FILE_H_
#define TENSORBROKER_CLIENT_SAFETENSORS_FILE_H_

#include <tensorbroker/bundle.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "client/safetensors.h"
#include "proto/header.h"

namespace tensorbroker::safetensors {

class File {
 public:
  // Opens the file and checks its header. Throws FileError and InvalidArgumentError, which name the file.
  explicit File(std::string path);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const Header& header() const noexcept { return header_; }
  // Where its tensors will lie in a bundle's block, and how long that is.
  const std::vector<TensorSpec>& specs() const noexcept { return specs_; }
  std::uint64_t block_bytes() const noexcept { return block_bytes_; }

  // Reads each tensor to its place in the block. InvalidArgumentError where the file is shorter by now.
  void read(std::byte* block) const;

 private:
  void lay_out();
  void read_at(std::uint64_t offset, void* to, std::size_t bytes) const;

  std::string path_;
  int fd_;
  std::uint64_t data_begin_ = 0;
  Header header_;
  std::vector<TensorSpec> specs_;  // as header_.members
  std::uint64_t block_bytes_ = 0;
};

// Writes the tensors, their data the widest dtypes first so that all lie aligned, and replaces what was at `path` when
// the file is whole. `metadata`: a JSON object as text. Throws FileError, TypeError for a dtype that such files do not
// have, and InvalidArgumentError; nothing is left of a file that was not finished.
void write(const std::string& path, std::span<const Bundle::Member> tensors, std::string_view metadata);

}  // namespace tensorbroker::safetensors

#endif  // TENSORBROKER_CLIENT_SAFETENSORS_FILE_H_
