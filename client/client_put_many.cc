// Many puts at once: while the broker answers for some, the next are copied.

#include <tensorbroker/client.h>

#include <array>
#include <string>
#include <utility>

#include "client/bundle_layout.h"
#include "client/client_impl.h"
#include "client/metadata.h"
#include "client/publish.h"
#include "client/publish_batch.h"
#include "client/strided.h"
#include "proto/geometry.h"
#include "proto/header.h"
#include "proto/name.h"

namespace tensorbroker {
namespace {

// Two batches: one that is filled, and one that is answered.
class Puts {
 public:
  // `nbytes`: of all that will be put.
  Puts(Attachment& attachment, const PutOptions& options, std::size_t nbytes, const Limit& limit)
      : attachment_(attachment),
        options_(options),
        nbytes_(nbytes),
        limit_(limit),
        batches_{PublishBatch(attachment), PublishBatch(attachment)} {}

  void put(std::string_view name, const Tensor& data, DType dtype);
  std::vector<Tensor> finish();
  // Settles what was sent. For when something was thrown.
  void give_up() noexcept;

 private:
  PublishBatch& filled() { return batches_.at(filling_); }
  PublishBatch& sent() { return batches_.at(1 - filling_); }
  void send();
  const std::vector<std::byte>& header_of(const Geometry& geometry, DType dtype);

  Attachment& attachment_;
  const PutOptions& options_;
  const std::size_t nbytes_;
  const Limit& limit_;
  std::array<PublishBatch, 2> batches_;
  std::size_t filling_ = 0;
  std::vector<detail::StorageRef> published_;
  std::vector<std::pair<Geometry, DType>> put_;
  std::vector<std::byte> last_header_;
};

// Most of many tensors are like the one before.
const std::vector<std::byte>& Puts::header_of(const Geometry& geometry, DType dtype) {
  if (put_.empty() || put_.back() != std::pair(geometry, dtype)) {
    const TensorSpec spec = make_spec({}, dtype, geometry, 0);
    last_header_ = encode_header({&spec, 1}, options_.metadata);
  }
  return last_header_;
}

void Puts::put(std::string_view name, const Tensor& data, DType dtype) {
  const auto bytes = static_cast<std::uint64_t>(checked_nbytes(data.sizes(), itemsize(dtype)));
  const Geometry geometry = sealed_geometry(data);
  const Publication publication{.name = name, .header = {}, .nbytes = bytes, .overwrite = options_.overwrite};
  const Block block = allocate_filled(
      attachment_, publication, [&](std::byte* to) { copy_elements(data, geometry, dtype, to, nbytes_); }, limit_);
  try {
    const std::vector<std::byte>& header = header_of(geometry, dtype);
    put_.emplace_back(geometry, dtype);
    filled().add(block, publication, header);  // last: the block is the batch's from here on
  } catch (...) {
    attachment_.discard(block);
    throw;
  }
  if (filled().is_full()) send();
}

void Puts::send() {
  const auto settle_sent = [this] { sent().settle(limit_, &published_); };
  filled().send_after(sent(), limit_, &published_, settle_sent);
  settle_sent();
  filling_ = 1 - filling_;
}

std::vector<Tensor> Puts::finish() {
  send();
  sent().settle(limit_, &published_);
  std::vector<Tensor> made;
  made.reserve(put_.size());
  for (std::size_t i = 0; i < put_.size(); ++i) {
    std::byte* const data = published_[i]->data();
    made.emplace_back(std::move(published_[i]), data, put_[i].second, put_[i].first);
  }
  return made;
}

void Puts::give_up() noexcept {
  for (PublishBatch* batch : {&sent(), &filled()}) {
    try {
      batch->settle(limit_, &published_);
    } catch (...) {  // what was thrown first is the caller's
    }
  }
}

}  // namespace

std::vector<Tensor> Client::put_many(std::span<const Bundle::Member> tensors, std::optional<DType> dtype,
                                     const PutOptions& options) {
  check_metadata(options.metadata);
  std::size_t nbytes = 0;
  for (const auto& [name, data] : tensors) {
    check_name(name);
    if (!data.defined()) throw InvalidArgumentError("put_many() of an undefined tensor as '" + name + "'");
    nbytes += data.nbytes();
  }
  return impl_->with_attachment_in_order([&](Attachment& attachment, const Limit& limit) {
    for (const auto& [name, data] : tensors) check_free(attachment, name, options.overwrite, limit);
    Puts puts(attachment, options, nbytes, limit);
    try {
      for (const auto& [name, data] : tensors) puts.put(name, data, dtype.value_or(data.dtype()));
      return puts.finish();
    } catch (...) {
      puts.give_up();
      throw;
    }
  });
}

}  // namespace tensorbroker
