// The broker without system calls: the slice of a run that `make test` has, and whether it would see what is wrong.
//
// TENSORBROKER_TEST_STEPS and TENSORBROKER_TEST_SEED are those of `make simulation`, whose seed is another each time.

#include "tests/simulation/simulation.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tests/simulation/violation.h"
#include "tests/support/system_calls.h"

namespace tensorbroker::simulation {
namespace {

constexpr std::uint64_t kSlice = 150'000;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const value = std::getenv(name);
  return value != nullptr && value[0] != '\0' ? std::strtoull(value, nullptr, 10) : otherwise;
}

TEST(Simulation, TheBrokerDoesWhatTheModelSays) {
  const bool is_slice = std::getenv("TENSORBROKER_TEST_STEPS") == nullptr;
  const std::uint64_t seed = from_environment("TENSORBROKER_TEST_SEED", is_slice ? 1 : std::random_device{}());
  const std::uint64_t steps = from_environment("TENSORBROKER_TEST_STEPS", kSlice);
  std::printf("seed %llu, %llu steps\n", static_cast<unsigned long long>(seed), static_cast<unsigned long long>(steps));
  std::fflush(stdout);
  try {
    simulate(seed, steps);
  } catch (const Violation& violation) {
    FAIL() << violation.what();
  }
}

TEST(Simulation, ASeedGivesTheSameRunAgain) {
  const auto digest = [](std::uint64_t seed) {
    Simulation simulation(seed);
    simulation.run(20'000);
    return simulation.digest();
  };
  EXPECT_EQ(digest(7), digest(7));
  EXPECT_NE(digest(7), digest(8));
}

// Brokers are killed and adopt, segments come and go, memory runs short: the kernel hears of none of it.
TEST(Simulation, MakesNoSystemCall) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer's allocator makes them";
#endif
  // The heap is as large as it will be beforehand.
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  void* volatile const memory = std::malloc(std::size_t{256} << 20);
  std::free(memory);
  Simulation simulation(7);
  simulation.run(10'000);
  EXPECT_EQ(test::count_system_calls([&] { simulation.run(20'000); }), 0);
  simulation.run(20'000);
  EXPECT_GT(simulation.counts().at("the broker is killed"), 0u);
  EXPECT_GT(simulation.counts().at("a client ends"), 0u);
}

// What is changed behind the model's back is seen.
struct Damage {
  const char* name;
  void (*inflict)(World&);
};

void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }

EntryId some_entry(World& world) { return world.model.names().begin()->second; }

std::vector<Damage> damages() {
  return {
      {"ABlocksBytes",
       [](World& world) {
         for (const auto& [id, entry] : world.model.entries()) {
           if (entry.data_bytes > 8) world.instance().arena.data()[entry.block.offset] ^= std::byte{1};
         }
       }},
      {"ALease",
       [](World& world) {
         for (const auto& [id, session] : world.model.sessions()) {
           for (const auto& [cell, entry] : session.leases) world.store().session_mapping(id).lease(cell).store(0);
         }
       }},
      {"ACellOfTheIndex",
       [](World& world) {
         const CatalogView& view = world.store().catalog().view();
         Word* const cells = view.index[IndexRoot::unpack(view.root->index.load()).region];
         for (std::uint64_t i = 0; i < view.index_limit; ++i) {
           if (cell_is_entry(cells[i].load())) return cells[i].store(kTombstone);
         }
       }},
      {"TheBeginningsOfAName",
       [](World& world) {
         const CatalogView& view = world.store().catalog().view();
         const unsigned region = IndexRoot::unpack(view.root->index.load()).region;
         // Of all names: one alone may be deleted before anybody compares.
         for (std::uint64_t i = 0; i < view.index_limit; ++i) {
           if (cell_is_entry(view.index[region][i].load())) view.beginnings[region][i].store(0);
         }
       }},
      {"AnEntrysVersion",
       [](World& world) { world.store().catalog().entry(some_entry(world)).generation.fetch_add(2); }},
      {"AnEntrysOwner", [](World& world) { world.store().catalog().entry(some_entry(world)).owner.fetch_add(1); }},
      {"TheNextVersion", [](World& world) { world.store().catalog().root().next_generation.fetch_add(1); }},
      {"AnExtentsRecord",
       [](World& world) {
         world.store().catalog().extent(world.model.extents().begin()->first).bytes.fetch_add(4096);
       }},
      {"AKeptResult",
       [](World& world) {
         for (auto& result : world.store().catalog().session(0).window) result.value.fetch_add(2);
         for (auto& result : world.store().catalog().session(1).window) result.value.fetch_add(2);
       }},
      {"AnEvent", [](World& world) { append_event(world.store().catalog().events(), EventType::kDelete, 1, "never"); }},
      {"AStraySegment",
       [](World& world) {
         world.kernel.shm_bytes = std::uint64_t{64} << 20;
         SessionSegment::create(world.store().name(), 1, world.store().catalog().segment().instance());
       }},
  };
}

class SimulationDamage : public testing::TestWithParam<Damage> {};

TEST_P(SimulationDamage, IsSeen) {
  Simulation simulation(5);
  simulation.run(3'000);
  ASSERT_TRUE(simulation.world().has_broker());
  ASSERT_FALSE(simulation.world().model.names().empty());
  GetParam().inflict(simulation.world());
  EXPECT_THROW(simulation.run(200), Violation);
}

INSTANTIATE_TEST_SUITE_P(Simulation, SimulationDamage, testing::ValuesIn(damages()),
                         [](const auto& damage) { return damage.param.name; });

}  // namespace
}  // namespace tensorbroker::simulation
