// What stands behind a Client: a connection, and a count of the calls that use it, so that close() ends it under none.
//
// Thread safe. The connection is given up by close(), or by whoever leaves last after it.

#ifndef TENSORBROKER_CLIENT_CLIENT_IMPL_H_
#define TENSORBROKER_CLIENT_CLIENT_IMPL_H_

#include <tensorbroker/client.h>
#include <tensorbroker/error.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "client/client_limits.h"
#include "client/pending_puts.h"
#include "client/publish.h"
#include "client/registry.h"

namespace tensorbroker {

struct Client::Impl {
 public:
  Impl(std::shared_ptr<Connection> connection, std::chrono::duration<double> timeout);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void close();
  bool is_closed() const noexcept { return limits_->closed.load(std::memory_order_seq_cst); }
  const std::string& instance() const noexcept { return limits_->instance; }

  // A limit for one call that needs the broker.
  Limit limit() const { return limits_->limit(); }
  std::chrono::duration<double> timeout() const noexcept { return limits_->timeout; }
  // The same for what outlives this client.
  std::shared_ptr<const ClientLimits> limits() const noexcept { return limits_; }

  // While one is alive the connection stays, whoever closes the client meanwhile. Throws ClosedError.
  class Use {
   public:
    explicit Use(Impl& impl) : impl_(impl), users_(impl.own_users()) {
      users_.fetch_add(1, std::memory_order_seq_cst);
      if (impl.is_closed()) {
        leave();
        impl.throw_closed();
      }
    }
    ~Use() { leave(); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Connection& operator*() const noexcept { return *impl_.connection_; }
    Connection* operator->() const noexcept { return impl_.connection_.get(); }

   private:
    void leave() noexcept {
      users_.fetch_sub(1, std::memory_order_seq_cst);
      if (impl_.is_closed()) impl_.drop_if_unused();
    }
    Impl& impl_;
    std::atomic<std::int64_t>& users_;
  };

  // Leases what the name denotes: the hot path. Empty where there is none.
  detail::StorageRef lease(std::string_view name);
  // The same, where one lookup does it and nobody is waited for; else empty.
  detail::StorageRef try_lease(std::string_view name);

  // Runs f(Attachment&, const Limit&), again where the instance ended meanwhile and another began.
  template <class F>
  auto with_attachment(F&& f) {
    return with_attachment(limit(), std::forward<F>(f));
  }
  template <class F>
  auto with_attachment(const Limit& within, F&& f) {
    const Use connection(*this);
    return connection->with_attachment(within, [&](Attachment& attachment) { return f(attachment, within); });
  }

  // The same for what publishes or deletes: it comes after the puts that were not waited for, also where the connection
  // was lost meanwhile and they are repeated.
  template <class F>
  auto with_attachment_in_order(F&& f) {
    const Limit within = limit();
    if (PendingPuts* const puts = pending()) {
      const Use connection(*this);
      puts->settle(within);
    }
    return with_attachment(within, std::forward<F>(f));
  }

  // Publishes without waiting for the answer, which flush() does.
  void put_nowait(const Publication& publication, const Fill& fill);
  void flush();

  [[noreturn]] void throw_closed() const { limits_->throw_closed(); }
  [[noreturn]] void throw_not_found(std::string_view name) const;

 private:
  // Spread over cache lines, so that threads that read at the same time do not pass one line around.
  static constexpr std::size_t kStripes = 16;
  struct alignas(64) Stripe {
    std::atomic<std::int64_t> users{0};
  };

  std::atomic<std::int64_t>& own_users() noexcept;
  void drop_if_unused() noexcept;
  void wake_waiters() noexcept;
  PendingPuts* pending() const noexcept;
  PendingPuts& make_pending();
  void close_pending(const Limit& limit) noexcept;

  std::shared_ptr<Connection> connection_;
  std::shared_ptr<ClientLimits> limits_;
  std::atomic<bool> dropped_{false};
  std::atomic<PendingPuts*> pending_{nullptr};  // made by the first put that was not waited for
  std::array<Stripe, kStripes> stripes_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_CLIENT_IMPL_H_
