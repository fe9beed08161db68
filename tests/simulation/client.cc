#include "tests/simulation/client.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "proto/lease.h"
#include "tests/simulation/kernel.h"
#include "tests/simulation/random.h"
#include "tests/simulation/violation.h"
#include "tests/support/session_leases.h"

namespace tensorbroker::simulation {
namespace {

// A world has a few megabytes: there are to be blocks with an extent of their own, too.
constexpr std::uint64_t kLargeBlock = 48 << 10;
constexpr std::size_t kRemembered = 2 * kWindow;

// Calls `visit` with the place of every word that is looked at.
template <class Visit>
void for_each_word(std::uint64_t bytes, Visit&& visit) {
  constexpr std::uint64_t kWord = sizeof(std::uint64_t);
  if (bytes < kWord) return;
  for (std::uint64_t at = 0; at + kWord <= bytes; at += kPageSize) visit(at);
  visit((bytes - kWord) / kWord * kWord);
}

}  // namespace

void fill(std::byte* data, std::uint64_t bytes, std::uint64_t seed) {
  for_each_word(bytes, [&](std::uint64_t at) {
    const std::uint64_t word = mix(seed + at);
    std::memcpy(data + at, &word, sizeof word);
  });
}

bool is_filled(const std::byte* data, std::uint64_t bytes, std::uint64_t seed) {
  bool filled = true;
  for_each_word(bytes, [&](std::uint64_t at) {
    std::uint64_t word = 0;
    std::memcpy(&word, data + at, sizeof word);
    filled = filled && word == mix(seed + at);
  });
  return filled;
}

Client::Client(Instance& instance, Model& model, std::uint64_t its_process)
    : process(its_process), instance_(instance), model_(model) {}

Client::~Client() = default;

// ---------------------------------------------------------------- life

void Client::make_allocator() {
  allocator_ = std::make_unique<BlockAllocator>(
      BlockAllocator::Source{.grant = [this](std::uint64_t bytes, const Limit&) { return grant(bytes); },
                             .placed = [](const OwnExtent&) {},
                             .give_back =
                                 [this](const std::vector<GivenBack>& given, std::uint64_t) {
                                   for (const GivenBack& g : given) to_give_back[g.extent.id] = g.keep;
                                 },
                             .epoch = [] { return std::uint64_t{0}; },
                             .ring_was_full = [this] { test::ring(segment_); }},
      kLargeBlock);
  allocator_->bind(session, &segment_.control(), &segment_.block_return(0));
}

void Client::attach(std::uint64_t given, bool with_lock) {
  session = given;
  segment_ = SessionSegment::open(instance_.name, session);
  if (with_lock) Kernel::current()->lock(segment_.segment().name(), process);
  make_allocator();
}

void Client::map_heir(std::uint64_t given) {
  heir = 0;
  try {
    heir_segment_ = SessionSegment::open(instance_.name, given);
  } catch (const Error&) {
    return;  // it does without
  }
  if (Kernel::current()->lock(heir_segment_.segment().name(), process)) heir = given;
}

std::unique_ptr<Client> Client::fork(std::uint64_t child_process) {
  if (heir == 0) return nullptr;
  auto child = std::make_unique<Client>(instance_, model_, child_process);
  child->session = heir;
  child->segment_ = std::move(heir_segment_);
  child->make_allocator();
  child->holds = holds;
  child->cells_ = cells_;
  child->free_cells_ = free_cells_;
  SessionControl& control = child->segment_.control();
  control.lease_high_water.store(segment_.control().lease_high_water.load());
  for (std::uint32_t cell = 0; cell < cells_; ++cell) child->segment_.lease(cell).store(segment_.lease(cell).load());
  model_.fork(session, heir);
  const std::string& name = child->segment_.segment().name();
  Kernel::current()->lock(name, child_process);
  Kernel::current()->unlock(name, process);
  // What it has of its parent's drafts it does not publish.
  const auto drop = [&](const std::optional<Draft>& theirs) {
    if (!theirs) return;
    test::release_cell(instance_.catalog, child->segment_, theirs->cell);
    child->free_cell(theirs->cell);
  };
  drop(draft);
  for (const Unanswered& sent : unanswered) drop(sent.draft);
  used_heir = std::exchange(heir, 0);
  return child;
}

void Client::forget() {
  if (draft) discard_draft();
  while (!unanswered.empty()) {
    if (unanswered.front().draft) give_up(*unanswered.front().draft);
    unanswered.pop_front();
  }
  spares.clear();
  granted_.clear();
  to_give_back.clear();
  make_allocator();
}

Request Client::hello() const {
  Request request{.kind = schema::Request::Hello,
                  .sequence = next_sequence,
                  .session = session,
                  .pid = static_cast<pid_t>(process),
                  .spares = spares};
  if (session == 0) return request;
  for (const OwnExtent& extent : allocator_->extents()) request.extents.push_back(extent.id);
  for (const OwnExtent& extent : granted_) request.extents.push_back(extent.id);
  if (draft) request.spares.push_back(draft->spare);
  for (const Unanswered& sent : unanswered) {
    if (sent.draft) request.spares.push_back(sent.draft->spare);
  }
  return request;
}

// ---------------------------------------------------------------- leases

std::uint32_t Client::take_cell() {
  if (free_cells_.empty()) {
    test::use_cell(segment_, cells_);
    return cells_++;
  }
  const std::uint32_t cell = free_cells_.back();
  free_cells_.pop_back();
  return cell;
}

void Client::free_cell(std::uint32_t cell) {
  model_.release(session, cell);
  free_cells_.push_back(cell);
}

void Client::get(const std::string& name) {
  const auto expected = model_.names().find(name);
  const std::uint32_t cell = take_cell();
  const EntryId found = test::lease_name(instance_.catalog, segment_, name, cell);
  if (expected == model_.names().end()) {
    require(found == kNoEntry, "a name that was deleted is not found", found);
    free_cells_.push_back(cell);
    return;
  }
  require(found == expected->second, "a name is found, and leads to what was published last", found);
  const ModelEntry& entry = model_.entries().at(found);
  holds.push_back({cell, found, retired(entry.generation), entry.block.offset, entry.data_bytes, entry.seed});
  model_.lease(session, cell, found);
  check(holds.back());
}

// What the broker keeps for it at this moment.
void Client::lease(EntryId id) {
  const ModelEntry& entry = model_.entries().at(id);
  const std::uint32_t cell = take_cell();
  store_lease(segment_.lease(cell), id);
  holds.push_back({cell, id, retired(entry.generation), entry.block.offset, entry.data_bytes, entry.seed});
  model_.lease(session, cell, id);
}

void Client::release(std::size_t at) {
  check(holds[at]);
  const Hold hold = holds[at];
  holds[at] = holds.back();
  holds.pop_back();
  test::release_cell(instance_.catalog, segment_, hold.cell);
  free_cell(hold.cell);
}

void Client::check(const Hold& hold) const {
  const Entry& entry = instance_.catalog.entry(hold.entry);
  require(retired(entry.generation.load()) == hold.generation, "what is held stays what it is", hold.entry);
  require(is_filled(instance_.arena.data() + hold.offset, hold.bytes, hold.seed), "the bytes of what is held stay",
          hold.entry);
}

// ---------------------------------------------------------------- drafts

OwnExtent Client::grant(std::uint64_t bytes) {
  const auto fits = [bytes](const OwnExtent& extent) { return extent.bytes >= bytes; };
  const auto at = std::find_if(granted_.begin(), granted_.end(), fits);
  if (at == granted_.end()) {
    wanted = bytes;
    throw OutOfMemoryError("it has to be asked for first");
  }
  const OwnExtent extent = *at;
  granted_.erase(at);
  return extent;
}

bool Client::make_draft(std::uint64_t bytes, bool is_mutable, std::uint64_t seed) {
  if (spares.empty()) return false;
  Draft made{.block = {}, .bytes = bytes, .is_mutable = is_mutable, .seed = seed};
  try {
    made.block = allocator_->allocate(bytes, is_mutable, {});
  } catch (const OutOfMemoryError&) {
    return false;
  }
  wanted = 0;
  if (bytes > 0) {
    require(Kernel::current()->has_pages(instance_.arena.name(), made.block.offset, made.block.bytes),
            "what a client writes to has memory", made.block.offset);
    fill(made.block.data, bytes, seed);
  }
  made.spare = spares.back();
  spares.pop_back();
  made.cell = take_cell();
  store_lease(segment_.lease(made.cell), made.spare);
  model_.lease(session, made.cell, made.spare);
  draft = made;
  return true;
}

void Client::check_drafts() const {
  const auto check_bytes = [](const std::optional<Draft>& made) {
    require(!made || is_filled(made->block.data, made->bytes, made->seed), "the bytes of a draft stay",
            made ? made->spare : 0);
  };
  check_bytes(draft);
  for (const Unanswered& sent : unanswered) check_bytes(sent.draft);
}

void Client::discard_draft() {
  const Draft ended = *std::exchange(draft, std::nullopt);
  test::release_cell(instance_.catalog, segment_, ended.cell);
  free_cell(ended.cell);
  allocator_->discard(ended.block);
  spares.push_back(ended.spare);
}

// Nobody waits for the answer any more. The spare may be one still, and is not listed when it connects again.
void Client::give_up(const Draft& sent) {
  test::release_cell(instance_.catalog, segment_, sent.cell);
  free_cell(sent.cell);
  allocator_->in_doubt(sent.block, sent.floor);
}

Request Client::publication_of(const Draft& sent) const {
  return {.kind = schema::Request::Publish,
          .entry = sent.spare,
          .block_offset = sent.block.offset,
          .bytes = sent.bytes,
          .is_mutable = sent.is_mutable,
          .header = header_of(sent.bytes, false),
          .seed = sent.seed};
}

void Client::published(const Draft& sent, std::uint64_t generation) {
  allocator_->published(sent.block, generation);
  holds.push_back({sent.cell, sent.spare, retired(generation), sent.block.offset, sent.bytes, sent.seed});
}

// ---------------------------------------------------------------- answers

void Client::learn(const Request& request, const schema::ReplyItem& reply, std::optional<Draft> sent) {
  const bool is_refused = static_cast<ErrorCode>(reply.error()) != ErrorCode::kOk;
  if (request.kind == schema::Request::Grant) awaits_grant = false;
  if (sent && is_refused) draft = sent;
  if (is_refused) return;
  if (request.kind == schema::Request::Publish || request.kind == schema::Request::Delete) {
    history.push_back(request);
    if (history.size() > kRemembered) history.pop_front();
  }
  if (const auto* done = reply.body_as_Published()) {
    if (sent) published(*sent, done->generation());
    if (done->spare() != kNoEntry) spares.push_back(done->spare());
  } else if (const auto* granted = reply.body_as_Granted()) {
    granted_.push_back({.id = granted->extent(),
                        .offset = granted->offset(),
                        .bytes = granted->bytes(),
                        .data = instance_.arena.data() + granted->offset(),
                        .state = &segment_.extent_state(granted->slot())});
  } else if (const auto* more = reply.body_as_SpareEntries()) {
    spares.insert(spares.end(), more->entries()->begin(), more->entries()->end());
  } else if (const auto* attached = reply.body_as_Attached()) {
    is_attached = true;
    is_welcomed = false;
    spares.insert(spares.end(), attached->spares()->begin(), attached->spares()->end());
    if (attached->heir() != 0) map_heir(attached->heir());
  } else if (const auto* next = reply.body_as_HeirGranted()) {
    used_heir = 0;
    if (next->heir() != 0 && heir == 0) map_heir(next->heir());
  } else if (const auto* pin = reply.body_as_Pinned()) {
    lease(pin->entry());
    to_unpin.emplace_back(pin->entry(), pin->generation());
  }
}

void Client::not_answered(const Request& request, const std::optional<Draft>& sent) {
  if (request.kind == schema::Request::Grant) awaits_grant = false;
  if (request.kind != schema::Request::Publish && request.kind != schema::Request::Delete) return;
  unanswered.push_back({request, sent});
  if (!sent) return;
  // What was not its own when it asked may be by the time that it asks again, with other bytes in it.
  unanswered.back().request.entry = sent->spare;
  unanswered.back().request.block_offset = sent->block.offset;
}

}  // namespace tensorbroker::simulation
