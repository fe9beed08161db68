#include "broker/store.h"

#include <bit>
#include <chrono>
#include <utility>

#include "broker/state.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t kArenaFactor = 4;  // address space for each byte of capacity
constexpr std::uint64_t kFirstRecords = 8;

std::uint64_t now_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

// Gives a new catalog's tables their first pages, so that none is touched without.
void reserve_first_pages(Store::State& s) {
  const schema::CatalogTables& t = s.catalog.tables();
  s.file.reserve({t.root_offset(), round_up_to_page(sizeof(CatalogRoot))});
  s.file.reserve({t.waits_offset(), round_up_to_page(t.waits_limit() * sizeof(WaitWord))});
  s.file.reserve({t.events_offset(), round_up_to_page(t.events_limit() * sizeof(EventRecord))});
  s.records.ensure(s.file, std::min<std::uint64_t>(kFirstRecords, t.sessions_limit()));
  for (std::uint64_t slot = s.records.committed(); slot > 0; --slot) {
    s.free_records.push_back(static_cast<std::uint32_t>(slot - 1));
  }
  s.entries.start(s.catalog, s.file);
  s.heap.start(s.catalog, s.file);
}

void start_root(Store::State& s) {
  const std::uint64_t cells = std::min(NameIndex::kLeastCells, s.catalog.view().index_limit);
  s.reserve_index(0, 0, cells);
  CatalogRoot& root = s.catalog.root();
  root.next_generation.store(s.options.created_us, std::memory_order_relaxed);
  root.next_id.store(s.options.arena_id + 1, std::memory_order_relaxed);
  const IndexRoot index{.epoch = 1, .region = 0, .log2_cells = static_cast<std::uint8_t>(std::countr_zero(cells))};
  root.index.store(index.pack(), std::memory_order_seq_cst);
}

}  // namespace

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;

Store::~Store() {
  if (state_ == nullptr || !state_->hooks.unmapping) return;
  for (auto& [id, session] : state_->sessions) state_->hooks.unmapping(session.segment);
}

Store Store::create(const InstanceName& name, const InstanceId& instance, CatalogOptions options, StoreHooks hooks) {
  if (options.created_us == 0) options.created_us = now_us();
  const std::uint64_t id = options.created_us;
  options.arena_id = id + 1;
  options.capacity = round_up_to_page(options.capacity);
  options.arena_bytes = kPageSize + kArenaFactor * options.capacity;
  try {
    Catalog catalog = Catalog::create(name, id, instance, options);
    // The header holds what was just written; the root's page is reserved before anything reads it.
    SegmentFile(catalog.segment().name()).reserve({catalog.tables().root_offset(), kPageSize});
    catalog.record_limits(options);
    ArenaFile arena = ArenaFile::create(name, options.arena_id, options.arena_bytes, instance);
    auto state = std::make_unique<State>(name, id, std::move(catalog), std::move(arena), std::move(hooks));
    reserve_first_pages(*state);
    start_root(*state);
    state->pool.give({kPageSize, options.arena_bytes - kPageSize}, Warmth::kCold);
    state->catalog.finish();
    return Store(std::move(state));
  } catch (...) {
    unlink_segment(name.segment(SegmentKind::kArena, options.arena_id));
    unlink_segment(name.segment(SegmentKind::kCatalog, id));
    throw;
  }
}

const InstanceName& Store::name() const noexcept { return state_->name; }
Catalog& Store::catalog() noexcept { return state_->catalog; }
std::uint64_t Store::catalog_id() const noexcept { return state_->catalog_id; }
std::uint64_t Store::arena_id() const noexcept { return state_->options.arena_id; }
const ArenaFile& Store::arena() const noexcept { return state_->arena; }
const CatalogOptions& Store::options() const noexcept { return state_->options; }

void Store::set_limits(const CatalogOptions& limits) {
  CatalogOptions& options = state_->options;
  options.capacity = std::min(round_up_to_page(limits.capacity), options.arena_bytes - kPageSize);
  options.session_limit = limits.session_limit;
  options.user_limit = limits.user_limit;
  options.idle_exit_seconds = limits.idle_exit_seconds;
  options.prepared = limits.prepared;
  options.quotas = limits.quotas;
  state_->catalog.record_limits(options);
}

void Store::share_with(gid_t group) {
  state_->file.share_with(group);
  state_->arena.share_with(group);
}

std::optional<gid_t> Store::group() const { return state_->file.group(); }

Statistics Store::statistics() const {
  const State& s = *state_;
  Statistics all = s.counted;
  all.capacity = s.options.capacity;
  all.used = s.used;
  all.free = all.capacity > all.used ? all.capacity - all.used : 0;
  all.warm = s.pool.warm_bytes();
  all.pooled = s.pool.free_bytes();
  for (const auto& [id, session] : s.sessions) {
    all.sessions += session.parent == 0 ? 1 : 0;
    for_each_lease(session.lease_table(), [&](std::uint64_t) { ++all.leases; });
  }
  for (const auto& [slot, pin] : s.pins.all()) ++(pin.session == 0 ? all.sent : all.pins);
  return all;
}

}  // namespace tensorbroker::broker
