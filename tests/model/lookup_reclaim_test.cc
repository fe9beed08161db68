// get and release against put, replace, delete, reclaim, rebuild and reuse: the product's templates under every
// interleaving of small programs. The violations that it looks for are those that weaker variants of the protocol show.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/name_index.h"
#include "broker/publication.h"
#include "broker/reclaim.h"
#include "proto/lookup.h"
#include "tests/model/explorer.h"

namespace tensorbroker {
namespace {

using broker::BasicLeaseTable;
using broker::BasicNameIndex;
using model::Word;

// Two names whose hashes have the same tag and the same place: each lookup of one meets the other.
constexpr std::uint64_t kHashA = 0x1111111100000000;
constexpr std::uint64_t kHashB = 0x1111111100000004;
constexpr std::size_t kEntries = 3;
constexpr std::size_t kCells = 4;
constexpr std::uint64_t kAbsent = 0;

enum class Op { kPutA, kPutB, kDeleteA, kRebuild, kOverwriteOldIndex };

// A catalog of three entries, one broker, one or two readers.
class World {
 public:
  explicit World(std::size_t readers) : tables_(readers), readers_(readers) {
    view_ = {.root = &root_,
             .entries = entries_.data(),
             .index = {index_[0].data(), index_[1].data()},
             .index_limit = kCells};
    make_broker_words_local();
    root_.index.set(IndexRoot{.epoch = 1, .region = 0, .log2_cells = 2}.pack());
    root_.entries_committed.set(kEntries);
    record_.id.set(1);
    for (EntryId id = kEntries; id-- > 0;) free_.push_back(id);
    for (std::size_t r = 0; r < readers; ++r) {
      tables_[r] = {.control = &readers_[r].control, .leases = readers_[r].leases.data(), .committed = 1};
      readers_[r].control.lease_high_water.set(1);
    }
    broker_put(kHashA);  // outside of any fiber: this is the state at the start
    root_.index.on_store([this] { note_current(); });
    for (auto& region : index_) {
      for (Word& cell : region) cell.on_store([this] { note_current(); });
    }
  }

  // ---- the broker
  void run_broker(const std::vector<Op>& ops) {
    for (const Op op : ops) {
      switch (op) {
        case Op::kPutA:
          broker_put(kHashA);
          break;
        case Op::kPutB:
          broker_put(kHashB);
          break;
        case Op::kDeleteA:
          broker_delete(kHashA);
          break;
        case Op::kRebuild:
          names_.rebuild([](std::uint8_t, std::uint64_t) {});
          break;
        case Op::kOverwriteOldIndex:
          overwrite_old_index();
          break;
      }
      reclaim();
    }
  }

  // ---- a reader: get "a", use it, let go
  void get_use_release(std::size_t r) {
    Reader& reader = readers_[r];
    reader.seen = {current_};
    reader.in_call = true;
    EntryId id = kNoEntry;
    const auto ring = [&] { reader.control.ring.exchange(1, std::memory_order_seq_cst); };
    const LookupStatus status =
        lookup(view_, kHashA, reader.leases[0], [&](EntryId e) { return bears_name_a(e); }, ring, &id);
    reader.in_call = false;
    if (status == LookupStatus::kMissing && !reader.seen.contains(kAbsent))
      model::report("a name that was always there was missed");
    if (status == LookupStatus::kCorrupt) model::report("a healthy catalog was called corrupt");
    if (status != LookupStatus::kHeld) return;
    const std::uint64_t version = version_of(entries_[id].generation.peek());
    if (!reader.seen.contains(version)) model::report("a version that was never current during the call");
    reader.held = id;
    for (int use = 0; use < 2; ++use) {
      model::scheduling_point();
      if (version_of(entries_[id].generation.peek()) != version || entries_[id].name_hash.peek() != kHashA) {
        model::report("a held entry changed");
      }
    }
    reader.held = kNoEntry;
    release_lease(reader.leases[0], entries_[id], ring);
  }

  // All is quiet: a broker that sleeps until it is rung must have nothing left to free.
  void check_nothing_lost() {
    const bool rung =
        std::any_of(readers_.begin(), readers_.end(), [](const Reader& r) { return r.control.ring.peek() != 0; });
    if (rung) reclaim();
    if (!retired_.empty()) model::report("a reclaim was lost: retired, unleased, and the broker asleep");
  }

