#include "client/listing.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "client/decode.h"
#include "proto/catalog.h"
#include "proto/glance.h"
#include "proto/name_prefix.h"

namespace tensorbroker {
namespace {

// Cells whose entries and records are fetched at the same time: a look at one alone waits for memory twice.
constexpr std::size_t kAtOnce = 64;

// A cell that names an entry, and what it held.
struct Met {
  const Word* word = nullptr;
  std::uint64_t cell = 0;

  EntryId entry() const { return cell_entry(cell); }
};

// One walk over the index. It leases what it finds, and nothing of what it passes by.
class Walk {
 public:
  Walk(Attachment& attachment, std::string_view prefix, const Limit& limit)
      : attachment_(attachment),
        catalog_(attachment.catalog()),
        prefix_(prefix),
        beginning_(prefix),
        limit_(limit),
        root_(catalog_.root().index.load(std::memory_order_seq_cst)),
        entries_(catalog_.root().entries_committed.load(std::memory_order_acquire)) {}

  // nullopt where the index was rebuilt meanwhile. Cells never move within one index, and replacing a name changes its
  // cell in place: so each name that is there throughout is met exactly once.
  std::optional<std::vector<Info>> run() {
    const std::span<const Word> cells = this->cells();
    for (std::size_t next = 0; next < cells.size();) {
      next = look_from(cells, next);
      if (!is_in_force()) return std::nullopt;
    }
    return std::move(found_);
  }

 private:
  bool is_in_force() const { return catalog_.root().index.load(std::memory_order_seq_cst) == root_; }

  // The index that was in force at the begin.
  std::span<const Word> cells() const {
    if (root_ == kClosedRoot) throw InstanceEnded("the instance ended; connect again");
    const IndexRoot index = IndexRoot::unpack(root_);
    const std::uint64_t count = std::uint64_t{1} << (index.log2_cells & 63);
    if (index.region > 1 || count > catalog_.view().index_limit) {
      throw CorruptSegmentError("the root of the name index in " + catalog_.segment().name() + " is out of bounds");
    }
    return {catalog_.view().index[index.region], count};
  }

  // Looks at the next kAtOnce cells that name entries; where to go on.
  std::size_t look_from(std::span<const Word> cells, std::size_t next) {
    std::array<Met, kAtOnce> met;
    std::size_t count = 0;
    for (; next < cells.size() && count < met.size(); ++next) {
      const std::uint64_t cell = cells[next].load(std::memory_order_acquire);  // before the root is read again
      if (cell_is_entry(cell)) met[count++] = {&cells[next], cell};
    }
    fetch(std::span(met).first(count));
    for (std::size_t i = 0; i < count; ++i) {
      if (is_another(met[i])) continue;
      if (auto info = describe(*met[i].word)) found_.push_back(std::move(*info));
    }
    return next;
  }

  // Has the processor fetch their entries, then the begins of their records.
  void fetch(std::span<const Met> cells) const {
    for (const Met& met : cells) {
      if (met.entry() < entries_) __builtin_prefetch(&catalog_.entry(met.entry()));
    }
    for (const Met& met : cells) {
      if (met.entry() < entries_) __builtin_prefetch(record_of(catalog_.entry(met.entry())).data());
    }
  }

  std::span<const std::byte> record_of(const Entry& entry) const {
    return catalog_.heap_bytes(HeapRef::unpack(entry.header.load(std::memory_order_relaxed)));
  }

  // Whether the cell's name was seen not to begin with the prefix. False where it does, and where that was not to be
  // seen without a lease.
  bool is_another(const Met& met) const {
    if (met.entry() >= entries_) return false;
    const Entry& entry = catalog_.entry(met.entry());
    bool differs = false;
    return glance(*met.word, met.cell, entry, [&] { differs = beginning_.differs(record_of(entry)); }) && differs;
  }

  // What the entry of a cell is called, and its description; nothing where the name does not begin with the prefix.
  // The entry may have been replaced since the cell was read: then the cell tells, and is read again, unless the index
  // is in force no more, whose cells name for ever what they named last.
  std::optional<Info> describe(const Word& word) {
    for (;;) {
      const std::uint64_t cell = word.load(std::memory_order_seq_cst);
      if (!cell_is_entry(cell)) return std::nullopt;
      const detail::StorageRef storage = attachment_.lease_entry(cell_entry(cell), limit_);
      if (!storage || word.load(std::memory_order_seq_cst) != cell) {
        if (!is_in_force()) return std::nullopt;
        limit_.check_open();
        if (limit_.passed()) throw BrokerUnavailableError("a listing met a name that kept changing until the timeout");
        continue;
      }
      if (!storage->record().name.starts_with(prefix_)) return std::nullopt;
      return decode_info(storage);
    }
  }

  Attachment& attachment_;
  const Catalog& catalog_;
  const std::string_view prefix_;
  const NamePrefix beginning_;
  const Limit& limit_;
  const std::uint64_t root_;
  const std::uint64_t entries_;  // committed at the begin; what is beyond is not looked at without a lease
  std::vector<Info> found_;
};

// A name that was deleted and published again during the walk may have been met in two cells: the newer one counts.
std::vector<Info> in_order(std::vector<Info> found) {
  std::sort(found.begin(), found.end(),
            [](const Info& a, const Info& b) { return a.name != b.name ? a.name < b.name : a.version > b.version; });
  const auto same_name = [](const Info& a, const Info& b) { return a.name == b.name; };
  found.erase(std::unique(found.begin(), found.end(), same_name), found.end());
  return found;
}

}  // namespace

std::vector<Info> list_entries(Attachment& attachment, std::string_view prefix, const Limit& limit) {
  for (;;) {
    auto found = Walk(attachment, prefix, limit).run();
    attachment.check_intact();
    if (found) return in_order(std::move(*found));
    limit.check_open();
    if (limit.passed())
      throw BrokerUnavailableError("the name index was rebuilt during every listing until the timeout");
  }
}

}  // namespace tensorbroker
