#include "client/safetensors_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <system_error>
#include <utility>

#include "client/bundle_layout.h"
#include "client/storage.h"
#include "proto/geometry.h"
#include "proto/limits.h"

namespace tensorbroker::safetensors {
namespace {

constexpr std::size_t kAtOnce = std::size_t{1} << 30;  // one call transfers less than 2 GiB anyway

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  const int error = errno;
  throw FileError(error, path, "cannot " + what + " the file '" + path + "': " + std::strerror(error));
}

int open_to_read(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(path, "open");
  return fd;
}

// A file beside the one meant, which it replaces when it is whole, or else is gone.
class Replacement {
 public:
  // A link is followed; what is there must be a regular file, whose mode the new one gets.
  explicit Replacement(const std::string& path) : path_(path), target_(resolve(path)) {
    struct stat old{};
    const bool is_there = stat(target_.c_str(), &old) == 0;
    if (is_there && !S_ISREG(old.st_mode)) {
      errno = S_ISDIR(old.st_mode) ? EISDIR : EINVAL;
      fail(path, "replace");
    }
    static std::atomic<unsigned> made{0};
    do {
      temporary_ = target_ + ".part-" + std::to_string(getpid()) + "-" + std::to_string(made++);
      fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (fd_ < 0 && errno == EEXIST);
    if (fd_ < 0) fail(path, "create");
    if (is_there) fchmod(fd_, old.st_mode & 07777);
  }
  ~Replacement() {
    if (fd_ < 0) return;
    close(fd_);
    unlink(temporary_.c_str());
  }
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;

  void write(const void* data, std::size_t bytes) {
    const auto* from = static_cast<const std::byte*>(data);
    while (bytes != 0) {
      const ssize_t written = ::write(fd_, from, std::min(bytes, kAtOnce));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) give_up("write");
      from += written;
      bytes -= static_cast<std::size_t>(written);
    }
  }

  void finish() {
    if (rename(temporary_.c_str(), target_.c_str()) != 0) give_up("replace");
    close(std::exchange(fd_, -1));
  }

 private:
  [[noreturn]] void give_up(const std::string& what) const { fail(path_, what); }

  static std::string resolve(const std::string& path) {
    std::error_code error;
    const auto resolved = std::filesystem::weakly_canonical(path, error);
    return error ? path : resolved.string();
  }

  const std::string& path_;  // as the caller named it
  const std::string target_;
  std::string temporary_;
  int fd_ = -1;
};

std::vector<std::size_t> widest_first(std::span<const Bundle::Member> tensors) {
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return tensors[a].second.itemsize() > tensors[b].second.itemsize();
  });
  return order;
}

// The members, with the offsets that they have when their data lie in that order.
std::vector<Member> describe(std::span<const Bundle::Member> tensors, const std::vector<std::size_t>& order) {
  std::vector<Member> members(tensors.size());
  std::uint64_t end = 0;
  for (const std::size_t i : order) {
    const auto& [name, tensor] = tensors[i];
    members[i] = {name, tensor.dtype(), {tensor.sizes().begin(), tensor.sizes().end()}, end, end + tensor.nbytes()};
    end = members[i].end;
  }
  return members;
}

void write_elements(Replacement& file, const Tensor& tensor) {
  if (tensor.is_contiguous()) return file.write(tensor.const_data(), tensor.nbytes());
  const detail::StorageRef copy = detail::Storage::heap(tensor.nbytes());
  copy_elements(tensor, contiguous_geometry(tensor.sizes()), tensor.dtype(), copy->data());
  file.write(copy->data(), tensor.nbytes());
}

}  // namespace

File::File(std::string path) : path_(std::move(path)), fd_(open_to_read(path_)) {
  try {
    struct stat about{};
    if (fstat(fd_, &about) != 0) fail(path_, "look at");
    if (!S_ISREG(about.st_mode)) throw InvalidArgumentError("it is no regular file");
    const auto bytes = static_cast<std::uint64_t>(about.st_size);
    if (bytes < kLengthBytes) throw InvalidArgumentError("it has " + std::to_string(bytes) + " bytes, fewer than 8");
    std::array<std::byte, kLengthBytes> length{};
    read_at(0, length.data(), length.size());
    std::string json(parse_length(length, bytes), '\0');
    read_at(kLengthBytes, json.data(), json.size());
    data_begin_ = kLengthBytes + json.size();
    header_ = parse_header(json, bytes - data_begin_);
    lay_out();
  } catch (const InvalidArgumentError& error) {
    close(fd_);
    throw InvalidArgumentError("'" + path_ + "': " + error.what());
  } catch (...) {
    close(fd_);
    throw;
  }
}

File::~File() { close(fd_); }

void File::lay_out() {
  for (const Member& m : header_.members) {
    const std::uint64_t offset = m.end == m.begin ? 0 : round_up(block_bytes_, kMemberAlignment);
    specs_.push_back(make_spec(m.name, m.dtype, contiguous_geometry(m.sizes), offset));
    if (m.end != m.begin) block_bytes_ = offset + (m.end - m.begin);
  }
}

void File::read(std::byte* block) const {
  for (const std::size_t i : data_order(header_.members)) {
    const Member& m = header_.members[i];
    read_at(data_begin_ + m.begin, block + specs_[i].offset, m.end - m.begin);
  }
}

void File::read_at(std::uint64_t offset, void* to, std::size_t bytes) const {
  auto* place = static_cast<std::byte*>(to);
  while (bytes != 0) {
    const ssize_t got = pread(fd_, place, std::min(bytes, kAtOnce), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_, "read");
    if (got == 0) throw InvalidArgumentError("'" + path_ + "' became shorter while it was read");
    place += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
}

void write(const std::string& path, std::span<const Bundle::Member> tensors, std::string_view metadata) {
  const std::vector<std::size_t> order = widest_first(tensors);
  const std::string header = encode_header(describe(tensors, order), metadata);
  Replacement file(path);
  file.write(header.data(), header.size());
  for (const std::size_t i : order) write_elements(file, tensors[i].second);
  file.finish();
}

}  // namespace tensorbroker::safetensors
