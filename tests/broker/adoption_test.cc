// A broker is killed at any moment; its successor finds everything where it lies.

#include <sys/resource.h>

#include <filesystem>
#include <map>
#include <random>

#include "broker/name_index.h"
#include "broker/publication.h"
#include "proto/name.h"
#include "proto/name_beginnings.h"
#include "store_fixture.h"

namespace tensorbroker::broker {
namespace {

class AdoptionTest : public StoreTest {
 protected:
  Word& state(std::uint64_t session, const Granted& extent) {
    return store->session_mapping(session).extent_state(extent.slot);
  }
};

TEST_F(AdoptionTest, NothingToAdopt) {
  EXPECT_FALSE(adopt());
  EXPECT_TRUE(segments().empty());
}

TEST_F(AdoptionTest, EveryTensorIsThereByteForByteAndWritersGoOn) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, 8 * kMiB);
  std::map<std::string, std::uint64_t> versions;
  for (int i = 0; i < 50; ++i) {
    const std::string name = "t" + std::to_string(i);
    versions[name] = publish(session, name, extent.range.offset + static_cast<std::uint64_t>(i) * 128, 128, i + 1);
  }
  publish(session, "large", extent.range.offset + kMiB, kMiB, 99);
  const Statistics before = store->statistics();
  kill_broker();
  ASSERT_TRUE(adopt());
  for (int i = 0; i < 50; ++i) {
    const std::string name = "t" + std::to_string(i);
    const EntryId entry = get(session, name, 0);
    ASSERT_NE(entry, kNoEntry) << name;
    EXPECT_EQ(generation(entry), versions[name]);
    EXPECT_TRUE(holds(entry, 128, i + 1));
    EXPECT_EQ(store->catalog().record(entry).name, name);
    let_go(session, 0);
  }
  EXPECT_TRUE(holds(get(session, "large", 0), kMiB, 99));
  const Statistics after = store->statistics();
  EXPECT_EQ(after.used, before.used);
  EXPECT_EQ(after.live, before.live);
  EXPECT_EQ(after.tensors, before.tensors);
  EXPECT_EQ(store->session_info(session).charged, extent.range.bytes);
  EXPECT_GT(publish(session, "t0", extent.range.offset + 4 * kMiB, 64), versions["t49"]);
  EXPECT_THROW(publish(session, "x", extent.range.offset, 64), InvalidArgumentError) << "t0's old block is its owner's";
}

TEST_F(AdoptionTest, LimitsThatASuccessorWasToldAreKeptByTheNextOne) {
  create(64 * kMiB);
  kill_broker();
  ASSERT_TRUE(adopt());
  CatalogOptions limits = store->options();
  limits.capacity = 32 * kMiB;
  limits.session_limit = 3 * kMiB;
  limits.user_limit = 5 * kMiB;
  limits.idle_exit_seconds = 7.5;
  limits.prepared = 2 * kMiB;
  limits.quotas = {.session_tensors = 1,
                   .user_tensors = 2,
                   .user_sessions = 3,
                   .user_connections = 4,
                   .process_connections = 5,
                   .patience_seconds = 0.0001};
  store->set_limits(limits);
  kill_broker();
  ASSERT_TRUE(adopt());
  EXPECT_EQ(store->options().capacity, 32 * kMiB);
  EXPECT_EQ(store->options().session_limit, 3 * kMiB);
  EXPECT_EQ(store->options().user_limit, 5 * kMiB);
  EXPECT_EQ(store->options().idle_exit_seconds, 7.5);
  EXPECT_EQ(store->options().prepared, 2 * kMiB);
  const Quotas& quotas = store->options().quotas;
  EXPECT_EQ(quotas.session_tensors, 1u);
  EXPECT_EQ(quotas.user_tensors, 2u);
  EXPECT_EQ(quotas.user_sessions, 3u);
  EXPECT_EQ(quotas.user_connections, 4u);
  EXPECT_EQ(quotas.process_connections, 5u);
  EXPECT_EQ(quotas.patience_seconds, 0.001) << "a time is kept in milliseconds, and 0 would be without end";
}

