// Tells those who wait for the broker that it can be connected to, or why it cannot: the parent of a detached one, the
// descriptor of --ready-fd, and systemd by sd_notify(3).
//
// Everybody is told once. Not thread safe.

#ifndef TENSORBROKER_BROKER_READINESS_H_
#define TENSORBROKER_BROKER_READINESS_H_

#include <optional>
#include <string>
#include <string_view>

namespace tensorbroker::broker {

// What a detached broker writes to its parent when all is well; anything else is the text of an error.
inline constexpr std::string_view kReadyVerdict = "ready";

class Readiness {
 public:
  // Takes the descriptors over; `parent_fd` -1: not detached.
  Readiness(int parent_fd, std::optional<int> ready_fd) : parent_fd_(parent_fd), ready_fd_(ready_fd) {}
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;
  ~Readiness();

  void ready() noexcept;
  // Before ready(): to the parent of a detached broker, else to stderr.
  void failed(const std::string& message) noexcept;

 private:
  void close_all() noexcept;

  int parent_fd_;
  std::optional<int> ready_fd_;
};

// Sends one line of sd_notify's protocol, such as "READY=1", to $NOTIFY_SOCKET. Nothing happens where there is none.
void notify_systemd(std::string_view state) noexcept;

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_READINESS_H_
