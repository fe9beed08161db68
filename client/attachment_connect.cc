// The handshake with a broker, and making a lost connection again.

#include <algorithm>
#include <string>
#include <thread>
#include <utility>

#include "client/attached.h"
#include "client/attachment.h"
#include "client/fork.h"
#include "client/session_lock.h"
#include "proto/instance_lock.h"

namespace tensorbroker {
namespace {

constexpr auto kRetryPause = std::chrono::milliseconds(5);

// Numbers of the handshake's own requests: nothing else is outstanding on the socket then.
constexpr std::uint64_t kHelloNumber = (std::uint64_t{1} << 63) | (std::uint64_t{1} << 62);
constexpr std::uint64_t kLockedNumber = kHelloNumber + 1;

void check(const Limit& limit, const std::string& what) {
  limit.check_open();
  if (limit.passed()) throw BrokerUnavailableError(what);
}

std::string no_broker(const Target& target) {
  return "no broker of instance '" + target.name.instance + "' answered in " + target.runtime_dir +
         " within the timeout; look at its log there, or `tensorbroker doctor`";
}

// One request and its reply on a socket that nobody else uses yet; nullopt where the broker went away.
std::optional<ReplyFrame> exchange(const Socket& socket, const Frame& request, const Limit& limit) {
  // A broker that refuses the connection says why and goes: that can still be read when nothing can be sent any more.
  write_frame(socket, request, limit);
  ReceivedFile file;
  auto frame = read_frame(socket, limit, &file);
  if (!frame || !reply_sequence(*frame)) return std::nullopt;
  return ReplyFrame{std::move(*frame), 0, std::move(file)};
}

// Starts a broker where that is wanted, or waits a moment for somebody else's.
void provide_broker(const Target& target, const Limit& limit, bool may_wait_for_one) {
  if (living_broker(target.name)) {
    std::this_thread::sleep_for(kRetryPause);  // it is starting, or ending
  } else if (may_start_broker(target)) {
    start_broker(target, limit);
  } else if (may_wait_for_one) {
    std::this_thread::sleep_for(kRetryPause);
  } else {
    throw_no_broker(target);
  }
}

}  // namespace

// ---------------------------------------------------------------- a new session

Attachment::Attached Attachment::attach(const Target& target, const Limit& limit) {
  install_fork_handlers();
  for (;;) {
    if (auto socket = connect_to_broker(target)) {
      Attached attached = greet(target, std::move(socket), limit);
      if (attached.socket) return attached;
      std::this_thread::sleep_for(kRetryPause);
    } else {
      provide_broker(target, limit, false);
    }
    check(limit, no_broker(target));
  }
}

// Empty (no socket) where the broker went away in the middle.
Attachment::Attached Attachment::greet(const Target& target, std::shared_ptr<Socket> socket, const Limit& limit) {
  auto hello = exchange(*socket, build_hello(kHelloNumber, {}), limit);
  if (!hello) return {};
  const auto& welcome = body_of<schema::Welcome>(hello->item());
  Attached attached;
  attached.catalog_id = welcome.catalog();
  attached.session_id = welcome.session();
  const auto fork_held = hold_fork();
  try {
    attached.catalog = Catalog::open(target.name, welcome.catalog(), Access::kReadOnly);
    attached.arena = std::make_unique<ArenaMap>(target.name, welcome.arena());
    attached.session = map_and_lock_session(target.name, welcome.session(), false, std::move(hello->file));
  } catch (const NotFoundError&) {
    return {};  // the instance ended meanwhile
  }
  auto locked = exchange(*socket, build_locked(kLockedNumber), limit);
  if (!locked) return {};
  const auto& details = body_of<schema::Attached>(locked->item());
  if (details.spares() != nullptr) attached.spares.assign(details.spares()->begin(), details.spares()->end());
  if (details.heir() != 0) {
    attached.heir = map_and_lock_session(target.name, details.heir(), true, std::move(locked->file));
    attached.heir_id = details.heir();
  }
  attached.socket = std::move(socket);
  return attached;
}

// ---------------------------------------------------------------- requests

BrokerUnavailableError Attachment::outcome_unknown() const {
  return BrokerUnavailableError(
      "the broker of instance '" + target_.name.instance +
      "' did not answer within the timeout; the request was sent, and its outcome is unknown");
}

// With `posted` it was sent on the connection of that epoch already, and its reply is kept.
ReplyFrame Attachment::request(std::uint64_t sequence, const Frame& frame, const Limit& limit, std::uint64_t posted) {
  bool sent = posted != 0;
  for (;;) {
    check_not_ended();
    if (posted == 0 && !channel_->is_open()) {
      try {
        connect(limit);
      } catch (const InstanceEnded&) {
        throw;
      } catch (const BrokerUnavailableError&) {
        if (sent) throw outcome_unknown();
        throw;
      }
    }
    Channel::Result result =
        posted != 0 ? channel_->take(sequence, posted, limit) : channel_->call(sequence, frame, limit);
    sent = sent || result.was_sent;
    // No late reply may be mistaken.
    if (posted != 0 && result.outcome != Channel::Outcome::kReplied) channel_->drop(posted);
    posted = 0;
    switch (result.outcome) {
      case Channel::Outcome::kReplied:
        return {std::move(result.frame), result.epoch, std::move(result.file)};
      case Channel::Outcome::kTimedOut:
        if (!sent) throw NothingSent(no_broker(target_) + "; nothing was sent");
        throw outcome_unknown();
      case Channel::Outcome::kClosed:
        throw ClosedError("the client was closed while it waited for the broker; the outcome is unknown");
      case Channel::Outcome::kLost:
        break;
    }
  }
}

void Attachment::connect(const Limit& limit) {
  const std::string late = no_broker(target_) + "; nothing was sent";
  std::unique_lock connecting(*connecting_, std::defer_lock);
  while (!connecting.try_lock_for(std::min<Limit::Clock::duration>(kPollSlice, limit.remaining()))) {
    limit.check_open();
    if (limit.passed()) throw NothingSent(late);
  }
  while (!channel_->is_open()) {
    check_not_ended();
    if (connect_once(limit)) return;
    limit.check_open();
    if (limit.passed()) throw NothingSent(late);
  }
}

bool Attachment::connect_once(const Limit& limit) {
  std::shared_ptr<Socket> greeted;
  {
    const std::lock_guard held(state_);
    greeted = std::exchange(greeted_, nullptr);
  }
  if (greeted && take_welcome(greeted, limit)) return true;
  const auto socket = connect_to_broker(target_);
  if (socket) {
    if (resume(socket, limit)) return true;
    std::this_thread::sleep_for(kRetryPause);
  } else {
    check_not_ended();
    provide_broker(target_, limit, true);
  }
  return false;
}

// Says Hello as the session that this is. False where the broker went away.
bool Attachment::resume(const std::shared_ptr<Socket>& socket, const Limit& limit) {
  write_frame(*socket, build_hello(kHelloNumber, own_things()), limit);
  if (!take_welcome(socket, limit)) return false;
  // A child may have taken its heir over while there was no broker that either could tell.
  std::unique_lock held(state_);
  const std::uint64_t used_heir = heir_ ? 0 : heir_id_;
  held.unlock();
  if (used_heir == 0) return true;
  const std::uint64_t number = calls_->next_number();
  return channel_->post(build_next_heir(number, used_heir), channel_->epoch());
}

bool Attachment::take_welcome(const std::shared_ptr<Socket>& socket, const Limit& limit) {
  auto frame = read_frame(*socket, limit);
  if (!frame || !reply_sequence(*frame)) return false;
  const ReplyFrame reply{std::move(*frame), 0, {}};
  const schema::Welcome* welcome = nullptr;
  try {
    welcome = &body_of<schema::Welcome>(reply.item());
  } catch (const VersionMismatchError&) {
    throw;
  } catch (const QuotaError&) {
    return false;  // too many connections at the moment; the session is still ours
  } catch (const Error&) {
    end();  // it is another instance's broker, or it gave this session up
    throw_ended();
  }
  if (welcome->catalog() != catalog_id_ || !welcome->resumed()) {
    end();
    throw_ended();
  }
  channel_->open(socket, session_->command_rings());
  return true;
}

// Called with no connection in use: whatever was given on the last one and is not noted by now is not ours.
HelloSpec Attachment::own_things() {
  HelloSpec hello;
  hello.session = session_id();
  const std::lock_guard held(state_);
  void_epoch_ = channel_->last_epoch();
  for (const OwnExtent& extent : allocator_.extents()) hello.extents.push_back(extent.id);
  for (const OwnExtent& extent : granting_) hello.extents.push_back(extent.id);
  hello.spares = spares_;
  for (const Lent& lent : lent_) hello.spares.push_back(lent.entry);
  return hello;
}

bool Attachment::look_is_due() const noexcept {
  const Limit::Clock::duration since(Limit::Clock::now().time_since_epoch().count() -
                                     last_look_.load(std::memory_order_relaxed));
  return since >= std::chrono::seconds(1);
}

void Attachment::look_after_broker(const Limit& limit) {
  last_look_.store(Limit::Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  if (channel_->poll_alive()) return;
  try {
    connect(limit);
  } catch (const InstanceEnded&) {
    throw;
  } catch (const BrokerUnavailableError&) {
    return;  // the next look will try again
  }
}

}  // namespace tensorbroker