TEST_F(AdoptionTest, RetiredEntriesThatAreLeasedStayAndTheOthersGo) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, kMiB);
  publish(session, "held", extent.range.offset, 64, 1);
  publish(session, "loose", extent.range.offset + 64, 64, 2);
  const EntryId held = get(session, "held", 0);
  const EntryId loose = get(session, "loose", 1);
  remove(session, "held");
  remove(session, "loose");
  let_go(session, 1);
  kill_broker();  // before a pass could free anything
  ASSERT_TRUE(adopt());
  EXPECT_EQ(store->retired_entries(), 1u);
  EXPECT_TRUE(holds(held, 64, 1));
  EXPECT_EQ(EntryState::unpack(store->catalog().entry(loose).state.load()).phase, EntryPhase::kFree);
  EXPECT_EQ(store->session_mapping(session).control().returns_head.load(), 1u);
  let_go(session, 0);
  store->reclaim_if_due();
  EXPECT_EQ(store->retired_entries(), 0u);
  EXPECT_EQ(store->session_mapping(session).control().returns_head.load(), 2u);
}

TEST_F(AdoptionTest, BlockReturnedBeforeTheCrashIsNotReturnedAgain) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, kMiB);
  const std::uint64_t version = publish(session, "a", extent.range.offset, 64);
  const EntryId entry = get(session, "a", 0);
  remove(session, "a");
  let_go(session, 0);
  SessionSegment& segment = store->session_mapping(session);
  segment.block_return(0).block_offset.store(extent.range.offset);
  segment.block_return(0).generation.store(tensorbroker::retired(version));
  segment.control().returns_head.store(1);  // and then it was killed, before the entry was freed
  kill_broker();
  ASSERT_TRUE(adopt());
  EXPECT_EQ(store->session_mapping(session).control().returns_head.load(), 1u);
  EXPECT_EQ(EntryState::unpack(store->catalog().entry(entry).state.load()).phase, EntryPhase::kFree);
}

TEST_F(AdoptionTest, WhatTheDeadHeldIsFree) {
  create();
  const std::uint64_t living = connect();
  const std::uint64_t dead = connect();
  const Granted kept = grant(living, kMiB);
  const Granted lost = grant(dead, 2 * kMiB);
  const EntryId kept_spare = spare(living);
  const EntryId lost_spare = spare(dead);
  publish(dead, "survivor", lost.range.offset + kPageSize, 64, 7);
  const EntryId leased = [&] {
    publish(living, "retired", kept.range.offset, 64);
    const EntryId id = get(dead, "retired", 0);
    remove(living, "retired");
    return id;
  }();
  store->pin_name(dead, "survivor");
  kill_broker();
  ASSERT_TRUE(adopt({dead}));
  EXPECT_FALSE(store->has_session(dead));
  EXPECT_TRUE(store->has_session(living));
  EXPECT_FALSE(store->next_pin_deadline().has_value());
  const auto phase = [&](EntryId id) { return EntryState::unpack(store->catalog().entry(id).state.load()).phase; };
  EXPECT_EQ(phase(leased), EntryPhase::kFree);
  EXPECT_EQ(phase(lost_spare), EntryPhase::kFree);
  EXPECT_EQ(phase(kept_spare), EntryPhase::kSpare);
  EXPECT_EQ(store->catalog().extent(lost.extent).owner.load(), 0u);
  EXPECT_EQ(store->catalog().extent(kept.extent).owner.load(), living);
  EXPECT_EQ(store->statistics().used, kMiB + kPageSize);
  EXPECT_TRUE(holds(get(living, "survivor", 0), 64, 7));
  EXPECT_EQ(segments().size(), 3u) << "catalog, arena, one session";
  // No later grant touches the survivor's page.
  const Granted large = grant(living, 60 * kMiB);
  const Range survivor{lost.range.offset + kPageSize, kPageSize};
  EXPECT_TRUE(large.range.end() <= survivor.offset || survivor.end() <= large.range.offset);
}

TEST_F(AdoptionTest, UntakenHeirLivesWithItsParentAndDiesWithIt) {
  create();
  const std::uint64_t parent = connect();
  const std::uint64_t heir = store->add_session(1000, 42, parent);
  EXPECT_EQ(store->heirs_of(parent), std::vector<std::uint64_t>{heir});
  kill_broker();
  ASSERT_TRUE(adopt({heir}));  // nobody locks it yet
  EXPECT_TRUE(store->has_session(heir));
  kill_broker();
  ASSERT_TRUE(adopt({parent, heir}));
  EXPECT_TRUE(store->sessions().empty());
}

TEST_F(AdoptionTest, HeirTakenOverOutlivesItsParent) {
  create();
  const std::uint64_t parent = connect();
  const std::uint64_t heir = store->add_session(1000, 42, parent);
  store->promote_heir(heir, 77);
  kill_broker();
  ASSERT_TRUE(adopt({parent}));
  EXPECT_EQ(store->sessions(), std::vector<std::uint64_t>{heir});
  EXPECT_EQ(store->session_info(heir).pid, 77);
  EXPECT_EQ(store->session_info(heir).parent, 0u);
}

