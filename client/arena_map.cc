#include "client/arena_map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "proto/limits.h"
#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

// More private mappings than this would use up what the kernel allows a process (vm.max_map_count, 65,530).
constexpr std::size_t kPrivateMappingsLimit = 16384;
std::atomic<std::size_t> private_mappings{0};

std::uint64_t page_start(std::uint64_t offset) { return offset / kPageSize * kPageSize; }

// The whole pages around `bytes` bytes at `data`.
struct Pages {
  Pages(std::byte* data, std::uint64_t bytes)
      : begin(reinterpret_cast<std::byte*>(page_start(reinterpret_cast<std::uint64_t>(data)))),
        length(round_up_to_page(static_cast<std::uint64_t>(data - begin) + bytes)) {}
  std::byte* begin;
  std::uint64_t length;
};

}  // namespace

ArenaMap::ArenaMap(const InstanceName& name, std::uint64_t id)
    : owner_(name.uid),
      access_(owner_ == geteuid() ? Access::kReadWrite : Access::kReadOnly),
      segment_(Segment::open(name, SegmentKind::kArena, id, Access::kReadOnly)) {
  fd_ = open_segment_file(segment_.name(), access_, owner_);
  identity_ = identity_of(fd_);
}

ArenaMap::~ArenaMap() {
  for (auto& [offset, mapped] : mutables_) {
    mapped.guard = {};
    munmap(mapped.data, mapped.bytes);
  }
  if (is_ours(fd_)) close(fd_);
}

bool ArenaMap::is_ours(int fd) const noexcept { return identity_.inode != 0 && identity_of(fd) == identity_; }

std::optional<std::uint64_t> ArenaMap::file_size() noexcept {
  const std::lock_guard held(mutex_);
  struct stat status{};
  const int fd = descriptor();
  if (fd < 0 || fstat(fd, &status) != 0) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

int ArenaMap::descriptor() noexcept {
  if (is_ours(fd_)) return fd_;
  try {
    fd_ = open_segment_file(segment_.name(), access_, owner_);
  } catch (const Error&) {
    fd_ = -1;
  }
  if (fd_ >= 0 && !is_ours(fd_)) {
    close(fd_);  // a later instance's arena under the same name: ids are never used twice, so a stranger made it
    fd_ = -1;
  }
  return fd_;
}

std::byte* ArenaMap::map(std::uint64_t offset, std::uint64_t bytes, int flags) noexcept {
  const std::uint64_t begin = page_start(offset);
  const std::uint64_t length = round_up_to_page(offset - begin + bytes);
  const int fd = descriptor();
  if (fd < 0 || !contains(begin, length)) return nullptr;
  void* p = mmap(nullptr, length, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, static_cast<off_t>(begin));
  return p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p) + (offset - begin);
}

GuardedMapping ArenaMap::guard(std::byte* data, std::uint64_t offset, std::uint64_t bytes) const noexcept {
  const Pages pages(data, bytes);
  return {pages.begin, pages.length, page_start(offset), true, segment_.truncation()};
}

void ArenaMap::keep_guard(std::byte* data, std::uint64_t offset, std::uint64_t bytes) noexcept {
  try {
    guards_[data] = guard(data, offset, bytes);
  } catch (const std::bad_alloc&) {  // it can be used without
  }
}

void ArenaMap::throw_unmappable(std::uint64_t bytes) const {
  const int error = errno;
  const std::string what =
      "cannot map " + std::to_string(bytes) + " bytes of " + segment_.name() + ": " + std::strerror(error);
  if (error != ENOMEM) throw Error(ErrorCode::kRuntime, what + "; it was removed from /dev/shm");
  throw OutOfMemoryError(what +
                         "; let go of tensors, or raise the limit on address space (`ulimit -v`) or on mappings "
                         "(vm.max_map_count)");
}

std::byte* ArenaMap::map_extent(std::uint64_t offset, std::uint64_t bytes) {
  const std::lock_guard held(mutex_);
  std::byte* data = map(offset, bytes, MAP_SHARED);
  if (data == nullptr) throw_unmappable(bytes);
  madvise(data, bytes, MADV_DONTFORK);
  keep_guard(data, offset, bytes);
  return data;
}

void ArenaMap::unmap_extent(std::byte* data, std::uint64_t bytes) noexcept {
  const std::lock_guard held(mutex_);
  page_tables_.stop(data);
  guards_.erase(data);
  munmap(data, bytes);
}

