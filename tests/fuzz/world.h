// A broker in this process, without its sockets: store, sessions, memory work and dispatch are the product's, put
// together as daemon.cc does, over the Kernel of simulation/: no system call, no other thread and no clock, so that an
// input is quick and does the same each time. Two clients are attached from the beginning.
//
// One world serves many inputs: settle() undoes what an input did, by what clients and the broker can do, and checks
// that nothing is left charged. Where it cannot be undone (a session ended) the world is to be made anew.

#ifndef TENSORBROKER_TESTS_FUZZ_WORLD_H_
#define TENSORBROKER_TESTS_FUZZ_WORLD_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/dispatch.h"
#include "broker/truncated_sessions.h"
#include "tests/fuzz/message_choices.h"
#include "tests/fuzz/small_kernel.h"
#include "tests/simulation/random.h"

namespace tensorbroker::fuzz {

// Where the broker's replies go: they are verified, counted, and learnt from.
class Sink final : public broker::Channel {
 public:
  explicit Sink(Facts* facts) : facts_(facts) {}

  void send(std::span<const std::byte> message, std::vector<broker::SegmentFile> along, broker::Transport way) override;
  void use_rings(const CommandRings& /*rings*/) override {}  // what it is sent is handed to its handler
  void close(const std::string& reason) override;
  broker::Peer peer() const noexcept override { return {.pid = 0, .uid = geteuid()}; }

  std::size_t replies() const { return replies_; }
  bool closed() const { return closed_; }

 private:
  Facts* facts_;
  std::size_t replies_ = 0;
  bool closed_ = false;
};

class World {
 public:
  static constexpr std::size_t kClients = 2;
  static constexpr std::size_t kMostConnections = 5;

  World();
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // The first kClients connections are those of the clients, as long as they last.
  std::size_t connections() const { return connections_.size(); }
  void connect();
  void disconnect(std::size_t connection);
  // Hands a frame to the broker, and waits for what it answers.
  void deliver(std::size_t connection, const std::vector<std::byte>& frame);

  // What clients do to their segments' locks.
  void lock(std::uint64_t session);
  void die(std::uint64_t session);
  // The broker looks whether the session's client is alive.
  void look(std::uint64_t session);
  // The broker punches what it wants to punch.
  void punch();
  // Time goes by, and the broker does what is due.
  void pass(std::chrono::milliseconds time);

  // The segment of a session, as its client may write it; nullptr where it is gone.
  SessionSegment* segment(std::uint64_t session);
  // Cuts the file of a session's segment short.
  void truncate(std::uint64_t session, std::uint64_t bytes);

  Facts& facts() { return facts_; }
  const Facts& facts() const { return facts_; }

  // An input begins: what is left to chance is the same for each.
  void begin() { random_ = simulation::Random(0); }
  // False: this world is of no further use.
  bool settle();

 private:
  struct Connected {
    std::shared_ptr<Sink> sink;
    std::shared_ptr<broker::Dispatch> dispatch;
  };

  void sweep();
  // Does one piece of what the loop and the page worker have to do; false where there is none.
  bool work();
  void wait_for(const Sink& sink, std::size_t replies);
  bool attach_clients();
  bool clients_are_whole() const;
  void end_guests();
  void take_returns();
  void let_go_of_leases();
  void unpin_all();
  void delete_all();
  void give_back_all();
  void restore_spares();
  void require_baseline();

  SmallKernel kernel_;
  simulation::Random random_{0};
  broker::EventLoop loop_;
  broker::TruncatedSessions truncated_;
  broker::Store store_;
  broker::SessionRegistry sessions_;
  std::unique_ptr<broker::MemoryWork> memory_;
  broker::Services services_;
  Facts facts_;
  std::vector<Connected> connections_;
  std::map<std::uint64_t, int> locks_;  // by session
  std::array<std::uint64_t, kClients> clients_{};
  std::array<std::vector<EntryId>, kClients> spares_;
};

}  // namespace tensorbroker::fuzz

#endif  // TENSORBROKER_TESTS_FUZZ_WORLD_H_
