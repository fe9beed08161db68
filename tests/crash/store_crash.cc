#include "tests/crash/store_crash.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <iostream>

#include "proto/header.h"
#include "proto/heap_record.h"
#include "proto/lookup.h"
#include "proto/name.h"
#include "proto/name_beginnings.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint32_t kPublishersCell = 100;  // of the writer's leases

EntryPhase phase_of(const Entry& entry) { return EntryState::unpack(entry.state.load()).phase; }

}  // namespace

// ---------------------------------------------------------------- the reader

CrashReader::CrashReader(const InstanceName& name, Store& store, std::uint64_t session)
    : catalog_(Catalog::open(name, store.catalog_id(), Access::kReadOnly)),
      arena_(Segment::open(name, SegmentKind::kArena, store.arena_id(), Access::kReadOnly)),
      session_(SessionSegment::open(name, session)) {
  session_.control().lease_high_water.store(64);
}

EntryId CrashReader::lease(const std::string& name, std::uint32_t cell) {
  const std::uint64_t hash = hash_name(name);
  EntryId found = kNoEntry;
  const LookupStatus status = lookup(
      catalog_.view(), hash, session_.lease(cell), [&](EntryId id) { return catalog_.entry_has_name(id, hash, name); },
      [this] { session_.control().ring.exchange(1); }, &found);
  EXPECT_TRUE(status == LookupStatus::kHeld || status == LookupStatus::kMissing) << static_cast<int>(status);
  return status == LookupStatus::kHeld ? found : kNoEntry;
}

void CrashReader::release(std::uint32_t cell) {
  const std::uint64_t lease = session_.lease(cell).load();
  if (lease == 0) return;
  release_lease(session_.lease(cell), catalog_.entry(static_cast<EntryId>(lease - 1)),
                [this] { session_.control().ring.exchange(1); });
}

std::optional<int> CrashReader::value_of(EntryId id) const {
  const Entry& entry = catalog_.entry(id);
  EXPECT_EQ(phase_of(entry), EntryPhase::kUsed) << "entry " << id << " is read, and free";
  EXPECT_TRUE(heap_record_intact(catalog_.heap_bytes(HeapRef::unpack(entry.header.load())))) << "entry " << id;
  const std::byte* const block = arena_.data() + entry.block_offset.load();
  const bool whole = std::all_of(block, block + kBlock, [block](std::byte b) { return b == *block; });
  EXPECT_TRUE(whole) << "the bytes of entry " << id << " are torn";
  return static_cast<int>(*block);
}

std::optional<int> CrashReader::get(const std::string& name) {
  const EntryId entry = lease(name, kLookCell);
  if (entry == kNoEntry) return std::nullopt;
  EXPECT_EQ(catalog_.record(entry).name, name);
  check_beginnings(entry, name);
  const auto value = value_of(entry);
  release(kLookCell);
  return value;
}

void CrashReader::check_beginnings(EntryId entry, const std::string& name) const {
  const CatalogView& view = catalog_.view();
  const IndexRoot index = IndexRoot::unpack(view.root->index.load());
  for (std::uint64_t i = 0; i < std::uint64_t{1} << index.log2_cells; ++i) {
    if (view.index[index.region][i].load() != make_cell(hash_name(name), entry)) continue;
    EXPECT_EQ(view.beginnings[index.region][i].load(), beginnings_of(name)) << name;
    return;
  }
  ADD_FAILURE() << "no cell names " << name;
}

Names CrashReader::look(const Names& names) {
  Names found;
  for (const auto& [name, expected] : names) {
    if (const auto value = get(name)) found[name] = *value;
  }
  return found;
}

void CrashReader::hold(const std::string& name) {
  const EntryId entry = lease(name, kFirstHeld + static_cast<std::uint32_t>(held_.size()));
  ASSERT_NE(entry, kNoEntry) << name;
  held_.push_back({entry, *value_of(entry)});
}

void CrashReader::check_held() {
  for (const Held& held : held_) EXPECT_EQ(value_of(held.entry), held.value) << "held entry " << held.entry;
}

EntryId CrashReader::entry_of(const std::string& name) {
  const EntryId entry = lease(name, kLookCell);
  release(kLookCell);
  return entry;
}

void CrashReader::withdraw() { release(kLateCell); }

void CrashReader::let_go() {
  for (std::uint32_t i = 0; i < held_.size(); ++i) release(kFirstHeld + i);
  held_.clear();
}

// ---------------------------------------------------------------- the client that writes

void StoreCrash::add_owner() {
  owner = connect();
  extent = grant(owner, kMiB);
  spares = store->grant_spares(owner, 16);
  published_.clear();
  early_.clear();
  free_blocks_.clear();
  next_block_ = 0;
}

