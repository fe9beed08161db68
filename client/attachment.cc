// Attaching, reading, and the end of an attachment. See also attachment_connect.cc, _handle.cc, _publish.cc,
// _memory.cc, _fork.cc.

#include "client/attachment.h"

#include <sys/mman.h>

#include <string>
#include <utility>

#include "client/attached.h"
#include "client/fork.h"
#include "client/registry.h"
#include "proto/lookup.h"
#include "proto/name.h"

namespace tensorbroker {

Attachment::Attachment(const Target& target, const Limit& limit) : Attachment(target, attach(target, limit)) {}

Attachment::Attachment(const Target& target, Attached attached)
    : target_(target),
      catalog_(std::move(attached.catalog)),
      catalog_id_(attached.catalog_id),
      arena_(std::move(attached.arena)),
      session_(std::move(attached.session)),
      session_id_(attached.session_id),
      channel_(std::make_unique<Channel>(build_ring())),
      calls_(make_calls()),
      leases_(std::make_unique<LeaseTable>(
          &session_->control(), &session_->lease(0),
          [this](std::uint32_t cells, const Limit& within) { calls_->grow_leases(cells, within); })),
      allocator_({
          .grant = [this](std::uint64_t bytes, const Limit& within) { return grant(bytes, within); },
          .placed = [this](const OwnExtent& own) { placed(own); },
          .give_back = [this](const std::vector<GivenBack>& given, std::uint64_t epoch) { give_back(given, epoch); },
          .epoch = [this] { return channel_->last_epoch(); },
          .ring_was_full = [this] { ring(); },
      }),
      connecting_(std::make_unique<std::timed_mutex>()),
      spares_(std::move(attached.spares)),
      heir_(std::move(attached.heir)),
      heir_id_(attached.heir_id) {
  allocator_.bind(session_id_.load(), &session_->control(), &session_->block_return(0));
  channel_->open(std::move(attached.socket), session_->command_rings());
}

Attachment::~Attachment() {
  if (!detached_.load()) unmap_all();
}

std::unique_ptr<Calls> Attachment::make_calls() {
  return std::make_unique<Calls>(Calls::Transport{
      .request = [this](std::uint64_t sequence, const Frame& frame,
                        const Limit& limit) { return request(sequence, frame, limit); },
      .post = [this](const Frame& frame,
                     std::uint64_t epoch) { channel_->post(frame, epoch != 0 ? epoch : channel_->epoch()); },
      .post_and_keep =
          [this](std::uint64_t sequence, const Frame& frame, std::uint64_t epoch, std::optional<Channel::Way> after) {
            return channel_->post_and_keep(sequence, frame, epoch, after);
          },
      .take = [this](std::uint64_t sequence, const Frame& frame, std::uint64_t epoch,
                     const Limit& limit) { return request(sequence, frame, limit, epoch); },
  });
}

// ---------------------------------------------------------------- reading

LeaseTable::Taking Attachment::take_lease(const Limit& limit) {
  auto taking = leases_->take(limit);
  if (!taking) throw_ended();
  return std::move(*taking);
}

detail::StorageRef Attachment::leased_storage(std::uint32_t cell, EntryId id, std::uint64_t generation) {
  const Entry& entry = catalog_.entry(id);
  const std::uint64_t offset = entry.block_offset.load(std::memory_order_relaxed);
  const std::uint64_t bytes = entry.block_bytes.load(std::memory_order_relaxed);
  auto* storage = new (leases_->slot(cell)) detail::Storage(detail::StorageKind::kLeased);
  storage->in_slab_ = true;
  storage->cell_ = cell;
  storage->entry_ = id;
  storage->state_ = EntryState::unpack(entry.state.load(std::memory_order_relaxed));
  storage->attachment_ = this;
  storage->block_offset_ = offset;
  storage->generation_.store(live(generation), std::memory_order_relaxed);
  detail::StorageRef made(storage);
  if (!arena_->contains(offset, bytes)) {
    throw CorruptSegmentError("entry " + std::to_string(id) + " of " + catalog_.segment().name() +
                              " names a block beyond the arena");
  }
  storage->nbytes_ = bytes;
  check_intact(offset, bytes);
  if (bytes != 0) storage->data_ = const_cast<std::byte*>(arena_->data()) + offset;
  return made;
}

detail::StorageRef Attachment::leased_storage(LeaseTable::Taking&& taking, EntryId id, std::uint64_t generation) {
  const std::uint32_t cell = taking.index();
  {
    // The stripe is free before anything is thrown: giving the lease up takes it.
    LeaseTable::Taking taken = std::move(taking);
    taken.keep();
  }
  return leased_storage(cell, id, generation);
}

detail::StorageRef Attachment::lease_by_name(std::string_view name, const Limit& limit) {
  return lease_by_name(name, hash_name(name), limit);
}

LookupStatus Attachment::look_up(std::string_view name, std::uint64_t hash, LeaseTable::Taking& taking,
                                 detail::StorageRef* found) {
  EntryId id = kNoEntry;
  const LookupStatus status = lookup(
      catalog_.view(), hash, taking.cell(), [&](EntryId e) { return catalog_.entry_has_name(e, hash, name); },
      [this] { ring(); }, &id);
  if (lost_tables()) {  // so zeros may have been read, or the lease is not where the broker looks
    if (status == LookupStatus::kHeld) release_lease(taking.cell(), catalog_.entry(id), [this] { ring(); });
    return LookupStatus::kClosed;
  }
  if (status == LookupStatus::kHeld) {
    const std::uint64_t generation = catalog_.entry(id).generation.load(std::memory_order_relaxed);
    *found = leased_storage(std::move(taking), id, generation);
  }
  return status;
}

detail::StorageRef Attachment::try_lease_by_name(std::string_view name, std::uint64_t hash) {
  detail::StorageRef found;
  try_lease_by_name(name, hash, &found);
  return found;
}

LookupStatus Attachment::try_lease_by_name(std::string_view name, std::uint64_t hash, detail::StorageRef* found) {
  auto taking = leases_->try_take();
  return taking ? look_up(name, hash, *taking, found) : LookupStatus::kContended;
}

detail::StorageRef Attachment::lease_by_name(std::string_view name, std::uint64_t hash, const Limit& limit) {
  {
    LeaseTable::Taking taking = take_lease(limit);
    detail::StorageRef found;
    switch (look_up(name, hash, taking, &found)) {
      case LookupStatus::kHeld:
        return found;
      case LookupStatus::kMissing:
        return {};
      case LookupStatus::kClosed:
        end();
        throw_ended();
      case LookupStatus::kCorrupt:
        throw CorruptSegmentError("the name index of " + catalog_.segment().name() + " names what is not there");
      case LookupStatus::kContended:
        break;
    }
  }
  try {
    return lease_pinned(calls_->pin(name, kNoEntry, 0, 0, limit), limit);
  } catch (const NotFoundError&) {
    return {};
  }
}

detail::StorageRef Attachment::lease_entry(EntryId id, const Limit& limit) {
  if (id >= catalog_.root().entries_committed.load(std::memory_order_acquire)) return {};
  const Entry& entry = catalog_.entry(id);
  const std::uint64_t generation = entry.generation.load(std::memory_order_seq_cst);
  LeaseTable::Taking taking = take_lease(limit);
  if (!tensorbroker::lease_by_handle(taking.cell(), entry, id, generation, [this] { ring(); })) return {};
  return leased_storage(std::move(taking), id, generation);
}

detail::StorageRef Attachment::open_writable(const detail::StorageRef& leased, const Limit& limit) {
  leased->check_usable();
  const detail::Storage& source = leased->source();
  if (!source.state().is_mutable) {
    throw ReadOnlyError("'" + std::string(source.record().name) +
                        "' is sealed, and cannot be opened \"r+\"; open it \"c\" for a private copy");
  }
  if (!arena_->is_writable()) {
    throw AccessError("'" + std::string(source.record().name) + "' is uid " + std::to_string(target_.name.uid) +
                      "'s, whose group may read it and not write to it; open it \"r\", or \"c\" for a private copy");
  }
  LeaseTable::Taking taking = take_lease(limit);
  store_lease(taking.cell(), source.entry());  // the caller's lease keeps the entry meanwhile
  detail::StorageRef storage = leased_storage(std::move(taking), source.entry(), source.generation());
  make_writable(*storage.get());
  return storage;
}

void Attachment::make_writable(detail::Storage& storage) {
  if (storage.nbytes_ != 0) {
    storage.data_ = arena_->map_mutable(storage.block_offset_, storage.nbytes_);
    storage.own_mapping_ = true;
  }
  storage.writable_.store(true, std::memory_order_release);
}

// ---------------------------------------------------------------- for storages

void Attachment::give_up(std::uint32_t cell, EntryId entry) noexcept {
  if (is_orphan()) return;
  leases_->give_up(cell, catalog_.entry(entry), [this] { ring(); });
}

void Attachment::unmap_mutable(const detail::Storage& storage) noexcept {
  arena_->unmap_mutable(storage.block_offset_);
}

std::byte* Attachment::map_private(const detail::Storage& leased) noexcept {
  return arena_->map_private(leased.block_offset_, leased.nbytes_);
}

// Called under a stripe's lock: never waits.
void Attachment::ring() noexcept {
  if (session_->control().ring.exchange(1, std::memory_order_seq_cst) == 0) channel_->ring();
}

// ---------------------------------------------------------------- truncated segments

// What the catalog says is not known any more, or what this session leases is not known to the broker.
bool Attachment::lost_tables() const noexcept {
  return segment_faults() != 0 && !detached_.load() &&
         (catalog_.segment().truncation().any() || session_->segment().truncation().any());
}

void Attachment::check_intact() {
  if (!lost_tables()) return;
  end();
  throw_ended();
}

void Attachment::check_intact(std::uint64_t offset, std::uint64_t bytes) {
  if (segment_faults() == 0) return;
  check_intact();
  if (has_lost(offset, bytes)) throw_lost();
}

bool Attachment::has_lost(std::uint64_t offset, std::uint64_t bytes) noexcept {
  if (segment_faults() == 0 || detached_.load()) return false;
  return lost_tables() || (arena_->truncation().any() && is_cut_off(offset, bytes));
}

bool Attachment::is_cut_off(std::uint64_t offset, std::uint64_t bytes) noexcept {
  if (detached_.load() || bytes == 0) return false;
  return arena_->truncation().reaches(offset + bytes) ||
         arena_->file_size().value_or(~std::uint64_t{0}) < offset + bytes;
}

void Attachment::throw_lost() const {
  throw CorruptSegmentError("a segment of the instance '" + target_.name.instance +
                            "' was truncated, and bytes of this tensor are lost; put it again once a new instance has "
                            "begun, and keep other programs away from /dev/shm/tensorbroker.*");
}

// ---------------------------------------------------------------- the end

bool Attachment::has_ended() const noexcept {
  if (ended_.load(std::memory_order_acquire) || detached_.load() || is_orphan() || lost_tables()) return true;
  return catalog_.root().index.load(std::memory_order_seq_cst) == kClosedRoot;
}

void Attachment::check_not_ended() const {
  if (has_ended()) throw_ended();
}

void Attachment::throw_ended() const {
  throw InstanceEnded("the instance '" + target_.name.instance + "' ended; connect again");
}

// A use that begins now sees that the attachment is detached, or is seen by the one who detaches it (Dekker).
Attachment::Use::Use(Attachment& attachment) : attachment_(&attachment) {
  attachment.uses_.fetch_add(1, std::memory_order_seq_cst);
  if (!attachment.detached_.load(std::memory_order_seq_cst)) return;
  attachment.uses_.fetch_sub(1, std::memory_order_seq_cst);
  attachment_ = nullptr;
  attachment.throw_ended();
}

Attachment::Use::~Use() {
  if (attachment_ == nullptr) return;
  if (attachment_->uses_.fetch_sub(1, std::memory_order_seq_cst) == 1) sweep_detached();
}

Attachment::Keep::~Keep() {
  if (attachment_.keeps_.fetch_sub(1) == 1) sweep_detached();
}

bool Attachment::is_in_use() const noexcept { return uses_.load() != 0 || keeps_.load() != 0 || drafts_.load() != 0; }

bool Attachment::detach_if_unused() noexcept {
  if (detached_.load(std::memory_order_seq_cst)) return true;
  if (is_in_use()) return false;
  if (!leases_->close_if_unused()) return false;
  detached_.store(true, std::memory_order_seq_cst);
  if (is_in_use()) {
    detached_.store(false, std::memory_order_seq_cst);
    leases_->reopen();
    return false;
  }
  unmap_all();
  return true;
}

// The session goes last: its lock says that nothing else of this process is mapped any more.
void Attachment::unmap_all() noexcept {
  for (const OwnExtent& extent : allocator_.extents()) arena_->unmap_extent(extent.data, extent.bytes);
  for (const OwnExtent& extent : inherited_) arena_->unmap_extent(extent.data, extent.bytes);
  inherited_.clear();
  arena_.reset();
  heir_.reset();
  session_.reset();
  channel_->drop(channel_->epoch());
}

}  // namespace tensorbroker
