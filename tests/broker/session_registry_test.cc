// Sessions that cannot be watched, for want of descriptors: there are none.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "broker/event_loop.h"
#include "broker/session_registry.h"
#include "broker/truncated_sessions.h"
#include "store_fixture.h"

namespace tensorbroker::broker {
namespace {

// Once a session's segment is mapped, this process can open nothing any more.
class SessionRegistryTest : public StoreTest {
 protected:
  SessionRegistryTest() {
    getrlimit(RLIMIT_NOFILE, &before_);
    StoreHooks hooks;
    hooks.mapped = [this](SessionSegment&) {
      if (starved_) limit_descriptors(0);
    };
    store.emplace(Store::create(name_, InstanceId{7}, CatalogOptions{.capacity = kMiB}, hooks));
    registry_.emplace(loop_, *store, truncated_, [] {});
  }
  ~SessionRegistryTest() override { limit_descriptors(before_.rlim_cur); }

  void limit_descriptors(rlim_t most) {
    rlimit limit = before_;
    limit.rlim_cur = most;
    setrlimit(RLIMIT_NOFILE, &limit);
  }

  bool starved_ = false;
  rlimit before_{};
  EventLoop loop_;
  TruncatedSessions truncated_;
  std::optional<SessionRegistry> registry_;
};

TEST_F(SessionRegistryTest, ASessionThatCannotBeWatchedIsNone) {
  starved_ = true;
  EXPECT_THROW(registry_->add(1000, 42), Error);
  limit_descriptors(before_.rlim_cur);
  EXPECT_TRUE(store->sessions().empty());
  EXPECT_TRUE(registry_->empty());
  EXPECT_EQ(segments().size(), 2u) << "catalog and arena";
}

TEST_F(SessionRegistryTest, AnHeirThatCannotBeWatchedIsNone) {
  const std::uint64_t parent = registry_->add(1000, 42);
  starved_ = true;
  EXPECT_EQ(registry_->add_heir(parent), 0u);
  limit_descriptors(before_.rlim_cur);
  EXPECT_EQ(store->sessions(), std::vector<std::uint64_t>{parent});
}

TEST_F(SessionRegistryTest, HeirsThatNobodyTakesOverAreBounded) {
  const std::uint64_t parent = registry_->add(1000, 42);
  int granted = 0;
  while (granted < 100 && registry_->add_heir(parent) != 0) ++granted;
  EXPECT_EQ(granted, 8);
}

TEST_F(SessionRegistryTest, ALookAtAllFindsWhoHasEndedUnnoticed) {
  const std::uint64_t session = registry_->add(1000, 42);
  EXPECT_FALSE(registry_->remove_ended()) << "nobody has locked it yet";
  const std::string path = std::string(kShmDirectory) + "/" + name_.segment(SegmentKind::kSession, session);
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
  ASSERT_TRUE(registry_->alive(session));
  usleep(20'000);  // looks that follow each other at once are one
  EXPECT_FALSE(registry_->remove_ended());
  close(fd);
  usleep(20'000);
  EXPECT_TRUE(registry_->remove_ended());
  EXPECT_TRUE(store->sessions().empty());
}

}  // namespace
}  // namespace tensorbroker::broker