 private:
  struct Reader {
    BasicSessionControl<Word> control;
    std::array<Word, 1> leases;
    std::set<std::uint64_t> seen;  // versions of "a" that were current during the call; kAbsent for none
    bool in_call = false;
    EntryId held = kNoEntry;
  };

  void make_broker_words_local() {
    BasicIntent<Word>& i = root_.intent;
    for (Word* word : {&i.kind, &i.cell, &i.cell_value, &i.entry, &i.generation, &i.replaced, &i.replaced_generation,
                       &i.session, &i.session_id, &i.sequence, &i.result, &record_.id}) {
      word->set_local();
    }
    for (auto& result : record_.window) {
      result.sequence.set_local();
      result.value.set_local();
    }
    for (auto& entry : entries_) {
      for (Word* word : {&entry.header, &entry.block_offset, &entry.block_bytes, &entry.created_us, &entry.state}) {
        word->set_local();
      }
    }
  }

  bool bears_name_a(EntryId id) {
    const auto phase = EntryState::unpack(entries_[id].state.peek()).phase;
    if (phase != EntryPhase::kUsed) model::report("a lookup reads an entry that is free or half built");
    return entries_[id].name_hash.load(std::memory_order_relaxed) == kHashA;
  }

  // What the index says of "a", by looking at it whole.
  std::uint64_t version_in_index() const {
    const IndexRoot root = IndexRoot::unpack(root_.index.peek());
    for (const Word& word : index_[root.region]) {
      const std::uint64_t cell = word.peek();
      if (!cell_is_entry(cell)) continue;
      const auto& entry = entries_[cell_entry(cell)];
      if (entry.name_hash.peek() == kHashA) return version_of(entry.generation.peek());
    }
    return kAbsent;
  }

  void note_current() {
    current_ = version_in_index();
    for (Reader& reader : readers_) {
      if (reader.in_call) reader.seen.insert(current_);
    }
  }

  void broker_put(std::uint64_t hash) {
    if (free_.empty()) return;
    const EntryId id = free_.back();
    const auto place = names_.find(hash, [&](EntryId e) { return entries_[e].name_hash.peek() == hash; });
    const std::uint64_t before = names_.load(place.cell);
    if (before == kEmptyCell && !names_.has_room()) return;
    free_.pop_back();
    broker::fill_spare(entries_[id], {.name_hash = hash, .header = {}, .state = {.is_named = true}});
    const std::uint64_t after = make_cell(hash, id);
    mutate({.kind = IntentKind::kPublish,
            .cell = place.cell,
            .cell_value = after,
            .entry = id,
            .generation = live(next_generation_++ << 1),
            .replaced = place.entry,
            .replaced_generation = place.entry == kNoEntry ? 0 : entries_[place.entry].generation.peek()});
    names_.changed(before, after);
    if (hash == kHashA) current_ = version_in_index();
  }

  void broker_delete(std::uint64_t hash) {
    const auto place = names_.find(hash, [&](EntryId e) { return entries_[e].name_hash.peek() == hash; });
    if (place.entry == kNoEntry) return;
    const std::uint64_t before = names_.load(place.cell);
    mutate({.kind = IntentKind::kDelete,
            .cell = place.cell,
            .cell_value = kTombstone,
            .replaced = place.entry,
            .replaced_generation = entries_[place.entry].generation.peek()});
    names_.changed(before, kTombstone);
  }

  void mutate(broker::Mutation mutation) {
    mutation.session = 1;
    mutation.sequence = ++sequence_;
    broker::commit(view_, record_, mutation);
    if (mutation.replaced != kNoEntry) retired_.push_back(mutation.replaced);
  }

  // The region that no root names is the broker's to use again: readers of a stale root may meet anything in it.
  void overwrite_old_index() {
    auto& old = index_[1 - IndexRoot::unpack(root_.index.peek()).region];
    for (Word& cell : old) cell.store(make_cell(kHashA, static_cast<EntryId>(sequence_ % kEntries)));
  }

