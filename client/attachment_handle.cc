// Leasing what a handle denotes, and sending it to another process.

#include <utility>

#include "client/attachment.h"
#include "proto/lease.h"

namespace tensorbroker {

detail::StorageRef Attachment::lease_by_handle(EntryId id, std::uint64_t version, const Limit& limit) {
  check_not_ended();
  if (id >= catalog_.root().entries_committed.load(std::memory_order_acquire)) return {};
  const std::uint64_t generation = live(version << 1);
  {
    LeaseTable::Taking taking = take_lease(limit);
    if (tensorbroker::lease_by_handle(taking.cell(), catalog_.entry(id), id, generation, [this] { ring(); })) {
      return leased_storage(std::move(taking), id, generation);
    }
  }
  try {
    return lease_pinned(calls_->pin({}, id, generation, 0, limit), limit);
  } catch (const NotFoundError&) {
    return {};
  }
}

void Attachment::send(const detail::Storage& leased, std::uint64_t token, const Limit& limit) {
  check_not_ended();
  calls_->send(leased.entry(), leased.generation(), token, limit);
}

detail::StorageRef Attachment::receive(EntryId id, std::uint64_t version, std::uint64_t token, const Limit& limit) {
  check_not_ended();
  try {
    return lease_pinned(calls_->pin({}, id, live(version << 1), token, limit), limit);
  } catch (const NotFoundError&) {
    return {};
  }
}

// Leases what the broker keeps for this session meanwhile. Empty where the pin ran out before.
detail::StorageRef Attachment::lease_pinned(const PinnedEntry& pinned, const Limit& limit) {
  if (pinned.entry >= catalog_.root().entries_committed.load(std::memory_order_acquire)) return {};
  const Entry& entry = catalog_.entry(pinned.entry);
  detail::StorageRef storage;
  {
    LeaseTable::Taking taking = take_lease(limit);
    store_lease(taking.cell(), pinned.entry);
    const bool same = retired(entry.generation.load(std::memory_order_seq_cst)) == retired(pinned.generation) &&
                      EntryState::unpack(entry.state.load(std::memory_order_seq_cst)).phase == EntryPhase::kUsed;
    if (same) {
      storage = leased_storage(std::move(taking), pinned.entry, pinned.generation);
    } else {
      release_lease(taking.cell(), entry, [this] { ring(); });
    }
  }
  calls_->unpin(pinned);
  return storage;
}

}  // namespace tensorbroker
