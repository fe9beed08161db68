// Publishing and deleting: spares, their leases, and what becomes of a block whichever way a publication ends.

#include <algorithm>
#include <string>
#include <utility>

#include "client/attachment.h"
#include "client/registry.h"
#include "client/storage_extra.h"

namespace tensorbroker {
namespace {

constexpr std::uint32_t kSparesAtOnce = 16;

}  // namespace

// ---------------------------------------------------------------- spares

EntryId Attachment::spare_at_hand() {
  const std::lock_guard held(state_);
  if (spares_.empty()) return kNoEntry;
  const EntryId spare = spares_.back();
  spares_.pop_back();
  lent_.push_back({.entry = spare});
  return spare;
}

// False where the broker gives none.
bool Attachment::ask_for_spares(std::uint32_t count, const Limit& limit) {
  std::uint64_t epoch = 0;
  const std::vector<EntryId> more = calls_->spares(count, &epoch, limit);
  for (const EntryId spare : more) put_spare(spare, epoch);
  return !more.empty();
}

EntryId Attachment::take_spare(const Limit& limit) {
  for (;;) {
    if (const EntryId spare = spare_at_hand(); spare != kNoEntry) return spare;
    if (!ask_for_spares(kSparesAtOnce, limit) && limit.passed()) {
      throw OutOfMemoryError("the broker gives this process no more entries: too many publications are in progress");
    }
  }
}

void Attachment::put_spare(EntryId entry, std::uint64_t epoch) {
  if (entry == kNoEntry) return;
  const std::lock_guard held(state_);
  if (epoch > void_epoch_) spares_.push_back(entry);
}

// The publisher's own lease is there before the publication is sent: nobody reclaims it under its Tensor.
Attachment::Lent Attachment::lend(EntryId spare, const Limit& limit) {
  Lent lent{.entry = spare};
  try {
    LeaseTable::Taking taking = take_lease(limit);
    store_lease(taking.cell(), lent.entry);
    taking.keep();
    lent.cell = taking.index();
    lent.leases = true;
  } catch (...) {
    end_loan(lent);
    const std::lock_guard held(state_);
    spares_.push_back(lent.entry);
    throw;
  }
  const std::lock_guard held(state_);
  for (Lent& listed : lent_) {
    if (listed.entry == lent.entry) listed = lent;
  }
  return lent;
}

void Attachment::end_loan(const Lent& lent) noexcept {
  const std::lock_guard held(state_);
  std::erase_if(lent_, [&](const Lent& listed) { return listed.entry == lent.entry; });
}

// ---------------------------------------------------------------- publishing

Attachment::Leaving Attachment::begin_publication(const Block& block, const Limit& limit) {
  check_not_ended();
  return leave_with(take_spare(limit), block, limit);
}

Attachment::Leaving Attachment::leave_with(EntryId spare, const Block& block, const Limit& limit) {
  const Lent lent = lend(spare, limit);
  return {block, lent, catalog_.root().next_generation.load(std::memory_order_acquire) << 1};
}

std::optional<Attachment::Leaving> Attachment::try_begin_publication(const Block& block, std::uint32_t spares_wanted,
                                                                     const Limit& limit) {
  check_not_ended();
  EntryId spare = spare_at_hand();
  if (spare == kNoEntry && ask_for_spares(spares_wanted, limit)) spare = spare_at_hand();
  if (spare == kNoEntry) return std::nullopt;
  return leave_with(spare, block, limit);
}

PublishSpec Attachment::spec_of(const Leaving& leaving, const Publication& p) {
  return {.entry = leaving.lent.entry,
          .name = p.name,
          .header = p.header,
          .block_offset = leaving.block.offset,
          .block_bytes = p.nbytes,
          .is_bundle = p.is_bundle,
          .is_mutable = p.is_mutable,
          .overwrite = p.overwrite};
}

Attachment::PublishedLease Attachment::end_published(const Leaving& leaving, const PublishedEntry& published) {
  allocator_.published(leaving.block, published.generation);
  end_loan(leaving.lent);
  put_spare(published.spare, published.epoch);
  return {leaving.lent.cell, leaving.lent.entry, published.generation};
}

void Attachment::end_refused(const Leaving& leaving) {
  leases_->give_up(leaving.lent.cell, catalog_.entry(leaving.lent.entry), [this] { ring(); });
  end_loan(leaving.lent);
  const std::lock_guard held(state_);
  spares_.push_back(leaving.lent.entry);
}

void Attachment::end_in_doubt(const Leaving& leaving) {
  leases_->give_up(leaving.lent.cell, catalog_.entry(leaving.lent.entry), [this] { ring(); });
  end_loan(leaving.lent);
  allocator_.in_doubt(leaving.block, leaving.floor);
}

void Attachment::end_failed(const Leaving& leaving, const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const NothingSent&) {
    end_refused(leaving);
  } catch (const Error& e) {
    const bool unknown = e.code() == ErrorCode::kBrokerUnavailable || e.code() == ErrorCode::kClosed;
    unknown ? end_in_doubt(leaving) : end_refused(leaving);
  } catch (...) {
    end_refused(leaving);
  }
}

