#include "tests/simulation/world.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "tests/simulation/loop.h"
#include "tests/simulation/violation.h"

namespace tensorbroker::simulation {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kAmple = 8 * kMiB;                  // room in /dev/shm that is enough for anything
constexpr std::uint64_t kYear2026 = 1'767'225'600'000'000;  // in microseconds

const schema::ReplyMessage& verified(const std::vector<std::uint8_t>& reply) {
  flatbuffers::Verifier verifier(reply.data(), reply.size());
  require(verifier.VerifyBuffer<schema::ReplyMessage>(nullptr), "a reply verifies");
  return *flatbuffers::GetRoot<schema::ReplyMessage>(reply.data());
}

}  // namespace

World::World(std::uint64_t seed) : random(seed) {
  spdlog::set_level(spdlog::level::off);
  kernel.wall_us = kYear2026;
  kernel.random_seed = seed;
  kernel.shm_bytes = 64 * kMiB;
  instance_.name = {.uid = kernel.uid, .instance = "simulated"};
  place_ = {.name = instance_.name, .runtime_dir = "/nowhere", .socket = {}, .log = {}};
  choose_options();
  require(start_broker(), "an instance begins");
}

World::~World() {
  closed_.clear();
  awaited_.clear();
  clients.clear();
  broker_.reset();
  instance_ = {};
}

void World::choose_options() {
  const auto maybe = [this](std::uint64_t limit) { return random.one_in(2) ? limit : std::uint64_t{0}; };
  options_ = {};
  options_.capacity = (1 + random.below(4)) * kMiB;
  options_.session_limit = maybe(*options_.capacity / 2);
  options_.user_limit = maybe(*options_.capacity / 4 * 3);
  options_.max_tensors = 32;
  options_.max_sessions = 16;
  options_.idle_exit_seconds = random.one_in(2) ? 20 : 0;
  options_.session_tensors = maybe(24);
  options_.user_tensors = maybe(48);
  options_.user_sessions = maybe(10);
}

// ---------------------------------------------------------------- the broker

bool World::start_broker() {
  kernel.take_scarcity();
  try {
    broker_ = std::make_unique<Broker>(options_, place_);
  } catch (const Error& error) {
    if (kernel.take_scarcity()) return false;
    throw Violation("it does not hold that a broker starts where there is room: " + std::string(error.what()));
  }
  kernel.disarm();
  broker::Store& store = broker_->store();
  if (broker_->adopted()) {
    model.adopted(store);
    return true;
  }
  require(clients.empty(), "what a killed broker left is adopted");
  instance_.catalog = Catalog::open(instance_.name, store.catalog_id(), Access::kReadOnly);
  instance_.arena = Segment::open(instance_.name, SegmentKind::kArena, store.arena_id(), Access::kReadWrite);
  model.begin(store);
  sent.clear();
  return true;
}

void World::kill_broker() {
  for (const auto& client : clients) {
    client->connection.reset();
    client->is_welcomed = client->is_attached = false;
    client->awaits_grant = false;
  }
  closed_.clear();
  awaited_.clear();
  broker_.reset();
}

void World::observe() {
  collect_grants();
  model.observe();
  collect_closed();
  end_if_asked();
}

// The answers to grants that had to wait.
void World::collect_grants() {
  if (awaited_.empty()) was_scarce_for_grants_ = false;
  for (auto at = awaited_.begin(); at != awaited_.end();) {
    if (at->connection->sink->replies.empty()) {
      ++at;
      continue;
    }
    const Awaited done = std::move(*at);
    at = awaited_.erase(at);
    const std::vector<std::uint8_t> reply = std::move(done.connection->sink->replies.front());
    done.connection->sink->replies.erase(done.connection->sink->replies.begin());
    const schema::ReplyItem& item = *verified(reply).items()->Get(0);
    model.answered(done.session, done.request, item,
                   {.scarce = was_scarce_for_grants_, .alone = true, .was_begun = true});
    for (const auto& client : clients) {
      if (client->process == done.process && client->connection == done.connection) {
        client->learn(done.request, item, std::nullopt);
      }
    }
  }
}

void World::collect_closed() {
  for (const auto& client : clients) {
    if (client->connection != nullptr && client->connection->sink->closed) disconnect(*client);
  }
}

