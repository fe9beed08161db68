#include "client/storage.h"

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include "client/attachment.h"
#include "client/lease_table.h"
#include "client/registry.h"
#include "client/storage_extra.h"
#include "tensorbroker/error.h"

namespace tensorbroker::detail {
namespace {

constexpr std::size_t kHeapAlignment = 64;
constexpr std::size_t kLeastMapped = 64 * 1024;  // shorter blocks are copied

// Guards the shared_copy_ of every storage: making one is rare, and slow anyway.
std::mutex& shared_copies() {
  static auto* mutex = new std::mutex;
  return *mutex;
}

}  // namespace

static_assert(sizeof(Storage) <= LeaseTable::kSlotBytes);

void retain(Storage* storage) noexcept { storage->retain(); }
void release(Storage* storage) noexcept { storage->release(); }

Storage::Storage(StorageKind kind) noexcept : kind_(kind) {}
Storage::~Storage() = default;

Storage* Storage::create(StorageKind kind) {
  auto extra = std::make_unique<Extra>();
  auto* storage = new Storage(kind);
  storage->extra_ = std::move(extra);
  return storage;
}

StorageRef Storage::foreign(void* data, std::size_t nbytes, bool writable, std::function<void(void*)> deleter) {
  StorageRef made(create(StorageKind::kForeign));
  made->extra_->deleter = std::move(deleter);
  made->data_ = static_cast<std::byte*>(data);
  made->nbytes_ = nbytes;
  made->writable_.store(writable, std::memory_order_release);
  return made;
}

StorageRef Storage::heap(std::size_t nbytes) {
  if (nbytes == 0) return foreign(nullptr, 0, true);
  const auto refuse = [nbytes]() -> void {
    throw OutOfMemoryError("cannot allocate " + std::to_string(nbytes) + " bytes of this process's memory");
  };
  if (nbytes > SIZE_MAX - kHeapAlignment) refuse();
  void* data = std::aligned_alloc(kHeapAlignment, (nbytes + kHeapAlignment - 1) / kHeapAlignment * kHeapAlignment);
  if (data == nullptr) refuse();
  return foreign(data, nbytes, true, [](void* p) { std::free(p); });
}

// ---------------------------------------------------------------- private copies

StorageRef Storage::private_copy(const StorageRef& source, bool shared) {
  source->check_usable();
  if (!shared) return map_private(source);
  const std::lock_guard held(shared_copies());
  Storage* known = source->shared_copy_.load(std::memory_order_relaxed);
  if (known != nullptr && known->try_retain()) return StorageRef(known);
  StorageRef made = map_private(source);
  source->shared_copy_.store(made.get(), std::memory_order_relaxed);
  return made;
}

StorageRef Storage::map_private(const StorageRef& source) {
  std::byte* mapped = nullptr;
  if (source->kind() == StorageKind::kLeased && source->nbytes_ >= kLeastMapped) {
    mapped = source->attachment_->map_private(*source.get());
  }
  StorageRef made(create(StorageKind::kPrivate));
  made->extra_->source = source;
  made->extra_->is_private_map = mapped != nullptr;
  made->attachment_ = source->attachment_;
  made->entry_ = source->entry_;
  made->state_ = source->state_;
  made->block_offset_ = source->block_offset_;
  made->generation_.store(source->generation(), std::memory_order_release);
  made->nbytes_ = source->nbytes_;
  made->writable_.store(true, std::memory_order_release);
  if (mapped != nullptr || source->nbytes_ == 0) {
    made->data_ = mapped;
    return made;
  }
  const StorageRef copy = heap(source->nbytes_);
  std::memcpy(copy->data_, source->data_, source->nbytes_);
  source->check_usable();
  made->data_ = copy->data_;
  made->extra_->deleter = [copy](void*) {};  // the copy lives as long as this
  return made;
}

const Storage& Storage::source() const noexcept {
  return kind() == StorageKind::kPrivate ? *extra_->source.get() : *this;
}

bool Storage::is_copied() const noexcept {
  return kind() == StorageKind::kPrivate && !extra_->is_private_map && nbytes_ > 0;
}

const DraftSpec* Storage::draft() const noexcept {
  return extra_ != nullptr && extra_->was_draft ? &extra_->draft : nullptr;
}

HeapRecord Storage::record() const {
  check_usable();
  if (attachment_ == nullptr || generation() == 0) return {};
  return attachment_->catalog().record(entry_);
}

void Storage::check_usable() const {
  if (attachment_ != nullptr && attachment_->is_orphan()) {
    throw ClosedError(
        "this tensor came from the process that this one was forked from while its broker could not be reached, and "
        "cannot be used here; get it anew");
  }
  if (attachment_ != nullptr && !is_copied() && attachment_->has_lost(block_offset_, nbytes_)) {
    attachment_->throw_lost();
  }
}

bool Storage::is_corrupt() const noexcept {
  if (attachment_ == nullptr || attachment_->is_orphan() || is_copied()) return false;
  return attachment_->has_lost(block_offset_, nbytes_) || attachment_->is_cut_off(block_offset_, nbytes_);
}

// ---------------------------------------------------------------- letting go

bool Storage::try_retain() noexcept {
  std::uint32_t references = references_.load(std::memory_order_relaxed);
  while (references != 0) {
    if (references_.compare_exchange_weak(references, references + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void Storage::release() noexcept {
  // Nobody else can come to a leased storage once one reference is left, so that one needs no locked instruction.
  if (kind() == StorageKind::kLeased && references_.load(std::memory_order_acquire) == 1) return destroy();
  if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
}

void Storage::destroy() noexcept {
  switch (kind()) {
    case StorageKind::kLeased: {
      Attachment* const attachment = attachment_;
      const std::uint32_t cell = cell_;
      const EntryId entry = entry_;
      if (own_mapping_) attachment->unmap_mutable(*this);
      if (in_slab_) {
        this->~Storage();  // its place is free once the lease is given up
      } else {
        delete this;
      }
      attachment->give_up(cell, entry);
      break;
    }
    case StorageKind::kDraft:
      attachment_->end_draft(*this);
      delete this;
      break;
    case StorageKind::kPrivate:
      destroy_private();
      break;
    case StorageKind::kForeign:
      if (extra_->deleter) extra_->deleter(data_);
      delete this;
      return;
  }
  sweep_detached();
}

void Storage::spend() noexcept {
  writable_.store(false, std::memory_order_release);
  data_ = nullptr;
  nbytes_ = 0;
  attachment_ = nullptr;
  kind_.store(StorageKind::kForeign, std::memory_order_release);
}

void Storage::destroy_private() noexcept {
  {
    const std::lock_guard held(shared_copies());
    Storage* self = this;
    extra_->source->shared_copy_.compare_exchange_strong(self, nullptr, std::memory_order_relaxed);
  }
  // Where the pages cannot be unmapped they are still there: so stays the lease under them.
  if (extra_->is_private_map && !attachment_->unmap_private(data_, nbytes_)) return;
  delete this;
}

}  // namespace tensorbroker::detail