Attachment::PublishedLease Attachment::publish_block(const Block& block, const Publication& p, const Limit& limit) {
  const Leaving leaving = begin_publication(block, limit);
  PublishedEntry published;
  try {
    published = calls_->publish(spec_of(leaving, p), limit);
  } catch (...) {
    end_failed(leaving, std::current_exception());
    throw;
  }
  return end_published(leaving, published);
}

detail::StorageRef Attachment::publish(const Block& block, const Publication& publication, const Limit& limit) {
  PublishedLease lease;
  try {
    lease = publish_block(block, publication, limit);
  } catch (...) {
    allocator_.discard(block);  // no effect on a block in doubt
    throw;
  }
  detail::StorageRef storage = leased_storage(lease.cell, lease.entry, lease.generation);
  if (publication.is_mutable) make_writable(*storage.get());
  return storage;
}

// ---------------------------------------------------------------- drafts

detail::StorageRef Attachment::create_draft(std::uint64_t nbytes, detail::DraftSpec spec, const Limit& limit) {
  const Block block = allocate(nbytes, false, limit);
  detail::Storage* draft = nullptr;
  try {
    draft = detail::Storage::create(detail::StorageKind::kDraft);
  } catch (...) {
    discard(block);
    throw;
  }
  draft->extra_->was_draft = true;
  draft->extra_->draft = std::move(spec);
  draft->extra_->block = block;
  draft->attachment_ = this;
  draft->data_ = block.data;
  draft->nbytes_ = nbytes;
  draft->block_offset_ = block.offset;
  draft->state_.is_bundle = draft->extra_->draft.is_bundle;
  draft->writable_.store(true, std::memory_order_release);
  drafts_.fetch_add(1, std::memory_order_seq_cst);  // the caller's use keeps the attachment until here
  return detail::StorageRef(draft);
}

void Attachment::publish_draft(detail::Storage& draft, std::span<const std::byte> header, const Limit& limit) {
  draft.check_usable();
  if (!draft.is_draft()) throw RuntimeError("publish(): this tensor is no draft (any more)");
  const Block& block = draft.extra_->block;
  if (block.bytes != 0 && block.session != session_id()) {
    throw RuntimeError("publish(): this draft belongs to the process that this one was forked from");
  }
  const detail::DraftSpec& spec = draft.extra_->draft;
  PublishedLease lease;
  try {
    lease = publish_block(block,
                          {.name = spec.name,
                           .header = header,
                           .nbytes = draft.nbytes_,
                           .is_bundle = spec.is_bundle,
                           .overwrite = spec.overwrite},
                          limit);
  } catch (const NothingSent&) {
    throw;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kBrokerUnavailable || error.code() == ErrorCode::kClosed) spend_draft(draft);
    throw;
  }
  draft.writable_.store(false, std::memory_order_release);
  draft.cell_ = lease.cell;
  draft.entry_ = lease.entry;
  draft.state_ = EntryState::unpack(catalog_.entry(lease.entry).state.load(std::memory_order_relaxed));
  draft.kind_.store(detail::StorageKind::kLeased, std::memory_order_release);
  draft.generation_.store(live(lease.generation), std::memory_order_release);
  drafts_.fetch_sub(1, std::memory_order_seq_cst);  // the lease keeps the attachment from here on
}

void Attachment::discard_draft(detail::Storage& draft) {
  if (!draft.is_draft()) throw RuntimeError("discard(): this tensor is no draft (any more)");
  spend_draft(draft);
}

// Where the outcome of its publication is unknown the block is not the draft's any more, and discard() has no effect.
void Attachment::spend_draft(detail::Storage& draft) noexcept {
  draft.spend();
  end_draft(draft);
  sweep_detached();
}

void Attachment::end_draft(const detail::Storage& draft) noexcept {
  allocator_.discard(draft.extra_->block);
  drafts_.fetch_sub(1, std::memory_order_seq_cst);
}

// ---------------------------------------------------------------- deleting

void Attachment::remove(std::string_view name, const Limit& limit) {
  std::uint64_t generation = 0;
  if (const detail::StorageRef storage = lease_by_name(name, limit)) generation = storage->generation();
  if (generation == 0) {
    throw NotFoundError("there is no '" + std::string(name) + "' in the instance '" + target_.name.instance + "'");
  }
  while (!calls_->remove(name, generation, &generation, limit)) {
    if (limit.passed())
      throw BrokerUnavailableError("'" + std::string(name) + "' kept being replaced until the timeout");
  }
}

}  // namespace tensorbroker
