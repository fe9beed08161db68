// The seeded scheduler: in every step one party does one thing, chosen by chance, and the model looks at what came of
// it.

#ifndef TENSORBROKER_TESTS_SIMULATION_SIMULATION_H_
#define TENSORBROKER_TESTS_SIMULATION_SIMULATION_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/world.h"

namespace tensorbroker::simulation {

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed);

  // Throws Violation, whose text names the rule, the seed, and what was done last.
  void run(std::uint64_t steps);

  // A number that two runs have in common only if they did the same.
  std::uint64_t digest() const { return digest_; }
  // How often each thing was done.
  const std::map<std::string, std::uint64_t>& counts();
  World& world() { return world_; }

 private:
  static constexpr std::size_t kNotes = 32;
  struct Note {
    std::uint64_t step = 0;
    const char* what = "";
    std::uint64_t process = 0;
    std::uint64_t session = 0;
    std::uint64_t about = 0;
    int outcome = -1;  // an ErrorCode; -1: none heard
  };

  void step();
  void broker_step();
  void step_without_broker();
  void arm_a_fault();
  void change_the_world();
  void client_step();
  void handshake(std::size_t client);
  void reconnect(Client& client);

  // client_steps.cc: each does one thing.
  void act(Client& client);
  void act_offline(Client& client);
  bool catch_up(Client& client);
  void publish(Client& client);
  void publish_draft(Client& client);
  void spoil(Client& client, Request& request);
  void make_draft(Client& client);
  void remove(Client& client);
  void repeat(Client& client);
  void pin(Client& client);
  void send_handle(Client& client);
  void receive(Client& client);
  void ask_several(Client& client);
  void ask_something(Client& client);
  void break_protocol(Client& client);
  Request simple_request(const Client& client);
  std::string choose_name();
  std::pair<EntryId, std::uint64_t> choose_entry();
  std::uint64_t choose_bytes();

  void note(const char* what, const Client* client = nullptr, std::uint64_t about = 0);
  // What World::send returns.
  std::optional<ErrorCode> send(const char* what, Client& client, const std::vector<Request>& requests,
                                const std::optional<Draft>& draft = std::nullopt);
  Request numbered(Client& client, Request request);
  std::string told(const std::string& violation) const;

  const std::uint64_t seed_;
  World world_;
  Random& random_ = world_.random;
  std::uint64_t step_ = 0;
  std::uint64_t digest_ = 0;
  std::uint64_t last_seed_ = 0;  // of a block's contents
  std::array<Note, kNotes> notes_{};
  std::map<const char*, std::uint64_t> counted_;
  std::map<std::string, std::uint64_t> counts_;
};

// Steps in as many worlds as they take, the first of them that of `seed`. Throws as Simulation::run does.
void simulate(std::uint64_t seed, std::uint64_t steps);

}  // namespace tensorbroker::simulation

#endif  // TENSORBROKER_TESTS_SIMULATION_SIMULATION_H_