TEST_F(AdoptionTest, PagesAreGrantedWhileTheOthersArePunched) {
  create(16 * kMiB);
  const std::uint64_t session = connect();
  kill_broker();
  ASSERT_TRUE(adopt());
  const std::vector<Range> punching = store->take_punch_work();
  EXPECT_FALSE(punching.empty());
  EXPECT_NO_THROW(grant(session, 16 * kMiB));
  store->punched(punching);
}

TEST_F(AdoptionTest, IdsAndGenerationsAreNeverUsedTwice) {
  create();
  const std::uint64_t first = connect();
  const Granted extent = grant(first, kMiB);
  const std::uint64_t version = publish(first, "a", extent.range.offset, 64);
  kill_broker();
  ASSERT_TRUE(adopt({first}));
  const std::uint64_t second = connect();
  EXPECT_GT(second, first);
  const Granted next = grant(second, kMiB);
  EXPECT_GT(publish(second, "a", next.range.offset, 64), version);
}

TEST_F(AdoptionTest, TakenExtentStaysTaken) {
  create();
  const std::uint64_t session = connect();
  const std::uint64_t other = connect();
  const Granted extent = grant(session, 4 * kMiB);
  state(session, extent).store(static_cast<std::uint64_t>(ExtentState::kTaken));
  kill_broker();
  ASSERT_TRUE(adopt());
  EXPECT_EQ(store->statistics().used, 0u);
  EXPECT_THROW(publish(session, "a", extent.range.offset, 64), InvalidArgumentError);
  const Granted large = grant(other, 60 * kMiB);
  EXPECT_TRUE(large.range.end() <= extent.range.offset || extent.range.end() <= large.range.offset);
  store->give_back(session, {{extent.extent}});
  EXPECT_EQ(store->session_info(session).charged, 0u);
}

TEST_F(AdoptionTest, RepeatedRequestAfterTheCrashGetsItsFirstResult) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, kMiB);
  const std::uint64_t version = publish(session, "a", extent.range.offset, 64);
  const std::uint64_t sequence = next_sequence - 1;
  publish(session, "a", extent.range.offset + 64, 64);
  kill_broker();
  ASSERT_TRUE(adopt());
  EXPECT_EQ(store->publish(session, sequence, {.entry = 0, .name = "a"}), version);
}

TEST_F(AdoptionTest, ReconnectingClientKeepsWhatItLists) {
  create();
  const std::uint64_t session = connect();
  const Granted listed = grant(session, kMiB);
  const Granted forgotten = grant(session, kMiB);
  const std::vector<EntryId> spares = store->grant_spares(session, 2);
  const std::uint64_t stranger = connect();
  const Granted foreign = grant(stranger, kMiB);
  kill_broker();
  ASSERT_TRUE(adopt());
  EXPECT_THROW(store->reconcile(session, {{listed.extent, foreign.extent}}, {}), RuntimeError);
  EXPECT_EQ(store->session_info(session).charged, 2 * kMiB) << "a refusal frees nothing";
  store->reconcile(session, {{listed.extent}}, {{spares[0]}});
  EXPECT_EQ(store->session_info(session).charged, kMiB);
  EXPECT_EQ(store->catalog().extent(forgotten.extent).owner.load(), 0u);
  EXPECT_NO_THROW(publish(session, "a", listed.range.offset, 64));
}

TEST_F(AdoptionTest, SpareOfAnUnansweredPublicationIsStillASpare) {
  create();
  const std::uint64_t session = connect();
  const EntryId entry = spare(session);
  // All of the entry was filled, and then the broker was killed: the intent is not written.
  fill_spare(store->catalog().entry(entry), {.name_hash = hash_name("a"), .header = {64 * 100, 500}, .state = {}});
  kill_broker();
  ASSERT_TRUE(adopt());
  EXPECT_EQ(get(session, "a", 0), kNoEntry);
  const auto header = bytes_header(0);
  EXPECT_NO_THROW(store->publish(session, 1, {.entry = entry, .name = "a", .header = header}));
  EXPECT_NE(get(session, "a", 0), kNoEntry);
}

// Listings go by what is beside a name's cell: a successor does not take it on trust.
TEST_F(AdoptionTest, WhatNamesBeginWithIsMended) {
  create();
  const std::uint64_t session = connect();
  publish(session, "a", 0, 0);
  const std::uint64_t cell = hash_name("a") & (NameIndex::kLeastCells - 1);
  ASSERT_EQ(store->catalog().view().beginnings[0][cell].load(), beginnings_of("a"));
  store->catalog().view().beginnings[0][cell].store(0);
  kill_broker();
  ASSERT_TRUE(adopt());
  EXPECT_EQ(store->catalog().view().beginnings[0][cell].load(), beginnings_of("a"));
}

