#include "client/listing.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "client/decode.h"
#include "proto/catalog.h"

namespace tensorbroker {
namespace {

// What the entry of a cell is called, and its description; nothing where the name does not begin with `prefix`.
// The entry may have been replaced since the cell was read: then the cell tells, and is read again.
std::optional<Info> describe(Attachment& attachment, const Word& word, std::string_view prefix, const Limit& limit) {
  for (;;) {
    const std::uint64_t cell = word.load(std::memory_order_seq_cst);
    if (!cell_is_entry(cell)) return std::nullopt;
    const detail::StorageRef storage = attachment.lease_entry(cell_entry(cell), limit);
    if (!storage || word.load(std::memory_order_seq_cst) != cell) {
      limit.check_open();
      if (limit.passed()) throw BrokerUnavailableError("a listing met a name that kept changing until the timeout");
      continue;
    }
    if (!storage->record().name.starts_with(prefix)) return std::nullopt;
    return decode_info(storage);
  }
}

// One walk over the index; nullopt where it was rebuilt meanwhile. Cells never move within one index, and replacing a
// name changes its cell in place: so each name that is there throughout is met exactly once.
std::optional<std::vector<Info>> walk(Attachment& attachment, std::string_view prefix, const Limit& limit) {
  const CatalogView& catalog = attachment.catalog().view();
  const std::uint64_t root = catalog.root->index.load(std::memory_order_seq_cst);
  if (root == kClosedRoot) throw InstanceEnded("the instance ended; connect again");
  const IndexRoot index = IndexRoot::unpack(root);
  const std::uint64_t cells = std::uint64_t{1} << (index.log2_cells & 63);
  if (index.region > 1 || cells > catalog.index_limit) {
    throw CorruptSegmentError("the root of the name index in " + attachment.catalog().segment().name() +
                              " is out of bounds");
  }
  std::vector<Info> found;
  for (std::uint64_t i = 0; i < cells; ++i) {
    const Word& word = catalog.index[index.region][i];
    if (!cell_is_entry(word.load(std::memory_order_relaxed))) continue;
    if (catalog.root->index.load(std::memory_order_seq_cst) != root) return std::nullopt;
    if (auto info = describe(attachment, word, prefix, limit)) found.push_back(std::move(*info));
  }
  if (catalog.root->index.load(std::memory_order_seq_cst) != root) return std::nullopt;
  return found;
}

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
    auto found = walk(attachment, prefix, limit);
    attachment.check_intact();
    if (found) return in_order(std::move(*found));
    limit.check_open();
    if (limit.passed())
      throw BrokerUnavailableError("the name index was rebuilt during every listing until the timeout");
  }
}

}  // namespace tensorbroker
