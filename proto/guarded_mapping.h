// Mappings of segments as the handler of SIGBUS (sigbus.cc) knows them: where they lie, and what was found gone.
//
// A segment that somebody truncates loses its pages from some offset on. The first fault beyond puts zero pages over
// the rest of the mapping it happened in and notes the offset; other mappings of the same segment fault for themselves.
// Guards may be made and dropped by any thread, and are safe across fork: there is no lock.

#ifndef TENSORBROKER_PROTO_GUARDED_MAPPING_H_
#define TENSORBROKER_PROTO_GUARDED_MAPPING_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace tensorbroker {

// From which offset on a segment was found to have no pages. Outlives the guards that name it.
class Truncation {
 public:
  // Whether anything below `end` was found gone.
  bool reaches(std::uint64_t end) const noexcept { return from_.load(std::memory_order_acquire) < end; }
  bool any() const noexcept { return reaches(kNone); }
  void note(std::uint64_t offset) noexcept;

 private:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
  std::atomic<std::uint64_t> from_{kNone};
};

namespace guarded_mapping_detail {
inline constinit std::atomic<std::uint64_t> faults{0};
}

// How many faults there were in this process: zero says, in one load, that no segment was found truncated.
inline std::uint64_t segment_faults() noexcept {
  return guarded_mapping_detail::faults.load(std::memory_order_acquire);
}

// Guards one mapping, of whole pages, for as long as it lives: made once the mapping is there, dropped before it goes.
// Where a process has more than 65,536 of them the rest is not guarded. Move only.
class GuardedMapping {
 public:
  GuardedMapping() = default;
  // `offset`: of the mapping within its segment. `writable`: so are the zero pages.
  GuardedMapping(void* address, std::size_t bytes, std::uint64_t offset, bool writable,
                 Truncation& truncation) noexcept;
  GuardedMapping(GuardedMapping&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  GuardedMapping& operator=(GuardedMapping&& other) noexcept {
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~GuardedMapping();

  struct Slot;

 private:
  Slot* slot_ = nullptr;
};

// Puts zero pages where `address` lies in a guarded mapping, and notes what is gone; false where it lies in none, or,
// with `once`, where that was done before. Async-signal-safe.
bool absorb_fault(std::uintptr_t address, bool once) noexcept;

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_GUARDED_MAPPING_H_
