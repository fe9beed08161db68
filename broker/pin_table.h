// The pins: records that keep an entry for a session until it has leased it, or for nobody in particular while it is on
// its way from one process to another; each with a deadline.
//
// Not thread safe. Invariant: pins_ holds exactly the records whose generation is not 0, and the other containers the
// same ones by deadline and by what they are for.

#ifndef TENSORBROKER_BROKER_PIN_TABLE_H_
#define TENSORBROKER_BROKER_PIN_TABLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "broker/growing_table.h"
#include "proto/catalog.h"

namespace tensorbroker::broker {

struct Pin {
  std::uint64_t session = 0;  // 0: on its way
  EntryId entry = kNoEntry;
  std::uint64_t generation = 0;  // live bit clear
  std::uint64_t deadline_ns = 0;
  std::uint64_t token = 0;   // of what is on its way
  std::uint64_t sender = 0;  // the session that pays for what is on its way; 0: not known any more
};

class PinTable {
 public:
  explicit PinTable(const Catalog& catalog);
  // Takes over the records of a killed broker. None lasts longer than until `latest_ns`.
  void adopt(const Catalog& catalog, const SegmentFile& file, std::uint64_t latest_ns);

  // Throws OutOfMemoryError, nothing having changed, where the table or the file system is full.
  void add(const Catalog& catalog, const SegmentFile& file, const Pin& pin);
  // Makes such a pin as `from` one such as `to`: the entry is pinned all the time. False, and no
  // effect, where there is none.
  bool turn(const Catalog& catalog, const Pin& from, const Pin& to);
  bool contains(const Pin& pin) const { return find(pin) != kNoSlot; }
  // Removes one pin of the same entry, session and token, if there is one; or all pins of a session; or those that have
  // run out: false where none had.
  void remove(const Catalog& catalog, const Pin& pin);
  void remove_session(const Catalog& catalog, std::uint64_t session);
  bool expire(const Catalog& catalog, std::uint64_t now_ns);

  // Pins of this session, and those of what it has sent.
  std::uint64_t count(std::uint64_t session) const;
  std::optional<std::uint64_t> next_deadline() const;
  const std::map<std::uint32_t, Pin>& all() const noexcept { return pins_; }

 private:
  static constexpr std::uint32_t kNoSlot = 0xffffffff;

  // What a pin is for, and its slot. (An entry that is pinned keeps its generation.)
  using Key = std::tuple<EntryId, std::uint64_t, std::uint64_t, std::uint32_t>;
  static std::uint64_t payer_of(const Pin& pin) { return pin.session != 0 ? pin.session : pin.sender; }
  static Key key_of(const Pin& pin, std::uint32_t slot) { return {pin.entry, pin.session, pin.token, slot}; }

  std::uint32_t take_slot(const SegmentFile& file);
  std::uint32_t find(const Pin& pin) const;
  void insert(std::uint32_t slot, const Pin& pin);
  void forget(std::uint32_t slot);
  void drop(const Catalog& catalog, std::uint32_t slot);

  GrowingTable table_;
  std::map<std::uint32_t, Pin> pins_;  // by slot
  std::set<std::pair<std::uint64_t, std::uint32_t>> by_deadline_;
  std::set<Key> by_purpose_;
  std::map<std::uint64_t, std::uint64_t> counts_;  // by who pays
  std::vector<std::uint32_t> free_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PIN_TABLE_H_
