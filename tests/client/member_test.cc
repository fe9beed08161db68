// An instance that its owner shares with a group: what members get, and what they may not.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <tensorbroker/tensorbroker.h>

#include <memory>
#include <optional>
#include <string>

#include "client/registry.h"
#include "proto/runtime_dir.h"
#include "tests/client/member_actions.h"
#include "tests/support/broker_process.h"
#include "tests/support/other_user.h"
#include "tests/support/raw_client.h"

namespace tensorbroker {
namespace {

constexpr gid_t kGroup = 60123;
test::User a_member() { return {60001, 60001, {kGroup}}; }
test::User a_stranger() { return {60002, 60002}; }

class Members : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_UNLESS_ROOT();
    broker_.emplace(arguments());
    options_ = broker_->connect_options();
    options_.owner = "0";
  }

  static std::vector<std::string> arguments() { return {"--capacity", "64MiB", "--group", std::to_string(kGroup)}; }

  // REQUIRES: no client in this process, whose session the other one would take over.
  std::unique_ptr<test::UserProcess> start(const test::User& user) const {
    EXPECT_EQ(attachments_mapped(), 0u);
    return std::make_unique<test::UserProcess>(user, test::MemberActions(options_));
  }

  mode_t mode_of(const std::string& path) const {
    struct stat status{};
    if (lstat(path.c_str(), &status) != 0) return 0;
    // The gid counts where the group may do something.
    EXPECT_TRUE((status.st_mode & 0070) == 0 || status.st_gid == kGroup) << path;
    EXPECT_EQ(status.st_uid, 0u) << path;
    return status.st_mode & 07777;
  }

  void expect_modes() const {
    const std::string dir = broker_->at().runtime_dir();
    const std::string instance = broker_->at().name().instance;
    EXPECT_EQ(mode_of(dir), 0750u);
    EXPECT_EQ(mode_of(socket_path(dir, instance)), 0660u);
    EXPECT_EQ(mode_of(log_path(dir, instance)), 0600u);
    std::size_t sessions = 0;
    for (const std::string& file : broker_->at().files()) {
      const bool is_shared = file.find(".catalog.") != std::string::npos || file.find(".arena.") != std::string::npos;
      EXPECT_EQ(mode_of("/dev/shm/" + file), is_shared ? 0640u : 0600u) << file;
      sessions += file.find(".session.") != std::string::npos ? 1 : 0;
    }
    EXPECT_GT(sessions, 0u);
  }

  std::optional<test::BrokerProcess> broker_;
  ConnectOptions options_;
};

TEST_F(Members, ReadWhatTheOwnerPutsAndPublishes) {
  const auto member = start(a_member());
  Client owner = broker_->connect();
  const Tensor x = owner.put("x", test::of({1, 2, 3}));
  EXPECT_EQ(member->ask("get x"), "1 2 3 ");
  owner.put("x", test::of({4}));
  EXPECT_EQ(member->ask("get x"), "4 ");
  EXPECT_EQ(member->ask("open " + x.handle()), "1 2 3 ") << "a version that the owner holds";
  EXPECT_EQ(member->ask("change x"), "77 ") << "a private copy";
  EXPECT_EQ(test::text(owner.get("x")), "4 ");
  EXPECT_EQ(member->ask("list"), "x ");
  EXPECT_EQ(member->ask("sessions"), "2");
  owner.zeros({2}, kFloat32, "counters").fill_(5);
  EXPECT_EQ(member->ask("wait counters"), "5 5 ");
}

TEST_F(Members, BelongToTheGroupByTheirOwnOrASupplementaryOne) {
  const auto by_own = start({60001, kGroup});
  const auto by_another = start({60001, 60001, {7, kGroup}});
  broker_->connect().put("x", test::of({1}));
  EXPECT_EQ(by_own->ask("get x"), "1 ");
  EXPECT_EQ(by_another->ask("get x"), "1 ");
}

TEST_F(Members, GetModesThatLetThemReadAndNothingElse) {
  const auto member = start(a_member());
  Client owner = broker_->connect();
  owner.put("x", test::of({1}));
  ASSERT_EQ(member->ask("get x"), "1 ");
  expect_modes();
  EXPECT_EQ(member->ask("map"), "") << "what a member could open or map for writing";
  EXPECT_EQ(test::text(owner.get("x")), "1 ");
}

