// What the broker asks of Linux, answered without it: segments are ordinary memory, descriptors and locks are records,
// the clock is a number. Calls fail where the test has it so.
//
// The linker sends the calls of this program here (--wrap, see wrapped_calls.cc) while a Kernel exists; what is about
// other files goes on to the C library. One at a time; one thread.

#ifndef TENSORBROKER_TESTS_SIMULATION_KERNEL_H_
#define TENSORBROKER_TESTS_SIMULATION_KERNEL_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tensorbroker::simulation {

// What one call fails with: the first one of its kind once a number of them went well.
enum class Fault { kNone, kNoSpace, kNoDescriptor, kNoAddresses, kInterrupted };

class Kernel {
 public:
  static constexpr int kFirstFd = 1 << 24;

  Kernel();
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  static Kernel* current() noexcept;

  // ---- the world around the broker
  std::uint64_t now_ns = 0;     // CLOCK_BOOTTIME and the steady clock
  std::uint64_t wall_us = 0;    // since the epoch, at now_ns 0; 0: the system's clock is the real one
  uid_t uid = 1000;             // of the broker and its clients
  std::uint64_t shm_bytes = 0;  // how large /dev/shm is
  std::uint64_t random_seed = 0;

  void arm(Fault fault, std::uint64_t after);
  void disarm() { armed_ = Fault::kNone; }
  // Since the last call of this: whether any call failed for want of something, or could see that there is little.
  bool take_scarcity();
  std::uint64_t shm_free() const { return shm_bytes > used_bytes_ ? shm_bytes - used_bytes_ : 0; }

  // A client process maps a segment with its lock, and lets go of it when it unmaps it or ends. False: someone else
  // has locked it.
  bool lock(const std::string& segment, std::uint64_t process);
  void unlock(const std::string& segment, std::uint64_t process);
  bool is_locked_by_client(const std::string& segment) const;
  void end_process(std::uint64_t process);
  // Another name of the same file, unless there is one of that name.
  void link(const std::string& name, const std::string& other);
  // Whether all pages of the range have memory.
  bool has_pages(const std::string& segment, std::uint64_t offset, std::uint64_t bytes) const;
  std::size_t files() const { return files_.size(); }
  std::size_t descriptors() const { return open_.size(); }

  // ---- the calls: results as the system's, -1 with errno
  static bool is_shm_path(std::string_view path);
  bool owns(int fd) const { return fd >= kFirstFd; }
  static bool owns(const void* address);
  int open(std::string_view name, int flags);
  bool exists(std::string_view name) const;
  int close(int fd);
  int truncate(int fd, std::uint64_t bytes);
  std::int64_t size_of(int fd) const;
  void* map(int fd);
  int unmap(void* address);
  int lock(int fd);
  std::int64_t read(int fd, void* out, std::uint64_t bytes, std::uint64_t offset);
  int reserve(int fd, std::uint64_t offset, std::uint64_t bytes);  // the error, as posix_fallocate
  int punch(int fd, std::uint64_t offset, std::uint64_t bytes);
  int unlink(std::string_view name);
  std::vector<std::string> names() const;
  int open_process(std::uint64_t process);
  bool is_readable(int fd) const;  // a process that has ended

 private:
  struct File;
  struct Descriptor {
    std::shared_ptr<File> file;
    std::uint64_t process = 0;
  };

  bool fails(Fault fault);
  Descriptor* find(int fd);
  int add(Descriptor descriptor);

  std::map<std::string, std::shared_ptr<File>, std::less<>> files_;
  std::map<int, Descriptor> open_;
  std::map<const void*, std::pair<std::shared_ptr<File>, int>> mappings_;
  std::set<std::uint64_t> ended_;
  std::uint64_t used_bytes_ = 0;
  Fault armed_ = Fault::kNone;
  std::uint64_t countdown_ = 0;
  bool scarce_ = false;
};

}  // namespace tensorbroker::simulation

#endif  // TENSORBROKER_TESTS_SIMULATION_KERNEL_H_
