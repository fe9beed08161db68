// The answers to publications, and the replies to one request that was a publication or has nothing to tell but that it
// is done: nearly every reply of a burst.
//
// Those of one kind differ in a few numbers alone. So one is written by copying a pattern, at a tenth of what building
// it from its parts takes; proto/plain_header.h does so for headers. Immutable; thread safe.

#ifndef TENSORBROKER_BROKER_PLAIN_REPLY_H_
#define TENSORBROKER_BROKER_PLAIN_REPLY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "proto/catalog_layout.h"
#include "proto/schema/control_generated.h"

namespace tensorbroker::broker {

// Each makes the message the whole content of `out`.
void write_done(std::uint64_t sequence, std::vector<std::byte>* out);
void write_published(std::uint64_t sequence, std::uint64_t generation, EntryId spare, std::vector<std::byte>* out);

// Adds the answer of one item to a message that is being built.
flatbuffers::Offset<schema::ReplyItem> add_published(std::uint64_t generation, EntryId spare,
                                                     flatbuffers::FlatBufferBuilder* builder);

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PLAIN_REPLY_H_
