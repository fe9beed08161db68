// One instance and its clients, on a Kernel, with the model beside it: whatever reaches the broker reaches the model,
// and whatever the broker did is looked at before anything else happens.

#ifndef TENSORBROKER_TESTS_SIMULATION_WORLD_H_
#define TENSORBROKER_TESTS_SIMULATION_WORLD_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "tests/simulation/broker.h"
#include "tests/simulation/client.h"
#include "tests/simulation/kernel.h"
#include "tests/simulation/model.h"
#include "tests/simulation/random.h"

namespace tensorbroker::simulation {

// Where a message or its answer is lost, the connection with it.
enum class Loss { kNone, kBefore, kAfter };

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // ---- the broker
  bool has_broker() const { return broker_ != nullptr; }
  broker::Store& store() { return broker_->store(); }  // REQUIRES: has_broker()
  const Instance& instance() const { return instance_; }
  // Adopts, or makes a new instance. False where the kernel had too little for it: nothing has changed.
  bool start_broker();
  void kill_broker();
  // One thing that its loop, or its worker, has waiting; false where there is none.
  bool run_loop();
  bool run_worker();
  // A connection that is gone is told of.
  bool close_one();
  // Until nothing is waiting that needs no clock.
  void run_all();

  // ---- clients
  Client& add_client();
  // The process ends, with all that it holds.
  void end_client(std::size_t client);
  void fork(Client& parent);
  void connect(Client& client);
  void disconnect(Client& client);
  // Hands a message to the broker. Returns the first item's error code, or nullopt where the client hears nothing
  // (yet).
  std::optional<ErrorCode> send(Client& client, const std::vector<Request>& requests, const std::optional<Draft>& draft,
                                Loss loss);
  // Bytes that are no message cost the connection.
  void send_frame(Client& client, const std::vector<std::byte>& frame);

  // Everything is compared: the broker with the model, what is held with what it was.
  void compare();
  bool is_revoked(const Client& client) const;
  // All comes to rest: everybody is connected, what runs out has run out, every page is in its place.
  void settle();

  Random random;
  Kernel kernel;
  Model model;
  std::vector<std::unique_ptr<Client>> clients;
  // What was sent from one process to another.
  struct Sent {
    EntryId entry = kNoEntry;
    std::uint64_t generation = 0;
    std::uint64_t token = 0;
  };
  std::vector<Sent> sent;

 private:
  // A grant whose answer comes later.
  struct Awaited {
    std::shared_ptr<Connection> connection;
    Request request;
    std::uint64_t session = 0;
    std::uint64_t process = 0;
  };

  void choose_options();
  void observe();
  void collect_grants();
  void collect_closed();
  void end_if_asked();
  void end_instance();
  void let_go(std::shared_ptr<Connection>& connection);
  bool handle(const std::shared_ptr<Connection>& to, const std::vector<std::byte>& frame);
  std::optional<ErrorCode> answer(Client& client, const std::vector<Request>& requests,
                                  const std::optional<Draft>& draft, const std::shared_ptr<Connection>& to, Loss loss);
  void hear(Client& client, const Request& request, const schema::ReplyItem& reply, const std::optional<Draft>& draft);
  bool is_scarce(const Request& request);

  broker::Options options_;
  broker::Place place_;
  Instance instance_;
  std::unique_ptr<Broker> broker_;
  std::vector<std::shared_ptr<Connection>> closed_;  // not told of yet
  std::vector<Awaited> awaited_;
  bool was_scarce_for_grants_ = false;  // while a grant was under way
  std::uint64_t last_process_ = 100;
};

}  // namespace tensorbroker::simulation

#endif  // TENSORBROKER_TESTS_SIMULATION_WORLD_H_
