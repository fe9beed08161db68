// Turns: one connection's flood does not keep another one from being heard.

#include "broker/connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstring>
#include <string>

#include "proto/frame.h"

namespace tensorbroker::broker {
namespace {

// Notes what it hears, and takes the whole turn for each frame; `calls`: how often one frame is handled until its end.
class Listener : public ChannelHandler {
 public:
  Listener(char name, std::string& heard, int calls) : name_(name), heard_(heard), calls_(calls) {}

  bool on_frame(std::span<const std::byte>, Deadline turn_ends) override {
    while (Deadline::clock::now() < turn_ends) {
    }
    heard_ += name_;
    if (++called_ < calls_) return false;
    called_ = 0;
    return true;
  }
  bool greeted() const noexcept override { return true; }
  void on_closed() override {}

 private:
  char name_;
  std::string& heard_;
  int calls_;
  int called_ = 0;
};

class ConnectionTest : public testing::Test {
 protected:
  ~ConnectionTest() override {
    for (const int fd : peers_) ::close(fd);
  }

  // A connection whose peer has sent so many frames already.
  void add(char name, int frames, int calls = 1, pid_t pid = 1) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    peers_.push_back(ends[1]);
    Connection::Socket socket(loop_.context());
    socket.assign(boost::asio::local::stream_protocol(), ends[0]);
    const auto connection = std::make_shared<Connection>(loop_, turns_, std::move(socket), Peer{.pid = pid, .uid = 0},
                                                         nullptr, std::chrono::seconds(0));
    connection->start(std::make_shared<Listener>(name, heard_, calls));
    const std::uint32_t length = 8;
    for (int i = 0; i < frames; ++i) {
      char frame[kFrameLengthBytes + 8] = {};
      std::memcpy(frame, &length, sizeof length);
      ASSERT_EQ(send(ends[1], frame, sizeof frame, MSG_NOSIGNAL), static_cast<ssize_t>(sizeof frame));
    }
  }
  // Runs the loop until so much was heard.
  void run_until_heard(std::size_t count) {
    watch(count);
    loop_.run();
  }

 private:
  void watch(std::size_t count) {
    if (heard_.size() >= count) return loop_.stop();
    loop_.post([this, count] { watch(count); });
  }

 protected:
  EventLoop loop_;
  Turns turns_{loop_};
  std::string heard_;
  std::vector<int> peers_;
};

TEST_F(ConnectionTest, AFloodLeavesTheOthersTheirTurns) {
  add('f', 200);
  add('a', 1);
  add('b', 2);
  run_until_heard(203);
  EXPECT_LT(heard_.find('a'), 8u) << heard_;
  EXPECT_LT(heard_.rfind('b'), 16u) << heard_;
  EXPECT_EQ(std::count(heard_.begin(), heard_.end(), 'f'), 200);
}

TEST_F(ConnectionTest, AMessageThatTakesLongIsHandledInTurns) {
  add('f', 1, 100);
  add('a', 1);
  run_until_heard(101);
  EXPECT_LT(heard_.find('a'), 8u) << heard_;
  EXPECT_EQ(std::count(heard_.begin(), heard_.end(), 'f'), 100);
}

TEST_F(ConnectionTest, ManyConnectionsOfAProcessHaveTheTurnsOfOne) {
  for (int i = 0; i < 50; ++i) add('f', 4);
  add('a', 20, 1, 2);
  run_until_heard(220);
  EXPECT_LT(heard_.rfind('a'), 150u) << heard_;
}

}  // namespace
}  // namespace tensorbroker::broker
