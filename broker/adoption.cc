#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <utility>

#include "broker/instance_files.h"
#include "broker/state.h"
#include "broker/store.h"
#include "proto/futex.h"

namespace tensorbroker::broker {
namespace {

// The finished catalogs among the segments, newest first. Throws VersionMismatchError at one of another layout.
std::vector<std::pair<std::uint64_t, Catalog>> open_catalogs(const InstanceName& name,
                                                             const std::vector<SegmentId>& found) {
  std::vector<std::pair<std::uint64_t, Catalog>> catalogs;
  for (const auto& [kind, id] : found) {
    if (kind != SegmentKind::kCatalog) continue;
    try {
      catalogs.emplace_back(id, Catalog::open(name, id, Access::kReadWrite));
    } catch (const CorruptSegmentError& e) {
      spdlog::warn("removing a catalog that cannot be adopted: {}", e.what());
    }
  }
  std::sort(catalogs.begin(), catalogs.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  return catalogs;
}

// Unlinks what belongs to no adopted catalog: unfinished segments, arenas of catalogs that are gone, and sessions
// without a record; a client that still has one mapped is refused when it connects.
void remove_orphans(const InstanceName& name, const Store* store) {
  for (const auto& [kind, id] : segments_of(name)) {
    const bool known = store != nullptr && ((kind == SegmentKind::kCatalog && id == store->catalog_id()) ||
                                            (kind == SegmentKind::kArena && id == store->arena_id()) ||
                                            (kind == SegmentKind::kSession && store->has_session(id)));
    if (known) continue;
    spdlog::info("removing the orphaned segment {}", name.segment(kind, id));
    unlink_segment(name.segment(kind, id));
  }
}

// Tells who still maps a catalog that nobody will serve: they connect anew.
void close_for_readers(const InstanceName& name, std::uint64_t id) {
  try {
    const Catalog catalog = Catalog::open(name, id, Access::kReadWrite);
    catalog.root().index.store(kClosedRoot, std::memory_order_seq_cst);
    for (std::uint32_t i = 0; i < catalog.wait_words(); ++i) futex_wake_all(catalog.wait_word(i));
  } catch (const Error& e) {
    spdlog::warn("its readers cannot be told: {}", e.what());
  }
}

}  // namespace

std::optional<Store> Store::adopt(const InstanceName& name, const IsAlive& is_alive, const StoreHooks& hooks) {
  std::optional<Store> adopted;
  for (auto& [id, catalog] : open_catalogs(name, segments_of(name))) {
    const bool ended = catalog.root().index.load(std::memory_order_seq_cst) == kClosedRoot;
    if (adopted && !ended) continue;
    try {
      const CatalogOptions options = catalog.options();
      ArenaFile arena = ArenaFile::open(name, options.arena_id, options.arena_bytes);
      Store store(std::make_unique<State>(name, id, std::move(catalog), std::move(arena), hooks));
      store.state_->adopt(is_alive);
      if (ended) {
        spdlog::info("finishing the end of an instance that was closed");
        store.unlink_all();
      } else {
        adopted.emplace(std::move(store));
      }
    } catch (const Error& e) {
      if (!ended && e.code() != ErrorCode::kNotFound && e.code() != ErrorCode::kCorruptSegment) throw;
      spdlog::warn("catalog {} cannot be adopted, it is removed: {}", id, e.what());
      close_for_readers(name, id);
    }
  }
  remove_orphans(name, adopted ? &*adopted : nullptr);
  return adopted;
}

}  // namespace tensorbroker::broker