void ArenaMap::shorten_extent(std::byte* data, std::uint64_t offset, std::uint64_t bytes, std::uint64_t keep) noexcept {
  const std::lock_guard held(mutex_);
  page_tables_.stop(data);
  keep_guard(data, offset, keep);  // takes the place of the longer one, before that guards what is somebody else's
  munmap(data + keep, bytes - keep);
}

void ArenaMap::populate_extent(std::byte* data, std::uint64_t bytes, const Word& state) noexcept {
  const std::lock_guard held(mutex_);
  page_tables_.start(data, bytes, [&state] {
    return state.load(std::memory_order_seq_cst) != static_cast<std::uint64_t>(ExtentState::kTaken);
  });
}

// ---------------------------------------------------------------- mutable blocks

std::byte* ArenaMap::map_mutable(std::uint64_t offset, std::uint64_t bytes) {
  const std::lock_guard held(mutex_);
  const auto at = mutables_.find(offset);
  if (at != mutables_.end()) {
    ++at->second.users;
    return at->second.data;
  }
  std::byte* data = map(offset, bytes, MAP_SHARED);
  if (data == nullptr) throw_unmappable(bytes);
  mutables_.emplace(offset, Mutable{data, bytes, 1, guard(data, offset, bytes)});
  return data;
}

void ArenaMap::unmap_mutable(std::uint64_t offset) noexcept {
  const std::lock_guard held(mutex_);
  const auto at = mutables_.find(offset);
  if (at == mutables_.end() || --at->second.users > 0) return;
  std::byte* const data = at->second.data;
  const std::uint64_t bytes = at->second.bytes;
  mutables_.erase(at);
  munmap(data, bytes);
}

// ---------------------------------------------------------------- private pages

std::byte* ArenaMap::map_private(std::uint64_t offset, std::uint64_t bytes) noexcept {
  if (private_mappings.fetch_add(1) >= kPrivateMappingsLimit) {
    private_mappings.fetch_sub(1);
    return nullptr;
  }
  const std::lock_guard held(mutex_);
  std::byte* data = map(offset, bytes, MAP_PRIVATE);
  if (data == nullptr) {
    private_mappings.fetch_sub(1);
  } else {
    keep_guard(data, offset, bytes);
  }
  return data;
}

bool ArenaMap::unmap_private(std::byte* data, std::uint64_t bytes) noexcept {
  const Pages pages(data, bytes);
  const std::lock_guard held(mutex_);
  guards_.erase(data);
  if (munmap(pages.begin, pages.length) != 0) return false;
  private_mappings.fetch_sub(1);
  return true;
}

// ---------------------------------------------------------------- fork

void ArenaMap::inherit(std::byte* data, std::uint64_t offset, std::uint64_t bytes, int flags) noexcept {
  const Pages pages(data, bytes);
  const int fd = descriptor();
  if (fd >= 0) {
    const void* p = mmap(pages.begin, pages.length, PROT_READ | PROT_WRITE, flags | MAP_FIXED | MAP_NORESERVE, fd,
                         static_cast<off_t>(page_start(offset)));
    if (p != MAP_FAILED) return;
  }
  // The file is gone. A second view of the arena's own mapping can still be read.
  const Pages view(const_cast<std::byte*>(segment_.data()) + offset, bytes);
  if (mremap(view.begin, 0, pages.length, MREMAP_MAYMOVE | MREMAP_FIXED, pages.begin) == MAP_FAILED) {
    forbid(data, bytes);
  }
}

void ArenaMap::inherit_private(std::byte* data, std::uint64_t offset, std::uint64_t bytes) noexcept {
  inherit(data, offset, bytes, MAP_PRIVATE);
}

void ArenaMap::inherit_shared(std::byte* data, std::uint64_t offset, std::uint64_t bytes) noexcept {
  inherit(data, offset, bytes, MAP_SHARED);
}

void ArenaMap::forbid(std::byte* data, std::uint64_t bytes) noexcept {
  const Pages pages(data, bytes);
  mmap(pages.begin, pages.length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

void ArenaMap::forbid_all() noexcept {
  mprotect(segment_.data(), segment_.size(), PROT_NONE);
  for (const auto& [offset, mapped] : mutables_) mprotect(mapped.data, mapped.bytes, PROT_NONE);
}

}  // namespace tensorbroker
