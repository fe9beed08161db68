// Whom a broker serves, where it finds other people's files under its names, and what --group refuses.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <tensorbroker/tensorbroker.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "proto/catalog.h"
#include "proto/runtime_dir.h"
#include "tests/support/broker_process.h"
#include "tests/support/other_user.h"
#include "tests/support/raw_client.h"

namespace tensorbroker {
namespace {

namespace fs = std::filesystem;

constexpr gid_t kGroup = 60123;
test::User an_owner() { return {60010, 60010, {kGroup}}; }
test::User another() { return {60011, 60011}; }

std::vector<std::string> place(const test::TemporaryInstance& at) {
  return {"--instance", at.name().instance, "--runtime-dir", at.runtime_dir(), "--capacity", "16MiB"};
}

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::string shm(const std::string& file) { return "/dev/shm/" + file; }

void plant(const std::string& path, const test::User& user) {
  std::ofstream(path) << "planted";
  if (lchown(path.c_str(), user.uid, user.gid) != 0) ADD_FAILURE() << "only root can give a file away";
}

std::string contents(const std::string& path) {
  std::string text;
  std::getline(std::ifstream(path), text);
  return text;
}

// ---------------------------------------------------------------- --group

TEST(Group, ThatThereIsNotIsRefused) {
  const test::Ended ended = test::run_daemon({"--group", "no-such-group-anywhere"});
  EXPECT_NE(ended.status, 0);
  EXPECT_NE(ended.err.find("there is no group 'no-such-group-anywhere'"), std::string::npos) << ended.err;
}

TEST(Group, ThatItsOwnerIsNoMemberOfIsRefusedAndLeavesNothing) {
  SKIP_UNLESS_ROOT();
  const test::PublicDaemon daemon;
  const std::string said = test::as_user(an_owner(), [] {
    const test::TemporaryInstance at;
    const test::Ended ended = test::run_daemon(with(place(at), {"--group", "60999"}));
    return std::to_string(ended.status) + " " + std::to_string(at.files().size()) + " " + ended.err;
  });
  EXPECT_TRUE(said.starts_with("1 0 ")) << said;
  EXPECT_NE(said.find("has to be a member of that group"), std::string::npos) << said;
}

TEST(Group, OfAnotherInstanceInTheSameDirectoryIsNotCutOff) {
  SKIP_UNLESS_ROOT();
  const test::BrokerProcess broker({"--capacity", "16MiB", "--group", std::to_string(kGroup)});
  const test::TemporaryInstance second;
  const std::vector<std::string> arguments{"--instance",    second.name().instance,
                                           "--runtime-dir", broker.at().runtime_dir(),
                                           "--capacity",    "16MiB",
                                           "--group",       "60124"};
  const test::Ended ended = test::run_daemon(arguments);
  EXPECT_EQ(ended.status, 1);
  EXPECT_NE(ended.err.find("is shared with the group 60123 already"), std::string::npos) << ended.err;
  EXPECT_TRUE(second.files().empty());
}

TEST(Group, IsChangedByASuccessorThatIsToldSo) {
  SKIP_UNLESS_ROOT();
  test::BrokerProcess broker({"--capacity", "16MiB"});
  broker.end(SIGKILL);
  broker.start({"--group", std::to_string(kGroup)});
  for (const std::string& file : broker.at().files()) {
    struct stat status{};
    ASSERT_EQ(stat(shm(file).c_str(), &status), 0);
    const bool is_shared = file.find(".lock") == std::string::npos;
    EXPECT_EQ(status.st_mode & 07777, is_shared ? 0640u : 0600u) << file;
    EXPECT_TRUE(!is_shared || status.st_gid == kGroup) << file;
  }
}

// Root is no member, and has no need of the modes: the broker itself refuses it.
TEST(Group, StrangersThatReachTheSocketAreToldWhy) {
  SKIP_UNLESS_ROOT();
  const test::PublicDaemon daemon;
  std::optional<test::BrokerProcess> broker;
  test::UserProcess owner(an_owner(), [&](const std::string& group) {
    broker.reset();
    if (group == "end") return std::string();
    broker.emplace(group.empty() ? std::vector<std::string>{"--capacity", "16MiB"}
                                 : std::vector<std::string>{"--capacity", "16MiB", "--group", group});
    return broker->at().runtime_dir() + "\n" + broker->at().name().instance;
  });
  for (const std::string& group : {std::string(), std::to_string(kGroup)}) {
    const std::string where = owner.ask(group);
    const std::size_t line = where.find('\n');
    ASSERT_NE(line, std::string::npos) << where;
    const ConnectOptions options{.instance = where.substr(line + 1),
                                 .runtime_dir = where.substr(0, line),
                                 .autostart = false,
                                 .timeout = std::chrono::seconds(20),
                                 .capacity = {},
                                 .owner = std::to_string(an_owner().uid)};
    try {
      Client::connect(options);
      ADD_FAILURE() << "root was served";
    } catch (const AccessError& e) {
      EXPECT_NE(std::string(e.what()).find("a connection of uid 0 "), std::string::npos) << e.what();
    }
    std::ifstream log(log_path(options.runtime_dir, options.instance));
    const std::string logged{std::istreambuf_iterator<char>(log), {}};
    EXPECT_NE(logged.find("a connection of uid 0 "), std::string::npos) << logged;
  }
  owner.ask("end");
}

// ---------------------------------------------------------------- what others put there

TEST(Planted, ALockOfAnotherUserIsRefused) {
  SKIP_UNLESS_ROOT();
  const test::TemporaryInstance at;
  plant(at.name().lock_path(), another());
  const test::Ended ended = test::run_daemon(place(at));
  EXPECT_EQ(ended.status, 1);
  EXPECT_NE(ended.err.find("lock belongs to uid 60011, not to uid 0"), std::string::npos) << ended.err;
  EXPECT_EQ(contents(at.name().lock_path()), "planted");
}

TEST(Planted, APipeForALockIsRefusedAtOnce) {
  const test::TemporaryInstance at;
  ASSERT_EQ(mkfifo(at.name().lock_path().c_str(), 0600), 0);
  const test::Ended ended = test::run_daemon(place(at));
  EXPECT_EQ(ended.status, 1);
  EXPECT_NE(ended.err.find("is no regular file"), std::string::npos) << ended.err;
}

TEST(Planted, SegmentsOfOthersAndLinksAreLeftAlone) {
  SKIP_UNLESS_ROOT();
  const test::TemporaryInstance at;
  const std::string target = at.runtime_dir() + "/target";
  std::ofstream(target) << "planted";
  const std::string catalog = shm(at.name().segment(SegmentKind::kCatalog, 7));
  const std::string link = shm(at.name().segment(SegmentKind::kArena, 8));
  plant(catalog, another());
  ASSERT_EQ(symlink(target.c_str(), link.c_str()), 0);
  EXPECT_EQ(test::run_daemon(with(place(at), {"--idle-exit", "0.1"})).status, 0) << "it serves, and ends in good order";
  EXPECT_EQ(contents(catalog), "planted");
  EXPECT_EQ(contents(target), "planted");
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_NE(at.log().find("catalog.7 is left alone"), std::string::npos) << at.log();
}

TEST(Planted, TheNameOfTheNextSessionCostsOneClientAnError) {
  SKIP_UNLESS_ROOT();
  const test::BrokerProcess broker({"--capacity", "16MiB"});
  std::uint64_t next = 0;
  for (const std::string& file : broker.at().files()) {
    const auto segment = parse_segment_name(broker.at().name(), file);
    if (!segment || segment->kind != SegmentKind::kCatalog) continue;
    next = Catalog::open(broker.at().name(), segment->id, Access::kReadOnly).root().next_id.load();
  }
  const std::string path = shm(broker.at().name().segment(SegmentKind::kSession, next));
  plant(path, another());
  try {
    broker.connect();
    ADD_FAILURE() << "a stranger's file was taken for the session's";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("somebody has put a file of this name there"), std::string::npos) << e.what();
  }
  EXPECT_EQ(contents(path), "planted");
  EXPECT_NO_THROW(broker.connect().list());
}

TEST(Planted, ALinkForALogIsNotFollowed) {
  const test::TemporaryInstance at;
  const std::string target = at.runtime_dir() + "/target";
  std::ofstream(target) << "planted";
  ASSERT_EQ(symlink(target.c_str(), log_path(at.runtime_dir(), at.name().instance).c_str()), 0);
  const test::Ended ended = test::run_daemon(place(at));
  EXPECT_EQ(ended.status, 1);
  EXPECT_NE(ended.err.find(".log is a symbolic link"), std::string::npos) << ended.err;
  EXPECT_EQ(contents(target), "planted");
}

class PlantedSocket : public testing::Test {
 protected:
  std::string path() const { return socket_path(at_.runtime_dir(), at_.name().instance); }