void World::end_if_asked() {
  if (broker_ == nullptr || !broker_->stop()) return;
  if (broker_->stop()->keep) return kill_broker();
  end_instance();
}

// In good order: what is held stays as it was, and the clients of the next instance are others.
void World::end_instance() {
  broker_->end();
  for (const auto& client : clients) {
    if (is_revoked(*client)) continue;
    for (const Hold& hold : client->holds) client->check(hold);
  }
  if (broker_->stop()->answered) broker_->stop()->answered();
  kill_broker();
  require(kernel.files() == 0, "the orderly end leaves no segment", kernel.files());
  clients.clear();
  require(kernel.descriptors() == 0, "the orderly end leaves no descriptor", kernel.descriptors());
  model.end();
  choose_options();
}

bool World::run_loop() {
  kernel.take_scarcity();
  if (broker_ == nullptr || !LoopWork::get().run_one(random)) return false;
  was_scarce_for_grants_ |= kernel.take_scarcity();
  observe();
  return true;
}

bool World::run_worker() {
  broker::PageJobs* const jobs = page_jobs();
  if (jobs == nullptr || jobs->empty()) return false;
  kernel.take_scarcity();
  was_scarce_for_grants_ |= kernel.shm_free() < kAmple;
  jobs->work();
  was_scarce_for_grants_ |= kernel.take_scarcity();
  return true;
}

bool World::close_one() {
  if (closed_.empty()) return false;
  const std::size_t at = random.below(closed_.size());
  const std::shared_ptr<Connection> connection = closed_[at];
  closed_.erase(closed_.begin() + static_cast<std::ptrdiff_t>(at));
  connection->dispatch->on_closed();
  connection->dispatch.reset();
  observe();
  return true;
}

void World::run_all() {
  while (run_worker() || run_loop() || close_one()) {
  }
}

// ---------------------------------------------------------------- clients

Client& World::add_client() {
  clients.push_back(std::make_unique<Client>(instance_, model, ++last_process_));
  return *clients.back();
}

void World::end_client(std::size_t at) {
  Client& client = *clients[at];
  disconnect(client);
  kernel.end_process(client.process);
  clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(at));
}

void World::fork(Client& parent) {
  if (auto child = parent.fork(++last_process_)) clients.push_back(std::move(child));
}

void World::connect(Client& client) {
  client.connection = broker_->connect(static_cast<pid_t>(random.one_in(8) ? 0 : client.process));
  client.is_attached = false;
}

void World::let_go(std::shared_ptr<Connection>& connection) {
  if (connection == nullptr) return;
  connection->sink->closed = true;
  closed_.push_back(std::move(connection));
  connection.reset();
}

void World::disconnect(Client& client) {
  let_go(client.connection);
  client.is_welcomed = client.is_attached = false;
  client.awaits_grant = false;
}

// False: it broke the protocol. Sometimes every item is a turn of its own.
bool World::handle(const std::shared_ptr<Connection>& to, const std::vector<std::byte>& frame) {
  const auto turn_ends = random.one_in(4) ? broker::Deadline::min() : broker::Deadline::max();
  try {
    while (!to->dispatch->on_frame(frame, broker::Transport::kSocket, turn_ends)) {
    }
    return true;
  } catch (const broker::ProtocolError&) {
    return false;
  }
}

// Pages that are being punched are nobody's.
bool World::is_scarce(const Request& request) {
  const bool is_scarce = kernel.take_scarcity();
  if (request.kind != schema::Request::Grant) return is_scarce;
  broker::PageJobs* const jobs = page_jobs();
  return is_scarce || kernel.shm_free() < kAmple || LoopWork::get().has_tasks() || (jobs != nullptr && !jobs->empty());
}

std::optional<ErrorCode> World::send(Client& client, const std::vector<Request>& requests,
                                     const std::optional<Draft>& draft, Loss loss) {
  for (const Request& request : requests) client.next_sequence = std::max(client.next_sequence, request.sequence + 1);
  if (loss == Loss::kBefore) {
    for (const Request& request : requests) client.not_answered(request, draft);
    disconnect(client);
    return std::nullopt;
  }
  kernel.take_scarcity();
  const std::shared_ptr<Connection> to = client.connection;
  require(handle(to, message_of(requests)), "a message of this protocol is handled", client.session);
  kernel.disarm();  // what fails is the broker's to bear
  const auto heard = answer(client, requests, draft, to, loss);
  observe();
  if (broker_ != nullptr) model.require_reclaimed();
  return heard;
}

