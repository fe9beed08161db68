#include "client/publish.h"

#include <tensorbroker/error.h>

#include <string>
#include <utility>

#include "client/bundle_layout.h"
#include "proto/geometry.h"
#include "proto/header.h"

namespace tensorbroker {

void check_free(Attachment& attachment, std::string_view name, bool overwrite, const Limit& limit) {
  if (overwrite || name.empty()) return;
  if (attachment.lease_by_name(name, limit)) {
    throw ExistsError("'" + std::string(name) +
                      "' is there already; take another name, delete it first, or say overwrite");
  }
}

Block allocate_filled(Attachment& attachment, const Publication& publication, const Fill& fill, const Limit& limit) {
  const Block block = attachment.allocate(publication.nbytes, publication.is_mutable, limit);
  try {
    if (publication.nbytes != 0) fill(block.data);
  } catch (...) {
    attachment.discard(block);
    throw;
  }
  return block;
}

detail::StorageRef publish_filled(Attachment& attachment, const Publication& publication, const Fill& fill,
                                  const Limit& limit) {
  check_free(attachment, publication.name, publication.overwrite, limit);
  return attachment.publish(allocate_filled(attachment, publication, fill, limit), publication, limit);
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
