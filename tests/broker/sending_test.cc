// What is on its way from one process to another: kept by nobody's session, until it is received or a minute went by.

#include <gtest/gtest.h>

#include <ctime>

#include "proto/lease.h"
#include "store_fixture.h"

namespace tensorbroker::broker {
namespace {

constexpr std::uint64_t kToken = 0x1234;
constexpr std::uint64_t kSecond = 1'000'000'000;

std::uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kSecond + static_cast<std::uint64_t>(now.tv_nsec);
}

class Sending : public StoreTest {
 protected:
  // An anonymous tensor of 64 bytes that nothing but `sender`'s lease in cell 0 keeps.
  void make_anonymous() {
    create();
    sender = connect();
    receiver = connect();
    entry = spare(sender);
    const Granted extent = grant(sender, kMiB);
    SessionSegment& segment = store->session_mapping(sender);
    segment.control().lease_high_water.store(1);
    store_lease(segment.lease(0), entry);
    const auto header = bytes_header(64);
    version = store->publish(
        sender, next_sequence++,
        {.entry = entry, .name = {}, .header = header, .block_offset = extent.range.offset, .block_bytes = 64});
  }

  std::uint64_t sender = 0;
  std::uint64_t receiver = 0;
  EntryId entry = kNoEntry;
  std::uint64_t version = 0;
};

TEST_F(Sending, SurvivesItsSenderUntilItIsReceived) {
  make_anonymous();
  store->send(entry, version, kToken, sender);
  store->remove_session(sender);
  EXPECT_EQ(store->reclaim(), 0u);
  EXPECT_EQ(store->statistics().sent, 1u);
  EXPECT_EQ(store->receive(receiver, entry, version, kToken).generation, version);
  EXPECT_EQ(store->statistics().sent, 0u);
  EXPECT_EQ(store->statistics().pins, 1u);
  EXPECT_EQ(store->reclaim(), 0u);  // now kept for the receiver, which is about to lease it
  store->unpin(receiver, entry, version);
  EXPECT_EQ(store->reclaim(), 1u);
  EXPECT_THROW(store->receive(receiver, entry, version, kToken), NotFoundError);
  EXPECT_FALSE(store->next_pin_deadline().has_value());
}

TEST_F(Sending, IsKeptOnceForEachTimeItWasSent) {
  make_anonymous();
  store->send(entry, version, kToken, sender);
  store->send(entry, version, kToken + 1, sender);
  store->remove_session(sender);
  store->receive(receiver, entry, version, kToken);
  store->unpin(receiver, entry, version);
  EXPECT_EQ(store->reclaim(), 0u);
  store->receive(receiver, entry, version, kToken + 1);
  store->unpin(receiver, entry, version);
  EXPECT_EQ(store->reclaim(), 1u);
}

TEST_F(Sending, ARepeatedRequestTakesEffectOnce) {
  make_anonymous();
  store->send(entry, version, kToken, sender);
  store->send(entry, version, kToken, sender);
  store->send(entry, version, kToken + 1, sender);
  store->remove_session(sender);
  store->receive(receiver, entry, version, kToken);
  store->receive(receiver, entry, version, kToken);
  store->unpin(receiver, entry, version);
  store->unpin(receiver, entry, version);
  EXPECT_EQ(store->reclaim(), 0u);  // what was sent with the other token was not received
}

TEST_F(Sending, SurvivesTheBrokerToo) {
  make_anonymous();
  store->send(entry, version, kToken, sender);
  kill_broker();
  ASSERT_TRUE(adopt({sender}));
  EXPECT_EQ(store->reclaim(), 0u);
  EXPECT_EQ(store->receive(receiver, entry, version, kToken).entry, entry);
  store->unpin(receiver, entry, version);
  EXPECT_EQ(store->reclaim(), 1u);
}

TEST_F(Sending, EndsAfterAMinute) {
  make_anonymous();
  store->send(entry, version, kToken, sender);
  const std::uint64_t left = store->next_pin_deadline().value() - now_ns();
  EXPECT_GT(left, 50 * kSecond);
  EXPECT_LE(left, 60 * kSecond);
  // Its minute passes while no broker is there.
  Catalog catalog = Catalog::open(name_, store->catalog_id(), Access::kReadWrite);
  kill_broker();
  catalog.pin(0).deadline_ns.store(1);
  ASSERT_TRUE(adopt({sender}));
  EXPECT_EQ(store->retired_entries(), 0u);
  EXPECT_THROW(store->receive(receiver, entry, version, kToken), NotFoundError);
}

// The timer waits for the next pin's end by then: nobody else would look.
TEST_F(Sending, WhatRanOutIsFreedThoughAnotherRequestSawItFirst) {
  make_anonymous();
  publish(receiver, "other", 0, 0);
  const EntryId other = get(receiver, "other", 0);
  store->send(entry, version, kToken, sender);
  Catalog catalog = Catalog::open(name_, store->catalog_id(), Access::kReadWrite);
  kill_broker();
  catalog.pin(0).deadline_ns.store(now_ns() + kSecond / 2);
  ASSERT_TRUE(adopt({sender}));
  ASSERT_EQ(store->retired_entries(), 1u);
  while (now_ns() < store->next_pin_deadline().value()) {
  }
  store->send(other, generation(other), kToken + 1, receiver);
  store->reclaim_if_due();
  EXPECT_EQ(store->retired_entries(), 0u);
}

TEST_F(Sending, RefusesWhatIsNotThere) {
  make_anonymous();
  EXPECT_THROW(store->send(entry, version, 0, sender), InvalidArgumentError);
  EXPECT_THROW(store->send(entry, version + 2, kToken, sender), NotFoundError);
  EXPECT_THROW(store->send(~EntryId{0}, version, kToken, sender), NotFoundError);
  EXPECT_FALSE(store->next_pin_deadline().has_value());
}

TEST_F(Sending, AFullTableIsAnErrorOfTheSenderAndNotOfTheReceiver) {
  make_anonymous();
  const std::uint32_t limit = store->catalog().tables().pins_limit();
  for (std::uint64_t token = 1; token <= limit; ++token)
    store->send(entry, version, token, token / Store::kMaxPins + 1);
  EXPECT_THROW(store->send(entry, version, limit + 1, limit), OutOfMemoryError);
  EXPECT_THROW(store->pin_entry(receiver, entry, version), OutOfMemoryError);
  EXPECT_EQ(store->receive(receiver, entry, version, 1).entry, entry);
  store->unpin(receiver, entry, version);
  store->send(entry, version, limit + 1, limit);
}

}  // namespace
}  // namespace tensorbroker::broker
