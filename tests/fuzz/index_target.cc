// The name index, the other tables of the catalog and the session segments as a successor reads them, with any words of
// them changed: the instance is adopted or refused as corrupt, and what is adopted can be used to its end.

#include <spdlog/spdlog.h>
#include <tensorbroker/error.h>

#include <optional>

#include "proto/header.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/killed_instance.h"

namespace tensorbroker::fuzz {
namespace {

using broker::Store;

// One word that is not 0, for the most part: the rest of a table is empty.
std::uint64_t* choose_word(Choices& choices, const KilledInstance& instance) {
  const auto& tables = instance.tables();
  const KilledInstance::Table& table = tables[choices.below(tables.size())];
  std::size_t at = choices.number<std::uint16_t>() % table.count;
  if ((at & 7) != 7) {
    while (at < table.count && table.words[at] == 0) ++at;
  }
  return &table.words[at % table.count];
}

void change_word(Choices& choices, const KilledInstance& instance) {
  std::uint64_t* const word = choose_word(choices, instance);
  switch (choices.below(5)) {
    case 0:
      *word = choices.odd_number();
      break;
    case 1:
      *word += choices.signed_byte();
      break;
    case 2:
      *word ^= std::uint64_t{1} << choices.below(64);
      break;
    case 3:
      *word = *choose_word(choices, instance);
      break;
    default:
      *word = (*word & ~std::uint64_t{0xffffffff}) | (choices.odd_number() & 0xffffffff);
  }
  // A client can say that it has a million leases; that is only slow.
  if (instance.is_length_of_leases(word)) *word &= 0x1fff;
}

template <class Call>
void attempt(Call&& call) {
  try {
    call();
  } catch (const Error&) {  // refused
  }
}

void use_session(Store& store, std::uint64_t session, std::uint64_t sequence) {
  attempt([&] { store.reconcile(session, {}, {}); });
  std::optional<broker::Granted> granted;
  attempt([&] { granted = store.finish_grant(store.begin_grant(session, 2 * kPageSize)); });
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    attempt([&] {
      const broker::Pinned pin = store.pin_name(session, name);
      store.unpin(session, pin.entry, pin.generation);
      store.remove(session, ++sequence, name, pin.generation);
    });
    attempt([&] {
      const TensorSpec spec{.name = {}, .dtype = kUInt8, .sizes = {64}, .strides = {1}, .offset = 0};
      const auto header = encode_header({&spec, 1}, "");
      const EntryId entry = store.grant_spares(session, 1).at(0);
      store.publish(session, ++sequence,
                    {.entry = entry,
                     .name = name,
                     .header = header,
                     .block_offset = granted ? granted->range.offset + 64 * (sequence % 64) : 0,
                     .block_bytes = 64});
    });
  }
}

void use(Store& store) {
  for (const std::uint64_t session : store.sessions()) use_session(store, session, 1000);
  store.reclaim();
  const auto work = store.take_punch_work();
  store.punched(work);
  for (const std::uint64_t session : store.sessions()) {
    const auto heirs = store.heirs_of(session);
    store.remove_session(session);
    for (const std::uint64_t heir : heirs) store.promote_heir(heir, 0);
  }
  store.reclaim();
  require(store.statistics().sessions == 0, "no session is left");
}

void adopt(Choices& choices, KilledInstance& instance) {
  instance.restore();
  const std::uint8_t alive = choices.byte();
  const bool to_its_end = (alive & 0x80) != 0;
  for (int changes = 0; changes < 16 && !choices.empty(); ++changes) change_word(choices, instance);
  const auto is_alive = [&](std::uint64_t session) {
    const auto& known = instance.sessions();
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (known[i] == session) return (alive >> i & 1) == 0;
    }
    return false;
  };
  std::optional<Store> store = Store::adopt(instance.name(), is_alive);
  if (!store) return;
  use(*store);
  if (to_its_end) store->unlink_all();
}

}  // namespace
}  // namespace tensorbroker::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static tensorbroker::fuzz::KilledInstance instance;
  spdlog::set_level(spdlog::level::off);
  tensorbroker::fuzz::Choices choices(data, size);
  tensorbroker::fuzz::adopt(choices, instance);
  return 0;
}
