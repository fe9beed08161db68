#include "client/instance_waits.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tensorbroker {
namespace {

using Clock = Limit::Clock;

// Between two looks after the broker, and the most that one may take.
constexpr Clock::duration kSlice = std::chrono::seconds(1);
// Between two looks for a broker where none is there.
constexpr Clock::duration kWithoutBroker = std::chrono::milliseconds(100);

// False where nobody wants it any more.
bool deliver(const PendingWait& wait, WaitResult result) {
  const auto queue = wait.queue.lock();
  if (queue) queue->push(std::move(result));
  return queue != nullptr;
}

std::exception_ptr closed_error(const Client::Impl& client) {
  try {
    client.throw_closed();
  } catch (const ClosedError&) {
    return std::current_exception();
  }
}

}  // namespace

void InstanceWaits::add(std::uint64_t id, PendingWait wait) {
  if (at_) wait.word = &(*at_)->catalog().wait_word(wait.hash);
  waits_.emplace(id, std::move(wait));
}

// ---------------------------------------------------------------- serving

Clock::time_point InstanceWaits::serve() {
  if (at_ && (*at_)->has_ended()) at_.reset();
  if (!at_) enter_anywhere();
  if (at_) catalog_seen_ = futex_value((*at_)->catalog().root().changes);
  const Clock::time_point now = Clock::now();
  for (auto at = waits_.begin(); at != waits_.end();) {
    at = is_served(at->first, at->second, now) ? waits_.erase(at) : std::next(at);
  }
  if (waits_.empty()) {
    at_.reset();
    return Clock::time_point::max();
  }
  Clock::time_point due = now + (at_ ? kSlice : kWithoutBroker);
  for (const auto& [id, wait] : waits_) {
    due = std::min(due, wait.limit.deadline);
    if (wait.look_due || wait.ask_due) due = std::min(due, now + kWithoutBroker);
  }
  return due;
}

// Whether the wait is over, its result delivered.
bool InstanceWaits::is_served(std::uint64_t id, PendingWait& wait, Clock::time_point now) {
  if (wait.queue.expired()) return true;
  if (wait.client->is_closed()) {
    deliver(wait, {.id = id, .error = closed_error(*wait.client)});
    return true;
  }
  const bool last_look = now >= wait.limit.deadline;
  if (at_ && (wait.look_due || last_look || futex_value(*wait.word) != wait.seen)) {
    try {
      if (is_found(id, wait)) return true;
    } catch (const Error&) {
      deliver(wait, {.id = id, .error = std::current_exception()});
      return true;
    }
  }
  if (!last_look || wait.ask_due) return false;
  deliver(wait, {.id = id});
  return true;
}

// The word is read before the look: a publication in between ends the sleep at once.
bool InstanceWaits::is_found(std::uint64_t id, PendingWait& wait) {
  wait.seen = futex_value(*wait.word);
  wait.look_due = false;
  detail::StorageRef found;
  switch ((*at_)->try_lease_by_name(wait.name, wait.hash, &found)) {
    case LookupStatus::kHeld:
      if (version_of(found->generation()) <= wait.newer_than) return false;
      deliver(wait, {.id = id, .storage = std::move(found)});
      return true;
    case LookupStatus::kMissing:
      return false;
    case LookupStatus::kClosed:
      wait.look_due = true;  // in the next instance
      return false;
    case LookupStatus::kContended:
    case LookupStatus::kCorrupt:
      wait.ask_due = true;  // and there says what is wrong
      return false;
  }
  return false;
}

void InstanceWaits::fail_all(const std::exception_ptr& error) {
  for (const auto& [id, wait] : waits_) deliver(wait, {.id = id, .error = error});
  waits_.clear();
}

void InstanceWaits::abandon() noexcept {
  if (at_) at_->forget_count();
  at_.reset();
  errand_.reset();
  waits_.clear();
}

// ---------------------------------------------------------------- the attachment

void InstanceWaits::enter_anywhere() {
  for (auto& [id, wait] : waits_) {
    try {
      const Client::Impl::Use connection(*wait.client);
      enter(*connection);
      return;
    } catch (const ClosedError&) {  // another client may be open
    }
  }
}

