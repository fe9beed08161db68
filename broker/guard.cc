#include "broker/guard.h"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <utility>

namespace tensorbroker::broker {

// The handler may look at a slot while it changes: `begin` is 0 whenever the rest is not to be used.
struct GuardedMapping::Slot {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::size_t> bytes{0};
  std::atomic<bool> truncated{false};
};

// A list of blocks of slots that only grows, so that the handler can walk it without a lock.
struct GuardSlots {
  std::array<GuardedMapping::Slot, 256> slots;
  std::atomic<GuardSlots*> next{nullptr};

  static GuardSlots first;

  static GuardedMapping::Slot* take(std::uintptr_t begin, std::size_t bytes);
  static GuardedMapping::Slot* find(std::uintptr_t address) noexcept;
};

GuardSlots GuardSlots::first;

GuardedMapping::Slot* GuardSlots::take(std::uintptr_t begin, std::size_t bytes) {
  for (GuardSlots* block = &first;; block = block->next.load()) {
    for (GuardedMapping::Slot& slot : block->slots) {
      if (slot.begin.load() != 0) continue;
      slot.bytes.store(bytes);
      slot.truncated.store(false);
      slot.begin.store(begin);
      return &slot;
    }
    if (block->next.load() == nullptr) block->next.store(new GuardSlots);
  }
}

GuardedMapping::Slot* GuardSlots::find(std::uintptr_t address) noexcept {
  for (GuardSlots* block = &first; block != nullptr; block = block->next.load()) {
    for (GuardedMapping::Slot& slot : block->slots) {
      const std::uintptr_t begin = slot.begin.load();
      if (begin != 0 && address >= begin && address - begin < slot.bytes.load()) return &slot;
    }
  }
  return nullptr;
}

namespace {

std::atomic<unsigned long> faults{0};

// Leaves the signal to its default, which ends the process when the handler returns.
void give_up() {
  std::signal(SIGBUS, SIG_DFL);
  std::raise(SIGBUS);
}

void on_sigbus(int, siginfo_t* info, void*) {
  auto* slot = GuardSlots::find(reinterpret_cast<std::uintptr_t>(info->si_addr));
  if (slot == nullptr || info->si_code <= 0) return give_up();
  void* begin = reinterpret_cast<void*>(slot->begin.load());
  if (mmap(begin, slot->bytes.load(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
           -1, 0) == MAP_FAILED) {
    return give_up();
  }
  slot->truncated.store(true);
  faults.fetch_add(1);
}

}  // namespace

void install_guard() {
  struct sigaction action{};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

unsigned long guarded_faults() noexcept { return faults.load(); }

GuardedMapping::GuardedMapping(void* address, std::size_t bytes)
    : slot_(GuardSlots::take(reinterpret_cast<std::uintptr_t>(address), bytes)) {}

GuardedMapping::GuardedMapping(GuardedMapping&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}

GuardedMapping& GuardedMapping::operator=(GuardedMapping&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

GuardedMapping::~GuardedMapping() {
  if (slot_ != nullptr) slot_->begin.store(0);
}

bool GuardedMapping::truncated() const noexcept { return slot_ != nullptr && slot_->truncated.load(); }

}  // namespace tensorbroker::broker
