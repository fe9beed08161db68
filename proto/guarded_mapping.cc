#include "proto/guarded_mapping.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <optional>

#include "proto/limits.h"

namespace tensorbroker {

// The handler may look at a slot while it changes: it believes what it read if `changes` is even and stayed the same.
// A mapping that is being used is in a slot that does not change.
struct GuardedMapping::Slot {
  std::atomic<bool> taken{false};
  std::atomic<std::uint32_t> changes{0};
  std::atomic<std::uintptr_t> begin{0};  // 0: none
  std::atomic<std::size_t> bytes{0};
  std::atomic<std::uint64_t> offset{0};
  std::atomic<bool> writable{false};
  std::atomic<Truncation*> truncation{nullptr};
  std::atomic<std::uintptr_t> zeros_from{0};  // address
};

namespace {

using Slot = GuardedMapping::Slot;

// As many as a process may have mappings (vm.max_map_count). Pages of it that were never used cost nothing.
constexpr std::size_t kSlots = 65536;
constinit std::array<Slot, kSlots> g_slots{};
std::atomic<std::size_t> g_used{0};   // slots below were used
std::atomic<std::size_t> g_first{0};  // where to look for a free one: a hint

template <class Value, class Better>
void store_if(std::atomic<Value>& to, Value value, Better better) noexcept {
  Value before = to.load(std::memory_order_relaxed);
  while (better(value, before) && !to.compare_exchange_weak(before, value, std::memory_order_acq_rel)) {
  }
}

void store_least(auto& to, auto value) noexcept { store_if(to, value, std::less<>{}); }
void store_greatest(auto& to, auto value) noexcept { store_if(to, value, std::greater<>{}); }

Slot* take_slot() noexcept {
  const std::size_t first = g_first.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < kSlots; ++i) {
    const std::size_t at = (first + i) % kSlots;
    if (g_slots[at].taken.load(std::memory_order_relaxed) || g_slots[at].taken.exchange(true)) continue;
    g_first.store(at + 1, std::memory_order_relaxed);
    store_greatest(g_used, at + 1);
    return &g_slots[at];
  }
  return nullptr;
}

void write_slot(Slot& slot, std::uintptr_t begin, std::size_t bytes, std::uint64_t offset, bool writable,
                Truncation* truncation) noexcept {
  slot.changes.fetch_add(1);
  slot.begin.store(begin);
  slot.bytes.store(bytes);
  slot.offset.store(offset);
  slot.writable.store(writable);
  slot.truncation.store(truncation);
  slot.zeros_from.store(begin + bytes);
  slot.changes.fetch_add(1);
}

struct Found {
  Slot* slot;
  std::uintptr_t begin;
  std::size_t bytes;
  std::uint64_t offset;
  bool writable;
  Truncation* truncation;
};

std::optional<Found> find(std::uintptr_t address) noexcept {
  const std::size_t used = g_used.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < used; ++i) {
    Slot& slot = g_slots[i];
    const std::uint32_t changes = slot.changes.load();
    const Found found{
        &slot, slot.begin.load(), slot.bytes.load(), slot.offset.load(), slot.writable.load(), slot.truncation.load()};
    if (found.begin == 0 || address < found.begin || address - found.begin >= found.bytes) continue;
    if (changes % 2 == 0 && slot.changes.load() == changes) return found;
  }
  return std::nullopt;
}

// Past the C library, in which a sanitizer may stand in mmap's place.
bool put_zeros(std::uintptr_t begin, std::size_t bytes, bool writable) noexcept {
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
  return syscall(SYS_mmap, begin, bytes, protection, flags, -1, 0) != -1;
}

}  // namespace

void Truncation::note(std::uint64_t offset) noexcept { store_least(from_, offset); }

// Who reads the zeros must find them noted: so the note comes first.
bool absorb_fault(std::uintptr_t address, bool once) noexcept {
  const auto found = find(address);
  if (!found || (once && address >= found->slot->zeros_from.load())) return false;
  const std::uintptr_t page = address / kPageSize * kPageSize;
  found->truncation->note(found->offset + (page - found->begin));
  guarded_mapping_detail::faults.fetch_add(1, std::memory_order_release);
  if (!put_zeros(page, found->begin + found->bytes - page, found->writable)) return false;
  store_least(found->slot->zeros_from, page);
  return true;
}

GuardedMapping::GuardedMapping(void* address, std::size_t bytes, std::uint64_t offset, bool writable,
                               Truncation& truncation) noexcept
    : slot_(bytes != 0 ? take_slot() : nullptr) {
  if (slot_ == nullptr) return;
  write_slot(*slot_, reinterpret_cast<std::uintptr_t>(address), bytes, offset, writable, &truncation);
}

GuardedMapping::~GuardedMapping() {
  if (slot_ == nullptr) return;
  write_slot(*slot_, 0, 0, 0, false, nullptr);
  slot_->taken.store(false, std::memory_order_release);
  store_least(g_first, static_cast<std::size_t>(slot_ - g_slots.data()));
}

}  // namespace tensorbroker
