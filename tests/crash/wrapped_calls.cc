// The calls of the program that change segments, or map them: the linker sends them here (--wrap).

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <string>

#include "tests/crash/store_trap.h"

// The linker chooses these names.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {

void* __real_mmap(void*, size_t, int, int, int, off_t);
void* __real_mremap(void*, size_t, size_t, int, void*);
int __real_shm_open(const char*, int, mode_t);
int __real_shm_unlink(const char*);
int __real_unlink(const char*);
int __real_ftruncate(int, off_t);
int __real_fallocate(int, int, off_t, off_t);
int __real_posix_fallocate(int, off_t, off_t);

}  // extern "C"

namespace {

namespace trap = tensorbroker::crash::detail;

bool counts(int fd) { return trap::is_trapping() && trap::is_trapped_segment(fd); }

// Counts one store of the caller's where `counted` says so.
int done(bool counted, int result, void* caller) {
  if (counted) trap::count_store(reinterpret_cast<std::uintptr_t>(caller));
  return result;
}

}  // namespace

extern "C" {

void* __wrap_mmap(void* address, size_t bytes, int access, int flags, int fd, off_t offset) {
  void* const p = __real_mmap(address, bytes, access, flags, fd, offset);
  const bool writes = (access & PROT_WRITE) != 0 && (flags & MAP_TYPE) != MAP_PRIVATE;
  if (p != MAP_FAILED && fd >= 0 && writes && counts(fd)) trap::protect(p, bytes);
  return p;
}

// A mapping that moves keeps its protection.
void* __wrap_mremap(void* address, size_t before, size_t after, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  void* const wanted = (flags & MREMAP_FIXED) != 0 ? va_arg(rest, void*) : nullptr;
  va_end(rest);
  void* const p = __real_mremap(address, before, after, flags, wanted);
  if (p != MAP_FAILED && trap::is_trapping()) trap::moved(address, p, after);
  return p;
}

int __wrap_shm_open(const char* name, int flags, mode_t mode) {
  const int fd = __real_shm_open(name, flags, mode);
  return done((flags & O_CREAT) != 0 && fd >= 0 && counts(fd), fd, __builtin_return_address(0));
}

int __wrap_shm_unlink(const char* name) {
  const std::string path = std::string("/dev/shm") + (name[0] == '/' ? "" : "/") + name;
  return done(trap::is_trapping() && trap::names_trapped_segment(path.c_str()), __real_shm_unlink(name),
              __builtin_return_address(0));
}

int __wrap_unlink(const char* path) {
  return done(trap::is_trapping() && trap::names_trapped_segment(path), __real_unlink(path),
              __builtin_return_address(0));
}

int __wrap_ftruncate(int fd, off_t bytes) {
  return done(counts(fd), __real_ftruncate(fd, bytes), __builtin_return_address(0));
}

int __wrap_fallocate(int fd, int mode, off_t offset, off_t bytes) {
  return done(counts(fd), __real_fallocate(fd, mode, offset, bytes), __builtin_return_address(0));
}

int __wrap_posix_fallocate(int fd, off_t offset, off_t bytes) {
  return done(counts(fd), __real_posix_fallocate(fd, offset, bytes), __builtin_return_address(0));
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