  int listen_at(const std::string& path) const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(fd, 8) != 0) {
      ADD_FAILURE() << "cannot listen";
    }
    return fd;
  }

  static std::string refusal(const ConnectOptions& options) {
    try {
      Client::connect(options);
      return "served";
    } catch (const AccessError& e) {
      return e.what();
    }
  }

  test::TemporaryInstance at_;
};

TEST_F(PlantedSocket, ThatIsALinkIsRefused) {
  const std::string elsewhere = at_.runtime_dir() + "/elsewhere";
  const int fd = listen_at(elsewhere);
  ASSERT_EQ(symlink(elsewhere.c_str(), path().c_str()), 0);
  EXPECT_NE(refusal(at_.connect_options()).find("is no socket"), std::string::npos);
  close(fd);
}

TEST_F(PlantedSocket, OfAnotherUserIsRefused) {
  SKIP_UNLESS_ROOT();
  const int fd = listen_at(path());
  ASSERT_EQ(lchown(path().c_str(), another().uid, another().gid), 0);
  EXPECT_NE(refusal(at_.connect_options()).find("belongs to uid 60011, not to uid 0"), std::string::npos);
  close(fd);
}

TEST_F(PlantedSocket, ThatAnotherUserListensOnIsRefused) {
  SKIP_UNLESS_ROOT();
  const int fd = listen_at(path());
  ASSERT_EQ(lchown(path().c_str(), another().uid, another().gid), 0);
  ASSERT_EQ(chown(at_.runtime_dir().c_str(), another().uid, another().gid), 0);
  const std::string said = test::as_user(another(), [&] {
    ConnectOptions options = at_.connect_options();
    options.owner = std::to_string(another().uid);
    return refusal(options);
  });
  EXPECT_NE(said.find("uid 0 listens on"), std::string::npos) << said;
  close(fd);
}

}  // namespace
}  // namespace tensorbroker
