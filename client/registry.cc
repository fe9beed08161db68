#include "client/registry.h"

#include <algorithm>
#include <list>
#include <string>

#include "client/fork.h"
#include "client/launch.h"
#include "proto/instance_lock.h"

namespace tensorbroker {

// Never destroyed: tensors are let go of during and after static destruction.
class Registry {
 public:
  static Registry& get() {
    static auto* registry = new Registry;
    return *registry;
  }

  std::shared_ptr<Connection> open(const Target& target, const Limit& limit);
  void add(Connection& connection, std::unique_ptr<Attachment> attachment);
  void remove(Connection& connection);
  void sweep() noexcept;
  std::size_t mapped() noexcept;

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  void for_each(void (*visit)(Attachment&));
  void renew_locks_in_child();

 private:
  std::shared_ptr<Connection> find(const Target& target);
  std::unique_ptr<Attachment> take_waiting(const Target& target);

  std::mutex mutex_;  // short
  std::vector<Connection*> connections_;
  std::vector<std::weak_ptr<Connection>> shared_;
  std::list<std::unique_ptr<Attachment>> waiting_;  // of closed connections, with storages left
  std::atomic<std::size_t> to_sweep_{0};            // attachments that wait to be detached, wherever they are listed
  std::unique_ptr<std::timed_mutex> opening_ =
      std::make_unique<std::timed_mutex>();  // held while a broker is waited for
};

namespace {

bool same_broker(const Target& a, const Target& b) {
  return a.name.uid == b.name.uid && a.name.instance == b.name.instance && a.runtime_dir == b.runtime_dir;
}

std::unique_lock<std::timed_mutex> lock_within(std::timed_mutex& mutex, const Limit& limit) {
  std::unique_lock held(mutex, limit.deadline);
  if (!held.owns_lock()) throw BrokerUnavailableError("another thread waited for a broker until the timeout");
  return held;
}

}  // namespace

// ---------------------------------------------------------------- opening

std::shared_ptr<Connection> Registry::find(const Target& target) {
  const std::lock_guard held(mutex_);
  for (const auto& weak : shared_) {
    auto connection = weak.lock();
    if (connection && same_broker(connection->target(), target)) return connection;
  }
  return nullptr;
}

// An attachment whose clients were all closed, and whose storages keep it, serves new clients just as well.
std::unique_ptr<Attachment> Registry::take_waiting(const Target& target) {
  const std::lock_guard held(mutex_);
  const auto at = std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& attachment) {
    return !attachment->has_ended() && same_broker(attachment->target(), target);
  });
  if (at == waiting_.end()) return nullptr;
  auto found = std::move(*at);
  waiting_.erase(at);
  --to_sweep_;
  return found;
}

std::shared_ptr<Connection> Registry::open(const Target& target, const Limit& limit) {
  const auto opening = lock_within(*opening_, limit);
  // A lock that a cleaner removed says nothing until the broker takes it anew: its socket does.
  if (!may_start_broker(target) && !living_broker(target.name) && !connect_to_broker(target)) throw_no_broker(target);
  if (auto connection = find(target)) {
    connection->with_attachment(limit, [&](Attachment& attachment) { attachment.look_after_broker(limit); });
    return connection;
  }
  auto attachment = take_waiting(target);
  if (!attachment) attachment = std::make_unique<Attachment>(target, limit);
  std::shared_ptr<Connection> connection(new Connection(target));
  add(*connection, std::move(attachment));
  const std::lock_guard held(mutex_);
  connections_.push_back(connection.get());
  std::erase_if(shared_, [](const auto& weak) { return weak.expired(); });
  shared_.push_back(connection);
  return connection;
}

void Registry::add(Connection& connection, std::unique_ptr<Attachment> attachment) {
  const std::lock_guard held(mutex_);
  connection.current_.store(attachment.get(), std::memory_order_release);
  if (!connection.attachments_.empty()) ++to_sweep_;
  connection.attachments_.push_back(std::move(attachment));
}

void Registry::remove(Connection& connection) {
  {
    const std::lock_guard held(mutex_);
    std::erase(connections_, &connection);
    for (auto& attachment : connection.attachments_) waiting_.push_back(std::move(attachment));
    if (!connection.attachments_.empty()) ++to_sweep_;  // the current one
    connection.attachments_.clear();
  }
  sweep();
}

// ---------------------------------------------------------------- detaching

void Registry::sweep() noexcept {
  if (to_sweep_.load(std::memory_order_seq_cst) == 0) return;
  std::list<std::unique_ptr<Attachment>> gone;
  {
    const std::lock_guard held(mutex_);
    for (auto at = waiting_.begin(); at != waiting_.end();) {
      const auto next = std::next(at);
      if ((*at)->detach_if_unused()) {
        gone.splice(gone.end(), waiting_, at);
        --to_sweep_;
      }
      at = next;
    }
    // An attachment that was renewed stays listed, unmapped, until its connection goes: somebody may be looking at it.
    for (Connection* connection : connections_) {
      for (auto& attachment : connection->attachments_) {
        if (attachment.get() != &connection->current()) attachment->detach_if_unused();
      }
    }
  }
}

std::size_t Registry::mapped() noexcept {
  std::size_t count = 0;
  lock();
  for (const auto& attachment : waiting_) count += attachment->is_detached() ? 0 : 1;
  for (const Connection* connection : connections_) {
    for (const auto& attachment : connection->attachments_) count += attachment->is_detached() ? 0 : 1;
  }
  unlock();
  return count;
}

// ---------------------------------------------------------------- fork

void Registry::for_each(void (*visit)(Attachment&)) {
  for (const auto& attachment : waiting_) {
    if (!attachment->is_detached()) visit(*attachment);
  }
  for (const Connection* connection : connections_) {
    for (const auto& attachment : connection->attachments_) {
      if (!attachment->is_detached()) visit(*attachment);
    }
  }
}

void Registry::renew_locks_in_child() {
  static_cast<void>(opening_.release());
  opening_ = std::make_unique<std::timed_mutex>();
  for (Connection* connection : connections_) {
    static_cast<void>(connection->renewing_.release());
    connection->renewing_ = std::make_unique<std::timed_mutex>();
  }
}

// ---------------------------------------------------------------- connections

Connection::~Connection() { Registry::get().remove(*this); }

Attachment& Connection::renew(const Attachment& ended, const Limit& limit) {
  const auto renewing = lock_within(*renewing_, limit);
  Attachment& in_use = current();
  if (&in_use != &ended) return in_use;
  Registry::get().add(*this, std::make_unique<Attachment>(target_, limit));
  sweep_detached();
  return current();
}

detail::StorageRef Connection::lease(std::string_view name, std::uint64_t hash, const Limit& limit) {
  for (;;) {
    Attachment& attachment = current();
    try {
      return attachment.lease_by_name(name, hash, limit);
    } catch (const InstanceEnded&) {
      if (limit.passed()) throw;
    }
    renew(attachment, limit);
  }
}

std::shared_ptr<Connection> open_connection(const Target& target, const Limit& limit) {
  return Registry::get().open(target, limit);
}

void sweep_detached() noexcept { Registry::get().sweep(); }
std::size_t attachments_mapped() noexcept { return Registry::get().mapped(); }

void lock_registry() noexcept { Registry::get().lock(); }
void unlock_registry() noexcept { Registry::get().unlock(); }
void for_each_attachment(void (*visit)(Attachment&)) noexcept { Registry::get().for_each(visit); }
void renew_registry_locks_in_child() noexcept { Registry::get().renew_locks_in_child(); }

}  // namespace tensorbroker
