// The broker without its sockets: store, sessions, memory work, housekeeping and dispatch are the product's, put
// together as daemon.cc does, over a Kernel.

#ifndef TENSORBROKER_TESTS_SIMULATION_BROKER_H_
#define TENSORBROKER_TESTS_SIMULATION_BROKER_H_

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "broker/dispatch.h"
#include "broker/housekeeping.h"
#include "broker/startup.h"
#include "broker/truncated_sessions.h"
#include "tests/simulation/kernel.h"

namespace tensorbroker::simulation {

// Where the replies to one connection go.
class Sink final : public broker::Channel {
 public:
  explicit Sink(pid_t peer) : peer_(peer) {}

  void send(std::span<const std::byte> message, std::vector<broker::SegmentFile> /*along*/,
            broker::Transport /*way*/) override {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(message.data());
    replies.emplace_back(bytes, bytes + message.size());
  }
  void use_rings(const CommandRings& /*rings*/) override {}  // what it is sent is handed to its handler
  void close(const std::string& /*reason*/) override { closed = true; }
  broker::Peer peer() const noexcept override { return {.pid = peer_, .uid = Kernel::current()->uid}; }

  std::vector<std::vector<std::uint8_t>> replies;
  bool closed = false;

 private:
  pid_t peer_;
};

struct Connection {
  std::shared_ptr<Sink> sink;
  std::shared_ptr<broker::Dispatch> dispatch;
};

class Broker {
 public:
  // Adopts what a predecessor left, or makes a new instance. Throws Error.
  Broker(const broker::Options& options, const broker::Place& place);

  bool adopted() const { return opened_.adopted; }
  broker::Store& store() { return store_; }
  const broker::Store& store() const { return store_; }

  std::shared_ptr<Connection> connect(pid_t peer);

  // Asked to end, by a client or because nobody needs it.
  struct Stop {
    bool keep = false;
    std::function<void()> answered;
  };
  const std::optional<Stop>& stop() const { return stop_; }
  // The orderly end. Then nothing but the destructor.
  void end();

 private:
  broker::EventLoop loop_;
  broker::TruncatedSessions truncated_;
  broker::Opened opened_;
  broker::Store& store_ = opened_.store;
  broker::SessionRegistry sessions_;
  std::unique_ptr<broker::MemoryWork> memory_;
  broker::IdleExit idle_;
  broker::Housekeeping housekeeping_;
  broker::Services services_;
  std::optional<Stop> stop_;
};

}  // namespace tensorbroker::simulation

#endif  // TENSORBROKER_TESTS_SIMULATION_BROKER_H_