// Filled, and its entry leased by its publisher.
Request StoreCrash::draft(const std::string& name, int value) {
  collect_returns();
  Request request{.sequence = next_sequence++, .name = name, .value = value};
  if (spares.empty()) spares = store->grant_spares(owner, 16);
  request.entry = spares.back();
  spares.pop_back();
  if (!free_blocks_.empty()) {
    request.offset = free_blocks_.back();
    free_blocks_.pop_back();
  } else {
    request.offset = extent.range.offset + kBlock * next_block_++;
  }
  std::memset(arena() + request.offset, value, kBlock);
  SessionSegment& session = store->session_mapping(owner);
  session.control().lease_high_water.store(kPublishersCell + 1);
  store_lease(session.lease(kPublishersCell), request.entry);
  return request;
}

std::vector<std::byte> StoreCrash::header_of(const std::string& metadata) {
  const TensorSpec spec{
      .name = {}, .dtype = kUInt8, .sizes = {static_cast<std::int64_t>(kBlock)}, .strides = {1}, .offset = 0};
  return encode_header({&spec, 1}, metadata);
}

std::uint64_t StoreCrash::publish(const Request& request) {
  const std::vector<std::byte> header = header_of(request.metadata);
  return store->publish(owner, request.sequence,
                        {.entry = request.entry,
                         .name = request.name,
                         .header = header,
                         .block_offset = request.offset,
                         .block_bytes = kBlock});
}

void StoreCrash::put(const Request& request) {
  const std::uint64_t generation = publish(request);
  const std::uint64_t retired_generation = tensorbroker::retired(generation);
  if (early_.contains(request.offset) && early_[request.offset] == retired_generation) {
    free_blocks_.push_back(request.offset);
  } else {
    published_[request.offset] = retired_generation;
  }
  if (!request.name.empty()) {
    const EntryId entry = reader->entry_of(request.name);
    ASSERT_NE(entry, kNoEntry) << request.name;
    EXPECT_EQ(this->generation(entry), generation) << "the answer is not what is there";
  }
  let_go(owner, kPublishersCell);
  store->reclaim_if_due();
}

void StoreCrash::remove(const std::string& name, std::uint64_t sequence) {
  const EntryId entry = reader->entry_of(name);
  store->remove(owner, sequence, name, entry == kNoEntry ? 1 : generation(entry));
  store->reclaim_if_due();
}

void StoreCrash::collect_returns() {
  SessionSegment& session = store->session_mapping(owner);
  Word& tail = session.control().returns_tail;
  for (; tail.load() != session.control().returns_head.load(); tail.store(tail.load() + 1)) {
    const BlockReturn& given = session.block_return(tail.load());
    const std::uint64_t offset = given.block_offset.load();
    const auto at = published_.find(offset);
    if (at == published_.end()) {
      early_[offset] = given.generation.load();
    } else if (at->second == given.generation.load()) {
      published_.erase(at);
      free_blocks_.push_back(offset);
    }
  }
}

// ---------------------------------------------------------------- killing, and looking

void StoreCrash::SetUp() {
  if (!crash::kHaveStoreTrap) GTEST_SKIP() << "this processor has no trap flag to step over a single store";
  spdlog::set_level(spdlog::level::err);  // each successor says what it finds
}

void StoreCrash::TearDown() {
  reader.reset();
  spdlog::set_level(spdlog::level::info);
}

void StoreCrash::begin(const std::function<void()>& prepare) {
  reader.reset();
  store.reset();
  for (const std::string& segment : segments()) unlink_segment(segment);
  create(options);
  reading = connect();
  reader.emplace(name_, *store, reading);
  next_sequence = 1;
  dead.clear();
  seen_after_ = false;
  add_owner();
  prepare();
}

void StoreCrash::kill_at(const Scenario& scenario, std::uint64_t store_number) {
  begin(scenario.prepare);
  late_ = scenario.late.empty() ? kNoEntry : reader->entry_of(scenario.late);
  if (testing::Test::HasFailure()) return;
  const auto outcome = crash::in_trapped_process(prefix(), tally, store_number, scenario.operate);
  EXPECT_EQ(outcome, crash::Outcome::kKilled);
  look_after_kill(scenario);
  kill_broker();
}

// Nobody serves now. Readers see the old or the new, whole, and what they hold as it was.
void StoreCrash::look_after_kill(const Scenario& scenario) {
  Names all = scenario.before;
  all.insert(scenario.after.begin(), scenario.after.end());
  const Names seen = reader->look(all);
  EXPECT_TRUE(seen == scenario.before || seen == scenario.after) << testing::PrintToString(seen);
  if (seen_after_) {
    EXPECT_EQ(seen, scenario.after) << "what was seen once is gone again";
  }
  seen_after_ = seen == scenario.after && scenario.before != scenario.after;
  reader->check_held();
  if (late_ != kNoEntry) reader->lease_late(late_);
}