void InstanceWaits::enter(Connection& connection) {
  Attachment& attachment = connection.current();
  if (attachment.has_ended()) return;
  try {
    at_.emplace(attachment);
  } catch (const InstanceEnded&) {
    return;
  }
  for (auto& [id, wait] : waits_) {
    wait.word = &attachment.catalog().wait_word(wait.hash);
    wait.look_due = true;
    wait.ask_due = false;
  }
}

void InstanceWaits::list_words(std::vector<FutexCondition>* words) const {
  if (!at_) return;
  for (const auto& [id, wait] : waits_) words->push_back({wait.word, wait.seen});
}

void InstanceWaits::list_catalog(std::vector<FutexCondition>* words) const {
  if (at_) words->push_back({&(*at_)->catalog().root().changes, catalog_seen_});
}

// ---------------------------------------------------------------- errands

bool InstanceWaits::use_any_client() {
  for (const auto& [id, wait] : waits_) {
    try {
      errand_.emplace(*wait.client);
      return true;
    } catch (const ClosedError&) {  // another client may be open
    }
  }
  return false;
}

std::optional<WaitErrand> InstanceWaits::next_errand() {
  const auto asked = std::find_if(waits_.begin(), waits_.end(), [](const auto& wait) { return wait.second.ask_due; });
  const bool may_try = Clock::now() >= next_try_;
  WaitErrand errand;
  if (!at_ && may_try) {
    errand.kind = WaitErrand::Kind::kAttach;
  } else if (at_ && (*at_)->look_is_due()) {
    errand.kind = WaitErrand::Kind::kLookAfterBroker;
  } else if (at_ && may_try && asked != waits_.end()) {
    errand.kind = WaitErrand::Kind::kAsk;
    errand.result.id = asked->first;
    errand.name = asked->second.name;
    errand.hash = asked->second.hash;
  } else {
    return std::nullopt;
  }
  if (!use_any_client()) return std::nullopt;
  errand.connection = &**errand_;
  errand.attachment = at_ ? &**at_ : nullptr;
  const bool may_start_one = errand.connection->target().autostart;
  errand.limit = Limit::in(may_start_one || errand.kind == WaitErrand::Kind::kAsk ? kSlice : patience_);
  return errand;
}

void InstanceWaits::run(WaitErrand& errand) noexcept {
  try {
    switch (errand.kind) {
      case WaitErrand::Kind::kAttach: {
        Attachment& ended = errand.connection->current();
        if (ended.has_ended()) errand.connection->renew(ended, errand.limit);
        break;
      }
      case WaitErrand::Kind::kLookAfterBroker:
        errand.attachment->look_after_broker(errand.limit);
        errand.unavailable = errand.limit.passed();  // it says nothing of a failure
        break;
      case WaitErrand::Kind::kAsk:
        errand.result.storage = errand.attachment->lease_by_name(errand.name, errand.hash, errand.limit);
        break;
    }
  } catch (const InstanceEnded&) {  // the next serve() finds that
  } catch (const BrokerUnavailableError&) {
    errand.unavailable = true;
  } catch (...) {
    errand.result.error = std::current_exception();
  }
}

void InstanceWaits::settle(WaitErrand errand) {
  errand_.reset();
  patience_ = errand.unavailable ? std::min(2 * patience_, kSlice) : kPatience;
  if (errand.unavailable) next_try_ = Clock::now() + kWithoutBroker;
  if (errand.kind != WaitErrand::Kind::kAsk) {
    if (errand.result.error) fail_all(errand.result.error);
    return;
  }
  settle_asked(std::move(errand.result));
}

void InstanceWaits::settle_asked(WaitResult result) {
  const auto at = waits_.find(result.id);
  if (at == waits_.end()) return;  // it was cancelled meanwhile
  PendingWait& wait = at->second;
  wait.ask_due = false;
  wait.look_due = true;  // there may be a lease for it now
  if (result.storage && version_of(result.storage->generation()) <= wait.newer_than) result.storage = {};
  if (!result.storage && !result.error && !wait.limit.passed()) return;
  deliver(wait, std::move(result));
  waits_.erase(at);
}

}  // namespace tensorbroker
