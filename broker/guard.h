// Keeps a client that truncated its session's segment from ending the broker by a SIGBUS.
//
// A fault inside a guarded mapping puts zero pages over the whole of it and marks it truncated; what reads it goes on,
// sees a session without leases, and revokes it. Any other SIGBUS ends the process as it always does.
// Guards are made and dropped on one thread; the faults may come on any.

#ifndef TENSORBROKER_BROKER_GUARD_H_
#define TENSORBROKER_BROKER_GUARD_H_

#include <cstddef>

namespace tensorbroker::broker {

// Installs the handler of SIGBUS for this process. Once, before the first fault.
void install_guard();

// How many faults in guarded mappings there were: one look that tells whether any truncated() may have changed.
unsigned long guarded_faults() noexcept;

// Guards one mapping for as long as it lives; drop it before unmapping. Move only.
class GuardedMapping {
 public:
  GuardedMapping() = default;
  GuardedMapping(void* address, std::size_t bytes);
  GuardedMapping(GuardedMapping&& other) noexcept;
  GuardedMapping& operator=(GuardedMapping&& other) noexcept;
  ~GuardedMapping();

  // Whether a fault was met, and the mapping reads as zeros since.
  bool truncated() const noexcept;

 private:
  struct Slot;
  friend struct GuardSlots;

  Slot* slot_ = nullptr;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_GUARD_H_