// The broker is killed right after its point of no return, in the real segments.
TEST_F(AdoptionTest, MutationInProgressIsFinished) {
  create();
  const std::uint64_t session = connect();
  publish(session, "a", 0, 0);
  const EntryId entry = get(session, "a", 0);
  const std::uint64_t version = generation(entry);
  const Catalog& catalog = store->catalog();
  const std::uint64_t hash = hash_name("a");
  const std::uint64_t cell = hash & (NameIndex::kLeastCells - 1);
  ASSERT_EQ(catalog.view().index[0][cell].load(), make_cell(hash, entry));
  write_intent(catalog.root().intent, {.kind = IntentKind::kDelete,
                                       .cell = cell,
                                       .cell_value = kTombstone,
                                       .replaced = entry,
                                       .replaced_generation = version,
                                       .session_slot = 0,
                                       .session = session,
                                       .sequence = 55,
                                       .result = version});
  Word& word = catalog.wait_word(hash);
  const std::uint64_t before = word.load();
  kill_broker();
  ASSERT_TRUE(adopt());
  EXPECT_EQ(get(session, "a", 1), kNoEntry);
  EXPECT_FALSE(is_live(generation(entry)));
  EXPECT_EQ(store->retired_entries(), 1u) << "it is leased";
  EXPECT_EQ(store->statistics().tensors, 0u);
  EXPECT_GT(store->catalog().wait_word(hash).load(), before) << "whoever waits looks again";
  EXPECT_NO_THROW(store->remove(session, 55, "a", version)) << "the repeated request has its result";
}

TEST_F(AdoptionTest, MutationInProgressThatNamesNoRecordIsRefused) {
  create();
  connect();
  store->catalog().root().intent.entry.store(1u << 30);
  store->catalog().root().intent.kind.store(static_cast<std::uint64_t>(IntentKind::kPublish));
  kill_broker();
  EXPECT_FALSE(adopt());
}

TEST_F(AdoptionTest, ClosedInstanceIsEndedForGood) {
  create();
  const std::uint64_t session = connect();
  publish(session, "a", 0, 0);
  store->close_root();
  EXPECT_EQ(store->catalog().root().index.load(), kClosedRoot);
  EXPECT_THROW(connect(), ClosedError);
  kill_broker();
  EXPECT_FALSE(adopt());
  EXPECT_TRUE(segments().empty());
}

TEST_F(AdoptionTest, OrderlyEndLeavesNothing) {
  create();
  const std::uint64_t session = connect();
  const Granted extent = grant(session, kMiB);
  publish(session, "a", extent.range.offset, 64);
  store->close_root();
  store->unlink_all();
  EXPECT_TRUE(segments().empty());
}

TEST_F(AdoptionTest, UnfinishedAndOrphanedSegmentsAreDeleted) {
  create();
  const Catalog unfinished = Catalog::create(name_, 5, InstanceId{}, {.capacity = kMiB, .runtime_dir = {}});
  SessionSegment::create(name_, 6, InstanceId{});
  ASSERT_EQ(segments().size(), 4u);
  kill_broker();
  ASSERT_TRUE(adopt({6}));
  EXPECT_EQ(segments().size(), 2u);
}

TEST_F(AdoptionTest, CatalogOfAnotherLayoutIsRefusedAndKept) {
  create();
  connect();
  const std::size_t before = segments().size();
  auto* version = reinterpret_cast<std::uint32_t*>(store->catalog().segment().data() + 8);
  ++*version;
  kill_broker();
  EXPECT_THROW(adopt(), VersionMismatchError);
  EXPECT_EQ(segments().size(), before);
}

// The last broker was killed after it had removed the parent, and before it made its heir, which a child has taken
// over, a session of its own: a successor that took it for an heir would wait for its parent for ever.
TEST_F(AdoptionTest, AnHeirWhoseParentIsGoneIsASessionOfItsOwn) {
  create();
  const std::uint64_t parent = connect();
  const std::uint64_t heir = store->add_session(1000, 42, parent);
  store->remove_session(parent);
  kill_broker();
  ASSERT_TRUE(adopt());
  EXPECT_EQ(store->session_info(heir).parent, 0u);
  kill_broker();
  ASSERT_TRUE(adopt({heir}));
  EXPECT_FALSE(store->has_session(heir));
}

