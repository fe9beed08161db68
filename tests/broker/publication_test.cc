// Publication, replacement and deletion with the broker killed after every single store: the very templates of the
// product over words in plain memory that end the world after the n-th store.

#include "broker/publication.h"

#include <gtest/gtest.h>

#include <memory>

#include "broker/name_index.h"

namespace tensorbroker::broker {
namespace {

struct Killed {};

// A word that counts its stores, over all words, and throws in place of the one after the last that is allowed.
class FragileWord {
 public:
  static inline int stores_left = -1;  // below 0: for ever

  std::uint64_t load(std::memory_order = std::memory_order_seq_cst) const { return value_; }
  void store(std::uint64_t value, std::memory_order = std::memory_order_seq_cst) {
    if (stores_left == 0) throw Killed{};
    if (stores_left > 0) --stores_left;
    value_ = value;
  }

 private:
  std::uint64_t value_ = 0;
};

constexpr std::uint64_t kSession = 77;
constexpr std::uint64_t kHash = 0x1234567800000003;
constexpr std::uint64_t kBeginnings = 0x0101;

// A catalog of a few entries and one index region in use.
struct World {
  BasicCatalogRoot<FragileWord> root;
  BasicEntry<FragileWord> entries[8];
  FragileWord index[2][16];
  FragileWord beginnings[2][16];
  BasicSessionRecord<FragileWord> session;
  BasicCatalogView<FragileWord> view{&root, entries, {index[0], index[1]}, 16, {beginnings[0], beginnings[1]}};

