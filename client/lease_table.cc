#include "client/lease_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>

#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

std::byte* reserve_slots(std::size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    throw OutOfMemoryError("cannot reserve " + std::to_string(bytes) +
                           " bytes of address space for leases: " + std::strerror(errno));
  }
  return static_cast<std::byte*>(p);
}

}  // namespace

LeaseTable::LeaseTable(SessionControl* control, Word* cells, Grow grow)
    : control_(control), cells_(cells), grow_(std::move(grow)), slots_(reserve_slots(kLeasesLimit * kSlotBytes)) {}

LeaseTable::~LeaseTable() { munmap(slots_, kLeasesLimit * kSlotBytes); }

std::size_t LeaseTable::own_stripe() noexcept {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t stripe = next.fetch_add(1, std::memory_order_relaxed) % kStripes;
  return stripe;
}

LeaseTable::Stripe& LeaseTable::lock_own_stripe() noexcept {
  Stripe& stripe = stripes_[own_stripe()];
  stripe.lock.lock();
  return stripe;
}

void LeaseTable::push(Stripe& stripe, std::uint32_t index) noexcept {
  std::memcpy(slot(index), &stripe.free, sizeof stripe.free);
  stripe.free = index;
}

std::uint32_t LeaseTable::pop(Stripe& stripe) noexcept {
  const std::uint32_t index = stripe.free;
  if (index != kNone) std::memcpy(&stripe.free, slot(index), sizeof stripe.free);
  return index;
}

// A cell that was never used, or kNone. The mark goes up before anybody can lease there.
std::uint32_t LeaseTable::fresh() noexcept {
  const auto committed = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(control_->leases_committed.load(std::memory_order_acquire), kLeasesLimit));
  std::uint32_t index = next_fresh_.load(std::memory_order_relaxed);
  do {
    if (index >= committed) return kNone;
  } while (!next_fresh_.compare_exchange_weak(index, index + 1, std::memory_order_relaxed));
  raise_high_water(index + 1);
  return index;
}

void LeaseTable::raise_high_water(std::uint32_t cells) noexcept {
  std::uint64_t mark = control_->lease_high_water.load(std::memory_order_seq_cst);
  while (mark < cells && !control_->lease_high_water.compare_exchange_weak(mark, cells, std::memory_order_seq_cst)) {
  }
}

std::optional<LeaseTable::Taking> LeaseTable::try_take() noexcept {
  const std::size_t own = own_stripe();
  for (std::size_t i = 0; i < kStripes; ++i) {
    const std::size_t at = (own + i) % kStripes;
    Stripe& stripe = stripes_[at];
    stripe.lock.lock();
    if (!closed_.load(std::memory_order_relaxed)) {
      std::uint32_t index = pop(stripe);
      if (index == kNone) index = fresh();
      if (index != kNone) {
        ++stripe.used;
        return Taking(this, at, index);
      }
    }
    stripe.lock.unlock();
  }
  return std::nullopt;
}

std::optional<LeaseTable::Taking> LeaseTable::take(const Limit& limit) {
  for (;;) {
    if (auto taking = try_take()) return taking;
    if (closed_.load(std::memory_order_relaxed)) return std::nullopt;
    const std::uint64_t committed = control_->leases_committed.load(std::memory_order_acquire);
    if (committed >= kLeasesLimit) {
      throw OutOfMemoryError("this process holds " + std::to_string(kLeasesLimit) +
                             " tensors, the most that a session can; let go of some");
    }
    grow_(static_cast<std::uint32_t>(std::min<std::uint64_t>(committed * 2, kLeasesLimit)), limit);
    if (control_->leases_committed.load(std::memory_order_acquire) <= committed && limit.passed()) {
      throw OutOfMemoryError("the broker gave no more than " + std::to_string(committed) + " leases to this process");
    }
  }
}

LeaseTable::Taking::Taking(Taking&& other) noexcept
    : table_(std::exchange(other.table_, nullptr)), stripe_(other.stripe_), index_(other.index_), kept_(other.kept_) {}

LeaseTable::Taking::~Taking() {
  if (table_ == nullptr) return;
  Stripe& stripe = table_->stripes_[stripe_];
  if (!kept_) {
    table_->push(stripe, index_);
    --stripe.used;
  }
  stripe.lock.unlock();
}

std::size_t LeaseTable::used() const noexcept {
  std::int64_t sum = 0;
  for (const Stripe& stripe : stripes_) {
    const std::lock_guard held(stripe.lock);
    sum += stripe.used;
  }
  return static_cast<std::size_t>(std::max<std::int64_t>(sum, 0));
}

bool LeaseTable::close_if_unused() noexcept {
  lock_all();
  std::int64_t sum = 0;
  for (const Stripe& stripe : stripes_) sum += stripe.used;
  if (sum == 0) closed_.store(true, std::memory_order_relaxed);
  unlock_all();
  return sum == 0;
}

void LeaseTable::reopen() noexcept { closed_.store(false, std::memory_order_relaxed); }

void LeaseTable::lock_all() noexcept {
  for (Stripe& stripe : stripes_) stripe.lock.lock();
}

void LeaseTable::unlock_all() noexcept {
  for (Stripe& stripe : stripes_) stripe.lock.unlock();
}

bool LeaseTable::copy_to(SessionControl& heir_control, Word* heir_cells) const noexcept {
  const std::uint64_t cells = control_->lease_high_water.load(std::memory_order_seq_cst);
  if (heir_control.leases_committed.load(std::memory_order_acquire) < cells) return false;
  inherit_leases(cells_, cells, heir_control, heir_cells);
  return true;
}

}  // namespace tensorbroker
