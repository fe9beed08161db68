#include "tests/fuzz/world.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <chrono>

#include "tensorbroker/sigbus.h"

namespace tensorbroker::fuzz {
namespace {

using broker::Statistics;
using broker::Store;
using WorkGuard = boost::asio::executor_work_guard<boost::asio::io_context::executor_type>;

constexpr std::uint64_t kCapacity = 1 << 20;
constexpr std::size_t kSpares = 16;
constexpr std::uint32_t kLeaseCells = 256;      // that inputs write to
constexpr std::uint64_t kSequencesAhead = 256;  // as far as an input can send them out of order

InstanceName fresh_name() {
  static int count = 0;
  return {.uid = geteuid(), .instance = "fuzz-" + std::to_string(getpid()) + "-" + std::to_string(++count)};
}

CatalogOptions small_options() {
  return {.capacity = kCapacity,
          .max_tensors = 64,
          .max_sessions = 8,
          .session_limit = kCapacity / 2,
          .user_limit = kCapacity / 4 * 3};
}

EntryState state_of(const Entry& entry) { return EntryState::unpack(entry.state.load()); }

bool is_silent(const std::vector<std::byte>& frame) {
  const auto& items = *flatbuffers::GetRoot<schema::RequestMessage>(frame.data())->items();
  return std::all_of(items.begin(), items.end(),
                     [](const schema::RequestItem* item) { return item->body_type() == schema::Request::Ring; });
}

}  // namespace

void Sink::send(const flatbuffers::FlatBufferBuilder& message, std::vector<broker::SegmentFile> /*along*/,
                broker::Transport /*way*/) {
  flatbuffers::Verifier verifier(message.GetBufferPointer(), message.GetSize());
  require(verifier.VerifyBuffer<schema::ReplyMessage>(nullptr), "a reply verifies");
  learn(*flatbuffers::GetRoot<schema::ReplyMessage>(message.GetBufferPointer()), facts_);
  ++replies_;
}

void Sink::close(const std::string& /*reason*/) { closed_ = true; }

World::World()
    : keeps_loop_(std::make_shared<WorkGuard>(loop_.context().get_executor())),
      store_(Store::create(fresh_name(), InstanceId{7}, small_options(),
                           {.mapped = [this](SessionSegment& session) { truncated_.add(session); },
                            .unmapping = [this](SessionSegment& session) { truncated_.remove(session); }})),
      sessions_(loop_, store_, truncated_, [] {}),
      memory_(std::make_unique<broker::MemoryWork>(
          loop_, store_, [] {}, [] { return std::uint64_t{0}; })),
      services_{store_,
                sessions_,
                *memory_,
                std::chrono::steady_clock::now(),
                [this] {
                  store_.reclaim_if_due();
                  sessions_.revoke_truncated();
                },
                [] { return false; },
                [](bool, const std::function<void()>& answered) { answered(); }} {
  install_sigbus_handler();
  spdlog::set_level(spdlog::level::off);
  facts_.catalog = &store_.catalog();
  for (std::size_t i = 0; i < kClients; ++i) {
    connect();
    deliver(i, hello_message(0, {}));
    clients_[i] = facts_.sessions.back();
    lock(clients_[i]);
    deliver(i, locked_message());
  }
  require(settle(), "a new world is whole");
}

World::~World() {
  memory_.reset();
  for (const auto& [session, fd] : locks_) close(fd);
  store_.unlink_all();
}

void World::connect() {
  if (connections_.size() >= kMostConnections) disconnect(connections_.size() - 1);
  auto sink = std::make_shared<Sink>(&facts_);
  auto dispatch = std::make_shared<broker::Dispatch>(services_, sink);
  connections_.push_back({std::move(sink), std::move(dispatch)});
}

void World::disconnect(std::size_t connection) {
  connections_.at(connection).sink->close({});
  sweep();
}

// The loop tells a connection of its end later than whatever ended it.
void World::sweep() {
  for (std::size_t i = connections_.size(); i > 0; --i) {
    Connected& c = connections_[i - 1];
    if (!c.sink->closed() || c.dispatch == nullptr) continue;
    const auto dispatch = std::move(c.dispatch);
    dispatch->on_closed();
    if (i > kClients) connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(i - 1));
  }
}

