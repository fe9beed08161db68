// The pins: records that keep an entry for a session until it has leased it, each with a deadline.
//
// Not thread safe. Invariant: pins_ holds exactly the records whose generation is not 0.

#ifndef TENSORBROKER_BROKER_PIN_TABLE_H_
#define TENSORBROKER_BROKER_PIN_TABLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "proto/catalog.h"

namespace tensorbroker::broker {

struct Pin {
  std::uint64_t session = 0;
  EntryId entry = kNoEntry;
  std::uint64_t generation = 0;  // live bit clear
  std::uint64_t deadline_ns = 0;

  bool keeps_same(const Pin& other) const {
    return session == other.session && entry == other.entry && generation == other.generation;
  }
};

class PinTable {
 public:
  // A new catalog's pins are all free.
  explicit PinTable(const Catalog& catalog);
  // Takes over the records of a killed broker.
  void adopt(const Catalog& catalog);

  // Throws OutOfMemoryError where the table is full.
  void add(const Catalog& catalog, const Pin& pin);
  // Removes one pin of that session on that entry, if there is one; or all pins of a session; or those run out.
  void remove(const Catalog& catalog, const Pin& pin);
  void remove_session(const Catalog& catalog, std::uint64_t session);
  void expire(const Catalog& catalog, std::uint64_t now_ns);

  std::optional<std::uint64_t> next_deadline() const;
  const std::map<std::uint32_t, Pin>& all() const noexcept { return pins_; }

 private:
  using Pins = std::map<std::uint32_t, Pin>;  // by slot
  Pins::iterator drop(const Catalog& catalog, Pins::iterator at);

  Pins pins_;
  std::vector<std::uint32_t> free_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PIN_TABLE_H_
