// Hands the newest model from the thread that maps it to the thread that uses it.
//
// One pointer, exchanged atomically: neither side ever waits for the other. An offer that was not taken yet is replaced
// by the next one. Thread safe for any number of threads on either side.

#ifndef TENSORBROKER_EXAMPLES_DIGITS_HANDOVER_H_
#define TENSORBROKER_EXAMPLES_DIGITS_HANDOVER_H_

#include <atomic>
#include <memory>

namespace digits {

template <class T>
class Handover {
 public:
  Handover() = default;
  Handover(const Handover&) = delete;
  Handover& operator=(const Handover&) = delete;
  ~Handover() { take(); }

  void offer(std::unique_ptr<T> fresh) { std::unique_ptr<T>(slot_.exchange(fresh.release())).reset(); }

  // Null where nothing new was offered since the last take().
  std::unique_ptr<T> take() { return std::unique_ptr<T>(slot_.exchange(nullptr)); }

 private:
  static_assert(std::atomic<T*>::is_always_lock_free);
  std::atomic<T*> slot_ = nullptr;
};

}  // namespace digits

#endif  // TENSORBROKER_EXAMPLES_DIGITS_HANDOVER_H_