  void reclaim() {
    if (retired_.empty()) return;
    const std::vector<bool> leased = broker::leased_entries(tables_, kEntries);
    std::erase_if(retired_, [&](EntryId id) {
      if (leased[id]) return false;
      for (const Reader& reader : readers_) {
        if (reader.held == id) model::report("an entry was freed while it was held");
      }
      entries_[id].state.set(EntryState{.phase = EntryPhase::kFree}.pack());
      free_.push_back(id);
      return true;
    });
  }

  BasicCatalogRoot<Word> root_;
  std::array<BasicEntry<Word>, kEntries> entries_;
  std::array<std::array<Word, kCells>, 2> index_;
  BasicSessionRecord<Word> record_;
  BasicCatalogView<Word> view_;
  BasicNameIndex<Word> names_{init_view()};
  std::vector<BasicLeaseTable<Word>> tables_;
  std::vector<Reader> readers_;
  std::vector<EntryId> free_;
  std::vector<EntryId> retired_;
  std::uint64_t next_generation_ = 100;
  std::uint64_t sequence_ = 0;
  std::uint64_t current_ = kAbsent;

  BasicCatalogView<Word> init_view() {
    return {.root = &root_,
            .entries = entries_.data(),
            .index = {index_[0].data(), index_[1].data()},
            .index_limit = kCells};
  }
};

model::Exploration explore_world(const std::vector<Op>& ops, std::size_t readers, int preemptions) {
  return model::explore(
      [&] {
        auto world = std::make_shared<World>(readers);
        model::Program program;
        program.fibers.emplace_back([world, &ops] { world->run_broker(ops); });
        for (std::size_t r = 0; r < readers; ++r) {
          program.fibers.emplace_back([world, r] { world->get_use_release(r); });
        }
        program.at_end = [world] { world->check_nothing_lost(); };
        return program;
      },
      preemptions);
}

std::string text(const std::vector<Op>& ops) {
  static const char* const kNames[] = {"put a", "put b", "delete a", "rebuild", "overwrite old index"};
  std::string out;
  for (const Op op : ops) out += std::string(out.empty() ? "" : ", ") + kNames[static_cast<int>(op)];
  return out;
}

// Every program of `length` operations.
std::vector<std::vector<Op>> programs(std::size_t length) {
  std::vector<std::vector<Op>> all = {{}};
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<std::vector<Op>> longer;
    for (const auto& ops : all) {
      for (const Op op : {Op::kPutA, Op::kPutB, Op::kDeleteA, Op::kRebuild, Op::kOverwriteOldIndex}) {
        longer.push_back(ops);
        longer.back().push_back(op);
      }
    }
    all = std::move(longer);
  }
  return all;
}

void expect_no_violation(const std::vector<Op>& ops, std::size_t readers, int preemptions) {
  const model::Exploration result = explore_world(ops, readers, preemptions);
  EXPECT_TRUE(result.complete) << text(ops) << ": " << result.schedules << " schedules were not all";
  for (const std::string& violation : result.violations) ADD_FAILURE() << text(ops) << ": " << violation;
}

TEST(LookupAgainstReclaim, OneReaderEveryProgramOfTwoOperations) {
  for (const auto& ops : programs(2)) expect_no_violation(ops, 1, 3);
}

TEST(LookupAgainstReclaim, OneReaderEveryProgramOfThreeOperations) {
  for (const auto& ops : programs(3)) expect_no_violation(ops, 1, 2);
}

TEST(LookupAgainstReclaim, TwoReaders) {
  for (const auto& ops : {std::vector{Op::kPutA}, std::vector{Op::kDeleteA}, std::vector{Op::kPutA, Op::kPutB}}) {
    expect_no_violation(ops, 2, 2);
  }
}

// Replace, reclaim and reuse the entry under a name that the reader looks for again: what a check of the generation
// alone would let pass.
TEST(LookupAgainstReclaim, AnEntryThatIsReusedDuringALookup) {
  expect_no_violation({Op::kPutA, Op::kPutB, Op::kPutA, Op::kPutB}, 1, 3);
}

// A reader that still walks the old index while it is rebuilt and its memory used for something else.
TEST(LookupAgainstReclaim, AnIndexThatIsRebuiltUnderAReader) {
  expect_no_violation({Op::kRebuild, Op::kOverwriteOldIndex, Op::kRebuild, Op::kPutA}, 1, 3);
}

}  // namespace
}  // namespace tensorbroker
