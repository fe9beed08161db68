// Too many connections, unfinished ones, and descriptors sent along: what they cost is bounded, and whose they are is
// told why.

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <set>

#include "hostile_test.h"
#include "proto/frame.h"

namespace tensorbroker::test {
namespace {

// As many descriptors as this process may have.
void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::uint64_t most_descriptors() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_max;
}

struct Flood {
  std::vector<std::shared_ptr<Socket>> open;
  std::size_t refused = 0;
  std::set<std::string> said;  // to those
};

class ConnectionLimits : public HostileTest {
 protected:
  // Opens so many connections, all of them kept.
  std::vector<std::shared_ptr<Socket>> open_many(std::size_t count) {
    std::vector<std::shared_ptr<Socket>> sockets;
    while (sockets.size() < count) {
      auto socket = connect();
      if (socket) sockets.push_back(std::move(socket));
      if (!socket && sockets.size() < count && errno == EAGAIN) usleep(1000);  // the broker's queue is full
    }
    return sockets;
  }

  // What became of them, once `expected` were refused.
  static Flood sort(std::vector<std::shared_ptr<Socket>> sockets, std::size_t expected) {
    Flood flood;
    eventually([&] {
      std::erase_if(sockets, [&](const std::shared_ptr<Socket>& socket) {
        pollfd readable{socket->fd(), POLLIN, 0};
        if (poll(&readable, 1, 0) != 1) return false;
        ++flood.refused;
        const auto frame = read_frame(*socket, Limit::in(std::chrono::seconds(1)));
        if (!frame) {
          flood.said.insert("nothing");
        } else {
          const auto reply = std::make_optional(ReplyFrame{*frame, 0, {}});
          EXPECT_EQ(error_of(reply), ErrorCode::kQuota);
          flood.said.insert(text_of(reply));
        }
        return true;
      });
      return flood.refused >= expected;
    });
    flood.open = std::move(sockets);
    return flood;
  }
};

TEST_F(ConnectionLimits, OfTenThousandOfAProcessTheExcessIsRefusedWithItsReason) {
  raise_descriptor_limit();
  if (most_descriptors() < 11'000) GTEST_SKIP() << "needs 11,000 descriptors";
  start({"--client-timeout", "0"});
  const std::size_t before = broker_descriptors();
  {
    const Flood flood = sort(open_many(10'000), 10'000 - 127);
    EXPECT_EQ(flood.open.size(), 127u) << "and the client's own";
    ASSERT_EQ(flood.said.size(), 1u) << *flood.said.begin();
    EXPECT_NE(flood.said.begin()->find("raise --process-connections"), std::string::npos) << *flood.said.begin();
    expect_logged("raise --process-connections");
    expect_others_served();
    EXPECT_LE(broker_descriptors(), before + 127);
  }
  EXPECT_TRUE(eventually([&] { return broker_descriptors() == before; }));
  expect_logged("lines about clients that were refused are left out here");
  expect_reclaimed();
}

TEST_F(ConnectionLimits, AUsersAreCountedTogether) {
  start({"--user-connections", "10", "--process-connections", "0"});
  const Flood flood = sort(open_many(20), 11);
  EXPECT_EQ(flood.open.size(), 9u);
  ASSERT_EQ(flood.said.size(), 1u);
  EXPECT_NE(flood.said.begin()->find("has 10, its limit is 10; close some, or raise --user-connections"),
            std::string::npos)
      << *flood.said.begin();
}

TEST_F(ConnectionLimits, ARefusedClientGetsAQuotaError) {
  start({"--user-connections", "1"});
  client_->close();
  client_.reset();
  std::shared_ptr<Socket> only;
  ASSERT_TRUE(eventually([&] {  // the closed client's place is free
    only = connect();
    const auto welcome = ask(*only, hello());
    return welcome && error_of(welcome) == ErrorCode::kOk;
  }));
  try {
    broker_->connect();
    ADD_FAILURE() << "it was let in";
  } catch (const QuotaError& e) {
    EXPECT_NE(std::string(e.what()).find("raise --user-connections"), std::string::npos) << e.what();
  }
  only.reset();
  EXPECT_TRUE(eventually([&] {
    try {
      client_ = broker_->connect();
    } catch (const QuotaError&) {
    }
    return client_.has_value();
  }));
}

TEST_F(ConnectionLimits, ASilentConnectionCostsLittleMemory) {
  raise_descriptor_limit();
  if (most_descriptors() < 1'500) GTEST_SKIP() << "needs 1,500 descriptors";
  start({"--process-connections", "0", "--max-sessions", "1024"});
  const auto warm = open_many(10);
  const std::uint64_t before = broker_resident_bytes();
  const std::size_t descriptors = broker_descriptors();
  const auto sockets = open_many(300);
  EXPECT_TRUE(eventually([&] { return broker_descriptors() >= descriptors + 300; }));
  EXPECT_LT(broker_resident_bytes() - before, 300u * 16 * 1024);
}

// ---------------------------------------------------------------- time

class Patience : public HostileTest {
 protected:
  static void send_part(const Socket& socket, const Frame& frame, std::size_t bytes) {
    const auto length = static_cast<std::uint32_t>(frame.size());
    Frame all(kFrameLengthBytes + frame.size());
    std::memcpy(all.data(), &length, kFrameLengthBytes);
    std::memcpy(all.data() + kFrameLengthBytes, frame.data(), frame.size());
    send_raw(socket, all.data(), bytes);
  }
  static Frame stats_request() {
    return message(schema::Request::Stats, [](Builder& b) { return schema::CreateStats(b); });
  }
};

TEST_F(Patience, SilenceAndHalfMessagesLoseTheConnection) {
  start({"--client-timeout", "0.3"});
  const RawSession quiet = attach();
  const RawSession half = attach();
  send_part(*half.socket, stats_request(), 3);
  const RawSession half_body = attach();
  send_part(*half_body.socket, stats_request(), 20);
  const auto silent = connect();
  const auto half_hello = connect();
  send_part(*half_hello, hello(), 10);
  const auto never_locked = connect();
  ASSERT_TRUE(ask(*never_locked, hello()));
  for (const auto& socket : {half.socket, half_body.socket, silent, half_hello, never_locked}) {
    EXPECT_TRUE(is_closed(*socket));
  }
  expect_logged("it did not finish its handshake within 300 ms");
  expect_logged("it did not finish a message within 300 ms");
  EXPECT_EQ(error_of(ask(*quiet.socket, stats_request())), ErrorCode::kOk) << "who is quiet keeps its connection";
  EXPECT_TRUE(eventually([&] { return client_->stats().sessions == 4; })) << "and who lives, its session";
}

TEST_F(Patience, BytesThatTrickleInDoNotExtendIt) {
  start({"--client-timeout", "0.3"});
  const auto socket = connect();
  const std::uint32_t length = 1'000'000;
  send_raw(*socket, &length, sizeof length);
  EXPECT_TRUE(eventually([&] {
    send_raw(*socket, "x", 1);
    usleep(20'000);
    pollfd ended{socket->fd(), POLLRDHUP, 0};
    return poll(&ended, 1, 0) == 1;
  }));
  expect_logged("it did not finish its handshake within 300 ms");
}

// ---------------------------------------------------------------- descriptors sent along

class SentDescriptors : public HostileTest {
 protected:
  static void send_with_descriptor(const Socket& socket, int fd) {
    char byte = 1;
    iovec part{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    ASSERT_EQ(sendmsg(socket.fd(), &message, MSG_NOSIGNAL), 1);
  }
};

TEST_F(SentDescriptors, AreClosedAndEndTheConnection) {
  start();
  const std::size_t before = broker_descriptors();
  const RawSession session = attach();
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  send_with_descriptor(*session.socket, ends[1]);
  close(ends[1]);
  EXPECT_TRUE(is_closed(*session.socket));
  pollfd ended{ends[0], POLLIN, 0};
  EXPECT_EQ(poll(&ended, 1, 20'000), 1) << "the broker keeps the pipe open";
  EXPECT_NE(ended.revents & POLLHUP, 0);
  close(ends[0]);
  expect_logged("it sent descriptors along");
  expect_others_served();
  EXPECT_LE(broker_descriptors(), before + 3) << "the session's, its heir's, its process's";
}

}  // namespace
}  // namespace tensorbroker::test