TEST_F(Members, AreToldThatTheyMayNotWrite) {
  const auto member = start(a_member());
  Client owner = broker_->connect();
  owner.put("x", test::of({1}));
  owner.zeros({2}, kFloat32, "counters");
  for (const char* way : {"put", "put-nothing", "create", "zeros", "anonymous", "delete", "reserve", "open", "stop"}) {
    const std::string said = member->ask("write " + std::string(way));
    EXPECT_TRUE(said.starts_with("AccessError: ")) << way << ": " << said;
    EXPECT_NE(said.find("may read"), std::string::npos) << way << ": " << said;
  }
  EXPECT_EQ(member->ask("get x"), "1 ") << "a refusal costs nothing else";
  EXPECT_EQ(owner.list().size(), 2u);
  EXPECT_EQ(owner.stats().sessions, 2u);
}

TEST_F(Members, StrangersAreRefused) {
  const auto stranger = start(a_stranger());
  const std::string said = stranger->ask("list");
  EXPECT_TRUE(said.starts_with("AccessError: uid 60002 may not enter the runtime directory")) << said;
  EXPECT_NE(said.find("--group"), std::string::npos) << "the remedy: " << said;
  // One that gets to the socket all the same.
  ASSERT_EQ(chmod(broker_->at().runtime_dir().c_str(), 0711), 0);
  EXPECT_TRUE(stranger->ask("list").starts_with("Error: ")) << "a directory that is open to others";
  ASSERT_EQ(chmod(broker_->at().runtime_dir().c_str(), 0750), 0);
}

TEST_F(Members, HaveToNameTheOwner) {
  options_.owner = "";
  const std::string said = start(a_member())->ask("list");
  EXPECT_TRUE(said.starts_with("AccessError: ")) << said;
  EXPECT_NE(said.find("belongs to uid 0, not to uid 60001"), std::string::npos) << said;
  EXPECT_NE(said.find("TENSORBROKER_OWNER"), std::string::npos) << "the remedy: " << said;
}

TEST_F(Members, ForkAndReadOn) {
  const auto member = start(a_member());
  Client owner = broker_->connect();
  owner.put("x", test::of({1, 2}));
  for (int round = 0; round < 3; ++round) EXPECT_EQ(member->ask("fork x"), "1 2 / 1 2 ");
  EXPECT_TRUE(test::eventually([&] { return owner.stats().sessions == 2; })) << "the children's sessions end with them";
}

TEST_F(Members, ThatAreKilledKeepNothing) {
  const auto member = start(a_member());
  Client owner = broker_->connect();
  owner.put("x", test::of({1, 2}));
  ASSERT_EQ(member->ask("get x"), "1 2 ");
  owner.remove("x");
  EXPECT_GT(owner.stats().retired, 0u);
  EXPECT_EQ(member->ask("fork x"), "Error: there is no 'x' in the instance '" + options_.instance + "'");
  member->kill();
  EXPECT_TRUE(test::eventually([&] { return owner.stats().retired == 0 && owner.stats().sessions == 1; }));
}

TEST_F(Members, GoOnWithASuccessor) {
  const auto member = start(a_member());
  {
    Client owner = broker_->connect();
    owner.put("x", test::of({1, 2}));
  }
  ASSERT_EQ(member->ask("get x"), "1 2 ");
  broker_->end(SIGKILL);
  EXPECT_EQ(member->ask("get x"), "1 2 ") << "no broker is needed to read";
  broker_->start({"--capacity", "64MiB"});
  expect_modes();  // the successor was not told
  EXPECT_EQ(member->ask("sessions"), "1") << "the session is its own again";
  EXPECT_EQ(member->ask("fork x"), "1 2 / 1 2 ");
  EXPECT_EQ(start(a_member())->ask("get x"), "1 2 ") << "one that comes later";
}

// Whoever may read a file may lock it, too.
TEST_F(Members, CannotKeepASuccessorFromTheInstanceByLocks) {
  {
    Client owner = broker_->connect();
    owner.put("x", test::of({1, 2}));
  }
  const auto member = start(a_member());
  test::UserProcess locker(a_member(), [files = broker_->at().files()](const std::string&) {
    int locked = 0;
    for (const std::string& file : files) {
      const int fd = open(("/dev/shm/" + file).c_str(), O_RDONLY | O_CLOEXEC);
      struct flock lock{};
      lock.l_type = F_RDLCK;
      locked += fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fcntl(fd, F_OFD_SETLKW, &lock) == 0 ? 1 : 0;
    }
    return std::to_string(locked);
  });
  broker_->end(SIGKILL);
  ASSERT_EQ(locker.ask(), "2") << "catalog and arena";
  broker_->start();
  EXPECT_EQ(member->ask("get x"), "1 2 ");
}

