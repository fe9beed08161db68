// The attachments of this process: one for each instance and runtime directory, shared by all clients.
//
// A Connection is what a Client holds. When the last one of an instance is closed and no storage is left, the
// attachment is unmapped, which ends the session. Never destroyed at exit, so that releases work until the end. Thread
// safe.

#ifndef TENSORBROKER_CLIENT_REGISTRY_H_
#define TENSORBROKER_CLIENT_REGISTRY_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "client/attachment.h"
#include "client/launch.h"
#include "client/limit.h"

namespace tensorbroker {

class Connection {
 public:
  // REQUIRES: nobody uses it. Its attachments go on in the registry while storages are left.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The attachment in use; it may have ended. Stays valid, though perhaps detached, as long as the connection: for
  // anything but lease_by_name hold an Attachment::Use.
  Attachment& current() const noexcept { return *current_.load(std::memory_order_acquire); }
  // Attaches anew where `ended` is still the one in use, and returns the one in use. Throws as Attachment's
  // constructor.
  Attachment& renew(const Attachment& ended, const Limit& limit);

  // Runs `f(Attachment&)` with a use of the current attachment; where the instance ended meanwhile, attaches to the
  // next one and runs it again.
  template <class F>
  auto with_attachment(const Limit& limit, F&& f) {
    for (;;) {
      Attachment& attachment = current();
      try {
        if (!attachment.has_ended()) {
          const Attachment::Use use(attachment);
          return f(attachment);
        }
      } catch (const InstanceEnded&) {
        if (limit.passed()) throw;
      }
      renew(attachment, limit);
    }
  }

  // The hot path of get: empty where there is no such name.
  detail::StorageRef lease(std::string_view name, std::uint64_t hash, const Limit& limit);

  const Target& target() const noexcept { return target_; }

 private:
  friend class Registry;
  explicit Connection(Target target) : target_(std::move(target)) {}

  Target target_;
  std::atomic<Attachment*> current_{nullptr};
  std::unique_ptr<std::timed_mutex> renewing_ = std::make_unique<std::timed_mutex>();
  std::vector<std::unique_ptr<Attachment>> attachments_;  // the registry's lock guards it; the last is the current one
};

// Connects, or shares the connection that there is. Throws as Attachment's constructor.
std::shared_ptr<Connection> open_connection(const Target& target, const Limit& limit);

// Called when a lease or draft is given up: detaches what was only waiting for that. Cheap where nothing waits.
void sweep_detached() noexcept;

// Attachments of this process that are still mapped; for tests of leaks.
std::size_t attachments_mapped() noexcept;

// For fork.cc. REQUIRES of for_each_attachment: the registry is locked.
void lock_registry() noexcept;
void unlock_registry() noexcept;
void for_each_attachment(void (*visit)(Attachment&)) noexcept;
void renew_registry_locks_in_child() noexcept;

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_REGISTRY_H_