// What its client leases cannot be known: nothing of the instance may be reused, and its readers are told.
TEST_F(AdoptionTest, AnInstanceWithoutOneOfItsSessionsIsNotAdopted) {
  create();
  const std::uint64_t session = connect();
  const Catalog seen = Catalog::open(name_, store->catalog_id(), Access::kReadOnly);
  kill_broker();
  unlink_segment(name_.segment(SegmentKind::kSession, session));
  EXPECT_FALSE(adopt());
  EXPECT_EQ(seen.root().index.load(), kClosedRoot);
  EXPECT_TRUE(segments().empty());
}

// That a session's segment cannot be opened for want of descriptors says nothing about its client.
TEST_F(AdoptionTest, WithTooFewDescriptorsNoSessionIsGivenUp) {
  create();
  const std::uint64_t session = connect();
  kill_broker();
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  int refused = 0;
  for (rlim_t most = 3; most < 64; ++most) {
    const rlimit few{most, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
    try {
      adopt();
    } catch (const Error&) {
      ++refused;
    }
    setrlimit(RLIMIT_NOFILE, &before);
    if (store) break;
  }
  EXPECT_GT(refused, 1) << "with one descriptor after the other";
  ASSERT_TRUE(store);
  EXPECT_TRUE(store->has_session(session));
}

// A broker killed again and again between random calls is, to its clients, no other than one that lives on.
TEST_F(AdoptionTest, RandomCallsWithRandomKills) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  create(256 * kMiB);
  std::uint64_t writer = connect();
  const std::uint64_t reader = connect();
  constexpr std::uint64_t kBlock = 8192;
  Granted extent = grant(writer, 4 * kMiB);
  std::map<std::string, std::pair<std::uint64_t, int>> expected;  // name -> version, fill
  std::set<std::uint64_t> in_use;                                 // offsets
  std::map<std::uint64_t, std::uint64_t> offset_of;               // retired generation -> offset
  const auto drain = [&] {
    SessionSegment& segment = store->session_mapping(writer);
    for (std::uint64_t n = segment.control().returns_tail.load(); n < segment.control().returns_head.load(); ++n) {
      const auto at = offset_of.find(segment.block_return(n).generation.load());
      ASSERT_NE(at, offset_of.end());
      ASSERT_EQ(at->second, segment.block_return(n).block_offset.load());
      in_use.erase(at->second);
      offset_of.erase(at);
      segment.control().returns_tail.store(n + 1);
    }
  };
  for (int step = 0; step < 4000; ++step) {
    const std::string name = "n" + std::to_string(below(40));
    switch (below(8)) {
      case 0:
      case 1:
      case 2: {
        drain();
        std::uint64_t offset = extent.range.offset;
        while (in_use.contains(offset)) offset += kBlock;
        if (offset == extent.range.end()) break;
        const int fill = static_cast<int>(below(120)) + 1;
        const std::uint64_t version = publish(writer, name, offset, kBlock, fill);
        in_use.insert(offset);
        offset_of[tensorbroker::retired(version)] = offset;
        expected[name] = {version, fill};
        break;
      }
      case 3:
        if (expected.erase(name) > 0) remove(writer, name);
        break;
      case 4:
        let_go(reader, static_cast<std::uint32_t>(below(8)));
        break;
      case 5: {
        const auto cell = static_cast<std::uint32_t>(below(8));
        let_go(reader, cell);
        const EntryId entry = get(reader, name, cell);
        ASSERT_EQ(entry != kNoEntry, expected.contains(name));
        if (entry == kNoEntry) break;
        ASSERT_EQ(generation(entry), expected[name].first);
        ASSERT_TRUE(holds(entry, kBlock, expected[name].second));
        break;
      }
      case 6:
        store->reclaim_if_due();
        break;
      default:
        if (below(10) > 0) break;
        kill_broker();
        ASSERT_TRUE(adopt());
    }
    ASSERT_EQ(store->statistics().tensors, expected.size());
    ASSERT_EQ(store->statistics().live, expected.size() * kBlock);
    ASSERT_EQ(store->statistics().used, extent.range.bytes);
  }
  for (std::uint32_t cell = 0; cell < 8; ++cell) let_go(reader, cell);
  store->reclaim();
  EXPECT_EQ(store->retired_entries(), 0u);
  EXPECT_EQ(store->statistics().retired, 0u);
  drain();
  EXPECT_EQ(in_use.size(), expected.size());
}

}  // namespace
}  // namespace tensorbroker::broker