TEST_F(Members, ShareASession) {  // of one process, as the owner's clients do
  const auto member = start(a_member());
  broker_->connect().put("x", test::of({1}));
  EXPECT_EQ(member->ask("get x"), "1 ");
  EXPECT_EQ(member->ask("close"), "done");
  EXPECT_EQ(member->ask("get x"), "1 ");
}

TEST_F(Members, CountAgainstTheLimitsOfTheirUid) {
  broker_->end(SIGTERM);
  auto limited = arguments();
  limited.insert(limited.end(), {"--user-sessions", "2"});  // one, and its heir
  broker_->start(limited);
  const auto first = start(a_member());
  ASSERT_EQ(first->ask("list"), "");
  const std::string said = start(a_member())->ask("list");
  EXPECT_TRUE(said.starts_with("QuotaError: user 60001 has 2 sessions")) << said;
  EXPECT_EQ(start({60003, kGroup})->ask("list"), "") << "another one's limit is his own";
  EXPECT_EQ(broker_->connect().list().size(), 0u);
}

// ---------------------------------------------------------------- by hand

// Attaches as a member by hand.
std::unique_ptr<test::RawSession> attach(const test::TemporaryInstance& at) {
  return std::make_unique<test::RawSession>(test::attach_raw(at));
}

TEST_F(Members, GetNoPagesAndNoEntriesWhateverTheyAsk) {
  const std::string refused = test::as_user(a_member(), [this] {
    const auto session = attach(broker_->at());
    EXPECT_TRUE(session->spares.empty());
    std::string allowed;
    const auto expect_refused = [&](const char* what, const Frame& request) {
      if (test::error_of(test::ask(*session->socket, request)) != ErrorCode::kAccess)
        allowed += std::string(what) + " ";
    };
    using schema::Request;
    using test::message;
    expect_refused("Grant", message(Request::Grant, [](auto& b) { return schema::CreateGrant(b, 4096); }));
    expect_refused("GiveBack", message(Request::GiveBack, [](auto& b) { return schema::CreateGiveBack(b); }));
    expect_refused("Spares", message(Request::Spares, [](auto& b) { return schema::CreateSpares(b, 4); }));
    expect_refused("Publish", test::publication(0, "x", test::float_header(0), 0, 0, 1));
    expect_refused("Delete",
                   message(Request::Delete, [](auto& b) { return schema::CreateDelete(b, b.CreateString("x"), 1); }));
    expect_refused("Stop", message(Request::Stop, [](auto& b) { return schema::CreateStop(b, false); }));
    return allowed.empty() ? "all" : "allowed: " + allowed;
  });
  EXPECT_EQ(refused, "all");
}

TEST_F(Members, SessionsOfOthersAreNotTheirs) {
  const auto owner = attach(broker_->at());
  const std::string said = test::as_user(a_member(), [&] {
    const auto socket = test::connect_raw(broker_->at());
    return test::text_of(test::ask(*socket, test::hello(owner->id)));
  });
  EXPECT_NE(said.find("is uid 0's"), std::string::npos) << said;
  EXPECT_EQ(test::error_of(test::ask(
                *owner->socket, test::message(schema::Request::Stats, [](auto& b) { return schema::CreateStats(b); }))),
            ErrorCode::kOk)
      << "it is connected as before";
}

// No page goes from one uid to another but through the kernel, which empties it: a session segment is a new file, and
// arena pages are the owner's alone.
TEST_F(Members, GetSessionsWithoutABitOfOthers) {
  {
    const auto owner = attach(broker_->at());
    for (std::uint32_t cell = 0; cell < kInitialLeases; ++cell) owner->segment->lease(cell).store(0x5ec2e7);
    for (std::uint64_t i = 0; i < kReturnsLimit; ++i) owner->segment->block_return(i).generation.store(0x5ec2e7);
  }
  EXPECT_EQ(test::as_user(a_member(),
                          [this] {
                            const auto session = attach(broker_->at());
                            std::size_t found = 0;
                            for (std::uint32_t cell = 0; cell < kInitialLeases; ++cell) {
                              found += session->segment->lease(cell).load() != 0 ? 1 : 0;
                            }
                            for (std::uint64_t i = 0; i < kReturnsLimit; ++i) {
                              found += session->segment->block_return(i).generation.load() != 0 ? 1 : 0;
                            }
                            return std::to_string(found);
                          }),
            "0");
}

}  // namespace
}  // namespace tensorbroker
