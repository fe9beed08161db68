// For loops that wait for another core: tells this one that it waits, so that it neither floods the memory with loads
// nor keeps its sibling from running.

#ifndef TENSORBROKER_PROTO_PAUSE_H_
#define TENSORBROKER_PROTO_PAUSE_H_

namespace tensorbroker {

inline void pause_core() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_PAUSE_H_
