#include "tests/crash/store_trap.h"

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <sstream>
#include <stdexcept>

#include "proto/limits.h"

namespace tensorbroker::crash {
namespace {

constexpr std::string_view kDirectory = "/dev/shm/";

struct Mapping {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};
};

// Of the one instance that this process traps. The handlers read it, so it only grows.
struct Trapped {
  Tally::Shared* tally = nullptr;
  std::array<char, 256> prefix{};  // of its segments' paths
  std::array<Mapping, 4096> mappings{};
  std::atomic<std::size_t> count{0};
};
Trapped trapped;
std::atomic<bool> trapping{false};

// The pages that the instruction under way has open: two where it writes across their border.
thread_local std::array<std::uintptr_t, 4> open_pages;
thread_local std::size_t open_count = 0;

bool is_ours(std::uintptr_t address) noexcept {
  const std::size_t count = std::min(trapped.count.load(), trapped.mappings.size());
  return std::any_of(trapped.mappings.begin(), trapped.mappings.begin() + static_cast<std::ptrdiff_t>(count),
                     [address](const Mapping& m) { return m.begin.load() <= address && address < m.end.load(); });
}

void note(void* address, std::size_t bytes) noexcept {
  const std::size_t at = trapped.count.load();
  if (at == trapped.mappings.size()) std::abort();
  trapped.mappings[at].begin.store(reinterpret_cast<std::uintptr_t>(address));
  trapped.mappings[at].end.store(reinterpret_cast<std::uintptr_t>(address) + bytes);
  trapped.count.store(at + 1);
}

#ifdef __x86_64__

constexpr greg_t kTrapFlag = 0x100;

greg_t& register_of(void* context, int which) { return static_cast<ucontext_t*>(context)->uc_mcontext.gregs[which]; }

void* page_at(std::uintptr_t page) { return reinterpret_cast<void*>(page); }

void on_fault(int signal, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const std::uintptr_t page = address / kPageSize * kPageSize;
  if (!is_ours(address) || open_count == open_pages.size() ||
      mprotect(page_at(page), kPageSize, PROT_READ | PROT_WRITE) != 0) {
    std::signal(signal, SIG_DFL);  // a fault of its own: it comes again, and ends the process
    return;
  }
  open_pages[open_count++] = page;
  register_of(context, REG_EFL) |= kTrapFlag;
}

void on_step(int, siginfo_t*, void* context) {
  register_of(context, REG_EFL) &= ~kTrapFlag;
  for (; open_count > 0; --open_count) mprotect(page_at(open_pages[open_count - 1]), kPageSize, PROT_READ);
  detail::count_store(static_cast<std::uintptr_t>(register_of(context, REG_RIP)));
}

void install_handlers() {
  struct sigaction action{};
  action.sa_flags = SA_SIGINFO;
  sigfillset(&action.sa_mask);
  action.sa_sigaction = on_fault;
  sigaction(SIGSEGV, &action, nullptr);
  action.sa_sigaction = on_step;
  sigaction(SIGTRAP, &action, nullptr);
}

#else

void install_handlers() { throw std::runtime_error("stores can be trapped on x86-64 only"); }

#endif

// The mappings that are there already.
void protect_all() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string range;
    std::string access;
    std::string skipped;
    std::string path;
    words >> range >> access >> skipped >> skipped >> skipped >> path;
    if (access != "rw-s" || !detail::names_trapped_segment(path.c_str())) continue;
    const std::size_t dash = range.find('-');
    const std::uintptr_t begin = std::stoull(range.substr(0, dash), nullptr, 16);
    const std::uintptr_t end = std::stoull(range.substr(dash + 1), nullptr, 16);
    detail::protect(reinterpret_cast<void*>(begin), end - begin);
  }
}

}  // namespace

Tally::Tally() {
  void* p = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  shared_ = new (p) Shared;
}

Tally::~Tally() { munmap(shared_, sizeof(Shared)); }

void Tally::start(std::uint64_t limit) noexcept {
  shared_->counting.store(false);
  shared_->limit.store(limit);
  shared_->stores.store(0);
  shared_->only.store(0);
  shared_->spared.store(0);
  shared_->counting.store(true);
}

void trap_stores(const std::string& prefix, const Tally& tally) {
  trapped.tally = &tally.shared();
  const std::string path = std::string(kDirectory) + prefix;
  if (path.size() >= trapped.prefix.size()) throw std::runtime_error("the prefix " + prefix + " is too long");
  std::copy(path.begin(), path.end(), trapped.prefix.begin());
  install_handlers();
  protect_all();
  trapping.store(true);
}

namespace detail {

bool is_trapping() noexcept { return trapping.load(); }

bool names_trapped_segment(const char* path) noexcept {
  return std::strncmp(path, trapped.prefix.data(), std::strlen(trapped.prefix.data())) == 0;
}

bool is_trapped_segment(int fd) noexcept {
  std::array<char, 512> path{};
  std::array<char, 64> link{};
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", fd);
  return readlink(link.data(), path.data(), path.size() - 1) > 0 && names_trapped_segment(path.data());
}

void protect(void* address, std::size_t bytes) noexcept {
  if (mprotect(address, bytes, PROT_READ) != 0) std::abort();
  note(address, bytes);
}

void moved(void* from, void* to, std::size_t bytes) noexcept {
  if (is_ours(reinterpret_cast<std::uintptr_t>(from))) note(to, bytes);
}

void count_store(std::uintptr_t place) noexcept {
  Tally::Shared& tally = *trapped.tally;
  const pid_t only = tally.only.load();
  if (!tally.counting.load() || (only != 0 && only != getpid()) || tally.spared.load() == getpid()) return;
  const std::uint64_t store = tally.stores.fetch_add(1);
  if (store < tally.places.size()) tally.places[store].store(place);
  if (store + 1 != tally.limit.load()) return;
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

}  // namespace detail

}  // namespace tensorbroker::crash
