// The handler of SIGBUS, and those that were there before it. Everything that runs in the handler is
// async-signal-safe: no lock, no allocation.

#include <tensorbroker/error.h>
#include <tensorbroker/sigbus.h>
#include <ucontext.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>

#include "proto/guarded_mapping.h"

namespace tensorbroker {
namespace {

// The handlers that were found at each installation. One that was installed since the one before may call ours in its
// turn: which then goes on to the one further down.
std::array<struct sigaction, 8> g_previous;
std::atomic<std::size_t> g_installed{0};

// Static: the first use of any other thread's variable may allocate.
__thread std::size_t g_depth __attribute__((tls_model("initial-exec"))) = 0;

// Where the last fault of this thread was, for a signal that was raised on account of it; null elsewhere.
std::uintptr_t last_fault([[maybe_unused]] void* context) noexcept {
#if defined(__x86_64__)
  constexpr greg_t kPageFault = 14;
  const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  return registers[REG_TRAPNO] == kPageFault ? static_cast<std::uintptr_t>(registers[REG_CR2]) : 0;
#elif defined(__aarch64__)
  return static_cast<ucontext_t*>(context)->uc_mcontext.fault_address;
#else
  return 0;
#endif
}

// A handler like that of Python's faulthandler hands a fault on by raise(): the signal says nothing of it, then.
bool absorb(const siginfo_t& info, void* context) noexcept {
  if (info.si_code == BUS_ADRERR) return absorb_fault(reinterpret_cast<std::uintptr_t>(info.si_addr), false);
  if (info.si_code != SI_TKILL || info.si_pid != getpid()) return false;
  const std::uintptr_t address = last_fault(context);
  return address != 0 && absorb_fault(address, true);
}

// What the system would do: end the process, from the instruction that faulted if there is one.
void use_default(const siginfo_t& info) noexcept {
  std::signal(SIGBUS, SIG_DFL);
  if (info.si_code <= 0) std::raise(SIGBUS);  // takes effect when the handler returns
}

// `at_once`: what it raises is handled within it, whatever it says itself.
void call(const struct sigaction& handler, bool at_once, int signal, siginfo_t* info, void* context) noexcept {
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &handler.sa_mask, &before);
  if (at_once || (handler.sa_flags & SA_NODEFER) != 0) {
    sigset_t own;
    sigemptyset(&own);
    sigaddset(&own, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &own, nullptr);
  }
  if ((handler.sa_flags & SA_SIGINFO) != 0) {
    handler.sa_sigaction(signal, info, context);
  } else {
    handler.sa_handler(signal);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Handlers may leave by siglongjmp: the depth is counted only where it can be more than one.
void hand_on(int signal, siginfo_t* info, void* context) noexcept {
  const std::size_t installed = g_installed.load(std::memory_order_acquire);
  const std::size_t depth = installed > 1 ? g_depth : 0;
  if (depth >= installed) return use_default(*info);
  struct sigaction& previous = g_previous[installed - 1 - depth];
  const struct sigaction handler = previous;
  const bool takes_function = (handler.sa_flags & SA_SIGINFO) != 0;
  if (!takes_function && handler.sa_handler == SIG_IGN && info->si_code <= 0) return;
  if (!takes_function && (handler.sa_handler == SIG_DFL || handler.sa_handler == SIG_IGN)) return use_default(*info);
  if ((handler.sa_flags & static_cast<int>(SA_RESETHAND)) != 0) {
    previous.sa_handler = SIG_DFL;
    previous.sa_flags = 0;
  }
  const bool may_come_back = installed > 1;
  if (may_come_back) ++g_depth;
  call(handler, may_come_back, signal, info, context);
  if (may_come_back) --g_depth;
}

void on_sigbus(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  if (!absorb(*info, context)) hand_on(signal, info, context);
  errno = error;
}

void change(const struct sigaction* to, struct sigaction* from) {
  if (sigaction(SIGBUS, to, from) == 0) return;
  throw Error(ErrorCode::kRuntime, std::string("cannot install a handler of SIGBUS: ") + std::strerror(errno));
}

}  // namespace

void install_sigbus_handler() {
  static std::mutex installing;
  const std::lock_guard held(installing);
  struct sigaction current{};
  change(nullptr, &current);
  if ((current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == &on_sigbus) return;
  const std::size_t installed = g_installed.load();
  if (installed == g_previous.size()) {
    throw RuntimeError("the handler of SIGBUS was replaced and installed again " + std::to_string(installed - 1) +
                       " times, the most that it can be; install it once, after all others");
  }
  g_previous[installed] = current;
  g_installed.store(installed + 1, std::memory_order_release);
  struct sigaction ours{};
  ours.sa_sigaction = &on_sigbus;
  ours.sa_flags = static_cast<int>(SA_SIGINFO | SA_ONSTACK | SA_RESTART);
  sigemptyset(&ours.sa_mask);
  change(&ours, nullptr);
}

}  // namespace tensorbroker
