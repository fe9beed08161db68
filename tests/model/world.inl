// The model of one broker and its readers over the protocols' templates, which are in scope where this is included: the
// product's, or a mutant's. Included inside a namespace, so that a program may have several.

using broker::BasicLeaseTable;
using broker::BasicNameIndex;
using model::Word;

// Two names whose hashes have the same tag and the same place: each lookup of one meets the other.
constexpr std::uint64_t kHashA = 0x1111111100000000;
constexpr std::uint64_t kHashB = 0x1111111100000004;
// One bit for each of them.
constexpr std::uint64_t beginnings_of(std::uint64_t hash) { return hash == kHashA ? 1 : 2; }
constexpr std::size_t kEntries = 3;
constexpr std::size_t kCells = 4;
constexpr std::uint64_t kAbsent = 0;
// A rebuild has a slice that empties the cells, and one for each cell; half of one has passed the first cell.
constexpr broker::IndexSlice kSlice{.emptied = kCells, .moved = 1};
constexpr int kHalf = 2;

// What is published at the start, under the first name.
constexpr EntryId kFirstEntry = 0;
constexpr std::uint64_t kFirstGeneration = live(100 << 1);

enum class Op { kPutA, kPutB, kDeleteA, kRebuild, kHalfARebuild, kOverwriteOldIndex };

// A catalog of three entries, one broker, one or two readers, the first of which may fork.
class World {
 public:
  World(std::size_t readers, bool forks) : tables_(readers), readers_(readers) {
    view_ = init_view();
    make_broker_words_local();
    root_.index.set(IndexRoot{.epoch = 1, .region = 0, .log2_cells = 2}.pack());
    root_.entries_committed.set(kEntries);
    record_.id.set(1);
    for (EntryId id = kEntries; id-- > 0;) free_.push_back(id);
    for (std::size_t r = 0; r < readers; ++r) {
      tables_[r] = {.control = &readers_[r].control, .leases = readers_[r].leases.data(), .committed = 1};
      readers_[r].control.lease_high_water.set(1);
    }
    if (forks) tables_.push_back({.control = &heir_.control, .leases = heir_.leases.data(), .committed = 1});
    broker_put(kHashA);  // outside of any fiber: this is the state at the start
    root_.index.on_store([this] { note_current(); });
    for (auto& region : index_) {
      for (Word& cell : region) cell.on_store([this] { note_current(); });
    }
  }

  // ---- the broker
  // It is killed after so many stores; a successor adopts what it left, and goes on with the next operation.
  void run_broker_killed_after(int stores, const std::vector<Op>& ops) {
    std::size_t begun = 0;
    try {
      model::kill_after(stores);
      for (; begun < ops.size(); ++begun) run_broker({ops[begun]});
    } catch (const model::Killed&) {
      was_killed_ = true;
    }
    model::live_on();
    if (!was_killed_) return;
    adopt();
    run_broker({ops.begin() + static_cast<std::ptrdiff_t>(begun) + 1, ops.end()});
  }
  bool was_killed() const { return was_killed_; }

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
          rebuild(-1);
          break;
        case Op::kHalfARebuild:
          rebuild(kHalf);
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

  // A reader that walks the index, and passes by what its beginnings or a glance say is not "a".
  void list_names(std::size_t r) {
    Reader& reader = readers_[r];
    reader.seen = {current_};
    reader.in_call = true;
    const std::uint64_t root = root_.index.load(std::memory_order_seq_cst);
    int met = 0;
    const unsigned region = IndexRoot::unpack(root).region;
    for (std::size_t i = 0; i < kCells; ++i) {
      const std::uint64_t beginnings = beginnings_[region][i].load(std::memory_order_relaxed);
      if ((beginnings & beginnings_of(kHashA)) != 0) met += is_surely_not_a(index_[region][i]) ? 0 : 1;
    }
    const bool in_force = root_.index.load(std::memory_order_seq_cst) == root;
    reader.in_call = false;
    if (in_force && met == 0 && !reader.seen.contains(kAbsent)) {
      model::report("a name that was always there was passed by");
    }
  }

