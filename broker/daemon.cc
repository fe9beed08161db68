#include "broker/daemon.h"

#include <spdlog/spdlog.h>

#include <csignal>
#include <utility>

#include "broker/dispatch.h"

namespace tensorbroker::broker {
namespace {

// Removes the lock's name where a start fails that had found nothing to adopt.
Opened open_or_clean_up(const Options& options, const Place& place, SegmentGuards& guards, InstanceLock& lock) {
  try {
    return open_store(options, place, guards);
  } catch (...) {
    if (!has_segments(place.name)) lock.remove_name();
    throw;
  }
}

}  // namespace

Daemon::Daemon(const Options& options, const Place& place, InstanceLock lock)
    : lock_(std::move(lock)),
      opened_(open_or_clean_up(options, place, guards_, lock_)),
      sessions_(loop_, store_, guards_, [this] { housekeeping_.run(); }),
      memory_(std::make_unique<MemoryWork>(loop_, store_, [this] { housekeeping_.run(); })),
      idle_(loop_, store_, sessions_, [this] { stop(false, {}); }),
      housekeeping_(loop_, store_, sessions_, *memory_, idle_),
      services_{store_,
                sessions_,
                *memory_,
                std::chrono::steady_clock::now(),
                [this] { housekeeping_.run(); },
                [this](bool keep, std::function<void()> answered) { stop(keep, std::move(answered)); }} {
  if (opened_.adopted) sessions_.adopt_all();
  loop_.on_end_signal([this](int signal) {
    spdlog::info("signal {} ({})", signal, sigabbrev_np(signal));
    stop(false, {});
  });
  listen(place);
  const CatalogOptions& o = store_.options();
  spdlog::info("instance {} {}: capacity {} bytes, {} sessions, socket {}", place.name.instance,
               opened_.adopted ? "adopted" : "created", o.capacity, store_.sessions().size(), place.socket);
}

Daemon::~Daemon() = default;

void Daemon::listen(const Place& place) {
  try {
    server_ = std::make_unique<Server>(loop_, place.socket, [this](const std::shared_ptr<Channel>& channel) {
      return std::make_shared<Dispatch>(services_, channel);
    });
  } catch (const Error&) {
    if (!opened_.adopted) end_in_order();
    throw;
  }
}

void Daemon::run() {
  housekeeping_.run();
  loop_.run();
  if (keep_) {
    spdlog::info("ending; everything is left to a successor");
    server_->abandon();
  } else {
    end_in_order();
  }
  if (answered_) answered_();
}

void Daemon::stop(bool keep, std::function<void()> answered) {
  if (ending_) return;
  ending_ = true;
  keep_ = keep;
  answered_ = std::move(answered);
  // Not from within: the handler that this comes from finishes first.
  loop_.post([this] { loop_.stop(); });
}

void Daemon::end_in_order() {
  spdlog::info("ending in good order");
  memory_.reset();  // the worker touches no page from here on
  store_.close_root();
  store_.unlink_all();
  server_.reset();
  lock_.remove_name();
}

}  // namespace tensorbroker::broker
