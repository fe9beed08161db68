// The calls of the program that a Kernel answers: the linker sends them here (--wrap).

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstring>
#include <ctime>

#include "proto/limits.h"
#include "tests/simulation/kernel.h"
#include "tests/simulation/random.h"

// The linker chooses these names.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {

int __real_open(const char*, int, ...);
int __real_close(int);
int __real_shm_open(const char*, int, mode_t);
int __real_shm_unlink(const char*);
int __real_fchmod(int, mode_t);
int __real_ftruncate(int, off_t);
int __real_fstat(int, struct stat*);
int __real_lstat(const char*, struct stat*);
void* __real_mmap(void*, size_t, int, int, int, off_t);
int __real_munmap(void*, size_t);
int __real_flock(int, int);
int __real_fcntl(int, int, ...);
ssize_t __real_pread(int, void*, size_t, off_t);
int __real_posix_fallocate(int, off_t, off_t);
int __real_fallocate(int, int, off_t, off_t);
int __real_fstatvfs(int, struct statvfs*);
DIR* __real_opendir(const char*);
struct dirent* __real_readdir(DIR*);
int __real_closedir(DIR*);
long __real_syscall(long, ...);
pid_t __real_getpid();
uid_t __real_geteuid();
int __real_clock_gettime(clockid_t, struct timespec*);
ssize_t __real_getrandom(void*, size_t, unsigned);
std::chrono::steady_clock::time_point __real__ZNSt6chrono3_V212steady_clock3nowEv();
std::chrono::system_clock::time_point __real__ZNSt6chrono3_V212system_clock3nowEv();

}  // extern "C"

namespace {

using tensorbroker::simulation::Kernel;

constexpr pid_t kBrokerPid = 1;
constexpr long kFilesystemBlock = tensorbroker::kPageSize;

Kernel* kernel_of(int fd) {
  Kernel* const kernel = Kernel::current();
  return kernel != nullptr && kernel->owns(fd) ? kernel : nullptr;
}

// Of a file of this user's own.
struct stat status_of_own(const Kernel& kernel) {
  struct stat status{};
  status.st_mode = S_IFREG | 0600;
  status.st_uid = kernel.uid;
  return status;
}

// The one directory that is ever listed.
struct Listing {
  std::vector<std::string> names;
  std::size_t next = 0;
  struct dirent entry{};
  bool is_open = false;
};
Listing listing;
DIR* listing_handle() { return reinterpret_cast<DIR*>(&listing); }

}  // namespace