  World() {
    root.index.store(IndexRoot{.epoch = 1, .region = 0, .log2_cells = 4}.pack());
    session.id.store(kSession);
    for (auto& entry : entries) entry.state.store(EntryState{.phase = EntryPhase::kSpare}.pack());
  }
  EntryPhase phase(EntryId id) const { return EntryState::unpack(entries[id].state.load()).phase; }
};

EntryFields fields() {
  return {.name_hash = kHash,
          .header = {128, 99},
          .block_offset = 4096,
          .block_bytes = 64,
          .created_us = 1,
          .state = {.is_mutable = true, .is_named = true}};
}

Mutation publication(EntryId entry, std::uint64_t counter, std::uint64_t sequence) {
  return {.kind = IntentKind::kPublish,
          .cell = 3,
          .cell_value = make_cell(kHash, entry),
          .beginnings = kBeginnings,
          .entry = entry,
          .generation = counter << 1 | 1,
          .session_slot = 0,
          .session = kSession,
          .sequence = sequence,
          .result = counter << 1 | 1};
}

// Runs `mutate` with a kill after each number of stores, a successor that is itself killed after each number of
// stores, and one that is not; `check(world, happened)` looks at what is left.
template <class Prepare, class Mutate, class Check>
void with_every_kill(Prepare&& prepare, Mutate&& mutate, Check&& check) {
  int kills = 0;
  bool whole = false;
  for (int first = 0; !whole; ++first) {
    for (int second = 0; second < 12; ++second) {
      const auto world = std::make_unique<World>();
      FragileWord::stores_left = -1;
      prepare(*world);
      FragileWord::stores_left = first;
      whole = true;
      try {
        mutate(*world);
      } catch (const Killed&) {
        whole = false;
      }
      const auto redo = [&world] {
        if (const auto intent = read_intent(world->root.intent)) carry_out(world->view, world->session, *intent);
      };
      const std::uint64_t cell_before_redo = world->index[0][3].load();
      const bool certain = whole || read_intent(world->root.intent).has_value();
      FragileWord::stores_left = second;
      try {
        redo();
      } catch (const Killed&) {
        ++kills;
      }
      FragileWord::stores_left = -1;
      redo();
      EXPECT_FALSE(read_intent(world->root.intent).has_value());
      check(*world, certain);
      if (!certain) {
        EXPECT_EQ(world->index[0][3].load(), cell_before_redo);
      }
      if (testing::Test::HasFailure()) FAIL() << "killed after " << first << " stores, then after " << second;
    }
  }
  EXPECT_GT(kills, 10);
}

TEST(PublicationTest, NewNameIsThereWholeOrNotAtAll) {
  with_every_kill([](World&) {},
                  [](World& world) {
                    fill_spare(world.entries[2], fields());
                    commit(world.view, world.session, publication(2, 500, 9));
                  },
                  [](const World& world, bool happened) {
                    EXPECT_EQ(world.index[0][3].load(), happened ? make_cell(kHash, 2) : kEmptyCell);
                    EXPECT_TRUE(!happened || world.beginnings[0][3].load() == kBeginnings);
                    EXPECT_EQ(world.phase(2), happened ? EntryPhase::kUsed : EntryPhase::kSpare);
                    EXPECT_EQ(world.entries[2].generation.load(), happened ? 1001u : 0u);
                    EXPECT_EQ(earlier_result(world.session, 9),
                              happened ? std::optional<std::uint64_t>(1001) : std::nullopt);
                    if (!happened) return;
                    const EntryState state = EntryState::unpack(world.entries[2].state.load());
                    EXPECT_TRUE(state.is_mutable && state.is_named && !state.is_bundle);
                    EXPECT_EQ(world.entries[2].block_offset.load(), 4096u);
                  });
}

TEST(PublicationTest, ReplacedNameIsTheOldOrTheNew) {
  with_every_kill(
      [](World& world) {
        fill_spare(world.entries[1], fields());
        commit(world.view, world.session, publication(1, 400, 8));
      },
      [](World& world) {
        fill_spare(world.entries[2], fields());
        Mutation m = publication(2, 500, 9);
        m.beginnings = 0;  // they are there
        m.replaced = 1;
        m.replaced_generation = 801;
        commit(world.view, world.session, m);
      },
      [](const World& world, bool happened) {
        EXPECT_EQ(world.index[0][3].load(), make_cell(kHash, happened ? 2 : 1));
        EXPECT_EQ(world.beginnings[0][3].load(), kBeginnings);
        EXPECT_EQ(world.entries[1].generation.load(), happened ? 800u : 801u);
        EXPECT_EQ(world.phase(1), EntryPhase::kUsed);
        EXPECT_EQ(world.phase(2), happened ? EntryPhase::kUsed : EntryPhase::kSpare);
        EXPECT_EQ(earlier_result(world.session, 8), 801u);
        EXPECT_EQ(earlier_result(world.session, 9).has_value(), happened);
      });
}

TEST(PublicationTest, DeletedNameIsThereOrGone) {
  with_every_kill(
      [](World& world) {
        fill_spare(world.entries[1], fields());
        commit(world.view, world.session, publication(1, 400, 8));
      },
      [](World& world) {
        commit(world.view, world.session,
               {.kind = IntentKind::kDelete,
                .cell = 3,
                .cell_value = kTombstone,
                .replaced = 1,
                .replaced_generation = 801,
                .session_slot = 0,
                .session = kSession,
                .sequence = 9,
                .result = 801});
      },
      [](const World& world, bool happened) {
        EXPECT_EQ(world.index[0][3].load(), happened ? kTombstone : make_cell(kHash, 1));
        EXPECT_EQ(world.entries[1].generation.load(), happened ? 800u : 801u);
        EXPECT_EQ(earlier_result(world.session, 9).has_value(), happened);
      });
}

TEST(PublicationTest, AnonymousEntryIsUsedAndNeverLive) {
  with_every_kill([](World&) {},
                  [](World& world) {
                    fill_spare(world.entries[2], fields());
                    Mutation m = publication(2, 500, 9);
                    m.cell = kNoCell;
                    m.generation = m.result = 1000;
                    commit(world.view, world.session, m);
                  },
                  [](const World& world, bool happened) {
                    EXPECT_EQ(world.index[0][3].load(), kEmptyCell);
                    EXPECT_EQ(world.phase(2), happened ? EntryPhase::kUsed : EntryPhase::kSpare);
                    EXPECT_FALSE(is_live(world.entries[2].generation.load()));
                  });
}

TEST(PublicationTest, WindowOfASessionThatIsGoneIsLeftAlone) {
  World world;
  world.session.id.store(kSession + 1);
  commit(world.view, world.session, publication(2, 500, 9));
  EXPECT_FALSE(earlier_result(world.session, 9).has_value());
}

// A rebuild that is killed anywhere leaves the old index whole; one that ends has every name.
TEST(PublicationTest, RebuildKilledAnywhereLosesNoName) {
  bool whole = false;
  for (int stores = 0; !whole; ++stores) {
    World world;
    FragileWord::stores_left = -1;
    for (EntryId id = 0; id < 5; ++id) {
      world.entries[id].name_hash.store(std::uint64_t{id} << 40 | (id * 7));
      world.index[0][(id * 7) % 16].store(make_cell(std::uint64_t{id} << 40, id));
      world.beginnings[0][(id * 7) % 16].store(1000 + id);
    }
    for (auto& cell : world.index[1]) cell.store(kTombstone);  // of an index before
    BasicNameIndex<FragileWord> index(world.view);
    index.count([](std::uint64_t, std::uint64_t) {});
    FragileWord::stores_left = stores;
    whole = true;
    try {
      index.rebuild([](unsigned, std::uint64_t, std::uint64_t) {});
    } catch (const Killed&) {
      whole = false;
    }
    FragileWord::stores_left = -1;
    EXPECT_EQ(IndexRoot::unpack(world.root.index.load()).region, whole ? 1 : 0);
    const BasicNameIndex<FragileWord> successor(world.view);
    for (EntryId id = 0; id < 5; ++id) {
      const std::uint64_t hash = std::uint64_t{id} << 40 | (id * 7);
      const auto place = successor.find(hash, [&](EntryId found) { return found == id; });
      EXPECT_EQ(place.entry, id) << stores;
      EXPECT_EQ(world.beginnings[whole ? 1 : 0][place.cell].load(), 1000 + id) << stores;
    }
  }
}

}  // namespace
}  // namespace tensorbroker::broker
