// Connecting, and closing under calls in progress.

#include <tensorbroker/client.h>

#include <algorithm>

#include "client/client_impl.h"
#include "client/launch.h"
#include "client/open_clients.h"
#include "client/wait_service.h"
#include "proto/futex.h"
#include "proto/name.h"

namespace tensorbroker {
namespace {

constexpr std::chrono::duration<double> kMostForTheEnd{0.2};

}  // namespace

Client::Impl::Impl(std::shared_ptr<Connection> connection, std::chrono::duration<double> timeout)
    : connection_(std::move(connection)), limits_(std::make_shared<ClientLimits>()) {
  limits_->instance = connection_->target().name.instance;
  limits_->timeout = timeout;
}

// What was sent the broker carries out, whether or not its answer is waited for.
Client::Impl::~Impl() {
  close_pending(Limit::in(std::min(timeout(), kMostForTheEnd)));
  limits_->pending.store(nullptr);
}

std::atomic<std::int64_t>& Client::Impl::own_users() noexcept {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t stripe = next.fetch_add(1, std::memory_order_relaxed) % kStripes;
  return stripes_[stripe].users;
}

void Client::Impl::close() {
  if (limits_->closed.exchange(true, std::memory_order_seq_cst)) return;
  wake_waiters();
  nudge_wait_service();
  close_pending(Limit::in(timeout()));
  drop_if_unused();
}

// Either a call that begins now sees that the client is closed, or its count is seen here.
void Client::Impl::drop_if_unused() noexcept {
  std::int64_t users = 0;
  for (const Stripe& stripe : stripes_) users += stripe.users.load(std::memory_order_seq_cst);
  if (users == 0 && !dropped_.exchange(true, std::memory_order_seq_cst)) connection_.reset();
}

// Threads that wait look whether the client is closed whenever they wake. Which names they wait for is not on record,
// and a needless wake harms nobody.
void Client::Impl::wake_waiters() noexcept {
  std::atomic<std::int64_t>& users = own_users();
  users.fetch_add(1, std::memory_order_seq_cst);
  try {
    const Attachment::Use use(connection_->current());
    if (use->control().waiters.load(std::memory_order_seq_cst) != 0) {
      futex_wake_all(use->catalog().root().changes);
      for (std::uint64_t i = 0; i < use->catalog().wait_words(); ++i) futex_wake_all(use->catalog().wait_word(i));
    }
  } catch (const Error&) {  // the instance ended: nobody sleeps on its words
  }
  users.fetch_sub(1, std::memory_order_seq_cst);
}

detail::StorageRef Client::Impl::lease(std::string_view name) {
  const Use connection(*this);
  const std::uint64_t hash = hash_name(name);
  // A name that no tensor can have is in no index, either: it is checked where nothing was found.
  if (detail::StorageRef found = connection->current().try_lease_by_name(name, hash)) return found;
  check_name(name);
  return connection->lease(name, hash, limit());
}

detail::StorageRef Client::Impl::try_lease(std::string_view name) {
  const Use connection(*this);
  return connection->current().try_lease_by_name(name, hash_name(name));
}

void Client::Impl::throw_not_found(std::string_view name) const {
  throw NotFoundError("there is no '" + std::string(name) + "' in the instance '" + instance() + "'");
}

Client Client::connect(const ConnectOptions& options) {
  if (!(options.timeout.count() >= 0)) {
    throw InvalidArgumentError("the timeout must be at least 0 seconds, not " +
                               std::to_string(options.timeout.count()));
  }
  Client client(
      std::make_shared<Impl>(open_connection(make_target(options), Limit::in(options.timeout)), options.timeout));
  list_open_client(client);
  return client;
}

void Client::close() { impl_->close(); }

bool Client::is_closed() const noexcept { return impl_->is_closed(); }

const std::string& Client::instance() const noexcept { return impl_->instance(); }

}  // namespace tensorbroker
