#include "store_fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "proto/header.h"
#include "tests/support/session_leases.h"

namespace tensorbroker::broker {

StoreTest::StoreTest() {
  static int count = 0;
  name_ = {.uid = geteuid(), .instance = "store-" + std::to_string(getpid()) + "-" + std::to_string(++count)};
}

StoreTest::~StoreTest() {
  store.reset();
  for (const std::string& segment : segments()) unlink_segment(segment);
}

void StoreTest::create(std::uint64_t capacity) { create(CatalogOptions{.capacity = capacity}); }

void StoreTest::create(CatalogOptions options) {
  store.emplace(Store::create(name_, InstanceId{7}, std::move(options)));
  map_arena();
}

void StoreTest::map_arena() {
  arena_ = Segment::open(name_, SegmentKind::kArena, store->arena_id(), Access::kReadWrite);
}

void StoreTest::kill_broker() { store.reset(); }

bool StoreTest::adopt(const std::set<std::uint64_t>& dead) {
  store = Store::adopt(name_, [&](std::uint64_t session) { return !dead.contains(session); });
  if (store) map_arena();
  return store.has_value();
}

Granted StoreTest::grant(std::uint64_t session, std::uint64_t bytes) {
  const Reservation reservation = store->begin_grant(session, bytes);
  EXPECT_EQ(store->arena().prepare(reservation.punch, reservation.reserve), 0);
  return store->finish_grant(reservation);
}

void StoreTest::do_punch_work() {
  for (auto work = store->take_punch_work(); !work.empty(); work = store->take_punch_work()) {
    for (const Range& range : work) store->arena().punch(range);
    store->punched(work);
  }
}

std::uint64_t StoreTest::resident() const {
  struct stat status{};
  stat((std::string(kShmDirectory) + "/" + store->arena().name()).c_str(), &status);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

EntryId StoreTest::spare(std::uint64_t session) {
  const std::vector<EntryId> spares = store->grant_spares(session, 1);
  EXPECT_EQ(spares.size(), 1u);
  return spares.at(0);
}

std::uint64_t StoreTest::publish(std::uint64_t session, std::string_view name, std::uint64_t offset,
                                 std::uint64_t elements, int fill, bool overwrite) {
  std::memset(arena() + offset, fill, elements);
  const std::vector<std::byte> header = bytes_header(elements);
  return store->publish(session, next_sequence++,
                        {.entry = spare(session),
                         .name = name,
                         .header = header,
                         .block_offset = offset,
                         .block_bytes = elements,
                         .overwrite = overwrite});
}

void StoreTest::remove(std::uint64_t session, std::string_view name) {
  const EntryId entry = get(session, name, 4000);
  const std::uint64_t seen = generation(entry);
  let_go(session, 4000);
  store->remove(session, next_sequence++, name, seen);
}

EntryId StoreTest::get(std::uint64_t session, std::string_view name, std::uint32_t cell) {
  return test::lease_name(store->catalog(), store->session_mapping(session), name, cell);
}

void StoreTest::let_go(std::uint64_t session, std::uint32_t cell) {
  test::release_cell(store->catalog(), store->session_mapping(session), cell);
}

bool StoreTest::holds(EntryId id, std::uint64_t elements, int fill) {
  const std::byte* const block = arena() + store->catalog().entry(id).block_offset.load();
  return std::all_of(block, block + elements, [&](std::byte b) { return b == std::byte(fill); });
}

std::vector<std::string> StoreTest::segments() const {
  std::vector<std::string> found;
  for (const auto& file : std::filesystem::directory_iterator(kShmDirectory)) {
    if (file.path().filename().string().starts_with(name_.prefix())) found.push_back(file.path().filename());
  }
  return found;
}

std::vector<std::byte> bytes_header(std::uint64_t elements) {
  const TensorSpec spec{
      .name = {}, .dtype = kUInt8, .sizes = {static_cast<std::int64_t>(elements)}, .strides = {1}, .offset = 0};
  return encode_header({&spec, 1}, "");
}

}  // namespace tensorbroker::broker
