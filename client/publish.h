// The one way into the broker for what is copied or made here: a block, filled in one pass, published.
//
// On any error the block is given back, and nobody sees anything half done. Thread safe.

#ifndef TENSORBROKER_CLIENT_PUBLISH_H_
#define TENSORBROKER_CLIENT_PUBLISH_H_

#include <tensorbroker/client.h>

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

#include "client/attachment.h"
#include "client/client_limits.h"

namespace tensorbroker {

// Writes the data, of `publication.nbytes` bytes, to a block of unknown contents. May throw. Not called for 0 bytes.
using Fill = std::function<void(std::byte* block)>;

// Throws ExistsError where the name is taken and may not be replaced.
void check_free(Attachment& attachment, std::string_view name, bool overwrite, const Limit& limit);

// Allocates and fills a block, the caller's to publish or discard. Throws what Attachment::allocate() throws.
Block allocate_filled(Attachment& attachment, const Publication& publication, const Fill& fill, const Limit& limit);

// Allocates, fills and publishes; the storage returned is leased. Throws what Attachment's functions throw, and
// ExistsError before anything is copied where the name is taken and may not be replaced.
detail::StorageRef publish_filled(Attachment& attachment, const Publication& publication, const Fill& fill,
                                  const Limit& limit);

// A draft of C order for `name`, to be published within `limits`.
detail::StorageRef create_draft(Attachment& attachment, std::string_view name, std::span<const std::int64_t> sizes,
                                DType dtype, const PutOptions& options,
                                const std::shared_ptr<const ClientLimits>& limits);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_PUBLISH_H_
