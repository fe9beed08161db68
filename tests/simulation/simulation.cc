#include "tests/simulation/simulation.h"

#include <algorithm>
#include <sstream>

#include "tests/simulation/violation.h"

namespace tensorbroker::simulation {
namespace {

constexpr std::uint64_t kStepNs = 5'000;
constexpr std::uint64_t kComparedEvery = 128;
constexpr std::uint64_t kSettledEvery = 8192;
constexpr std::uint64_t kWorldSteps = 200'000;
constexpr std::size_t kClients = 8;
constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kMillisecond = 1'000'000;

}  // namespace

Simulation::Simulation(std::uint64_t seed) : seed_(seed), world_(seed) {}

void Simulation::run(std::uint64_t steps) {
  try {
    for (std::uint64_t i = 0; i < steps; ++i) step();
    world_.settle();
  } catch (const std::exception& e) {
    throw Violation(told(e.what()));
  }
}

void Simulation::step() {
  ++step_;
  world_.kernel.now_ns += kStepNs;
  if (random_.one_in(256)) arm_a_fault();
  if (!world_.has_broker()) {
    step_without_broker();
  } else if (random_.one_in(8)) {
    broker_step();
  } else {
    client_step();
  }
  world_.kernel.disarm();
  if (step_ % kComparedEvery == 0) world_.compare();
  if (step_ % kSettledEvery == 0) {
    world_.settle();
    if (world_.has_broker()) {
      for (const auto& client : world_.clients) client->pinned.clear();
    }
  }
  digest_ = mix(digest_ ^ world_.model.next_generation() ^ world_.kernel.shm_free());
}

void Simulation::arm_a_fault() {
  constexpr std::array kFaults{Fault::kNoSpace, Fault::kNoDescriptor, Fault::kNoAddresses, Fault::kInterrupted};
  world_.kernel.arm(kFaults[random_.below(kFaults.size())], random_.below(4));
}

void Simulation::broker_step() {
  const std::uint64_t roll = random_.below(1000);
  if (roll < 350) {
    note(world_.run_worker() ? "the worker does a piece of work" : "the worker has nothing to do");
  } else if (roll < 700) {
    note(world_.run_loop() ? "the loop runs something" : "the loop has nothing to do");
  } else if (roll < 800) {
    note(world_.close_one() ? "the broker hears of a closed connection" : "no connection was closed");
  } else if (roll < 803) {
    note("the broker is killed");
    world_.kill_broker();
  } else {
    change_the_world();
  }
}

void Simulation::change_the_world() {
  switch (random_.below(6)) {
    case 0:
      world_.kernel.now_ns += random_.below(15'000) * kMillisecond;
      return note("seconds pass");
    case 1:
      world_.kernel.shm_bytes = random_.below(16) * kMiB;
      return note("/dev/shm has another size", nullptr, world_.kernel.shm_bytes);
    case 2:
      world_.kernel.shm_bytes = 64 * kMiB;
      return note("/dev/shm has another size", nullptr, world_.kernel.shm_bytes);
    case 3:
      world_.kernel.wall_us += random_.below(3600) * 1'000'000;
      return note("the wall clock is set");
    default:
      world_.kernel.now_ns += random_.below(20) * kMillisecond;
      return note("milliseconds pass");
  }
}

void Simulation::step_without_broker() {
  if (random_.one_in(4)) {
    note("a broker starts");
    world_.start_broker();
    return;
  }
  if (random_.one_in(8)) return change_the_world();
  if (world_.clients.empty()) return note("there is nobody");
  const std::size_t at = random_.below(world_.clients.size());
  Client& client = *world_.clients[at];
  if (random_.one_in(20) || world_.is_revoked(client)) {
    note("a client ends", &client);
    return world_.end_client(at);
  }
  if (client.session != 0) act_offline(client);
}

void Simulation::client_step() {
  auto& clients = world_.clients;
  if (clients.size() < kClients && random_.one_in(clients.size() < 3 ? 8 : 200)) {
    note("a client begins", &world_.add_client());
    return;
  }
  if (clients.empty()) return note("there is nobody");
  const std::size_t at = random_.below(clients.size());
  Client& client = *clients[at];
  if (random_.one_in(1500) || world_.is_revoked(client)) {
    note("a client ends", &client);
    return world_.end_client(at);
  }
  if (client.connection == nullptr) {
    if (client.session != 0 && random_.one_in(3)) return act_offline(client);
    return reconnect(client);
  }
  if (!client.is_attached) return handshake(at);
  if (random_.one_in(400)) {
    note("a connection is lost", &client);
    return world_.disconnect(client);
  }
  if (random_.one_in(500) && clients.size() < kClients) {
    note("a client forks", &client, client.heir);
    return world_.fork(client);
  }
  act(client);
}

void Simulation::reconnect(Client& client) {
  note("a client connects", &client);
  if (client.session != 0 && random_.one_in(8)) client.forget();
  world_.connect(client);
}

void Simulation::handshake(std::size_t at) {
  Client& client = *world_.clients[at];
  if (random_.one_in(200)) return break_protocol(client);
  const bool is_welcomed = client.is_welcomed;
  Request request =
      is_welcomed ? Request{.kind = schema::Request::Locked, .sequence = client.next_sequence} : client.hello();
  if (!is_welcomed && random_.one_in(200)) request.is_sound = false;
  send(is_welcomed ? "Locked" : client.session == 0 ? "Hello" : "Hello again", client, {request});
  if (client.connection != nullptr || client.session == 0) return;
  // Refused, or lost: one that cannot come back any more ends.
  if (world_.is_revoked(client) || random_.one_in(4)) world_.end_client(at);
}

// ---------------------------------------------------------------- what is told

void Simulation::note(const char* what, const Client* client, std::uint64_t about) {
  notes_[step_ % kNotes] = {.step = step_,
                            .what = what,
                            .process = client != nullptr ? client->process : 0,
                            .session = client != nullptr ? client->session : 0,
                            .about = about};
  ++counted_[what];
}

std::optional<ErrorCode> Simulation::send(const char* what, Client& client, const std::vector<Request>& requests,
                                          const std::optional<Draft>& draft) {
  const Loss loss = random_.one_in(100) ? Loss::kBefore : random_.one_in(100) ? Loss::kAfter : Loss::kNone;
  const Request& first = requests.front();
  note(what, &client, first.entry != kNoEntry ? first.entry : first.bytes);
  const auto heard = world_.send(client, requests, draft, loss);
  const int outcome = heard ? static_cast<int>(*heard) : -1;
  notes_[step_ % kNotes].outcome = outcome;
  digest_ = mix(digest_ + static_cast<std::uint64_t>(outcome));
  return heard;
}

const std::map<std::string, std::uint64_t>& Simulation::counts() {
  counts_.clear();
  for (const auto& [what, count] : counted_) counts_[what] += count;
  return counts_;
}

std::string Simulation::told(const std::string& violation) const {
  std::ostringstream text;
  text << violation << "\nin step " << step_ << " of the world of seed " << seed_ << ", after:\n";
  for (std::uint64_t step = step_ > kNotes ? step_ - kNotes + 1 : 1; step <= step_; ++step) {
    const Note& n = notes_[step % kNotes];
    if (n.step != step) continue;
    text << "  " << n.step << ": " << n.what;
    if (n.process != 0) text << ", process " << n.process << " session " << n.session;
    if (n.about != 0) text << ", about " << n.about;
    if (n.outcome > 0) text << ", refused with error " << n.outcome;
    text << "\n";
  }
  text << "play it again: make simulation SEED=" << seed_ << " STEPS=" << step_ << "\n";
  return text.str();
}

void simulate(std::uint64_t seed, std::uint64_t steps) {
  for (std::uint64_t world = 0; steps > 0; ++world) {
    const std::uint64_t part = std::min(steps, kWorldSteps);
    Simulation(world == 0 ? seed : mix(seed + world)).run(part);
    steps -= part;
  }
}

}  // namespace tensorbroker::simulation
