// The answer to Stats: what the store counts, and what the broker knows about itself.

#ifndef TENSORBROKER_BROKER_STATISTICS_REPLY_H_
#define TENSORBROKER_BROKER_STATISTICS_REPLY_H_

#include <chrono>

#include "broker/reply.h"
#include "broker/store.h"

namespace tensorbroker::broker {

Answer statistics_answer(const Store& store, std::chrono::steady_clock::time_point started,
                         flatbuffers::FlatBufferBuilder& builder);

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_STATISTICS_REPLY_H_
