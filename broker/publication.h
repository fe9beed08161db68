// Publication and deletion: the order of stores that makes them whole at every instant.
//
// The entry is filled while it is still a spare, and the beginnings of a new name are put beside its cell, which no
// listing goes by as long as the cell names nothing. Then the intent is written, its kind last: the point of no return.
// Before it nothing happened; after it every store is done, by this broker or by its successor, which does them all
// again. Each may be done twice. Readers see the old or the new by the one store to the index cell.
// Templates over the word, so that a model test or a crash after any store runs this very code. One thread only.

#ifndef TENSORBROKER_BROKER_PUBLICATION_H_
#define TENSORBROKER_BROKER_PUBLICATION_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "proto/catalog_layout.h"
#include "proto/lookup.h"

namespace tensorbroker::broker {

inline constexpr std::uint64_t kNoCell = ~std::uint64_t{0};

// What one publication or deletion will store.
struct Mutation {
  IntentKind kind = IntentKind::kNone;
  std::uint64_t cell = kNoCell;  // index of the cell to change; kNoCell: an anonymous entry
  std::uint64_t cell_value = 0;
  std::uint64_t beginnings = 0;  // of a name that is new in its cell; no part of the intent
  EntryId entry = kNoEntry;      // published
  std::uint64_t generation = 0;
  EntryId replaced = kNoEntry;  // retired
  std::uint64_t replaced_generation = 0;
  std::uint64_t session_slot = 0;
  std::uint64_t session = 0;
  std::uint64_t sequence = 0;
  std::uint64_t result = 0;  // what the session's window keeps
};

// The fields of an entry that are known before its publication.
struct EntryFields {
  std::uint64_t name_hash = 0;
  HeapRef header;
  std::uint64_t block_offset = 0;
  std::uint64_t block_bytes = 0;
  std::uint64_t created_us = 0;
  EntryState state;  // its phase does not count
};

// Fills a spare, which stays one. Its owner is its publisher.
template <class W>
void fill_spare(BasicEntry<W>& entry, const EntryFields& fields) {
  EntryState spare = fields.state;
  spare.phase = EntryPhase::kSpare;
  entry.name_hash.store(fields.name_hash, std::memory_order_relaxed);
  entry.header.store(fields.header.pack(), std::memory_order_relaxed);
  entry.block_offset.store(fields.block_offset, std::memory_order_relaxed);
  entry.block_bytes.store(fields.block_bytes, std::memory_order_relaxed);
  entry.created_us.store(fields.created_us, std::memory_order_relaxed);
  entry.state.store(spare.pack(), std::memory_order_release);
}

template <class W>
void write_intent(BasicIntent<W>& intent, const Mutation& m) {
  intent.cell.store(m.cell, std::memory_order_relaxed);
  intent.cell_value.store(m.cell_value, std::memory_order_relaxed);
  intent.entry.store(m.entry, std::memory_order_relaxed);
  intent.generation.store(m.generation, std::memory_order_relaxed);
  intent.replaced.store(m.replaced, std::memory_order_relaxed);
  intent.replaced_generation.store(m.replaced_generation, std::memory_order_relaxed);
  intent.session.store(m.session_slot, std::memory_order_relaxed);
  intent.session_id.store(m.session, std::memory_order_relaxed);
  intent.sequence.store(m.sequence, std::memory_order_relaxed);
  intent.result.store(m.result, std::memory_order_relaxed);
  intent.kind.store(static_cast<std::uint64_t>(m.kind), std::memory_order_seq_cst);
}

// The mutation that a killed broker left half done; nullopt where it left none.
template <class W>
std::optional<Mutation> read_intent(const BasicIntent<W>& intent) {
  const auto kind = static_cast<IntentKind>(intent.kind.load(std::memory_order_seq_cst));
  if (kind == IntentKind::kNone) return std::nullopt;
  return Mutation{.kind = kind,
                  .cell = intent.cell.load(std::memory_order_relaxed),
                  .cell_value = intent.cell_value.load(std::memory_order_relaxed),
                  .entry = static_cast<EntryId>(intent.entry.load(std::memory_order_relaxed)),
                  .generation = intent.generation.load(std::memory_order_relaxed),
                  .replaced = static_cast<EntryId>(intent.replaced.load(std::memory_order_relaxed)),
                  .replaced_generation = intent.replaced_generation.load(std::memory_order_relaxed),
                  .session_slot = intent.session.load(std::memory_order_relaxed),
                  .session = intent.session_id.load(std::memory_order_relaxed),
                  .sequence = intent.sequence.load(std::memory_order_relaxed),
                  .result = intent.result.load(std::memory_order_relaxed)};
}

// Does what the intent says, and clears it. `window` is the record of the mutation's session slot.
template <class W>
void carry_out(const BasicCatalogView<W>& catalog, BasicSessionRecord<W>& window, const Mutation& m) {
  if (m.entry != kNoEntry) {
    BasicEntry<W>& entry = catalog.entries[m.entry];
    EntryState state = EntryState::unpack(entry.state.load(std::memory_order_relaxed));
    state.phase = EntryPhase::kUsed;
    entry.generation.store(m.generation, std::memory_order_seq_cst);
    entry.state.store(state.pack(), std::memory_order_seq_cst);
  }
  if (m.cell != kNoCell) {
    const IndexRoot index = IndexRoot::unpack(catalog.root->index.load(std::memory_order_seq_cst));
    catalog.index[index.region][m.cell].store(m.cell_value, std::memory_order_seq_cst);
  }
  if (m.replaced != kNoEntry) {
    catalog.entries[m.replaced].generation.store(retired(m.replaced_generation), std::memory_order_seq_cst);
  }
  if (window.id.load(std::memory_order_relaxed) == m.session) {
    auto& result = window.window[m.sequence % kWindow];
    result.value.store(m.result, std::memory_order_release);
    result.sequence.store(m.sequence, std::memory_order_release);
  }
  catalog.root->intent.kind.store(static_cast<std::uint64_t>(IntentKind::kNone), std::memory_order_seq_cst);
}

// What a listing asks of a cell before it reads that. The name is not there yet; one that is replaced has it already.
template <class W>
void store_beginnings(const BasicCatalogView<W>& catalog, const Mutation& m) {
  if (m.cell == kNoCell || m.entry == kNoEntry || m.replaced != kNoEntry) return;
  const IndexRoot index = IndexRoot::unpack(catalog.root->index.load(std::memory_order_relaxed));
  catalog.beginnings[index.region][m.cell].store(m.beginnings, std::memory_order_release);
}

template <class W>
void commit(const BasicCatalogView<W>& catalog, BasicSessionRecord<W>& window, const Mutation& m) {
  store_beginnings(catalog, m);
  write_intent(catalog.root->intent, m);
  carry_out(catalog, window, m);
}

// The result of a mutation that this session had carried out before; nullopt where it is new.
template <class W>
std::optional<std::uint64_t> earlier_result(const BasicSessionRecord<W>& record, std::uint64_t sequence) {
  const auto& result = record.window[sequence % kWindow];
  if (result.sequence.load(std::memory_order_acquire) != sequence) return std::nullopt;
  return result.value.load(std::memory_order_acquire);
}

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PUBLICATION_H_
