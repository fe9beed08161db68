// Grants whose pages the worker still has to reserve, the punching that the store asks for, and the pages that are kept
// ready ahead of demand.
//
// On the loop's thread. A grant's result is called at once where its pages are warm, later else; never after the
// MemoryWork is gone.

#ifndef TENSORBROKER_BROKER_MEMORY_WORK_H_
#define TENSORBROKER_BROKER_MEMORY_WORK_H_

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>

#include "broker/page_worker.h"
#include "broker/pages_ahead.h"
#include "broker/store.h"

namespace tensorbroker::broker {

class MemoryWork {
 public:
  // `on_change` is called after each result that came later: what it freed or granted may call for housekeeping.
  // `room`: bytes that the machine could spare now.
  MemoryWork(EventLoop& loop, Store& store, std::function<void()> on_change, std::function<std::uint64_t()> room);

  using GrantDone = std::function<void(const Granted*, std::exception_ptr)>;
  // Throws what Store::begin_grant throws; every later error is `done`'s.
  void grant(std::uint64_t session, std::uint64_t bytes, GrantDone done);

  // Has the worker punch what the store wants punched, one lot after another, and looks after the pages ahead of
  // demand.
  void look();

 private:
  void reserve(Reservation reservation, GrantDone done, bool is_last_try);
  bool try_again(const Reservation& reservation, const GrantDone& done, int error);
  void punch();
  void finish(const Reservation& reservation, int error, const GrantDone& done);

  Store& store_;
  std::function<void()> on_change_;
  bool punching_ = false;
  PagesAhead ahead_;
  PageWorker worker_;  // last: it ends before what it uses
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_MEMORY_WORK_H_