extern "C" {

int __wrap_open(const char* path, int flags, ...) {
  if (Kernel* const kernel = Kernel::current(); kernel != nullptr && Kernel::is_shm_path(path)) {
    return kernel->open(path, flags);
  }
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return __real_open(path, flags, mode);
}

// What open() becomes under _FORTIFY_SOURCE.
int __wrap___open_2(const char* path, int flags) { return __wrap_open(path, flags); }

int __wrap_close(int fd) {
  Kernel* const kernel = kernel_of(fd);
  return kernel != nullptr ? kernel->close(fd) : __real_close(fd);
}

int __wrap_shm_open(const char* name, int flags, mode_t mode) {
  Kernel* const kernel = Kernel::current();
  return kernel != nullptr ? kernel->open(name, flags) : __real_shm_open(name, flags, mode);
}

int __wrap_shm_unlink(const char* name) {
  Kernel* const kernel = Kernel::current();
  return kernel != nullptr ? kernel->unlink(name) : __real_shm_unlink(name);
}

int __wrap_fchmod(int fd, mode_t mode) { return kernel_of(fd) != nullptr ? 0 : __real_fchmod(fd, mode); }

int __wrap_ftruncate(int fd, off_t bytes) {
  Kernel* const kernel = kernel_of(fd);
  return kernel != nullptr ? kernel->truncate(fd, static_cast<std::uint64_t>(bytes)) : __real_ftruncate(fd, bytes);
}

int __wrap_fstat(int fd, struct stat* out) {
  Kernel* const kernel = kernel_of(fd);
  if (kernel == nullptr) return __real_fstat(fd, out);
  *out = status_of_own(*kernel);
  out->st_size = kernel->size_of(fd);
  return 0;
}

int __wrap_lstat(const char* path, struct stat* out) {
  const Kernel* const kernel = Kernel::current();
  if (kernel == nullptr || !Kernel::is_shm_path(path)) return __real_lstat(path, out);
  *out = status_of_own(*kernel);
  errno = ENOENT;
  return kernel->exists(path) ? 0 : -1;
}

// The lock of a catalog, for writing: nobody else takes one for reading here.
int __wrap_fcntl(int fd, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  Kernel* const kernel = kernel_of(fd);
  if (kernel == nullptr) return __real_fcntl(fd, command, argument);
  if (command == F_OFD_SETLK) return kernel->lock(fd);
  static_cast<struct flock*>(argument)->l_type = F_WRLCK;
  return 0;
}

void* __wrap_mmap(void* address, size_t bytes, int access, int flags, int fd, off_t offset) {
  Kernel* const kernel = kernel_of(fd);
  return kernel != nullptr ? kernel->map(fd) : __real_mmap(address, bytes, access, flags, fd, offset);
}

int __wrap_munmap(void* address, size_t bytes) {
  Kernel* const kernel = Kernel::current();
  return kernel != nullptr && Kernel::owns(address) ? kernel->unmap(address) : __real_munmap(address, bytes);
}

int __wrap_flock(int fd, int operation) {
  Kernel* const kernel = kernel_of(fd);
  return kernel != nullptr ? kernel->lock(fd) : __real_flock(fd, operation);
}

ssize_t __wrap_pread(int fd, void* out, size_t bytes, off_t offset) {
  Kernel* const kernel = kernel_of(fd);
  return kernel != nullptr ? kernel->read(fd, out, bytes, static_cast<std::uint64_t>(offset))
                           : __real_pread(fd, out, bytes, offset);
}

int __wrap_posix_fallocate(int fd, off_t offset, off_t bytes) {
  Kernel* const kernel = kernel_of(fd);
  if (kernel == nullptr) return __real_posix_fallocate(fd, offset, bytes);
  return kernel->reserve(fd, static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(bytes));
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes) {
  Kernel* const kernel = kernel_of(fd);
  if (kernel == nullptr) return __real_fallocate(fd, mode, offset, bytes);
  return kernel->punch(fd, static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(bytes));
}

int __wrap_fstatvfs(int fd, struct statvfs* out) {
  Kernel* const kernel = kernel_of(fd);
  if (kernel == nullptr) return __real_fstatvfs(fd, out);
  std::memset(out, 0, sizeof *out);
  out->f_frsize = kFilesystemBlock;
  out->f_blocks = kernel->shm_bytes / kFilesystemBlock;
  out->f_bavail = kernel->shm_free() / kFilesystemBlock;
  return 0;
}

DIR* __wrap_opendir(const char* path) {
  Kernel* const kernel = Kernel::current();
  if (kernel == nullptr || !Kernel::is_shm_path(path)) return __real_opendir(path);
  listing.names = kernel->names();
  listing.next = 0;
  return listing_handle();
}

struct dirent* __wrap_readdir(DIR* directory) {
  if (directory != listing_handle()) return __real_readdir(directory);
  if (listing.next == listing.names.size()) return nullptr;
  const std::string& name = listing.names[listing.next++];
  listing.entry.d_name[name.copy(listing.entry.d_name, sizeof listing.entry.d_name - 1)] = '\0';
  return &listing.entry;
}

int __wrap_closedir(DIR* directory) { return directory == listing_handle() ? 0 : __real_closedir(directory); }

long __wrap_syscall(long number, ...) {
  va_list rest;
  va_start(rest, number);
  long argument[6];
  for (long& a : argument) a = va_arg(rest, long);
  va_end(rest);
  Kernel* const kernel = Kernel::current();
  if (kernel != nullptr && number == SYS_futex) return 0;  // nobody sleeps here
  if (kernel != nullptr && number == SYS_pidfd_open) {
    return kernel->open_process(static_cast<std::uint64_t>(argument[0]));
  }
  return __real_syscall(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}

pid_t __wrap_getpid() { return Kernel::current() != nullptr ? kBrokerPid : __real_getpid(); }

uid_t __wrap_geteuid() { return Kernel::current() != nullptr ? Kernel::current()->uid : __real_geteuid(); }

int __wrap_clock_gettime(clockid_t clock, struct timespec* out) {
  Kernel* const kernel = Kernel::current();
  if (kernel == nullptr) return __real_clock_gettime(clock, out);
  constexpr std::uint64_t kSecond = 1'000'000'000;
  *out = {.tv_sec = static_cast<time_t>(kernel->now_ns / kSecond),
          .tv_nsec = static_cast<long>(kernel->now_ns % kSecond)};
  return 0;
}

ssize_t __wrap_getrandom(void* out, size_t bytes, unsigned flags) {
  Kernel* const kernel = Kernel::current();
  if (kernel == nullptr) return __real_getrandom(out, bytes, flags);
  for (std::size_t i = 0; i < bytes; ++i) {
    static_cast<unsigned char*>(out)[i] =
        static_cast<unsigned char>(tensorbroker::simulation::mix(kernel->random_seed++));
  }
  return static_cast<ssize_t>(bytes);
}

std::chrono::steady_clock::time_point __wrap__ZNSt6chrono3_V212steady_clock3nowEv() {
  Kernel* const kernel = Kernel::current();
  if (kernel == nullptr) return __real__ZNSt6chrono3_V212steady_clock3nowEv();
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(kernel->now_ns));
}

std::chrono::system_clock::time_point __wrap__ZNSt6chrono3_V212system_clock3nowEv() {
  Kernel* const kernel = Kernel::current();
  if (kernel == nullptr || kernel->wall_us == 0) return __real__ZNSt6chrono3_V212system_clock3nowEv();
  return std::chrono::system_clock::time_point(std::chrono::microseconds(kernel->wall_us + kernel->now_ns / 1000));
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
