#include "broker/statistics_reply.h"

#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tensorbroker::broker {
namespace {

using Builder = flatbuffers::FlatBufferBuilder;
using Counters = std::vector<std::pair<const char*, std::uint64_t>>;

flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<schema::Counter>>> write(Builder& builder,
                                                                                     const Counters& counters) {
  std::vector<flatbuffers::Offset<schema::Counter>> offsets;
  for (const auto& [name, value] : counters) {
    offsets.push_back(schema::CreateCounter(builder, builder.CreateString(name), value));
  }
  return builder.CreateVector(offsets);
}

Counters limits_of(const CatalogOptions& options) {
  const Quotas& quotas = options.quotas;
  return {{"capacity", options.capacity},
          {"session_limit", options.session_limit},
          {"user_limit", options.user_limit},
          {"max_tensors", options.max_tensors},
          {"max_sessions", options.max_sessions},
          {"idle_exit", static_cast<std::uint64_t>(options.idle_exit_seconds)},
          {"session_tensors", quotas.session_tensors},
          {"user_tensors", quotas.user_tensors},
          {"user_sessions", quotas.user_sessions},
          {"user_connections", quotas.user_connections},
          {"process_connections", quotas.process_connections},
          {"client_timeout", static_cast<std::uint64_t>(quotas.patience_seconds)},
          {"prepared", options.prepared},
          {"arena_bytes", options.arena_bytes}};
}

Counters counters_of(const Statistics& s) {
  return {{"publications", s.publications},
          {"deletions", s.deletions},
          {"reclaimed", s.reclaimed},
          {"reclaim_passes", s.reclaim_passes},
          {"block_returns", s.block_returns},
          {"grants", s.grants},
          {"extents_taken", s.extents_taken},
          {"index_rebuilds", s.index_rebuilds},
          {"punched_bytes", s.punched_bytes},
          {"prepared_bytes", s.prepared_bytes},
          {"warm_bytes", s.warm},
          {"leases", s.leases},
          {"pins", s.pins},
          {"sent", s.sent}};
}

}  // namespace

Answer statistics_answer(const Store& store, std::chrono::steady_clock::time_point started, Builder& b) {
  const std::chrono::duration<double> uptime = std::chrono::steady_clock::now() - started;
  const Statistics s = store.statistics();
  const auto name = b.CreateString(store.name().instance);
  const auto limit_counters = write(b, limits_of(store.options()));
  const auto counters = write(b, counters_of(s));
  return answer(schema::CreateStatistics(b, name, getpid(), uptime.count(), s.capacity, s.used, s.live, s.retired,
                                         s.free, s.tensors, s.bundles, s.sessions, limit_counters, counters));
}

}  // namespace tensorbroker::broker