void World::deliver(std::size_t connection, const std::vector<std::byte>& frame) {
  const Connected to = connections_.at(connection);
  if (to.dispatch == nullptr || frame.empty()) return;
  const std::size_t before = to.sink->replies();
  try {
    require(to.dispatch->on_frame(frame, broker::Transport::kSocket, broker::Deadline::max()),
            "a turn without an end is long enough");
    wait_for(*to.sink, before + (is_silent(frame) ? 0 : 1));
  } catch (const broker::ProtocolError&) {
    to.sink->close({});
  }
  sweep();
}

void World::wait_for(const Sink& sink, std::size_t replies) {
  while (!sink.closed() && sink.replies() < replies) {
    require(loop_.context().run_one_for(std::chrono::seconds(10)) > 0, "every message is answered");
  }
}

void World::lock(std::uint64_t session) {
  if (!store_.has_session(session) || locks_.contains(session)) return;
  const int fd =
      open_segment_file(store_.name().segment(SegmentKind::kSession, session), Access::kReadWrite, geteuid());
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
    locks_.emplace(session, fd);
  } else {
    close(fd);
  }
}

void World::die(std::uint64_t session) {
  if (const auto lock = locks_.extract(session)) close(lock.mapped());
}

void World::look(std::uint64_t session) {
  // One whose parent lives and that no child took over is not looked at.
  if (!sessions_.has(session) || store_.session_info(session).parent != 0) return;
  if (!sessions_.alive(session)) sessions_.remove(session, "its process has ended");
  sweep();
}

void World::punch() {
  const std::vector<broker::Range> work = store_.take_punch_work();
  for (const broker::Range& range : work) store_.arena().punch(range);
  store_.punched(work);
}

SessionSegment* World::segment(std::uint64_t session) {
  return store_.has_session(session) ? &store_.session_mapping(session) : nullptr;
}

void World::truncate(std::uint64_t session, std::uint64_t bytes) {
  if (!store_.has_session(session)) return;
  const int fd =
      open_segment_file(store_.name().segment(SegmentKind::kSession, session), Access::kReadWrite, geteuid());
  // Beyond what a file can be long the kernel refuses it.
  require(ftruncate(fd, static_cast<off_t>(bytes)) == 0 || errno == EINVAL || errno == EFBIG,
          "a segment can be truncated");
  close(fd);
}

bool World::clients_are_whole() const {
  for (const std::uint64_t client : clients_) {
    if (!store_.has_session(client) || !locks_.contains(client) || store_.session_info(client).parent != 0)
      return false;
  }
  // One that has sent sequence numbers far ahead cannot send others.
  for (std::uint32_t slot = 0; slot < store_.options().max_sessions; ++slot) {
    for (const auto& result : facts_.catalog->session(slot).window) {
      if (result.sequence.load() > facts_.sequence + kSequencesAhead) return false;
    }
  }
  return true;
}

bool World::settle() {
  while (connections_.size() > kClients) disconnect(connections_.size() - 1);
  store_.reclaim();
  sessions_.revoke_truncated();
  sweep();
  for (const std::uint64_t client : clients_) lock(client);
  if (!clients_are_whole()) return false;
  facts_.sequence += 2 * kSequencesAhead;
  end_guests();
  let_go_of_leases();
  delete_all();
  unpin_all();
  give_back_all();
  restore_spares();
  require_baseline();
  attach_clients();
  return true;
}

// Everybody but the clients, and one heir for each.
void World::end_guests() {
  for (const std::uint64_t id : store_.sessions()) {
    if (!store_.has_session(id) || std::find(clients_.begin(), clients_.end(), id) != clients_.end()) continue;
    const std::uint64_t parent = store_.session_info(id).parent;
    if (parent != 0 && store_.heirs_of(parent).front() == id && !locks_.contains(id)) continue;
    die(id);
    sessions_.remove(id, "the input is over");
  }
  for (const std::uint64_t client : clients_) {
    if (store_.heirs_of(client).empty()) sessions_.add_heir(client);
  }
  facts_.sessions = store_.sessions();
  for (auto at = locks_.begin(); at != locks_.end();) {
    const auto next = std::next(at);
    if (!store_.has_session(at->first)) die(at->first);
    at = next;
  }
}

