// The memory behind tensors and bundles: one reference-counted object for each lease, draft, private copy or piece of
// foreign memory.
//
// retain() and release() work from any thread, without Python, during and after static destruction. The fields are
// written while nobody else can see the storage, except that publication turns a draft into a leased, read-only one
// (Attachment::publish_draft; kind and entry are then stored before the generation). A leased storage lies in the slab
// cell of its lease, so that a get allocates nothing. In a child forked while no heir could be had, nothing that came
// over from the parent may be touched: check_usable() throws, and releases do nothing.

#ifndef TENSORBROKER_CLIENT_STORAGE_H_
#define TENSORBROKER_CLIENT_STORAGE_H_

#include <tensorbroker/tensor.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "client/block_allocator.h"
#include "proto/catalog_layout.h"
#include "proto/heap_record.h"

namespace tensorbroker {

class Attachment;
struct ClientLimits;

namespace detail {

enum class StorageKind : std::uint8_t {
  kLeased,   // a published entry under a lease: mapped read-only, or writable where mutable and opened "r+"
  kDraft,    // a block of an own extent, not published yet
  kPrivate,  // copy-on-write pages over a leased storage, which it keeps
  kForeign,  // somebody else's memory, with a deleter; or memory of this process alone
};

// What a draft will be published as.
struct DraftSpec {
  std::string name;
  std::string metadata;           // a JSON object as text, or empty
  std::vector<std::byte> header;  // as encode_header makes it
  bool is_bundle = false;
  bool overwrite = true;
  std::shared_ptr<const ClientLimits> limits{};  // of the client that made it
};

class Storage {
 public:
  // ---- storages that no lease stands behind
  // Memory of the caller's; `deleter`, if any, is called once with `data` by whichever thread drops the last reference.
  static StorageRef foreign(void* data, std::size_t nbytes, bool writable, std::function<void(void*)> deleter = {});
  // Fresh memory of this process alone, writable, aligned to 64 bytes, not cleared. Throws OutOfMemoryError.
  static StorageRef heap(std::size_t nbytes);
  // A writable storage with the bytes that `source` has now, whose writes nobody else sees: a private mapping of its
  // block where that is 64 KiB or more, else (and where mappings run out) a copy. Keeps `source`.
  // With `shared` every call for one source returns the same storage while one is alive (torch exports); without, a new
  // one (open mode "c"). The members of a bundle stay where they are relative to data().
  static StorageRef private_copy(const StorageRef& source, bool shared);

  StorageKind kind() const noexcept { return kind_.load(std::memory_order_acquire); }
  std::byte* data() const noexcept { return data_; }       // null where nbytes() is 0
  std::size_t nbytes() const noexcept { return nbytes_; }  // unpadded length of the block as far as known, else padded
  bool is_writable() const noexcept { return writable_.load(std::memory_order_acquire); }
  bool is_draft() const noexcept { return kind() == StorageKind::kDraft; }

  // ---- leased storages, and private copies (which answer for their source); else zeros
  // The instance that it belongs to; null for foreign memory.
  Attachment* attachment() const noexcept { return attachment_; }
  EntryId entry() const noexcept { return entry_; }
  // As published, live bit set, whatever became of it since; 0 for drafts and foreign memory.
  std::uint64_t generation() const noexcept { return generation_.load(std::memory_order_acquire); }
  EntryState state() const noexcept { return state_; }
  std::uint64_t block_offset() const noexcept { return block_offset_; }  // in the arena; of drafts too
  // Name and header in the catalog; views that last as long as the storage. Throws CorruptSegmentError.
  HeapRecord record() const;
  // A private copy's source, else this.
  const Storage& source() const noexcept;
  // Whether it is a private copy whose bytes were copied, not mapped.
  bool is_copied() const noexcept;

  // ---- drafts; null for other kinds. Stays after publication (its header is then also in record()).
  const DraftSpec* draft() const noexcept;

  // Throws ClosedError where this process is a child that could not take over its parent's leases, and
  // CorruptSegmentError where a fault has shown that bytes of it are gone (tensorbroker/sigbus.h).
  void check_usable() const;
  // Whether bytes of it are gone, as faults have shown or the length of the arena's file does: one system call.
  bool is_corrupt() const noexcept;

  // For retain() and release().
  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  bool try_retain() noexcept;  // false where the last reference is gone
  void release() noexcept;

  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

 private:
  friend class tensorbroker::Attachment;
  struct Extra;

  explicit Storage(StorageKind kind) noexcept;
  ~Storage();
  static Storage* create(StorageKind kind);
  static StorageRef map_private(const StorageRef& source);
  void destroy() noexcept;
  void destroy_private() noexcept;
  // Ends a draft whose block is somebody else's concern now: nothing is left to read or write.
  void spend() noexcept;

  std::atomic<std::uint32_t> references_{1};
  std::atomic<StorageKind> kind_;
  std::atomic<bool> writable_{false};
  bool in_slab_ = false;      // lies in the lease's slab cell, not on the heap
  bool own_mapping_ = false;  // a writable mapping of a mutable block stands behind it
  std::uint32_t cell_ = 0;    // of its lease
  EntryId entry_ = kNoEntry;
  EntryState state_;
  std::byte* data_ = nullptr;
  std::size_t nbytes_ = 0;
  std::uint64_t block_offset_ = 0;  // in the arena
  std::atomic<std::uint64_t> generation_{0};
  Attachment* attachment_ = nullptr;
  std::atomic<Storage*> shared_copy_{nullptr};  // the shared private copy, while there is one
  std::unique_ptr<Extra> extra_;                // of drafts, private copies and foreign memory
};

// Bytes from the begin of the tensor's storage to its first element; 0 where it has none.
std::size_t offset_in_storage(const Tensor& tensor);

}  // namespace detail
}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_STORAGE_H_
