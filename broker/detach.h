// Going into the background (--detach), so that neither Ctrl-C, nor a notebook's interrupt, nor the end of the process
// or terminal that started the broker ends it.
//
// The parent waits until the child can be connected to, and ends with status 0, or prints what the child says went
// wrong and ends with a status above 0. To be called before there are threads.

#ifndef TENSORBROKER_BROKER_DETACH_H_
#define TENSORBROKER_BROKER_DETACH_H_

#include <optional>

namespace tensorbroker::broker {

// What a detached process keeps of the descriptors that it was started with.
struct Detached {
  int parent_fd = -1;           // tells the parent how it went: see Readiness
  std::optional<int> ready_fd;  // the one of --ready-fd, with its new number
};

// Returns in the child alone: a session of its own (setsid), default dispositions and mask of signals, every CPU that
// it may use, `/` as working directory, umask 077, stdio at /dev/null and every other descriptor closed.
// Throws Error where the system has no process or pipe left.
Detached detach(std::optional<int> ready_fd);

// Sends stdout and stderr to the file, where the C library's and a sanitizer's last words then go as well. Keeps
// /dev/null where it cannot be opened.
void redirect_output(const char* path) noexcept;

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_DETACH_H_
