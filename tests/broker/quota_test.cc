// What counts against whom, and the limits: charged before it is allocated, and no longer than it is there.

#include <sys/mman.h>

#include <cstdlib>

#include "store_fixture.h"

namespace tensorbroker::broker {
namespace {

class QuotaTest : public StoreTest {
 protected:
  void create_with(const Quotas& limits, std::uint64_t session_limit = 0, std::uint64_t user_limit = 0) {
    create(CatalogOptions{
        .capacity = 64 * kMiB, .session_limit = session_limit, .user_limit = user_limit, .quotas = limits});
  }
  std::uint64_t put_empty(std::uint64_t session, std::string_view name) { return publish(session, name, 0, 0); }
  // The error's text; "" where there is none.
  template <class Call>
  static std::string refusal(Call call) {
    try {
      call();
    } catch (const QuotaError& e) {
      return e.what();
    }
    return "";
  }
};

TEST_F(QuotaTest, TensorsOfASession) {
  create_with({.session_tensors = 3});
  const std::uint64_t greedy = connect();
  const std::uint64_t other = connect();
  for (const char* name : {"a", "b", "c"}) put_empty(greedy, name);
  const std::string text = refusal([&] { put_empty(greedy, "d"); });
  EXPECT_NE(text.find("uses 3 of its limit of 3"), std::string::npos) << text;
  EXPECT_NE(text.find("--session-tensors"), std::string::npos) << text;
  EXPECT_NE(refusal([&] { put_empty(greedy, ""); }), "") << "anonymous ones count";
  EXPECT_NO_THROW(put_empty(greedy, "a")) << "replacing takes no more";
  EXPECT_NO_THROW(put_empty(other, "e"));
  remove(greedy, "a");
  EXPECT_NO_THROW(put_empty(greedy, "d")) << "what nobody holds is reclaimed first";
  EXPECT_EQ(store->charged_to(greedy).tensors, 3);
}

TEST_F(QuotaTest, TensorsOfAUserOutliveTheirSession) {
  create_with({.user_tensors = 2});
  const std::uint64_t first = connect();
  put_empty(first, "a");
  put_empty(first, "b");
  store->remove_session(first);
  const std::uint64_t second = connect();
  const std::string text = refusal([&] { put_empty(second, "c"); });
  EXPECT_NE(text.find("user 1000 uses 2 of its limit of 2"), std::string::npos) << text;
  EXPECT_NE(text.find("--user-tensors"), std::string::npos) << text;
  const std::uint64_t other_user = store->add_session(1001, 43);
  EXPECT_NO_THROW(put_empty(other_user, "c"));
  remove(second, "a");
  EXPECT_NO_THROW(put_empty(second, "d"));
}

TEST_F(QuotaTest, SessionsOfAUser) {
  create_with({.user_sessions = 2});
  const std::uint64_t first = connect();
  store->add_session(1000, 42, first);
  const std::string text = refusal([&] { connect(); });
  EXPECT_NE(text.find("has 2 sessions, as many as its limit of 2"), std::string::npos) << text;
  EXPECT_NE(text.find("--user-sessions"), std::string::npos) << text;
  EXPECT_NO_THROW(store->add_session(1001, 43));
  store->remove_session(first);
  EXPECT_NO_THROW(connect());
}

TEST_F(QuotaTest, BlocksWhoseExtentWasGivenBackStayCharged) {
  create_with({}, 8 * kMiB);
  const std::uint64_t session = connect();
  for (const char* name : {"a", "b"}) {
    const Granted extent = grant(session, 4 * kMiB);
    publish(session, name, extent.range.offset, 3 * kMiB);
    store->give_back(session, {{extent.extent}});
  }
  EXPECT_GE(store->charged_to(session).bytes, static_cast<std::int64_t>(6 * kMiB));
  EXPECT_NE(refusal([&] { store->begin_grant(session, 4 * kMiB); }), "");
  remove(session, "a");
  store->reclaim();
  EXPECT_NO_THROW(grant(session, 4 * kMiB));
}

TEST_F(QuotaTest, WhatAKilledSessionPublishedIsItsUsersToPay) {
  create_with({}, 0, 8 * kMiB);
  const std::uint64_t first = connect();
  const Granted extent = grant(first, 6 * kMiB);
  publish(first, "a", extent.range.offset, 6 * kMiB);
  store->remove_session(first);
  const std::uint64_t second = connect();
  EXPECT_NE(refusal([&] { store->begin_grant(second, 4 * kMiB); }), "");
  remove(second, "a");
  store->reclaim();
  EXPECT_NO_THROW(grant(second, 8 * kMiB));
}

TEST_F(QuotaTest, WhatOneSessionAloneKeepsIsItsToPay) {
  create_with({}, 8 * kMiB);
  const std::uint64_t publisher = connect();
  const std::uint64_t reader = connect();
  const Granted extent = grant(publisher, 6 * kMiB);
  publish(publisher, "a", extent.range.offset, 6 * kMiB);
  get(reader, "a", 0);
  EXPECT_LT(store->charged_to(reader).bytes, static_cast<std::int64_t>(kMiB)) << "it is there for all";
  remove(publisher, "a");
  store->reclaim();
  EXPECT_EQ(store->charged_to(reader).bytes, static_cast<std::int64_t>(6 * kMiB));
  EXPECT_LT(store->charged_to(publisher).bytes, static_cast<std::int64_t>(kMiB));
  EXPECT_NE(refusal([&] { store->begin_grant(reader, 4 * kMiB); }), "");
  EXPECT_NO_THROW(grant(publisher, 4 * kMiB));
  let_go(reader, 0);
  store->reclaim();
  EXPECT_EQ(store->charged_to(reader).bytes, 0);
}

TEST_F(QuotaTest, HeadersAndLeaseTablesAreCharged) {
  create_with({}, kMiB);
  const std::uint64_t session = connect();
  put_empty(session, "a");
  const std::int64_t header = store->charged_to(session).bytes;
  EXPECT_GT(header, 0);
  store->grow_leases(session, 2 * kInitialLeases);
  EXPECT_EQ(store->charged_to(session).bytes, header + static_cast<std::int64_t>(kInitialLeases * sizeof(Word)));
  EXPECT_NE(refusal([&] { store->grow_leases(session, kLeasesLimit); }), "");
  for (int i = 0; i < 20'000; ++i) {
    if (const std::string text = refusal([&] { put_empty(session, "t" + std::to_string(i)); }); !text.empty()) {
      EXPECT_NE(text.find("--session-limit"), std::string::npos) << text;
      return;
    }
  }
  ADD_FAILURE() << "headers without end";
}

TEST_F(QuotaTest, AnHeirHasRoomForItsParentsLeasesWhateverFails) {
  constexpr std::uint64_t kTable = kInitialLeases * sizeof(Word);
  create_with({}, 0, kTable + kTable / 2);  // enough for one of the two
  const std::uint64_t parent = connect();
  const std::uint64_t heir = store->add_session(1000, 42, parent);
  EXPECT_NE(refusal([&] { store->grow_leases(parent, 2 * kInitialLeases); }), "");
  const auto cells = [&](std::uint64_t session) {
    return store->session_mapping(session).control().leases_committed.load();
  };
  EXPECT_EQ(cells(parent), kInitialLeases);
  EXPECT_GE(cells(heir), cells(parent));
}

TEST_F(QuotaTest, ASuccessorChargesTheSame) {
  create_with({}, 32 * kMiB);
  const std::uint64_t living = connect();
  const std::uint64_t dying = connect();
  const Granted extent = grant(living, 4 * kMiB);
  publish(living, "a", extent.range.offset, 3 * kMiB);
  store->give_back(living, {{extent.extent}});
  put_empty(dying, "b");
  store->grow_leases(living, 2 * kInitialLeases);
  const Use before = store->charged_to(living);
  kill_broker();
  ASSERT_TRUE(adopt({dying}));
  EXPECT_EQ(store->charged_to(living).bytes, before.bytes);
  EXPECT_EQ(store->charged_to(living).tensors, 1);
  remove(living, "a");
  remove(living, "b");
  store->remove_session(living);
  EXPECT_EQ(store->statistics().used, 0u);
}

TEST_F(QuotaTest, PinsAndExtentsOfOneSessionAreAPartOfTheTables) {
  create_with({});
  const std::uint64_t greedy = connect();
  const std::uint64_t other = connect();
  put_empty(greedy, "a");
  const EntryId entry = get(greedy, "a", 0);
  const std::uint64_t version = generation(entry);
  for (std::uint64_t token = 1; token <= Store::kMaxPins; ++token) store->send(entry, version, token, greedy);
  EXPECT_NE(refusal([&] { store->send(entry, version, Store::kMaxPins + 1, greedy); }), "");
  EXPECT_NE(refusal([&] { store->pin_name(greedy, "a"); }), "");
  EXPECT_NO_THROW(store->pin_name(other, "a"));
  store->receive(other, entry, version, 1);
  EXPECT_NO_THROW(store->pin_name(greedy, "a")) << "what was received is no longer the sender's";
}

TEST_F(QuotaTest, HalfOfTheExtentsAreTheMostOfOneSession) {
  create(CatalogOptions{.capacity = 256 * kMiB});
  const std::uint64_t greedy = connect();
  const std::uint64_t other = connect();
  const std::uint32_t most = store->catalog().tables().extents_limit() / 2;
  const auto grant_unreserved = [this](std::uint64_t session) {
    return store->finish_grant(store->begin_grant(session, kPageSize)).extent;
  };
  std::uint32_t last = 0;
  for (std::uint32_t i = 0; i < most; ++i) last = grant_unreserved(greedy);
  const std::string text = refusal([&] { grant_unreserved(greedy); });
  EXPECT_NE(text.find("has " + std::to_string(most) + " extents of its limit of " + std::to_string(most)),
            std::string::npos)
      << text;
  EXPECT_NO_THROW(grant_unreserved(other));
  store->give_back(greedy, {{last}});
  EXPECT_NO_THROW(grant_unreserved(greedy));
  EXPECT_NE(refusal([&] { grant_unreserved(greedy); }), "");
}

TEST_F(QuotaTest, HalfOfTheEntriesBeyondAllNamesAreTheMostOfOneSession) {
  create(CatalogOptions{.capacity = kMiB, .max_tensors = 10});
  const std::uint64_t greedy = connect();
  const std::uint64_t other = connect();
  const std::uint32_t most = 10 + (store->catalog().tables().entries_limit() - 10) / 2;
  ASSERT_GE(store->grow_leases(greedy, most), most);
  SessionSegment& segment = store->session_mapping(greedy);
  segment.control().lease_high_water.store(most);
  const std::vector<std::byte> header = bytes_header(0);
  const auto publish_anonymous = [&](std::uint64_t session, std::uint32_t cell) {
    const EntryId entry = spare(session);
    if (session == greedy) segment.lease(cell).store(lease_of(entry));
    store->publish(session, next_sequence++, {.entry = entry, .header = header});
  };
  for (std::uint32_t i = 0; i < most; ++i) publish_anonymous(greedy, i);
  const std::string text = refusal([&] { put_empty(greedy, ""); });
  EXPECT_NE(text.find("uses " + std::to_string(most) + " of its limit of " + std::to_string(most)), std::string::npos)
      << text;
  EXPECT_NE(text.find("--max-tensors"), std::string::npos) << text;
  EXPECT_NO_THROW(publish_anonymous(other, 0));
  EXPECT_NO_THROW(put_empty(other, "a"));
  segment.lease(0).store(0);
  EXPECT_NO_THROW(put_empty(greedy, "")) << "what nobody holds is reclaimed first";
}

TEST_F(QuotaTest, FarFromItsLimitsNobodysLeasesAreRead) {
  create_with({.session_tensors = 100, .user_tensors = 100}, 8 * kMiB, 8 * kMiB);
  const std::uint64_t publisher = connect();
  const std::uint64_t reader = connect();
  const Granted extent = grant(publisher, kMiB);
  publish(publisher, "a", extent.range.offset, kMiB);
  get(reader, "a", 0);
  remove(publisher, "a");
  ASSERT_EQ(store->retired_entries(), 1u);
  Word* const leases = &store->session_mapping(reader).lease(0);
  ASSERT_EQ(mprotect(leases, kPageSize, PROT_NONE), 0);
  EXPECT_EXIT(
      {
        put_empty(publisher, "b");
        std::_Exit(0);
      },
      testing::ExitedWithCode(0), "");
  mprotect(leases, kPageSize, PROT_READ | PROT_WRITE);
}

}  // namespace
}  // namespace tensorbroker::broker
