// Keeps the pages of the arena that have memory ahead of demand: has them prepared, and given back, as preparation.h
// says.
//
// On the loop's thread. A broker without such pages, and without demand, has no timer running.

#ifndef TENSORBROKER_BROKER_PAGES_AHEAD_H_
#define TENSORBROKER_BROKER_PAGES_AHEAD_H_

#include <cstdint>
#include <functional>

#include "broker/event_loop.h"
#include "broker/page_worker.h"
#include "broker/preparation.h"
#include "broker/store.h"

namespace tensorbroker::broker {

class PagesAhead {
 public:
  // So much at one time: a grant that comes meanwhile waits for no more than that.
  static constexpr std::uint64_t kPieceBytes = 8ULL << 20;

  // `room`: bytes that the machine could spare now. `punch` has done what the store wants punched.
  PagesAhead(EventLoop& loop, Store& store, PageWorker& worker, std::function<std::uint64_t()> room,
             std::function<void()> punch)
      : store_(store), worker_(worker), room_(std::move(room)), punch_(std::move(punch)), timer_(loop) {}

  // To be called whenever something may have been granted or given back.
  void update();

 private:
  void act();
  bool prepare();

  Store& store_;
  PageWorker& worker_;
  std::function<std::uint64_t()> room_;
  std::function<void()> punch_;
  Timer timer_;
  Preparation preparation_;
  std::uint64_t grants_ = 0;  // seen so far
  bool had_client_ = false;
  bool preparing_ = false;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PAGES_AHEAD_H_
