#include "proto/instance_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

#include "proto/own_file.h"
#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

constexpr int kAttempts = 100;
constexpr int kPatience = 20;  // attempts, a millisecond each

// The file says: pid, newline, runtime directory, newline.
std::optional<LockRecord> read_record(int fd) {
  std::array<char, 4200> buffer{};
  const ssize_t n = pread(fd, buffer.data(), buffer.size(), 0);
  if (n <= 0) return std::nullopt;
  const std::string_view text(buffer.data(), static_cast<std::size_t>(n));
  const std::size_t first = text.find('\n');
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t second = text.find('\n', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  LockRecord record;
  std::from_chars(text.data(), text.data() + first, record.pid);
  record.runtime_dir = text.substr(first + 1, second - first - 1);
  return record;
}

void write_record(int fd, const LockRecord& record, const std::string& path) {
  const std::string text = std::to_string(record.pid) + "\n" + record.runtime_dir + "\n";
  if (ftruncate(fd, 0) != 0 || pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    throw OutOfMemoryError("cannot write " + path + ": " + std::strerror(errno) +
                           "; free some of /dev/shm or enlarge it (in a container: --shm-size)");
  }
}

bool names_this_file(int fd, const std::string& path) {
  struct stat mine{};
  struct stat named{};
  return fstat(fd, &mine) == 0 && lstat(path.c_str(), &named) == 0 && mine.st_dev == named.st_dev &&
         mine.st_ino == named.st_ino;
}

int open_lock(const std::string& path, uid_t owner) {
  const int fd = open_own_file(path, O_RDWR | O_CREAT, owner);
  if (fd >= 0) return fd;
  throw Error(ErrorCode::kRuntime, "cannot open the lock " + path + ": " + std::strerror(errno) +
                                       "; /dev/shm must be mounted and writable by this user");
}

// -1 where it cannot be opened or is not the owner's.
int try_open_lock(const std::string& path, uid_t owner) {
  try {
    return open_own_file(path, O_RDONLY, owner);
  } catch (const AccessError&) {
    return -1;
  }
}

}  // namespace

std::optional<InstanceLock> InstanceLock::acquire(const InstanceName& name, const LockRecord& record,
                                                  LockRecord* holder) {
  const std::string path = name.lock_path();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    InstanceLock lock(open_lock(path, name.uid), path);
    if (flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) {
        throw Error(ErrorCode::kRuntime, "cannot lock " + path + ": " + std::strerror(errno));
      }
      // A look by living_broker() holds the lock for an instant without being a broker: try for a while.
      if (attempt < kPatience) {
        usleep(1000);
        continue;
      }
      *holder = read_record(lock.fd_).value_or(LockRecord{});
      return std::nullopt;
    }
    if (!names_this_file(lock.fd_, path)) continue;
    try {
      write_record(lock.fd_, record, path);
    } catch (...) {
      lock.remove_name();
      throw;
    }
    return lock;
  }
  throw Error(ErrorCode::kRuntime, "the lock " + path + " keeps being replaced; end whatever cleans /dev/shm");
}

InstanceLock::InstanceLock(InstanceLock&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}

InstanceLock& InstanceLock::operator=(InstanceLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  return *this;
}

InstanceLock::~InstanceLock() {
  if (fd_ >= 0) close(fd_);
}

bool InstanceLock::still_named() const noexcept { return names_this_file(fd_, path_); }

void InstanceLock::remove_name() noexcept {
  if (still_named()) unlink(path_.c_str());
}

std::optional<LockRecord> living_broker(const InstanceName& name) {
  const int fd = try_open_lock(name.lock_path(), name.uid);
  if (fd < 0) return std::nullopt;
  std::optional<LockRecord> record;
  if (flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK) record = read_record(fd);
  close(fd);
  return record;
}

}  // namespace tensorbroker
