// Preloaded into every process of a chaos run: CLOCK_REALTIME is ahead by the nanoseconds in the file that
// $TENSORBROKER_CHAOS_CLOCK names, whatever they are just now. The machine's clock stays as it is.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

using Nanoseconds = std::int64_t;
constexpr Nanoseconds kSecond = 1'000'000'000;

const std::atomic<Nanoseconds>* map_offset() {
  static const std::atomic<Nanoseconds> none{0};
  const char* path = std::getenv("TENSORBROKER_CHAOS_CLOCK");
  const int fd = path != nullptr ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0) return &none;
  void* mapped = mmap(nullptr, sizeof none, PROT_READ, MAP_SHARED, fd, 0);
  close(fd);
  return mapped == MAP_FAILED ? &none : static_cast<const std::atomic<Nanoseconds>*>(mapped);
}

int real_clock_gettime(clockid_t clock, timespec* now) {
  using Function = int (*)(clockid_t, timespec*);
  static const auto real = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "clock_gettime"));
  return real(clock, now);
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
  const int result = real_clock_gettime(clock, now);
  if (result != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
  static const std::atomic<Nanoseconds>* const offset = map_offset();
  const Nanoseconds time = now->tv_sec * kSecond + now->tv_nsec + offset->load();
  now->tv_sec = time / kSecond;
  now->tv_nsec = time % kSecond;
  return 0;
}

int gettimeofday(timeval* now, void* /*zone*/) noexcept {
  timespec time{};
  const int result = clock_gettime(CLOCK_REALTIME, &time);
  *now = {time.tv_sec, time.tv_nsec / 1000};
  return result;
}

time_t time(time_t* now) noexcept {
  timespec time{};
  clock_gettime(CLOCK_REALTIME, &time);
  if (now != nullptr) *now = time.tv_sec;
  return time.tv_sec;
}

}  // extern "C"
