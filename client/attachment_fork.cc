// An attachment across fork: the heir, the copy of the leases, and what the child makes anew.

#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "client/attachment.h"
#include "client/session_lock.h"
#include "proto/frame.h"

namespace tensorbroker {
namespace {

// How long a fork may wait for an heir.
constexpr auto kHeirPatience = std::chrono::milliseconds(500);

}  // namespace

// ---------------------------------------------------------------- in the parent

void Attachment::before_fork() noexcept {
  if (heir_ || has_ended()) return;
  try {
    take_next_heir(Limit::in(kHeirPatience));
  } catch (const std::exception&) {
    heir_.reset();  // the child will have nothing of this instance
  }
}

void Attachment::take_next_heir(const Limit& limit) {
  ReplyFrame reply;
  if (heir_request_ != 0) {
    Channel::Result result = channel_->take(heir_request_, heir_request_epoch_, limit);
    heir_request_ = 0;
    if (result.outcome == Channel::Outcome::kReplied) {
      reply = {std::move(result.frame), result.epoch, std::move(result.file)};
    }
  }
  if (reply.frame.empty()) {
    const std::uint64_t number = calls_->next_number();
    reply = request(number, build_next_heir(number, heir_id_), limit);
  }
  const std::uint64_t heir = body_of<schema::HeirGranted>(reply.item()).heir();
  if (heir == 0) return;
  auto mapped = map_and_lock_session(target_.name, heir, true, std::move(reply.file));
  const std::lock_guard held(state_);
  heir_ = std::move(mapped);
  heir_id_ = heir;
}

void Attachment::lock_for_fork() noexcept {
  state_.lock();
  allocator_.lock();
  arena_->lock();
  leases_->lock_all();
  heir_has_leases_ = heir_ && leases_->copy_to(heir_->control(), &heir_->lease(0));
}

void Attachment::after_fork_in_parent() noexcept {
  leases_->unlock_all();
  arena_->unlock();
  allocator_.unlock();
  auto used = std::move(heir_);  // its id stays until there is a next one: the broker may have to be told again
  const std::uint64_t id = heir_id_;
  state_.unlock();
  if (!used) return;
  used.reset();  // the child's mapping of it is the only one now
  ask_for_heir(id);
}

void Attachment::ask_for_heir(std::uint64_t used) noexcept {
  try {
    const std::uint64_t number = calls_->next_number();
    const std::uint64_t epoch = channel_->epoch();
    if (!channel_->post_and_keep(number, build_next_heir(number, used), epoch)) return;
    heir_request_ = number;
    heir_request_epoch_ = epoch;
  } catch (const std::exception&) {
    heir_request_ = 0;  // the next fork asks for one itself
  }
}

// ---------------------------------------------------------------- in the child

void Attachment::after_fork_in_child() noexcept {
  inherited_ = allocator_.forget_all_locked();
  if (heir_ && heir_has_leases_) {
    become_heir();
  } else {
    become_orphan();
  }
  renew_in_child();
  leases_->unlock_all();
  arena_->unlock();
  allocator_.unlock();
  state_.unlock();
  if (!is_orphan()) say_hello_without_waiting();
}

// The session's own pages did not come over (MADV_DONTFORK); the heir's, which did, go in their place.
void Attachment::become_heir() noexcept {
  Segment& heir = heir_->segment();
  std::byte* const place = session_->segment().data();
  if (mremap(heir.data(), heir.size(), heir.size(), MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED) {
    become_orphan();
    return;
  }
  madvise(place, heir.size(), MADV_DONTFORK);
  heir.release();
  heir_.reset();
  session_id_.store(std::exchange(heir_id_, 0), std::memory_order_release);
  // A publication that another thread of the parent's was making is no business of this process.
  for (const Lent& lent : lent_) {
    if (lent.leases) session_->lease(lent.cell).store(0, std::memory_order_seq_cst);
  }
  for (const OwnExtent& extent : inherited_) arena_->inherit_private(extent.data, extent.offset, extent.bytes);
}

// Nothing that came over may be touched; what is left are addresses that nobody else may take.
void Attachment::become_orphan() noexcept {
  orphan_.store(true, std::memory_order_release);
  arena_->forbid_all();
  for (const OwnExtent& extent : inherited_) ArenaMap::forbid(extent.data, extent.bytes);
  Segment& session = session_->segment();
  mmap(session.data(), session.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE,
       -1, 0);
  heir_.reset();
}

// What other threads of the parent's may have held or been in the middle of.
void Attachment::renew_in_child() noexcept {
  channel_->close_in_child();
  static_cast<void>(channel_.release());
  static_cast<void>(calls_.release());
  static_cast<void>(connecting_.release());
  channel_ = std::make_unique<Channel>(build_ring());
  calls_ = make_calls();
  connecting_ = std::make_unique<std::timed_mutex>();
  spares_.clear();
  lent_.clear();
  granting_.clear();
  void_epoch_ = 0;
  keeps_.store(0);  // the parent's
  heir_request_ = 0;
  greeted_.reset();  // the parent's own, if it was a child itself: only this process's descriptor of it is closed
  allocator_.bind(session_id(), &session_->control(), &session_->block_return(0));
}

// Tells the broker that the heir is a session now. Where that cannot be done at once, the first call does it.
void Attachment::say_hello_without_waiting() noexcept {
  try {
    const auto socket = connect_in(target_.runtime_dir, target_.name);
    if (!socket) return;
    const Frame hello = build_hello(calls_->next_number(), own_things());
    std::size_t sent = 0;
    if (send_part(*socket, hello, &sent) && sent == kFrameLengthBytes + hello.size()) greeted_ = socket;
  } catch (const std::exception&) {
    greeted_.reset();
  }
}

}  // namespace tensorbroker