// A successor serves. What was asked is asked again; then the client writes on where blocks came back to it.
void StoreCrash::go_on(const Scenario& scenario) {
  look_after_kill(scenario);
  if (store->has_session(owner)) reconnect();
  scenario.repeat ? scenario.repeat() : scenario.operate();
  EXPECT_EQ(reader->look(scenario.after), scenario.after);
  if (!store->has_session(owner)) add_owner();
  write_some_more();
  reader->check_held();
  reader->withdraw();
  store->reclaim_if_due();
  write_and_free_all(scenario.after);
}

void StoreCrash::reconnect() {
  std::vector<EntryId> believed = spares;
  const std::uint64_t lease = store->session_mapping(owner).lease(kPublishersCell).load();
  if (lease != 0) believed.push_back(static_cast<EntryId>(lease - 1));
  store->reconcile(owner, {{extent.extent}}, believed);
}

void StoreCrash::write_some_more() {
  for (int i = 0; i < 4; ++i) ASSERT_NO_THROW(put("more", 200 + i));
  ASSERT_NO_THROW(put("", 210)) << "anonymous";
}

void StoreCrash::write_and_free_all(const Names& names) {
  write_some_more();
  reader->check_held();
  EXPECT_EQ(reader->look(names), names);
  reader->let_go();
  for (const auto& [name, value] : names) remove(name);
  if (reader->get("more")) remove("more");
  for (const std::uint64_t session : store->sessions()) store->remove_session(session);
  check_nothing_left();
}

void StoreCrash::check_nothing_left() {
  store->reclaim();
  const Statistics left = store->statistics();
  EXPECT_EQ(left.used, 0u);
  EXPECT_EQ(left.live, 0u);
  EXPECT_EQ(left.retired, 0u);
  EXPECT_EQ(left.tensors, 0u);
  EXPECT_EQ(store->retired_entries(), 0u);
  EXPECT_TRUE(store->sessions().empty());
  EXPECT_FALSE(store->next_pin_deadline().has_value());
  const Catalog& catalog = store->catalog();
  for (EntryId id = 0; id < catalog.root().entries_committed.load(); ++id) {
    EXPECT_EQ(phase_of(catalog.entry(id)), EntryPhase::kFree) << "entry " << id;
  }
  EXPECT_EQ(segments().size(), 2u) << "catalog and arena";
  const std::uint64_t last = connect();
  EXPECT_NO_THROW(grant(last, store->options().capacity)) << "all of it can be had";
}

void StoreCrash::kill_everywhere(const Scenario& scenario) {
  begin(scenario.prepare);
  ASSERT_EQ(crash::in_trapped_process(prefix(), tally, 0, scenario.operate), crash::Outcome::kWhole);
  const std::uint64_t stores = tally.stores();
  ASSERT_GT(stores, 0u);
  const std::vector<std::uint64_t> last = crash::stores_to_die_after(tally);
  for (const std::uint64_t n : last) {
    SCOPED_TRACE("killed after store " + std::to_string(n) + " of " + std::to_string(stores));
    kill_at(scenario, n);
    if (testing::Test::HasFailure()) return;
    ASSERT_TRUE(adopt_now());
    go_on(scenario);
    if (testing::Test::HasFailure()) return;
  }
  std::cout << "[ killed   ] after each of " << last.size() << " of " << stores << " stores\n";
}

void StoreCrash::kill_successor_everywhere(const Scenario& scenario, std::uint64_t step) {
  begin(scenario.prepare);
  ASSERT_EQ(crash::in_trapped_process(prefix(), tally, 0, scenario.operate), crash::Outcome::kWhole);
  const std::uint64_t stores = tally.stores();
  std::size_t kills = 0;
  for (std::uint64_t n = 1; n <= stores; n += step) {
    kill_at(scenario, n);
    const auto adopting = [this] { adopt_now(); };
    ASSERT_EQ(crash::in_trapped_process(prefix(), tally, 0, adopting), crash::Outcome::kWhole);
    const std::uint64_t of_successor = tally.stores();
    for (const std::uint64_t m : crash::stores_to_die_after(tally)) {
      SCOPED_TRACE("killed after store " + std::to_string(n) + " of " + std::to_string(stores) +
                   ", its successor after store " + std::to_string(m) + " of " + std::to_string(of_successor));
      kill_at(scenario, n);
      EXPECT_EQ(crash::in_trapped_process(prefix(), tally, m, adopting), crash::Outcome::kKilled);
      look_after_kill(scenario);
      if (testing::Test::HasFailure()) return;
      ASSERT_TRUE(adopt_now());
      go_on(scenario);
      ++kills;
      if (testing::Test::HasFailure()) return;
    }
  }
  std::cout << "[ killed   ] successors: " << kills << "\n";
}

}  // namespace tensorbroker::broker
