#include "tests/fuzz/world.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tensorbroker/sigbus.h"
#include "tests/simulation/loop.h"

namespace tensorbroker::fuzz {
namespace {

using broker::Store;
using simulation::LoopWork;

constexpr std::uint64_t kCapacity = 1 << 20;

CatalogOptions small_options() {
  return {.capacity = kCapacity,
          .max_tensors = 64,
          .max_sessions = 8,
          .session_limit = kCapacity / 2,
          .user_limit = kCapacity / 4 * 3,
          .created_us = kYear2026};
}

bool is_silent(const std::vector<std::byte>& frame) {
  const auto& items = *flatbuffers::GetRoot<schema::RequestMessage>(frame.data())->items();
  return std::all_of(items.begin(), items.end(),
                     [](const schema::RequestItem* item) { return item->body_type() == schema::Request::Ring; });
}

}  // namespace

void Sink::send(std::span<const std::byte> message, std::vector<broker::SegmentFile> /*along*/,
                broker::Transport /*way*/) {
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(message.data()), message.size());
  require(verifier.VerifyBuffer<schema::ReplyMessage>(nullptr), "a reply verifies");
  learn(*flatbuffers::GetRoot<schema::ReplyMessage>(message.data()), facts_);
  ++replies_;
}

void Sink::close(const std::string& /*reason*/) { closed_ = true; }

World::World()
    : store_(Store::create({.uid = geteuid(), .instance = "fuzz"}, InstanceId{7}, small_options(),
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
  install_sigbus_handler();  // truncated segments fault as in earnest
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

bool World::work() {
  if (broker::PageJobs* const jobs = simulation::page_jobs(); !jobs->empty()) {
    jobs->work();
    return true;
  }
  return LoopWork::get().run_one(random_);
}

void World::wait_for(const Sink& sink, std::size_t replies) {
  while (!sink.closed() && sink.replies() < replies) require(work(), "every message is answered");
}

void World::pass(std::chrono::milliseconds time) {
  constexpr int kMost = 64;  // timers may start themselves anew
  kernel_.now_ns += static_cast<std::uint64_t>(std::chrono::nanoseconds(time).count());
  for (int pieces = 0; pieces < kMost && work(); ++pieces) {
  }
  sweep();
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

}  // namespace tensorbroker::fuzz
