// The waits of this process on one connection, as the service's thread serves them.
//
// Follows the connection from instance to instance, and looks after its broker. The service's lock guards everything
// but run(), which may wait for the broker; nothing else blocks. While there is an attachment, its session counts one
// waiter and its catalog stays mapped.

#ifndef TENSORBROKER_CLIENT_INSTANCE_WAITS_H_
#define TENSORBROKER_CLIENT_INSTANCE_WAITS_H_

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/client_impl.h"
#include "client/limit.h"
#include "client/wait_queue.h"
#include "client/waiting.h"
#include "proto/futex.h"

namespace tensorbroker {

struct PendingWait {
  std::shared_ptr<Client::Impl> client;
  std::weak_ptr<WaitQueue> queue;  // gone: nobody wants the result
  std::string name;
  std::uint64_t hash = 0;
  std::uint64_t newer_than = 0;
  Limit limit{};
  // ---- of the attachment
  const Word* word = nullptr;
  std::uint32_t seen = 0;  // the word's value before the last look
  bool look_due = true;    // whatever the word says
  bool ask_due = false;    // a look settled nothing: the broker is to be asked
};

// What may wait for the broker, and so is done without the lock.
struct WaitErrand {
  enum class Kind { kAttach, kLookAfterBroker, kAsk };
  Kind kind{};
  Connection* connection = nullptr;
  Attachment* attachment = nullptr;
  Limit limit{};
  std::string name{};  // kAsk
  std::uint64_t hash = 0;
  // ---- what it came to
  WaitResult result{};       // kAsk: of its wait
  bool unavailable = false;  // no broker answered in time
};

class InstanceWaits {
 public:
  using Clock = Limit::Clock;

  void add(std::uint64_t id, PendingWait wait);
  bool cancel(std::uint64_t id) { return waits_.erase(id) != 0; }
  bool is_empty() const noexcept { return waits_.empty(); }

  // Completes what can be completed now. Returns when that is due again, whatever the words say.
  Clock::time_point serve();

  // The words whose change is due to be served: those of the names, or the catalog's alone.
  void list_words(std::vector<FutexCondition>* words) const;
  void list_catalog(std::vector<FutexCondition>* words) const;

  // What is to be done without the lock, if anything: run it, then settle it.
  std::optional<WaitErrand> next_errand();
  static void run(WaitErrand& errand) noexcept;
  void settle(WaitErrand errand);

  // In a forked child: the waits are the parent's.
  void abandon() noexcept;

 private:
  void enter(Connection& connection);
  void enter_anywhere();
  bool is_served(std::uint64_t id, PendingWait& wait, Clock::time_point now);
  bool is_found(std::uint64_t id, PendingWait& wait);
  void settle_asked(WaitResult result);
  void fail_all(const std::exception_ptr& error);
  bool use_any_client();

  std::map<std::uint64_t, PendingWait> waits_;
  std::optional<Waiting> at_;                // empty between two instances
  std::uint32_t catalog_seen_ = 0;           // the word of the whole catalog, before the last serve()
  Clock::time_point next_try_{};             // to attach or ask, where no broker was there
  Clock::duration patience_ = kPatience;     // with a broker that does not answer: others wait as long
  std::optional<Client::Impl::Use> errand_;  // keeps the connection during one

  static constexpr Clock::duration kPatience = std::chrono::milliseconds(125);
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_INSTANCE_WAITS_H_
