#include "tests/simulation/broker.h"

#include <utility>

namespace tensorbroker::simulation {

using broker::MemoryWork;

Broker::Broker(const broker::Options& options, const broker::Place& place)
    : opened_(open_store(options, place, {})),
      sessions_(loop_, store_, truncated_, [this] { housekeeping_.run(); }),
      memory_(std::make_unique<MemoryWork>(
          loop_, store_, [this] { housekeeping_.run(); }, [this] { return store_.arena().file_system_free(); })),
      idle_(loop_, store_, sessions_, [this] { stop_ = Stop{}; }),
      housekeeping_(loop_, store_, sessions_, *memory_, idle_),
      services_{store_,
                sessions_,
                *memory_,
                std::chrono::steady_clock::now(),
                [this] { housekeeping_.run(); },
                [] { return false; },
                [this](bool keep, std::function<void()> answered) {
                  if (!stop_) stop_ = Stop{keep, std::move(answered)};
                }} {
  if (opened_.adopted) sessions_.adopt_all();
  housekeeping_.run();
}

std::shared_ptr<Connection> Broker::connect(pid_t peer) {
  auto connection = std::make_shared<Connection>();
  connection->sink = std::make_shared<Sink>(peer);
  connection->dispatch = std::make_shared<broker::Dispatch>(services_, connection->sink);
  return connection;
}

void Broker::end() {
  memory_.reset();
  store_.close_root();
  store_.unlink_all();
}

}  // namespace tensorbroker::simulation