std::optional<ErrorCode> World::answer(Client& client, const std::vector<Request>& requests,
                                       const std::optional<Draft>& draft, const std::shared_ptr<Connection>& to,
                                       Loss loss) {
  auto& replies = to->sink->replies;
  const Request& first = requests.front();
  if (first.kind == schema::Request::Ring && requests.size() == 1) {
    require(replies.empty(), "a ring has no answer", client.session);
    return std::nullopt;
  }
  if (first.kind == schema::Request::Stop) return std::nullopt;
  if (first.kind == schema::Request::Grant && replies.empty()) {
    awaited_.push_back({to, first, client.session, client.process});
    model.grant_begun(client.session, first.bytes);
    client.awaits_grant = true;
    if (loss == Loss::kAfter) disconnect(client);
    return std::nullopt;
  }
  require(replies.size() == 1, "every message is answered once", client.session);
  const std::vector<std::uint8_t> bytes = std::move(replies.front());
  replies.clear();
  const schema::ReplyMessage& reply = verified(bytes);
  require(reply.sequence() == first.sequence && reply.items()->size() == requests.size(),
          "every item is answered, in its place", client.session);
  const Model::Circumstances how{.scarce = is_scarce(first), .alone = requests.size() == 1};
  for (flatbuffers::uoffset_t i = 0; i < reply.items()->size(); ++i) {
    model.answered(client.session, requests[i], *reply.items()->Get(i), how);
    if (loss == Loss::kNone) {
      hear(client, requests[i], *reply.items()->Get(i), draft);
    } else {
      client.not_answered(requests[i], draft);
    }
  }
  if (loss == Loss::kAfter) disconnect(client);
  return static_cast<ErrorCode>(reply.items()->Get(0)->error());
}

void World::hear(Client& client, const Request& request, const schema::ReplyItem& reply,
                 const std::optional<Draft>& draft) {
  const auto* welcome = reply.body_as_Welcome();
  if (welcome == nullptr) return client.learn(request, reply, draft);
  if (welcome->resumed()) {
    client.is_attached = true;
    client.to_give_back.clear();
    return;
  }
  client.is_welcomed = true;
  client.attach(welcome->session(), !random.one_in(32));
}

void World::send_frame(Client& client, const std::vector<std::byte>& frame) {
  require(!handle(client.connection, frame), "what is no message costs the connection", client.session);
  disconnect(client);
  observe();
}

// ---------------------------------------------------------------- looking

// One that did not lock its session has none any more, and holds nothing.
bool World::is_revoked(const Client& client) const {
  return client.session != 0 && !model.sessions().contains(client.session);
}

void World::compare() {
  if (broker_ != nullptr) {
    model.compare();
    require(kernel.files() == 2 + model.sessions().size(), "no segment is left that nobody has", kernel.files());
    require(kernel.descriptors() <= 2 + 2 * model.sessions().size(), "no descriptor is left that nobody needs",
            kernel.descriptors());
  }
  for (const auto& client : clients) {
    if (is_revoked(*client)) continue;
    for (const Hold& hold : client->holds) client->check(hold);
    client->check_drafts();
  }
  for (const auto& [id, entry] : model.entries()) {
    require(is_filled(instance_.arena.data() + entry.block.offset, entry.data_bytes, entry.seed),
            "the bytes of what is published stay", id);
  }
}

void World::settle() {
  run_all();
  for (int i = 0; i < 3 && broker_ != nullptr; ++i) {
    kernel.now_ns += (broker::Store::kSentSeconds + 1) * kSecond;
    run_all();
  }
  if (broker_ == nullptr) return;
  compare();
  require(model.pins().empty(), "every pin runs out", model.pins().size());
  for (const auto& [id, session] : model.sessions()) {
    const bool is_new = std::any_of(clients.begin(), clients.end(), [id = id](const auto& client) {
      return client->session == id && client->is_welcomed;
    });
    require(session.parent != 0 || is_new || kernel.is_locked_by_client(session.segment), "every death is seen", id);
  }
  model.require_pages_add_up();
}

}  // namespace tensorbroker::simulation
