#include "client/listing.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include "client/describe.h"
#include "client/findings.h"
#include "proto/catalog.h"
#include "proto/glance.h"
#include "proto/heap_record.h"
#include "proto/name_beginnings.h"
#include "proto/name_prefix.h"

namespace tensorbroker {
namespace {

// Cells whose entries and records are fetched at the same time: a look at one alone waits for memory thrice.
constexpr std::size_t kAtOnce = 64;
// Cells between two looks at the root.
constexpr std::size_t kCellsAtOnce = 4096;
// Larger records, those of bundles and of much metadata, are not copied, but read under a lease, one at a time.
constexpr std::size_t kMostCopied = 1024;

// A cell that names an entry, and what it held.
struct Met {
  const Word* word = nullptr;
  std::uint64_t cell = 0;

  EntryId entry() const { return cell_entry(cell); }
};

// The index that was in force at the begin of a walk.
struct Cells {
  const Word* index = nullptr;
  const Word* beginnings = nullptr;
  std::size_t count = 0;
};

// One walk over the index. What it finds it copies at a glance; it leases what that does not do for.
class Walk {
 public:
  Walk(Attachment& attachment, std::string_view prefix, const Limit& limit)
      : attachment_(attachment),
        catalog_(attachment.catalog()),
        prefix_(prefix),
        prefix_of_names_(prefix),
        beginnings_(beginnings_of(prefix)),
        limit_(limit),
        root_(catalog_.root().index.load(std::memory_order_seq_cst)),
        entries_(catalog_.root().entries_committed.load(std::memory_order_acquire)),
        describe_(attachment),
        findings_(prefix.size()) {}

  // False where the index was rebuilt meanwhile. Cells never move within one index, and replacing a name changes its
  // cell in place: so each name that is there throughout is met exactly once.
  bool run() {
    const Cells cells = this->cells();
    for (std::size_t begin = 0; begin < cells.count; begin += kCellsAtOnce) {
      look_from(cells, begin, std::min(begin + kCellsAtOnce, cells.count));
      if (!is_in_force()) return false;
    }
    return true;
  }
  // What it found.
  std::vector<Info> in_order() { return findings_.in_order(describe_); }

 private:
  bool is_in_force() const { return catalog_.root().index.load(std::memory_order_seq_cst) == root_; }

  Cells cells() const {
    if (root_ == kClosedRoot) throw InstanceEnded("the instance ended; connect again");
    const IndexRoot index = IndexRoot::unpack(root_);
    const std::uint64_t count = std::uint64_t{1} << (index.log2_cells & 63);
    if (index.region > 1 || count > catalog_.view().index_limit) {
      throw CorruptSegmentError("the root of the name index in " + catalog_.segment().name() + " is out of bounds");
    }
    return {catalog_.view().index[index.region], catalog_.view().beginnings[index.region], count};
  }

  // A name's beginnings were stored before the name, and stay while it does: so nothing is missed by going by them.
  void look_from(const Cells& cells, std::size_t begin, std::size_t end) {
    std::array<std::uint32_t, kCellsAtOnce> chosen;
    std::size_t count = 0;
    for (std::size_t i = begin; i < end; ++i) {
      chosen[count] = static_cast<std::uint32_t>(i);
      const std::uint64_t word = cells.beginnings[i].load(std::memory_order_relaxed);
      count += (word & beginnings_) == beginnings_ ? 1 : 0;
    }
    for (std::size_t i = 0; i < count; i += kAtOnce) {
      look_at(cells, std::span(chosen).subspan(i, std::min(kAtOnce, count - i)));
    }
  }

  // REQUIRES: kAtOnce cells at most.
  void look_at(const Cells& cells, std::span<const std::uint32_t> chosen) {
    for (const std::uint32_t i : chosen) __builtin_prefetch(&cells.index[i]);
    std::array<Met, kAtOnce> met;
    std::size_t count = 0;
    for (const std::uint32_t i : chosen) {
      const std::uint64_t cell = cells.index[i].load(std::memory_order_acquire);  // before the root is read again
      if (cell_is_entry(cell)) met[count++] = {&cells.index[i], cell};
    }
    fetch(std::span(met).first(count));
    for (std::size_t i = 0; i < count; ++i) {
      if (!is_settled(met[i])) find_leased(*met[i].word);
    }
  }