  // A reader that has a handle to what is there at the start.
  void open_use_release(std::size_t r, EntryId id, std::uint64_t generation) {
    Reader& reader = readers_[r];
    const auto ring = [&] { reader.control.ring.exchange(1, std::memory_order_seq_cst); };
    if (!lease_by_handle(reader.leases[0], entries_[id], id, generation, ring)) return;
    reader.held = id;
    model::scheduling_point();
    if (live(entries_[id].generation.peek()) != generation) model::report("a held entry changed");
    reader.held = kNoEntry;
    release_lease(reader.leases[0], entries_[id], ring);
  }
  // A reader that forks while it holds "a": the parent lets go at once, the child uses it and lets go.
  void get_fork_use_release(std::size_t r) {
    Reader& reader = readers_[r];
    EntryId id = kNoEntry;
    const auto ring = [&] { reader.control.ring.exchange(1, std::memory_order_seq_cst); };
    const auto matches = [&](EntryId e) { return bears_name_a(e); };
    if (lookup(view_, kHashA, reader.leases[0], matches, ring, &id) != LookupStatus::kHeld) return;
    const std::uint64_t version = version_of(entries_[id].generation.peek());
    reader.held = id;
    inherit_leases(reader.leases.data(), reader.control.lease_high_water.peek(), heir_.control, heir_.leases.data());
    release_lease(reader.leases[0], entries_[id], ring);
    model::scheduling_point();
    if (version_of(entries_[id].generation.peek()) != version) model::report("what a child inherited changed");
    reader.held = kNoEntry;
    release_lease(heir_.leases[0], entries_[id],
                  [&] { heir_.control.ring.exchange(1, std::memory_order_seq_cst); });
  }
  EntryId first_entry() const { return kFirstEntry; }
  std::uint64_t first_generation() const { return kFirstGeneration; }

  // All is quiet: a broker that sleeps until it is rung must have nothing left to free.
  void check_nothing_lost() {
    const bool rung =
        heir_.control.ring.peek() != 0 ||
        std::any_of(readers_.begin(), readers_.end(), [](const Reader& r) { return r.control.ring.peek() != 0; });
    if (rung || was_killed_) reclaim();  // a successor repeats the pass until all sessions have come back
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

  bool is_surely_not_a(const Word& word) const {
    const std::uint64_t cell = word.load(std::memory_order_acquire);
    if (!cell_is_entry(cell)) return true;
    const BasicEntry<Word>& entry = entries_[cell_entry(cell)];
    std::uint64_t hash = 0;
    return glance(word, cell, entry, [&] { hash = entry.name_hash.load(std::memory_order_relaxed); }) && hash != kHashA;
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

  // A rebuild changes nothing of what is there, whatever the index says meanwhile.
  void note_current() {
    if (in_rebuild_) return;
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
            .beginnings = beginnings_of(hash),
            .entry = id,
            .generation = live(next_generation_++ << 1),
            .replaced = place.entry,
            .replaced_generation = place.entry == kNoEntry ? 0 : entries_[place.entry].generation.peek()});
    names_.changed(place.cell, before, after);
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
    names_.changed(place.cell, before, kTombstone);
  }

  // So many slices of it; below 0: to the end.
  void rebuild(int slices) {
    in_rebuild_ = true;
    for (bool done = false; !done && slices != 0; --slices) {
      done = names_.advance([](unsigned, std::uint64_t, std::uint64_t) {});
      half_rebuilt_ = !done;
    }
    in_rebuild_ = false;
  }

  // What is unlinked and was not freed is retired; nothing is known of what the other one had in mind.
  void adopt() {
    if (const auto intent = broker::read_intent(root_.intent)) broker::carry_out(view_, record_, *intent);
    in_rebuild_ = half_rebuilt_ = false;
    names_ = BasicNameIndex<Word>(view_, kSlice);
    std::set<EntryId> named;
    names_.count([&](std::uint64_t, std::uint64_t cell) { named.insert(cell_entry(cell)); });
    free_.clear();
    retired_.clear();
    for (EntryId id = 0; id < kEntries; ++id) {
      const bool used = EntryState::unpack(entries_[id].state.peek()).phase == EntryPhase::kUsed;
      if (named.contains(id)) {
        if (!used || !is_live(entries_[id].generation.peek())) model::report("a cell names what is not published");
      } else if (used) {
        entries_[id].generation.store(retired(entries_[id].generation.peek()), std::memory_order_seq_cst);
        retired_.push_back(id);
      } else {
        free_.push_back(id);
      }
    }
    current_ = version_in_index();
    reclaim();
  }

