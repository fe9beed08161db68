// Gives fresh mappings their page table entries in the background, so that whoever writes there takes no page faults.
//
// A thread for each mapping, which ends with its work; kMostThreads at one time, beyond which mappings do without. The
// writer need not wait: the thread is faster than one that faults, and so keeps ahead. Pages that nobody has touched
// yet are zeroed on the way. Not thread safe; after fork the child begins with nothing under way.

#ifndef TENSORBROKER_CLIENT_PAGE_TABLES_H_
#define TENSORBROKER_CLIENT_PAGE_TABLES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

namespace tensorbroker {

class PageTables {
 public:
  // Below this a thread costs more than the faults do.
  static constexpr std::uint64_t kLeastBytes = 4ULL << 20;
  static constexpr std::size_t kMostThreads = 4;

  PageTables() = default;
  PageTables(const PageTables&) = delete;
  PageTables& operator=(const PageTables&) = delete;
  ~PageTables();

  // Begins with the mapping at `data`, whole pages, and goes on while `is_wanted` says so, which another thread asks
  // again and again. What it needs must last until stop().
  void start(std::byte* data, std::uint64_t bytes, std::function<bool()> is_wanted) noexcept;
  // Ends the work on the mapping at `data`: when it returns, nothing touches that any more. Waits for the kernel to
  // finish a piece of kPieceBytes at most. No effect where there is none, or in a child that was forked since.
  void stop(std::byte* data) noexcept;

 private:
  static constexpr std::uint64_t kPieceBytes = 2ULL << 20;
  struct Work;
  static void run(Work& work) noexcept;

  std::map<const std::byte*, std::shared_ptr<Work>> works_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_PAGE_TABLES_H_