void World::take_returns() {
  for (const std::uint64_t id : facts_.sessions) {
    SessionControl& control = store_.session_mapping(id).control();
    control.returns_tail.store(control.returns_head.load());
  }
}

void World::let_go_of_leases() {
  for (const std::uint64_t id : facts_.sessions) {
    const SessionSegment& segment = store_.session_mapping(id);
    segment.control().lease_high_water.store(0);
    segment.control().waiters.store(0);
    for (std::uint32_t cell = 0; cell < kLeaseCells; ++cell) segment.lease(cell).store(0);
  }
}

void World::delete_all() {
  const Catalog& catalog = store_.catalog();
  const std::uint64_t committed = catalog.root().entries_committed.load();
  for (EntryId id = 0; id < committed; ++id) {
    const Entry& entry = catalog.entry(id);
    if (state_of(entry).phase != EntryPhase::kUsed || !is_live(entry.generation.load())) continue;
    const std::string name(catalog.record(id).name);
    store_.remove(clients_[0], ++facts_.sequence, name, entry.generation.load());
  }
}

void World::unpin_all() {
  const Catalog& catalog = store_.catalog();
  // The first step of the table; an input cannot have more pins.
  for (std::uint32_t slot = 0; store_.next_pin_deadline() && slot < 1024; ++slot) {
    const PinRecord& pin = catalog.pin(slot);
    const std::uint64_t generation = pin.generation.load();
    if (generation == 0) continue;
    const auto entry = static_cast<EntryId>(pin.entry.load());
    std::uint64_t session = pin.session.load();
    if (session == 0) {
      session = clients_[0];
      store_.receive(session, entry, generation, pin.token.load());
    }
    store_.unpin(session, entry, generation);
  }
  require(!store_.next_pin_deadline(), "every pin can be unpinned");
}

void World::give_back_all() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (true) {
    for (const std::uint64_t client : clients_) store_.reconcile(client, {}, spares_[client == clients_[1]]);
    take_returns();
    store_.reclaim();
    if (store_.statistics().used == 0) break;
    // A grant is still under way.
    require(std::chrono::steady_clock::now() < deadline, "nothing is charged that nobody has");
    loop_.context().run_one_for(std::chrono::milliseconds(100));
  }
}

void World::restore_spares() {
  facts_.entries.clear();
  for (std::size_t i = 0; i < kClients; ++i) {
    std::erase_if(spares_[i], [&](EntryId id) {
      const Entry& entry = store_.catalog().entry(id);
      return state_of(entry).phase != EntryPhase::kSpare || entry.owner.load() != clients_[i];
    });
    const auto more = store_.grant_spares(clients_[i], static_cast<std::uint32_t>(kSpares - spares_[i].size()));
    spares_[i].insert(spares_[i].end(), more.begin(), more.end());
    facts_.entries.insert(facts_.entries.end(), spares_[i].begin(), spares_[i].end());
  }
  facts_.extents.clear();
  facts_.ranges.clear();
}

void World::require_baseline() {
  const Statistics s = store_.statistics();
  require(s.used == 0 && s.free == s.capacity, "no page is charged to nobody");
  require(s.live == 0 && s.retired == 0 && store_.retired_entries() == 0, "no entry is kept for nobody");
  require(s.tensors == 0 && s.bundles == 0, "no name is counted that is not there");
  require(s.sessions == kClients, "no session is kept for nobody");
  for (const std::uint64_t id : store_.sessions()) {
    require(store_.session_info(id).charged == 0, "no session is charged for nothing");
  }
}

// Those that lost their connection come back as they do in earnest.
void World::attach_clients() {
  for (std::size_t i = 0; i < kClients; ++i) {
    Connected& c = connections_.at(i);
    if (c.dispatch != nullptr) continue;
    c.sink = std::make_shared<Sink>(&facts_);
    c.dispatch = std::make_shared<broker::Dispatch>(services_, c.sink);
    deliver(i, hello_message(clients_[i], spares_[i]));
    require(connections_.at(i).dispatch != nullptr, "a living client can come back");
  }
  facts_.sessions = store_.sessions();
}

}  // namespace tensorbroker::fuzz