  void mutate(broker::Mutation mutation) {
    mutation.session = 1;
    mutation.sequence = ++sequence_;
    broker::commit(view_, record_, mutation);
    if (mutation.replaced != kNoEntry) retired_.push_back(mutation.replaced);
  }

  // The region that no root names is the broker's to use again: readers of a stale root may meet anything in it.
  void overwrite_old_index() {
    if (half_rebuilt_) return;
    const unsigned old = 1 - IndexRoot::unpack(root_.index.peek()).region;
    for (Word& cell : index_[old]) cell.store(make_cell(kHashA, static_cast<EntryId>(sequence_ % kEntries)));
    for (Word& word : beginnings_[old]) word.store(0);
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
  std::array<std::array<Word, kCells>, 2> beginnings_;
  BasicSessionRecord<Word> record_;
  BasicCatalogView<Word> view_;
  BasicNameIndex<Word> names_{init_view(), kSlice};
  std::vector<BasicLeaseTable<Word>> tables_;
  std::vector<Reader> readers_;
  Reader heir_;  // of the first reader
  std::vector<EntryId> free_;
  std::vector<EntryId> retired_;
  std::uint64_t next_generation_ = 100;
  std::uint64_t sequence_ = 0;
  std::uint64_t current_ = kAbsent;
  bool was_killed_ = false;
  bool in_rebuild_ = false;
  bool half_rebuilt_ = false;

  BasicCatalogView<Word> init_view() {
    return {.root = &root_,
            .entries = entries_.data(),
            .index = {index_[0].data(), index_[1].data()},
            .index_limit = kCells,
            .beginnings = {beginnings_[0].data(), beginnings_[1].data()}};
  }
};

// How a case is explored. `by_handle`, `forks`, `lists`: the first reader opens a handle, forks, or lists instead.
struct Bounds {
  std::size_t readers = 1;
  int preemptions = 3;
  bool by_handle = false;
  bool forks = false;
  bool lists = false;
  model::Memory memory = model::Memory::kSequential;
  bool until_violation = false;
  int kill_after = -1;           // stores of the broker; below 0: it lives
  bool* was_killed = nullptr;    // told whether it had so many in any schedule
};

inline model::Exploration explore_world(const std::vector<Op>& ops, const Bounds& bounds) {
  const std::size_t readers = bounds.readers;
  return model::explore(
      [&] {
        auto world = std::make_shared<World>(readers, bounds.forks);
        model::Program program;
        if (bounds.kill_after < 0) {
          program.fibers.emplace_back([world, &ops] { world->run_broker(ops); });
        } else {
          program.fibers.emplace_back([world, &ops, &bounds] {
            world->run_broker_killed_after(bounds.kill_after, ops);
            if (bounds.was_killed != nullptr && world->was_killed()) *bounds.was_killed = true;
          });
        }
        for (std::size_t r = 0; r < readers; ++r) {
          if (bounds.by_handle && r == 0) {
            program.fibers.emplace_back(
                [world] { world->open_use_release(0, world->first_entry(), world->first_generation()); });
          } else if (bounds.forks && r == 0) {
            program.fibers.emplace_back([world] { world->get_fork_use_release(0); });
          } else if (bounds.lists && r == 0) {
            program.fibers.emplace_back([world] { world->list_names(0); });
          } else {
            program.fibers.emplace_back([world, r] { world->get_use_release(r); });
          }
        }
        program.at_end = [world] { world->check_nothing_lost(); };
        return program;
      },
      {.preemptions = bounds.preemptions, .memory = bounds.memory, .until_violation = bounds.until_violation});
}
