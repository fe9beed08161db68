#include "proto/segment.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>

#include "proto/catalog.h"
#include "proto/layout.h"
#include "proto/session.h"
#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

// An instance name of this test process's own; its segments are removed at the end.
class SegmentTest : public testing::Test {
 protected:
  ~SegmentTest() override {
    for (const SegmentKind kind : {SegmentKind::kCatalog, SegmentKind::kArena, SegmentKind::kSession}) {
      unlink_segment(name_.segment(kind, kId));
    }
  }

  std::string path(SegmentKind kind) const { return "/dev/shm/" + name_.segment(kind, kId); }

  Catalog make_catalog() {
    return Catalog::create(name_, kId, InstanceId{1, 2, 3}, {.max_tensors = 100, .runtime_dir = "/x"});
  }

  // Overwrites part of the first page.
  void damage(SegmentKind kind, off_t offset, const std::string& bytes) {
    const int fd = open(path(kind).c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_EQ(pwrite(fd, bytes.data(), bytes.size(), offset), static_cast<ssize_t>(bytes.size()));
    close(fd);
  }

  std::string refusal() {
    try {
      Catalog::open(name_, kId, Access::kReadOnly);
    } catch (const CorruptSegmentError& e) {
      return e.what();
    }
    return "";
  }

  static constexpr std::uint64_t kId = 7;
  InstanceName name_{geteuid(), "segment-test-" + std::to_string(getpid())};
};

TEST_F(SegmentTest, IsFoundByNameWithModeAndTables) {
  Catalog catalog = make_catalog();
  catalog.record_limits({.capacity = 1 << 20, .idle_exit_seconds = 2.5, .runtime_dir = {}});
  catalog.finish();
  struct stat status{};
  ASSERT_EQ(stat(path(SegmentKind::kCatalog).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  const Catalog opened = Catalog::open(name_, kId, Access::kReadOnly);
  EXPECT_EQ(opened.options().capacity, 1u << 20);
  EXPECT_EQ(opened.options().idle_exit_seconds, 2.5);
  EXPECT_EQ(opened.options().runtime_dir, "/x");
  EXPECT_EQ(opened.segment().instance(), (InstanceId{1, 2, 3}));
}

TEST_F(SegmentTest, IsNeverCreatedTwice) {
  const Catalog catalog = make_catalog();
  EXPECT_THROW(make_catalog(), Error);
  EXPECT_EQ(access(path(SegmentKind::kCatalog).c_str(), F_OK), 0) << "the first one's file is left alone";
}

TEST_F(SegmentTest, WithoutItsMagicWasNeverFinished) {
  const Catalog catalog = make_catalog();
  EXPECT_NE(refusal().find("never finished"), std::string::npos);
}

TEST_F(SegmentTest, OfAnotherLayoutVersionNamesBoth) {
  make_catalog().finish();
  damage(SegmentKind::kCatalog, 8, std::string("\x63\0\0\0", 4));
  try {
    Catalog::open(name_, kId, Access::kReadOnly);
    FAIL() << "it was opened";
  } catch (const VersionMismatchError& e) {
    EXPECT_NE(std::string(e.what()).find("has layout 99"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("this program has layout " + std::to_string(kLayoutVersion)),
              std::string::npos)
        << e.what();
  }
}

TEST_F(SegmentTest, ThatFailsACheckIsNamedWithTheCheck) {
  struct Damage {
    off_t offset;
    std::string bytes;
    std::string check;
  };
  const Damage damages[] = {{0, "x", "magic"},
                            {24, std::string("\0\x20\0\0", 4), "page size"},
                            {28, std::string("\2\0\0\0", 4), "kind"},
                            {32, "0", "boot id"},
                            {128, std::string("\xff\xff\xff\x7f", 4), "header size"},
                            {132, std::string("\xff\xff\0\0", 4), "header"}};
  for (const Damage& d : damages) {
    make_catalog().finish();
    damage(SegmentKind::kCatalog, d.offset, d.bytes);
    const std::string message = refusal();
    EXPECT_NE(message.find(d.check), std::string::npos) << d.check << ": " << message;
    EXPECT_NE(message.find(name_.segment(SegmentKind::kCatalog, kId)), std::string::npos) << message;
    unlink_segment(name_.segment(SegmentKind::kCatalog, kId));
  }
}

TEST_F(SegmentTest, ThatWasTruncatedIsRefused) {
  make_catalog().finish();
  ASSERT_EQ(truncate(path(SegmentKind::kCatalog).c_str(), 8192), 0);
  EXPECT_NE(refusal().find("beyond its 8192 bytes"), std::string::npos);
  ASSERT_EQ(truncate(path(SegmentKind::kCatalog).c_str(), 100), 0);
  EXPECT_NE(refusal().find("truncated"), std::string::npos);
}

// Calls `change` all the time while `look` is called so often. It gets a random number.
template <class Change, class Look>
void look_while_it_changes(int looks, Change change, Look look) {
  const char* given = std::getenv("TENSORBROKER_TEST_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
  printf("seed %u\n", seed);
  std::atomic<bool> stop{false};
  std::thread changing([&] {
    std::mt19937 random(seed);
    while (!stop) change(static_cast<std::uint32_t>(random()));
  });
  for (int i = 0; i < looks; ++i) look();
  stop = true;
  changing.join();
}

TEST_F(SegmentTest, IsCheckedAndUsedInOneCopyWhileSomebodyWritesToIt) {
  const SessionSegment made = SessionSegment::create(name_, kId, InstanceId{});
  constexpr std::uint32_t kHeaderBegins = 128;
  const std::uint32_t header_bytes = *reinterpret_cast<const std::uint32_t*>(made.segment().data() + kHeaderBegins);
  int opened = 0;
  int refused = 0;
  look_while_it_changes(
      20'000,
      [&](std::uint32_t random) {
        auto* const word = reinterpret_cast<std::atomic<std::uint32_t>*>(made.segment().data() + kHeaderBegins) +
                           random % (header_bytes / 4 + 1);
        const std::uint32_t sound = word->load();
        word->store(sound ^ (random >> (random % 32)));
        for (std::uint32_t i = 0; i < random % 64; ++i) word->load();
        word->store(sound);
        for (std::uint32_t i = 0; i < random % 64; ++i) word->load();
      },
      [&] {
        try {
          const SessionSegment looked_at = SessionSegment::open(name_, kId);
          ++opened;
          ASSERT_EQ(looked_at.id(), kId);
          ASSERT_EQ(looked_at.segment().header().name()->str(), name_.segment(SegmentKind::kSession, kId));
          const std::byte* const begin = looked_at.segment().data();
          const auto* const last = reinterpret_cast<const std::byte*>(&looked_at.lease(kLeasesLimit - 1));
          ASSERT_GE(last, begin);
          ASSERT_LT(last, begin + looked_at.segment().size());
        } catch (const CorruptSegmentError&) {
          ++refused;
        }
      });
  EXPECT_GT(opened, 0);
  EXPECT_GT(refused, 0);
}

TEST_F(SegmentTest, IsWhatWasCheckedWhateverBecomesOfItsFirstPage) {
  make_catalog().finish();
  const Catalog opened = Catalog::open(name_, kId, Access::kReadOnly);
  damage(SegmentKind::kCatalog, 0, std::string(kPageSize, '\xff'));
  EXPECT_EQ(opened.segment().header().name()->str(), name_.segment(SegmentKind::kCatalog, kId));
  EXPECT_EQ(opened.segment().instance(), (InstanceId{1, 2, 3}));
  EXPECT_EQ(opened.tables().max_tensors(), 100u);
  EXPECT_EQ(opened.options().runtime_dir, "/x");
}

TEST_F(SegmentTest, ThatIsTruncatedWhileItIsOpenedIsAnErrorAndNoSignal) {
  const SessionSegment made = SessionSegment::create(name_, kId, InstanceId{});
  const auto whole = static_cast<off_t>(made.segment().size());
  int refused = 0;
  look_while_it_changes(
      5'000,
      [&](std::uint32_t random) {
        ASSERT_EQ(truncate(path(SegmentKind::kSession).c_str(), random % 2 == 0 ? 0 : whole), 0);
      },
      [&] {
        try {
          SessionSegment::open(name_, kId);
        } catch (const CorruptSegmentError&) {
          ++refused;
        }
      });
  EXPECT_GT(refused, 0);
}

TEST_F(SegmentTest, ThatIsNotThereIsNotFound) {
  EXPECT_THROW(Catalog::open(name_, kId, Access::kReadOnly), NotFoundError);
}

TEST_F(SegmentTest, OfASessionHasPagesForItsFirstLeases) {
  const SessionSegment made = SessionSegment::create(name_, kId, InstanceId{});
  const SessionSegment opened = SessionSegment::open(name_, kId);
  EXPECT_EQ(opened.id(), kId);
  EXPECT_EQ(opened.control().leases_committed.load(), kInitialLeases);
  opened.lease(kInitialLeases - 1).store(5);
  EXPECT_EQ(made.lease(kInitialLeases - 1).load(), 5u) << "both map the same pages";
}

TEST(SegmentName, IsParsedBack) {
  const InstanceName name{1000, "default"};
  const auto parsed = parse_segment_name(name, name.segment(SegmentKind::kArena, 12));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->kind, SegmentKind::kArena);
  EXPECT_EQ(parsed->id, 12u);
  for (const char* other : {"tensorbroker.1000.default.lock", "tensorbroker.1000.default2.arena.1",
                            "tensorbroker.1000.default.arena.", "tensorbroker.1000.default.arena.1x",
                            "tensorbroker.1000.default.arena.012", "tensorbroker.10.default.arena.1", "something"}) {
    EXPECT_FALSE(parse_segment_name(name, other)) << other;
  }
}

TEST_F(SegmentTest, WithoutDescriptorsOrAddressSpaceItIsAnErrorThatSaysWhatToRaise) {
  const auto refusal_with = [&](auto resource, rlim_t most) -> std::string {
    rlimit before{};
    getrlimit(resource, &before);
    const rlimit little{most, before.rlim_max};
    setrlimit(resource, &little);
    std::string said;
    try {
      SessionSegment::create(name_, kId, {});
    } catch (const OutOfMemoryError& e) {
      said = e.what();
    }
    setrlimit(resource, &before);
    return said;
  };
  EXPECT_NE(refusal_with(RLIMIT_NOFILE, 3).find("ulimit -n"), std::string::npos);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_NE(refusal_with(RLIMIT_AS, 1 << 20).find("ulimit -v"), std::string::npos);
#endif
  EXPECT_NE(access(path(SegmentKind::kSession).c_str(), F_OK), 0) << "and leaves nothing";
}

}  // namespace
}  // namespace tensorbroker
