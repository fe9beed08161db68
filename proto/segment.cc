#include "proto/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <boost/interprocess/permissions.hpp>
#include <boost/interprocess/shared_memory_object.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "proto/frame.h"
#include "proto/layout.h"
#include "proto/own_file.h"
#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

namespace ipc = boost::interprocess;

constexpr std::uint64_t kMagic = 0x314b5242524e5354ULL;  // "TSNRBRK1", little-endian
constexpr std::uint32_t kByteOrderMark = 0x01020304;

struct Preamble {
  std::atomic<std::uint64_t> magic;
  std::uint32_t layout_version;
  std::uint32_t byte_order;
  std::uint64_t layout_hash;
  std::uint32_t page_size;
  std::uint32_t kind;
  std::array<char, 40> boot_id;
  InstanceId instance;
};
constexpr std::size_t kHeaderOffset = 128;
static_assert(sizeof(Preamble) <= kHeaderOffset);

// Does not change while a process lives.
const std::array<char, 40>& boot_id() {
  static const std::array<char, 40> id = [] {
    std::array<char, 40> read{};
    std::ifstream("/proc/sys/kernel/random/boot_id").get(read.data(), read.size());
    return read;
  }();
  return id;
}

Preamble* preamble_of(const ipc::mapped_region& region) { return static_cast<Preamble*>(region.get_address()); }

[[noreturn]] void throw_errno(int error, const std::string& what) {
  if (error == ENOENT) throw NotFoundError(what + ": there is no such segment");
  if (error == EROFS || error == EACCES || error == EPERM) {
    throw Error(ErrorCode::kRuntime,
                what + ": " + std::strerror(error) + "; /dev/shm must be mounted and writable by this user");
  }
  if (error == EMFILE || error == ENFILE) {
    throw OutOfMemoryError(what + ": " + std::strerror(error) + "; raise the limit on descriptors (`ulimit -n`)");
  }
  if (error == ENOMEM) {
    throw OutOfMemoryError(what + ": " + std::strerror(error) +
                           "; raise the limit on address space (`ulimit -v`), or free memory");
  }
  if (error == EEXIST) {
    throw Error(ErrorCode::kRuntime, what +
                                         ": somebody has put a file of this name there; have it removed by its "
                                         "owner or root, and repeat");
  }
  throw Error(ErrorCode::kRuntime, what + ": " + std::strerror(error));
}

// What mapped_region asks of a segment: its descriptor, which stays somebody else's.
struct Mappable {
  int fd;
  ipc::mapping_handle_t get_mapping_handle() const { return {fd, false}; }
};

// False where the file is shorter.
bool read_begin(int fd, void* out, std::size_t bytes) {
  ssize_t n = 0;
  do {
    n = pread(fd, out, bytes, 0);
  } while (n < 0 && errno == EINTR);
  return n == static_cast<ssize_t>(bytes);
}

std::uint64_t free_bytes(int fd) {
  struct statvfs fs{};
  return fstatvfs(fd, &fs) == 0 ? std::uint64_t{fs.f_bavail} * fs.f_frsize : 0;
}

}  // namespace

Segment Segment::create(const InstanceName& name, SegmentKind kind, std::uint64_t id, std::uint64_t bytes,
                        const InstanceId& instance, std::span<const std::uint8_t> header) {
  Segment segment;
  segment.name_ = name.segment(kind, id);
  if (kHeaderOffset + header.size() > kPageSize) throw Error(ErrorCode::kRuntime, "the segment header is too long");
  try {
    ipc::shared_memory_object object(ipc::create_only, segment.name_.c_str(), ipc::read_write, ipc::permissions(0600));
    object.truncate(static_cast<ipc::offset_t>(bytes));
    reserve_pages(object.get_mapping_handle().handle, 0, kPageSize, segment.name_);
    segment.region_ = ipc::mapped_region(object, ipc::read_write);
    segment.guard(true);
  } catch (const ipc::interprocess_exception& e) {
    if (e.get_error_code() != ipc::already_exists_error) unlink_segment(segment.name_);
    throw_errno(e.get_native_error(), "cannot create the shared-memory segment " + segment.name_);
  } catch (...) {
    unlink_segment(segment.name_);
    throw;
  }
  Preamble* preamble = preamble_of(segment.region_);
  preamble->layout_version = kLayoutVersion;
  preamble->byte_order = kByteOrderMark;
  preamble->layout_hash = layout_hash();
  preamble->page_size = kPageSize;
  preamble->kind = static_cast<std::uint32_t>(kind);
  preamble->boot_id = boot_id();
  preamble->instance = instance;
  std::memcpy(segment.data() + kHeaderOffset, header.data(), header.size());
  segment.instance_ = instance;
  segment.take_header(header);
  return segment;
}

void Segment::finish() { preamble_of(region_)->magic.store(kMagic, std::memory_order_seq_cst); }

Segment Segment::open(const InstanceName& name, SegmentKind kind, std::uint64_t id, Access access) {
  const ScopedDescriptor fd(open_segment_file(name.segment(kind, id), access, name.uid));
  return map(fd.get(), name, kind, id, access);
}

