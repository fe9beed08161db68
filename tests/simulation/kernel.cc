#include "tests/simulation/kernel.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "proto/limits.h"
#include "proto/segment_name.h"

namespace tensorbroker::simulation {
namespace {

std::string_view file_name(std::string_view path) {
  path.remove_prefix(path.rfind('/') + 1);  // none: npos + 1 is 0
  return path;
}

Kernel* running = nullptr;

// Address space that segments are made of, given once for the process: their memory is never mapped or unmapped. What
// is given back must read as zeros.
class AddressSpace {
 public:
  static AddressSpace& get() {
    static AddressSpace& space = *new AddressSpace;  // a kernel may end after it
    return space;
  }
  std::byte* take(std::uint64_t bytes) {
    auto& free = free_[bytes];
    if (!free.empty()) {
      std::byte* const memory = free.back();
      free.pop_back();
      return memory;
    }
    if (bytes > kBytes - used_) std::abort();  // more segments at once than a simulation has
    return begin_ + std::exchange(used_, used_ + bytes);
  }
  void give(std::byte* memory, std::uint64_t bytes) { free_[bytes].push_back(memory); }
  bool contains(const void* address) const { return address >= begin_ && address < begin_ + kBytes; }

 private:
  static constexpr std::uint64_t kBytes = 8ULL << 30;

  AddressSpace() {
    void* const mapping =
        mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) std::abort();
    begin_ = static_cast<std::byte*>(mapping);
  }

  std::byte* begin_ = nullptr;
  std::uint64_t used_ = 0;
  std::map<std::uint64_t, std::vector<std::byte*>> free_;
};

int error(int number) {
  errno = number;
  return -1;
}

int file_without_pages() {
  static const int fd = memfd_create("cut", MFD_CLOEXEC);
  return fd;
}

}  // namespace

struct Kernel::File {
  explicit File(std::uint64_t* used_bytes) : used(used_bytes) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (memory == nullptr) return;
    empty(0, bytes);
    if (is_cut) put_pages(0, bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    AddressSpace::get().give(memory, bytes);
  }

