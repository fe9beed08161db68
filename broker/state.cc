#include "broker/state.h"

#include <utility>

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t kRecordStep = 8;

}  // namespace

Store::State::State(InstanceName instance_name, std::uint64_t id, Catalog mapped, ArenaFile arena_file,
                    StoreHooks store_hooks)
    : name(std::move(instance_name)),
      catalog_id(id),
      catalog(std::move(mapped)),
      file(catalog.segment().name()),
      arena(std::move(arena_file)),
      hooks(std::move(store_hooks)),
      options(catalog.options()),
      records("sessions", catalog.tables().sessions_offset(), sizeof(SessionRecord), catalog.tables().sessions_limit(),
              kRecordStep),
      accounts(name.uid),
      entries(catalog),
      heap(catalog),
      index(catalog.view()),
      pins(catalog),
      extents(catalog) {
  // Even where the lock of the instance was removed, nobody adopts what a living broker serves.
  if (!file.try_lock()) {
    throw Error(ErrorCode::kRuntime, "a living broker serves " + file.name() +
                                         ", though its lock was removed; connect to it, or end it first");
  }
}

void Store::State::check_open() const {
  if (closed) throw ClosedError("the broker of instance " + name.instance + " is ending; connect again");
}

Session& Store::State::session(std::uint64_t id) {
  const auto at = sessions.find(id);
  if (at == sessions.end()) throw NotFoundError("there is no session " + std::to_string(id) + "; connect again");
  return at->second;
}

Range Store::State::block_of(EntryId id) const {
  const Entry& entry = catalog.entry(id);
  return {entry.block_offset.load(std::memory_order_relaxed), entry.block_bytes.load(std::memory_order_relaxed)};
}

void Store::State::count_name(EntryId id, bool appeared) {
  const EntryState state = EntryState::unpack(catalog.entry(id).state.load(std::memory_order_relaxed));
  std::uint64_t& kind = state.is_bundle ? counted.bundles : counted.tensors;
  kind += appeared ? std::uint64_t{1} : ~std::uint64_t{0};
}

// REQUIRES: `begin` is the first of a page.
void Store::State::reserve_index(unsigned region, std::uint64_t begin, std::uint64_t cells) const {
  for (const auto* table : {catalog.tables().index_offset(), catalog.tables().beginnings_offset()}) {
    file.reserve({table->Get(region) + begin * sizeof(Word), round_up_to_page(cells * sizeof(Word))});
  }
}

}  // namespace tensorbroker::broker
