#include <tensorbroker/tensor.h>

#include <algorithm>
#include <ostream>
#include <utility>

#include "client/attachment.h"
#include "client/client_limits.h"
#include "client/decode.h"
#include "client/metadata.h"
#include "client/pending_puts.h"
#include "client/print.h"
#include "client/storage.h"
#include "proto/geometry.h"
#include "proto/views.h"

namespace tensorbroker {
namespace {

using detail::Storage;
using detail::StorageKind;
using detail::StorageRef;

[[noreturn]] void throw_read_only(const Storage& storage) {
  if (storage.kind() == StorageKind::kForeign) {
    throw ReadOnlyError("the tensor is a view of constant memory; copy it to write to it");
  }
  const std::string name(storage.record().name);
  const std::string which = name.empty() ? "the tensor" : "'" + name + "'";
  if (storage.state().is_mutable) {
    throw ReadOnlyError(which + " was opened \"r\"; open it \"r+\" to write to it, or \"c\" for a private copy");
  }
  throw ReadOnlyError(which +
                      " is sealed, and never changes; publish another version, or open it \"c\" for a private copy");
}

Storage& draft_of(const StorageRef& storage, const char* what) {
  if (!storage || !storage->is_draft()) {
    throw RuntimeError(std::string(what) + "() is for drafts, as create() makes them, and once");
  }
  return *storage.get();
}

// Where a storage's first byte is read, for a tensor that was made when it lay at `base`: a published draft is read
// where nobody writes to it by accident, in the read-only mapping.
std::byte* readable(const Storage& storage, std::byte* base) {
  if (storage.draft() == nullptr) return base;
  if (storage.data() == nullptr && base != nullptr) {
    throw ClosedError("the draft '" + storage.draft()->name + "' was discarded, and its memory given back");
  }
  if (storage.is_draft() || base == nullptr) return base;
  return const_cast<std::byte*>(storage.attachment()->arena().data()) + storage.block_offset();
}

}  // namespace

Tensor::Tensor(StorageRef storage, std::byte* data, DType dtype, Geometry geometry)
    : storage_(std::move(storage)), base_(data), dtype_(dtype), geometry_(std::move(geometry)) {}

std::int64_t Tensor::size(std::int64_t dim) const { return geometry_.sizes[existing_dim(dim, this->dim())]; }

std::int64_t Tensor::stride(std::int64_t dim) const { return geometry_.strides[existing_dim(dim, this->dim())]; }

std::int64_t Tensor::numel() const noexcept { return tensorbroker::numel(geometry_); }

bool Tensor::is_contiguous() const noexcept { return tensorbroker::is_contiguous(geometry_); }

const void* Tensor::const_data() const {
  storage_->check_usable();
  return readable(*storage_.get(), base_) + geometry_.storage_offset * static_cast<std::int64_t>(itemsize());
}

void* Tensor::data() const {
  storage_->check_usable();
  if (!storage_->is_writable()) throw_read_only(*storage_.get());
  return readable(*storage_.get(), base_) + geometry_.storage_offset * static_cast<std::int64_t>(itemsize());
}

bool Tensor::is_corrupt() const noexcept { return storage_->is_corrupt(); }

bool Tensor::is_writable() const noexcept { return storage_->is_writable(); }

std::string Tensor::name() const {
  if (const detail::DraftSpec* draft = storage_->draft()) return draft->name;
  return storage_->attachment() != nullptr ? std::string(storage_->record().name) : std::string();
}

std::uint64_t Tensor::version() const noexcept { return version_of(storage_->generation()); }

std::string_view Tensor::metadata() const {
  if (const detail::DraftSpec* draft = storage_->draft()) {
    return draft->metadata.empty() ? kNoMetadata : std::string_view(draft->metadata);
  }
  return storage_->attachment() != nullptr ? metadata_of(*storage_.get()) : kNoMetadata;
}

std::string Tensor::handle() const {
  if (storage_->generation() == 0) {
    throw RuntimeError("only published tensors have a handle; publish or put this one first");
  }
  if (storage_->kind() == StorageKind::kPrivate)
    return format_handle(handle_of(*storage_.get(), OpenMode::kCopyOnWrite));
  return format_handle(handle_of(*storage_.get(), is_writable() ? OpenMode::kReadWrite : OpenMode::kRead));
}

bool Tensor::is_sealed() const noexcept {
  return storage_->kind() == StorageKind::kLeased && !storage_->state().is_mutable;
}

bool Tensor::is_mutable() const noexcept {
  return storage_->kind() == StorageKind::kLeased && storage_->state().is_mutable;
}

bool Tensor::is_draft() const noexcept { return storage_->is_draft(); }

void Tensor::publish() {
  Storage& draft = draft_of(storage_, "publish");
  const ClientLimits& limits = *draft.draft()->limits;
  limits.check_open();
  const Limit limit = limits.limit();
  if (const auto puts = limits.pending.load(); puts && puts->are_of_this_process()) puts->settle(limit);
  draft.attachment()->publish_draft(draft, draft.draft()->header, limit);
}

void Tensor::discard() {
  Storage& draft = draft_of(storage_, "discard");
  draft.attachment()->discard_draft(draft);
}

std::string Tensor::to_string() const {
  storage_->check_usable();
  std::string text = tensorbroker::to_string(geometry_, dtype_, readable(*storage_.get(), base_));
  storage_->check_usable();
  return text;
}

void Tensor::check_dtype(DType wanted) const {
  if (wanted == dtype_) return;
  throw TypeError("the tensor is " + std::string(tensorbroker::name(dtype_)) + ", not " +
                  std::string(tensorbroker::name(wanted)));
}

void Tensor::check_contiguous() const {
  if (is_contiguous()) return;
  throw RuntimeError("a span is of contiguous elements, and this tensor of sizes " + geometry_.sizes.to_string() +
                     " has strides " + geometry_.strides.to_string() + ": use accessor<T, " +
                     std::to_string(std::max<std::int64_t>(dim(), 1)) + ">()");
}

void Tensor::check_dim(std::size_t wanted) const {
  if (static_cast<std::size_t>(dim()) == wanted) return;
  throw RuntimeError("an accessor of " + std::to_string(wanted) +
                     " dimensions was asked for, and the tensor of sizes " + geometry_.sizes.to_string() + " has " +
                     std::to_string(dim()));
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << tensor.to_string(); }

}  // namespace tensorbroker
