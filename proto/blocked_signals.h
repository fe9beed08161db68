// A stretch of code in which this thread takes no signals, and threads that it starts never take any: signals belong to
// the threads of those who asked for them. Those of what a thread itself does stay: memory may be gone, and who handles
// that has to hear of it (tensorbroker/sigbus.h).

#ifndef TENSORBROKER_PROTO_BLOCKED_SIGNALS_H_
#define TENSORBROKER_PROTO_BLOCKED_SIGNALS_H_

#include <csignal>

namespace tensorbroker {

class BlockedSignals {
 public:
  BlockedSignals() noexcept {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int own : {SIGBUS, SIGSEGV, SIGFPE, SIGILL}) sigdelset(&blocked, own);
    pthread_sigmask(SIG_SETMASK, &blocked, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_BLOCKED_SIGNALS_H_
