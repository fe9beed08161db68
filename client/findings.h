// What a walk over the name index has found, until it is sorted and described.
//
// Descriptions are large: they are made last, one after another where they stay. Sorted are pointers, most of them by
// eight bytes of the name. One thread only.

#ifndef TENSORBROKER_CLIENT_FINDINGS_H_
#define TENSORBROKER_CLIENT_FINDINGS_H_

#include <tensorbroker/client.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory_resource>
#include <span>
#include <string_view>
#include <vector>

#include "client/describe.h"

namespace tensorbroker {

class Findings {
 public:
  // All names will begin with the same bytes, so many.
  explicit Findings(std::size_t prefix_bytes) : prefix_bytes_(prefix_bytes) {}

  // Memory for the copy of a record, for as long as this lives.
  std::span<std::uint64_t> room(std::size_t words);

  // REQUIRES: the views in `entry` are of such memory.
  void add(const EntryRecord& entry);
  void add(Info&& described);

  // By name (bytewise). A name that was deleted and published again during the walk may have been found twice: the
  // newer one counts. Throws what the describer does. To be called once.
  std::vector<Info> in_order(const Describer& describe);

 private:
  struct Finding {
    std::string_view name;
    std::uint64_t version = 0;
    EntryRecord entry{};
    Info* described = nullptr;
  };
  struct Place {
    std::uint64_t key;  // the name's bytes behind the prefix, as a number that compares as they do
    Finding* finding;
  };

  void add(const Finding& finding);
  void fetch_ahead(std::size_t at) const;
  static bool comes_before(const Place& a, const Place& b);

  const std::size_t prefix_bytes_;
  std::pmr::monotonic_buffer_resource memory_;
  std::vector<Place> places_;
  std::deque<Info> described_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_FINDINGS_H_
