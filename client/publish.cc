#include "client/publish.h"

#include <tensorbroker/error.h>

#include <string>
#include <utility>

#include "client/bundle_layout.h"
#include "proto/geometry.h"
#include "proto/header.h"

namespace tensorbroker {
namespace {

void check_free(Attachment& attachment, const Publication& publication, const Limit& limit) {
  if (publication.overwrite || publication.name.empty()) return;
  if (attachment.lease_by_name(publication.name, limit)) {
    throw ExistsError("'" + std::string(publication.name) +
                      "' is there already; take another name, delete it first, or say overwrite");
  }
}

}  // namespace

detail::StorageRef publish_filled(Attachment& attachment, const Publication& publication, const Fill& fill,
                                  const Limit& limit) {
  check_free(attachment, publication, limit);
  const Block block = attachment.allocate(publication.nbytes, publication.is_mutable, limit);
  try {
    if (publication.nbytes != 0) fill(block.data);
  } catch (...) {
    attachment.discard(block);
    throw;
  }
  return attachment.publish(block, publication, limit);
}

detail::StorageRef create_draft(Attachment& attachment, std::string_view name, std::span<const std::int64_t> sizes,
                                DType dtype, const PutOptions& options,
                                const std::shared_ptr<const ClientLimits>& limits) {
  const auto bytes = static_cast<std::uint64_t>(checked_nbytes(sizes, itemsize(dtype)));
  const TensorSpec spec = make_spec({}, dtype, contiguous_geometry(sizes), 0);
  detail::DraftSpec draft;
  draft.name = name;
  draft.metadata = options.metadata;
  draft.header = encode_header({&spec, 1}, options.metadata);
  draft.overwrite = options.overwrite;
  draft.limits = limits;
  return attachment.create_draft(bytes, std::move(draft), limits->limit());
}

}  // namespace tensorbroker