  // Has the processor fetch their entries, then the begins of their records.
  void fetch(std::span<const Met> cells) const {
    constexpr std::size_t kLine = 64;
    constexpr std::size_t kLines = 3;  // of the record of a tensor with a few dimensions
    for (const Met& met : cells) {
      if (met.entry() < entries_) __builtin_prefetch(&catalog_.entry(met.entry()));
    }
    for (const Met& met : cells) {
      if (met.entry() >= entries_) continue;
      const std::span<const std::byte> record = record_of(catalog_.entry(met.entry()));
      const std::size_t bytes = std::min(record.size(), kLines * kLine);
      for (std::size_t at = 0; at < bytes; at += kLine) __builtin_prefetch(&record[at]);
    }
  }

  // To the end of its last word.
  std::span<const std::byte> record_of(const Entry& entry) const {
    const HeapRef ref = HeapRef::unpack(entry.header.load(std::memory_order_relaxed));
    return catalog_.heap_bytes({ref.offset, static_cast<std::uint32_t>(round_up(ref.bytes, sizeof(Word)))});
  }

  // Whether a glance was enough: the cell's name was seen not to begin with the prefix, or its entry and record were
  // copied. False where one of these was not to be had without a lease.
  bool is_settled(const Met& met) {
    if (met.entry() >= entries_) return false;
    const Entry& entry = catalog_.entry(met.entry());
    bool differs = false;
    EntryRecord seen{.entry = met.entry()};
    std::span<const std::byte> copy;
    const bool is_of_the_cell = glance(*met.word, met.cell, entry, [&] {
      const std::span<const std::byte> record = record_of(entry);
      differs = prefix_of_names_.differs(record);
      if (differs || record.size() > kMostCopied) return;
      seen.state = EntryState::unpack(entry.state.load(std::memory_order_relaxed));
      seen.generation = entry.generation.load(std::memory_order_relaxed);
      seen.block_bytes = entry.block_bytes.load(std::memory_order_relaxed);
      seen.created_us = entry.created_us.load(std::memory_order_relaxed);
      copy = copy_of(record);
    });
    if (!is_of_the_cell || differs) return is_of_the_cell;
    if (!read_heap_record(copy, &seen.record) || !seen.record.name.starts_with(prefix_)) return false;
    if (seen.record.generation != retired(seen.generation)) return false;
    findings_.add(seen);
    return true;
  }

  // Whole words are loaded, as NamePrefix does.
  std::span<const std::byte> copy_of(std::span<const std::byte> record) {
    const auto* const words = reinterpret_cast<const Word*>(record.data());
    const std::span<std::uint64_t> copy = findings_.room(record.size() / sizeof(Word));
    for (std::size_t i = 0; i < copy.size(); ++i) copy[i] = words[i].load(std::memory_order_relaxed);
    return std::as_bytes(copy);
  }

  // Finds what the cell names now, if that begins with the prefix. The entry may have been replaced since the cell was
  // read: then the cell tells, and is read again, unless the index is in force no more, whose cells name for ever what
  // they named last.
  void find_leased(const Word& word) {
    for (;;) {
      const std::uint64_t cell = word.load(std::memory_order_seq_cst);
      if (!cell_is_entry(cell)) return;
      const detail::StorageRef storage = attachment_.lease_entry(cell_entry(cell), limit_);
      if (!storage || word.load(std::memory_order_seq_cst) != cell) {
        if (!is_in_force()) return;
        limit_.check_open();
        if (limit_.passed()) throw BrokerUnavailableError("a listing met a name that kept changing until the timeout");
        continue;
      }
      if (storage->record().name.starts_with(prefix_)) findings_.add(describe_(*storage.get()));
      return;
    }
  }

  Attachment& attachment_;
  const Catalog& catalog_;
  const std::string_view prefix_;
  const NamePrefix prefix_of_names_;
  const std::uint64_t beginnings_;  // of the prefix
  const Limit& limit_;
  const std::uint64_t root_;
  const std::uint64_t entries_;  // committed at the begin; what is beyond is not looked at without a lease
  const Describer describe_;
  Findings findings_;
};

}  // namespace

std::vector<Info> list_entries(Attachment& attachment, std::string_view prefix, const Limit& limit) {
  for (;;) {
    Walk walk(attachment, prefix, limit);
    const bool whole = walk.run();
    attachment.check_intact();
    if (whole) return walk.in_order();
    limit.check_open();
    if (limit.passed())
      throw BrokerUnavailableError("the name index was rebuilt during every listing until the timeout");
  }
}

}  // namespace tensorbroker