  void resize(std::uint64_t to) {
    if (memory != nullptr) return to < length ? cut(to) : grow(to);
    memory = AddressSpace::get().take(to);
    bytes = length = to;
    pages.assign(to / kPageSize, false);
  }
  // Who touches what is cut off gets the SIGBUS that it gets in earnest.
  void cut(std::uint64_t to) {
    length = to;
    if (to >= bytes) return;
    const std::uint64_t rest = round_up_to_page(to);
    empty(rest, bytes - rest);
    std::memset(memory + to, 0, rest - to);
    is_cut = true;
    if (rest < bytes) put_pages(rest, bytes, MAP_SHARED, file_without_pages());
  }
  // No memory beyond what it had at first: nobody maps that.
  void grow(std::uint64_t to) {
    const std::uint64_t from = std::min(bytes, round_up_to_page(length));
    const std::uint64_t until = std::min(bytes, round_up_to_page(to));
    length = to;
    if (is_cut && from < until) put_pages(from, until, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  }
  void put_pages(std::uint64_t from, std::uint64_t until, int flags, int fd) const {
    if (mmap(memory + from, until - from, PROT_READ | PROT_WRITE, MAP_FIXED | flags, fd, 0) == MAP_FAILED) std::abort();
  }
  void empty(std::uint64_t offset, std::uint64_t count) {
    for (std::uint64_t page = offset / kPageSize; resident > 0 && page < (offset + count) / kPageSize; ++page) {
      if (!pages[page]) continue;
      std::memset(memory + page * kPageSize, 0, kPageSize);
      pages[page] = false;
      --resident;
      *used -= kPageSize;
    }
  }

  std::uint64_t* used;
  std::byte* memory = nullptr;
  std::uint64_t bytes = 0;            // of its memory
  std::uint64_t length = 0;           // as it was truncated
  bool is_cut = false;                // or was once
  std::vector<bool> pages;            // that have memory
  std::uint64_t resident = 0;         // how many
  int locked_by_fd = 0;               // the broker's
  std::set<std::uint64_t> lockers{};  // client processes that map it with its lock
};

Kernel::Kernel() {
  AddressSpace::get();
  running = this;
}

Kernel::~Kernel() { running = nullptr; }

Kernel* Kernel::current() noexcept { return running; }

// ---------------------------------------------------------------- what fails

void Kernel::arm(Fault fault, std::uint64_t after) {
  armed_ = fault;
  countdown_ = after;
}

bool Kernel::fails(Fault fault) {
  if (armed_ != fault || countdown_-- > 0) return false;
  armed_ = Fault::kNone;
  if (fault != Fault::kInterrupted) scarce_ = true;
  return true;
}

bool Kernel::take_scarcity() { return std::exchange(scarce_, false); }

// ---------------------------------------------------------------- clients

bool Kernel::lock(const std::string& segment, std::uint64_t process) {
  const auto at = files_.find(segment);
  if (at == files_.end() || at->second->locked_by_fd != 0) return false;
  at->second->lockers.insert(process);
  return true;
}

void Kernel::unlock(const std::string& segment, std::uint64_t process) {
  if (const auto at = files_.find(segment); at != files_.end()) at->second->lockers.erase(process);
}

bool Kernel::is_locked_by_client(const std::string& segment) const {
  const auto at = files_.find(segment);
  return at != files_.end() && !at->second->lockers.empty();
}

void Kernel::end_process(std::uint64_t process) {
  for (auto& [name, file] : files_) file->lockers.erase(process);
  // Those that were unlinked, too.
  for (auto& [fd, descriptor] : open_) {
    if (descriptor.file != nullptr) descriptor.file->lockers.erase(process);
  }
  ended_.insert(process);
}

bool Kernel::has_pages(const std::string& segment, std::uint64_t offset, std::uint64_t bytes) const {
  const auto at = files_.find(segment);
  if (at == files_.end()) return false;
  const std::vector<bool>& pages = at->second->pages;
  for (std::uint64_t page = offset / kPageSize; page * kPageSize < offset + bytes; ++page) {
    if (page >= pages.size() || !pages[page]) return false;
  }
  return true;
}

// ---------------------------------------------------------------- files

bool Kernel::is_shm_path(std::string_view path) { return path.starts_with(kShmDirectory); }

bool Kernel::owns(const void* address) { return AddressSpace::get().contains(address); }

Kernel::Descriptor* Kernel::find(int fd) {
  const auto at = open_.find(fd);
  return at != open_.end() ? &at->second : nullptr;
}

int Kernel::add(Descriptor descriptor) {
  const int fd = open_.empty() ? kFirstFd : open_.rbegin()->first + 1;
  open_.emplace(fd, std::move(descriptor));
  return fd;
}

bool Kernel::exists(std::string_view name) const { return files_.contains(file_name(name)); }

int Kernel::open(std::string_view name, int flags) {
  if (fails(Fault::kNoDescriptor)) return error(EMFILE);
  name = file_name(name);
  auto at = files_.find(name);
  if ((flags & O_CREAT) != 0) {
    if (at != files_.end()) return error(EEXIST);
    at = files_.emplace(name, std::make_shared<File>(&used_bytes_)).first;
  }
  if (at == files_.end()) return error(ENOENT);
  return add({.file = at->second});
}

int Kernel::close(int fd) {
  Descriptor* const descriptor = find(fd);
  if (descriptor == nullptr) return error(EBADF);
  if (descriptor->file != nullptr && descriptor->file->locked_by_fd == fd) descriptor->file->locked_by_fd = 0;
  open_.erase(fd);
  return 0;
}

int Kernel::truncate(int fd, std::uint64_t bytes) {
  if (bytes > std::numeric_limits<std::int64_t>::max()) return error(EINVAL);
  find(fd)->file->resize(bytes);
  return 0;
}

std::int64_t Kernel::size_of(int fd) const { return static_cast<std::int64_t>(open_.at(fd).file->length); }

void* Kernel::map(int fd) {
  if (fails(Fault::kNoAddresses)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  const std::shared_ptr<File>& file = find(fd)->file;
  auto& mapping = mappings_[file->memory];
  mapping.first = file;
  ++mapping.second;
  return file->memory;
}

int Kernel::unmap(void* address) {
  const auto at = mappings_.find(address);
  if (at == mappings_.end()) return error(EINVAL);
  if (--at->second.second == 0) mappings_.erase(at);
  return 0;
}

int Kernel::lock(int fd) {
  if (fails(Fault::kInterrupted)) return error(EINTR);
  File& file = *find(fd)->file;
  if (!file.lockers.empty() || (file.locked_by_fd != 0 && file.locked_by_fd != fd)) return error(EWOULDBLOCK);
  file.locked_by_fd = fd;
  return 0;
}

std::int64_t Kernel::read(int fd, void* out, std::uint64_t bytes, std::uint64_t offset) {
  if (fails(Fault::kInterrupted)) return error(EINTR);
  const File& file = *find(fd)->file;
  if (offset >= file.length) return 0;
  bytes = std::min(bytes, file.length - offset);
  auto* to = static_cast<std::byte*>(out);
  for (std::uint64_t done = 0; done < bytes;) {
    const std::uint64_t at = offset + done;
    const std::uint64_t part = std::min(bytes - done, kPageSize - at % kPageSize);
    if (at < file.bytes && file.pages[at / kPageSize]) {
      std::memcpy(to + done, file.memory + at, part);
    } else {
      std::memset(to + done, 0, part);
    }
    done += part;
  }
  return static_cast<std::int64_t>(bytes);
}

int Kernel::reserve(int fd, std::uint64_t offset, std::uint64_t bytes) {
  if (fails(Fault::kInterrupted)) return EINTR;
  if (fails(Fault::kNoSpace)) return ENOSPC;
  File& file = *find(fd)->file;
  const std::uint64_t end = (offset + bytes + kPageSize - 1) / kPageSize;
  if (end > file.pages.size()) std::abort();  // posix_fallocate would make the segment longer: nobody means that
  std::uint64_t fresh = 0;
  for (std::uint64_t page = offset / kPageSize; page < end; ++page) fresh += file.pages[page] ? 0 : kPageSize;
  if (fresh > shm_free()) {
    scarce_ = true;
    return ENOSPC;
  }
  for (std::uint64_t page = offset / kPageSize; page < end; ++page) file.pages[page] = true;
  if (offset + bytes > file.length) file.grow(offset + bytes);  // one that was cut
  file.resident += fresh / kPageSize;
  used_bytes_ += fresh;
  return 0;
}

int Kernel::punch(int fd, std::uint64_t offset, std::uint64_t bytes) {
  if (fails(Fault::kInterrupted)) return error(EINTR);
  find(fd)->file->empty(offset, bytes);
  return 0;
}

int Kernel::unlink(std::string_view name) {
  name.remove_prefix(name.rfind('/') + 1);
  const auto at = files_.find(name);
  if (at == files_.end()) return error(ENOENT);
  files_.erase(at);
  return 0;
}

void Kernel::link(const std::string& name, const std::string& other) { files_.try_emplace(other, files_.at(name)); }

std::vector<std::string> Kernel::names() const {
  std::vector<std::string> all;
  for (const auto& [name, file] : files_) all.push_back(name);
  return all;
}

// ---------------------------------------------------------------- the rest

int Kernel::open_process(std::uint64_t process) {
  if (fails(Fault::kNoDescriptor)) return error(EMFILE);
  if (ended_.contains(process)) return error(ESRCH);
  return add({.file = nullptr, .process = process});
}

bool Kernel::is_readable(int fd) const {
  const auto at = open_.find(fd);
  return at != open_.end() && ended_.contains(at->second.process);
}

}  // namespace tensorbroker::simulation