Segment Segment::map(int fd, const InstanceName& name, SegmentKind kind, std::uint64_t id, Access access) {
  Segment segment;
  segment.name_ = name.segment(kind, id);
  try {
    segment.take_first_page(fd, kind);
    segment.region_ = ipc::mapped_region(Mappable{fd}, access == Access::kReadOnly ? ipc::read_only : ipc::read_write);
    segment.guard(access == Access::kReadWrite);
  } catch (const ipc::interprocess_exception& e) {
    if (e.get_error_code() == ipc::size_error || e.get_native_error() == EINVAL) segment.throw_truncated();
    throw_errno(e.get_native_error(), "cannot open the shared-memory segment " + segment.name_);
  }
  return segment;
}

void Segment::guard(bool writable) { guard_ = GuardedMapping(data(), size(), 0, writable, *truncation_); }

// By pread, which a truncation makes short where a mapping would fault.
void Segment::take_first_page(int fd, SegmentKind kind) {
  const auto corrupt = [this](const std::string& check) {
    throw CorruptSegmentError("the segment " + name_ + " fails the check of its " + check +
                              "; stop its broker (`tensorbroker stop`) and remove the segment");
  };
  // The magic was stored last, and so is read first.
  std::uint64_t magic = 0;
  alignas(Preamble) std::array<std::uint8_t, kPageSize> page{};
  const bool has_magic = read_begin(fd, &magic, sizeof magic);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!has_magic || !read_begin(fd, page.data(), page.size())) throw_truncated();
  if (magic != kMagic) corrupt("magic: it was never finished");
  const auto& preamble = *reinterpret_cast<const Preamble*>(page.data());
  if (preamble.layout_version != kLayoutVersion || preamble.layout_hash != layout_hash()) {
    throw VersionMismatchError("the segment " + name_ + " has layout " + std::to_string(preamble.layout_version) +
                               " (hash " + std::to_string(preamble.layout_hash) + "), this program has layout " +
                               std::to_string(kLayoutVersion) + " (hash " + std::to_string(layout_hash()) +
                               "); use one release of tensorbroker for all, or another instance");
  }
  if (preamble.byte_order != kByteOrderMark) corrupt("byte order");
  if (preamble.page_size != kPageSize) corrupt("page size");
  if (preamble.kind != static_cast<std::uint32_t>(kind)) corrupt("kind");
  if (preamble.boot_id != boot_id()) corrupt("boot id: it is from before the last boot");
  instance_ = preamble.instance;

  const std::uint8_t* const from = page.data() + kHeaderOffset;
  const std::size_t length = std::size_t{flatbuffers::GetPrefixedSize(from)} + sizeof(flatbuffers::uoffset_t);
  if (length > kPageSize - kHeaderOffset) corrupt("header size");
  flatbuffers::Verifier verifier(from, length, kVerifierDepth, 64);
  if (!verifier.VerifySizePrefixedBuffer<schema::SegmentHeader>(nullptr)) corrupt("header");
  take_header({from, length});
  if (header().name() == nullptr || header().name()->string_view() != name_) corrupt("name: it is another one's");
}

void Segment::throw_truncated() const {
  throw CorruptSegmentError("the segment " + name_ + " is shorter than its first page; it was truncated");
}

void Segment::take_header(std::span<const std::uint8_t> header) {
  header_.resize((header.size() + sizeof header_[0] - 1) / sizeof header_[0]);
  std::memcpy(header_.data(), header.data(), header.size());
}

const schema::SegmentHeader& Segment::header() const noexcept {
  return *flatbuffers::GetSizePrefixedRoot<schema::SegmentHeader>(header_.data());
}

void Segment::check_range(std::uint64_t offset, std::uint64_t count, std::size_t size, std::size_t alignment) const {
  if (offset % alignment != 0 || offset > this->size() || count > (this->size() - offset) / size) {
    throw CorruptSegmentError("the segment " + name_ + " says that a table lies at " + std::to_string(offset) +
                              ", beyond its " + std::to_string(this->size()) + " bytes");
  }
}

void Segment::release() noexcept {
  guard_ = {};
  // mapped_region has no release: leave the mapping to a region that is never destroyed.
  new ipc::mapped_region(std::move(region_));
}

int open_segment_file(const std::string& segment_name, Access access, uid_t owner) {
  const std::string path = std::string(kShmDirectory) + "/" + segment_name;
  const int fd = open_own_file(path, access == Access::kReadOnly ? O_RDONLY : O_RDWR, owner);
  if (fd < 0) throw_errno(errno, "cannot open the shared-memory segment " + segment_name);
  return fd;
}

void reserve_pages(int fd, std::uint64_t offset, std::uint64_t bytes, const std::string& segment_name) {
  int error = 0;
  do {
    error = posix_fallocate(fd, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  } while (error == EINTR);
  if (error == 0) return;
  if (error == ENOSPC || error == ENOMEM) {
    throw OutOfMemoryError("/dev/shm is full: asked for " + std::to_string(bytes) + " bytes of " + segment_name +
                           ", the file system has " + std::to_string(free_bytes(fd)) +
                           " left; free some of it, or enlarge it (`mount -o remount,size=...`; in a container "
                           "--shm-size)");
  }
  throw_errno(error, "cannot reserve pages of " + segment_name);
}

bool unlink_segment(const std::string& segment_name) noexcept {
  return ipc::shared_memory_object::remove(segment_name.c_str());
}

}  // namespace tensorbroker
