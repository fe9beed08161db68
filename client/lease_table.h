// The leases of this process: which cells of the session's table are free, and the slab of storages beside them.
//
// Striped: a thread works under the lock of its own stripe, which is also the guard against fork: lock_all() holds
// every stripe from the copy of the leases into the heir until fork returned, so that meanwhile nobody takes or gives
// up a lease. A lease is stored and cleared only under a stripe's lock. The high-water mark is raised before the first
// lease beyond it. Nothing blocks or allocates under a stripe's lock. Thread safe.

#ifndef TENSORBROKER_CLIENT_LEASE_TABLE_H_
#define TENSORBROKER_CLIENT_LEASE_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "client/limit.h"
#include "client/short_lock.h"
#include "proto/catalog_layout.h"
#include "proto/lease.h"
#include "proto/session_layout.h"

namespace tensorbroker {

class LeaseTable {
 public:
  static constexpr std::size_t kSlotBytes = 128;
  // Asks the broker to make so many cells usable. May throw.
  using Grow = std::function<void(std::uint32_t cells, const Limit&)>;

  // REQUIRES: both outlive the table (after fork another segment lies at the same addresses).
  LeaseTable(SessionControl* control, Word* cells, Grow grow);
  ~LeaseTable();
  LeaseTable(const LeaseTable&) = delete;
  LeaseTable& operator=(const LeaseTable&) = delete;

  // A free cell, its stripe locked until this is destroyed. The cell goes back unless keep() was called.
  class Taking {
   public:
    Taking(Taking&& other) noexcept;
    Taking& operator=(Taking&&) = delete;
    ~Taking();
    Word& cell() const noexcept { return table_->cells_[index_]; }
    std::uint32_t index() const noexcept { return index_; }
    void* slot() const noexcept { return table_->slot(index_); }
    // The cell now holds a lease, given up by give_up().
    void keep() noexcept { kept_ = true; }

   private:
    friend class LeaseTable;
    Taking(LeaseTable* table, std::size_t stripe, std::uint32_t index) noexcept
        : table_(table), stripe_(stripe), index_(index) {}
    LeaseTable* table_;
    std::size_t stripe_;
    std::uint32_t index_;
    bool kept_ = false;
  };

  // Grows the table where no cell is free. nullopt where the table was closed.
  // Throws OutOfMemoryError where this process holds as many tensors as a session can, or what Grow throws.
  std::optional<Taking> take(const Limit& limit);
  // The same without ever growing: nullopt where no cell is free too.
  std::optional<Taking> try_take() noexcept;

  // Clears the lease and frees the cell; calls ring() (under the stripe's lock: it must not block) where the entry is
  // no longer live.
  template <class Ring>
  void give_up(std::uint32_t index, const Entry& entry, Ring&& ring) noexcept {
    Stripe& stripe = lock_own_stripe();
    release_lease(cells_[index], entry, ring);
    push(stripe, index);
    --stripe.used;
    stripe.lock.unlock();
  }

  void* slot(std::uint32_t index) const noexcept { return slots_ + std::size_t{index} * kSlotBytes; }
  Word& cell(std::uint32_t index) const noexcept { return cells_[index]; }

  // Leases held. Exact only under lock_all().
  std::size_t used() const noexcept;

  // Where every stripe is free of leases: no take() succeeds any more, true. Else false and nothing changes.
  bool close_if_unused() noexcept;
  void reopen() noexcept;

  void lock_all() noexcept;
  void unlock_all() noexcept;
  // Copies the leases into an heir. REQUIRES: lock_all(). False, having copied nothing, where the heir has fewer cells.
  bool copy_to(SessionControl& heir_control, Word* heir_cells) const noexcept;

 private:
  static constexpr std::size_t kStripes = 16;
  static constexpr std::uint32_t kNone = 0xffffffff;
  struct alignas(64) Stripe {
    mutable ShortLock lock;
    std::uint32_t free = kNone;  // first of the free cells, each of whose slots begins with the next one's index
    std::int64_t used = 0;       // leases taken less leases given up here: only the sum over the stripes means anything
  };

  static std::size_t own_stripe() noexcept;
  Stripe& lock_own_stripe() noexcept;
  void push(Stripe& stripe, std::uint32_t index) noexcept;
  std::uint32_t pop(Stripe& stripe) noexcept;
  std::uint32_t fresh() noexcept;
  void raise_high_water(std::uint32_t cells) noexcept;

  SessionControl* const control_;
  Word* const cells_;
  Grow grow_;
  std::byte* slots_;
  std::atomic<std::uint32_t> next_fresh_{0};
  std::atomic<bool> closed_{false};
  std::array<Stripe, kStripes> stripes_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_LEASE_TABLE_H_
