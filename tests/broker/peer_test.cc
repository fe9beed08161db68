#include "broker/peer.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <numeric>
#include <string>
#include <vector>

#include "client/socket.h"
#include "tests/support/other_user.h"

namespace tensorbroker::broker {
namespace {

constexpr uid_t kOwner = 65534;
constexpr gid_t kGroup = 60123;

// Listens where everybody can connect: who is served is decided by admit() alone.
class AdmitTest : public testing::Test {
 protected:
  AdmitTest() {
    char pattern[] = "/tmp/admit-test-XXXXXX";
    directory_ = mkdtemp(pattern);
    path_ = directory_ + "/socket";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path_.c_str());
    listening_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listening_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(listening_, 8) != 0 ||
        chmod(path_.c_str(), 0666) != 0 || chmod(directory_.c_str(), 0755) != 0) {
      ADD_FAILURE() << "cannot listen on " << path_;
    }
  }
  ~AdmitTest() override {
    close(listening_);
    std::filesystem::remove_all(directory_);
  }

  // "uid 7" of the peer that is served, or the refusal.
  std::string served(const test::User& user, const Served& whom) const {
    test::UserProcess client(user, [this, socket = std::shared_ptr<Socket>()](const std::string&) mutable {
      socket = Socket::connect(path_);
      return socket ? "connected" : "cannot connect";
    });
    EXPECT_EQ(client.ask(), "connected");
    const int peer = accept(listening_, nullptr, nullptr);
    std::string text;
    try {
      const Peer admitted = admit(peer, whom);
      EXPECT_EQ(admitted.pid, client.pid());
      text = "uid " + std::to_string(admitted.uid);
    } catch (const AccessError& e) {
      text = e.what();
    }
    close(peer);
    return text;
  }

  std::string directory_;
  std::string path_;
  int listening_ = -1;
};

TEST_F(AdmitTest, TheOwnerIsServedAndNobodyElse) {
  SKIP_UNLESS_ROOT();
  EXPECT_EQ(served({kOwner, kOwner}, {kOwner}), "uid 65534");
  for (const test::User& other : {test::User{60001, kGroup}, test::User{60001, 60001, {kGroup}}, test::User{0, 0}}) {
    const std::string text = served(other, {kOwner});
    EXPECT_NE(text.find("a connection of uid " + std::to_string(other.uid)), std::string::npos) << text;
    EXPECT_NE(text.find("this broker serves uid 65534;"), std::string::npos) << text;
    EXPECT_NE(text.find("--group"), std::string::npos) << "the remedy: " << text;
  }
}

TEST_F(AdmitTest, MembersAreServedByTheirGroupOrASupplementaryOne) {
  SKIP_UNLESS_ROOT();
  const Served whom{kOwner, kGroup};
  EXPECT_EQ(served({kOwner, kOwner}, whom), "uid 65534");
  EXPECT_EQ(served({60001, kGroup}, whom), "uid 60001");
  EXPECT_EQ(served({60001, 60001, {60002, kGroup}}, whom), "uid 60001");
  for (const test::User& stranger : {test::User{60001, 60001, {60002}}, test::User{0, 0}}) {
    const std::string text = served(stranger, whom);
    EXPECT_NE(text.find("this broker serves uid 65534 and the members of group 60123"), std::string::npos) << text;
  }
}

TEST_F(AdmitTest, AMemberOfManyGroupsIsServed) {
  SKIP_UNLESS_ROOT();
  std::vector<gid_t> groups(1000);
  std::iota(groups.begin(), groups.end(), kGroup - 999);
  EXPECT_EQ(served({60001, 60001, groups}, {kOwner, kGroup}), "uid 60001");
  groups.pop_back();
  EXPECT_NE(served({60001, 60001, groups}, {kOwner, kGroup}).find("is refused"), std::string::npos);
}

}  // namespace
}  // namespace tensorbroker::broker
