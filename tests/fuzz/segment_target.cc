// The first page of a segment, of each kind: opening it is refused or yields tables that lie within the segment.
//
// The segments are real ones in /dev/shm, made once by the product; each input changes their first page, in places or
// altogether.

#include <fcntl.h>
#include <sys/mman.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <array>
#include <string>

#include "broker/arena_file.h"
#include "proto/catalog.h"
#include "proto/session.h"
#include "tests/fuzz/choices.h"

namespace tensorbroker::fuzz {
namespace {

constexpr std::uint64_t kId = 7;
constexpr std::uint64_t kArenaBytes = 16 * kPageSize;
constexpr std::size_t kHeaderOffset = 128;

// A finished segment, its first page mapped apart and kept as it was made.
class Original {
 public:
  explicit Original(std::string name) : name_(std::move(name)) {
    const int fd = open_segment_file(name_, Access::kReadWrite, geteuid());
    page_ = static_cast<std::byte*>(mmap(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    close(fd);
    require(page_ != MAP_FAILED, "the first page can be mapped");
    std::copy_n(page_, kPageSize, kept_.data());
  }
  ~Original() { unlink_segment(name_); }
  Original(const Original&) = delete;
  Original& operator=(const Original&) = delete;

  std::byte* restored() const {
    std::copy(kept_.begin(), kept_.end(), page_);
    return page_;
  }

 private:
  std::string name_;
  std::byte* page_ = nullptr;
  std::array<std::byte, kPageSize> kept_{};
};

struct World {
  InstanceName name{.uid = geteuid(), .instance = "fuzz-segment-" + std::to_string(getpid())};
  std::unique_ptr<Original> catalog;
  std::unique_ptr<Original> arena;
  std::unique_ptr<Original> session;

  World() {
    Catalog::create(name, kId, {},
                    {.arena_id = kId, .arena_bytes = kArenaBytes, .max_tensors = 64, .runtime_dir = "/x"})
        .finish();
    catalog = std::make_unique<Original>(name.segment(SegmentKind::kCatalog, kId));
    broker::ArenaFile::create(name, kId, kArenaBytes, {});
    arena = std::make_unique<Original>(name.segment(SegmentKind::kArena, kId));
    SessionSegment::create(name, kId, {});
    session = std::make_unique<Original>(name.segment(SegmentKind::kSession, kId));
  }
};

void change(Choices& choices, std::byte* page) {
  switch (choices.below(3)) {
    case 0:  // single places, all over the page
      while (!choices.empty()) {
        const std::size_t at = choices.number<std::uint16_t>() % kPageSize;
        page[at] = static_cast<std::byte>(choices.byte());
      }
      break;
    case 1: {  // another header behind a sound preamble
      const auto header = choices.rest().first(std::min(choices.rest().size(), kPageSize - kHeaderOffset));
      std::copy(header.begin(), header.end(), page + kHeaderOffset);
      break;
    }
    default: {  // anything
      const auto all = choices.bytes(kPageSize);
      std::copy(all.begin(), all.end(), page);
    }
  }
}

template <class T>
void require_within(const Segment& segment, const T* record, std::uint64_t count) {
  const auto* begin = reinterpret_cast<const std::byte*>(record);
  require(begin >= segment.data() && begin <= segment.data() + segment.size() &&
              count <= static_cast<std::uint64_t>(segment.data() + segment.size() - begin) / sizeof(T),
          "a table lies within its segment");
}

void open_catalog(const InstanceName& name) {
  const Catalog catalog = Catalog::open(name, kId, Access::kReadWrite);
  const schema::CatalogTables& t = catalog.tables();
  require_within(catalog.segment(), &catalog.root(), 1);
  require_within(catalog.segment(), catalog.view().entries, t.entries_limit());
  for (const Word* index : catalog.view().index) require_within(catalog.segment(), index, t.index_limit());
  for (const Word* words : catalog.view().beginnings) require_within(catalog.segment(), words, t.index_limit());
  require_within(catalog.segment(), &catalog.session(0), t.sessions_limit());
  require_within(catalog.segment(), &catalog.pin(0), t.pins_limit());
  require_within(catalog.segment(), &catalog.extent(0), t.extents_limit());
  require_within(catalog.segment(), &catalog.wait_word(0), catalog.wait_words());
  require_within(catalog.segment(), &catalog.wait_word(~std::uint64_t{0}), 1);
  require_within(catalog.segment(), &catalog.events().record(~std::uint64_t{0}), 1);
  require_within(catalog.segment(), catalog.heap(), t.heap_limit());
  catalog.options();
}

void open_session(const InstanceName& name) {
  const SessionSegment session = SessionSegment::open(name, kId);
  require_within(session.segment(), &session.control(), 1);
  require_within(session.segment(), &session.lease(0), kLeasesLimit);
  require_within(session.segment(), &session.extent_state(0), kExtentStatesLimit);
  require_within(session.segment(), &session.block_return(0), kReturnsLimit);
}

void open_one(Choices& choices) {
  static const World world;
  switch (choices.below(3)) {
    case 0:
      change(choices, world.catalog->restored());
      return open_catalog(world.name);
    case 1:
      change(choices, world.arena->restored());
      broker::ArenaFile::open(world.name, kId, kArenaBytes);
      return;
    default:
      change(choices, world.session->restored());
      return open_session(world.name);
  }
}

}  // namespace
}  // namespace tensorbroker::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tensorbroker::fuzz::Choices choices(data, size);
  try {
    tensorbroker::fuzz::open_one(choices);
  } catch (const tensorbroker::Error& error) {
    using tensorbroker::ErrorCode;
    tensorbroker::fuzz::require(
        error.code() == ErrorCode::kCorruptSegment || error.code() == ErrorCode::kVersionMismatch,
        "what is refused is called corrupt, or of another version");
  }
  return 0;
}
