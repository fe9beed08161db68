#include "client/received_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <deque>

#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

int make_file() { return memfd_create("received", MFD_CLOEXEC); }
bool is_open(int fd) { return fcntl(fd, F_GETFD) != -1; }

// A client is connected: so what is to be done at a fork is done.
class ReceivedFileTest : public WithBroker {
 protected:
  ReceivedFileTest() {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()), 0);
    const int file = make_file();
    send(file);
    close(file);
    char byte = 0;
    EXPECT_EQ(receive(ends_[1], &byte, 1, &files_), 1);
    EXPECT_EQ(files_.size(), 1U);
  }
  ~ReceivedFileTest() override {
    for (const int end : ends_) close(end);
  }

  void send(int file) const {
    char byte = 'x';
    iovec part{&byte, 1};
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof file)> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof file);
    std::memcpy(CMSG_DATA(header), &file, sizeof file);
    EXPECT_EQ(sendmsg(ends_[0], &message, 0), 1);
  }

  std::array<int, 2> ends_{};
  std::deque<ReceivedFile> files_;
};

TEST_F(ReceivedFileTest, IsClosedAtItsEnd) {
  const int fd = files_[0].fd();
  ASSERT_TRUE(is_open(fd));
  files_.clear();
  EXPECT_FALSE(is_open(fd));
}

// Its copy would keep a lock that says that the parent lives.
TEST_F(ReceivedFileTest, AForkedChildClosesItsParents) {
  const int fd = files_[0].fd();
  const pid_t child = fork();
  if (child == 0) _exit(!is_open(fd) && files_[0].fd() == -1 ? 0 : 1);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(files_[0].fd(), fd) << "the parent's stays";
}

TEST_F(ReceivedFileTest, WhatTheUserOpenedInItsPlaceIsLeftAlone) {
  const int fd = files_[0].fd();
  const int other = make_file();
  ASSERT_EQ(dup3(other, fd, O_CLOEXEC), fd);
  EXPECT_EQ(files_[0].fd(), -1);
  files_.clear();
  EXPECT_TRUE(is_open(fd));
  close(fd);
  close(other);
}

}  // namespace
}  // namespace tensorbroker
