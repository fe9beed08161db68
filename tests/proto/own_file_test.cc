#include "proto/own_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "proto/segment.h"
#include "proto/user_names.h"
#include "tensorbroker/error.h"
#include "tests/support/other_user.h"

namespace tensorbroker {
namespace {

namespace fs = std::filesystem;

// In a directory into which everybody may put names, as /dev/shm is.
class OwnFileTest : public testing::Test {
 protected:
  OwnFileTest() {
    std::string pattern = fs::temp_directory_path() / "own-file-test-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    path_ = directory_ / "file";
    fs::permissions(directory_, fs::perms::all | fs::perms::sticky_bit);
  }
  ~OwnFileTest() override { fs::remove_all(directory_); }

  void make(uid_t owner = geteuid(), mode_t mode = 0600) const {
    std::ofstream(path_) << "text";
    if (chown(path_.c_str(), owner, owner) != 0 || chmod(path_.c_str(), mode) != 0) ADD_FAILURE() << "no such file";
  }

  // The text of the AccessError, or "".
  std::string refusal(int flags) const {
    try {
      const int fd = open_own_file(path_, flags, geteuid());
      if (fd >= 0) close(fd);
      return "";
    } catch (const AccessError& e) {
      return e.what();
    }
  }

  fs::path directory_;
  std::string path_;
};

TEST_F(OwnFileTest, IsOpenedOrMadePrivate) {
  const int none = open_own_file(path_, O_RDONLY, geteuid());
  EXPECT_EQ(none, -1);
  EXPECT_EQ(errno, ENOENT);
  const int made = open_own_file(path_, O_RDWR | O_CREAT, geteuid());
  ASSERT_GE(made, 0);
  close(made);
  EXPECT_EQ(fs::status(path_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(refusal(O_RDONLY), "");
}

TEST_F(OwnFileTest, ThatIsALinkIsRefusedAndNotFollowed) {
  const fs::path target = directory_ / "target";
  fs::create_symlink(target, path_);
  EXPECT_NE(refusal(O_RDWR | O_CREAT).find("symbolic link"), std::string::npos);
  EXPECT_FALSE(fs::exists(target));
  std::ofstream(target) << "text";
  EXPECT_NE(refusal(O_RDONLY).find("symbolic link"), std::string::npos);
}

TEST_F(OwnFileTest, OfAnotherUserIsRefused) {
  SKIP_UNLESS_ROOT();
  make(65534, 0644);
  EXPECT_NE(refusal(O_RDONLY).find("belongs to uid 65534, not to uid 0"), std::string::npos);
  EXPECT_NE(refusal(O_RDWR | O_CREAT).find("belongs to uid 65534"), std::string::npos);
}

TEST_F(OwnFileTest, OfAnotherUserThatCannotBeOpenedIsNamed) {
  SKIP_UNLESS_ROOT();
  make(0, 0600);
  EXPECT_NE(test::as_user({65534, 65534}, [&] { return refusal(O_RDONLY); }).find("belongs to uid 0, not to uid 65534"),
            std::string::npos);
}

TEST_F(OwnFileTest, ThatOthersMayWriteIsRefused) {
  for (const mode_t mode : {0620, 0602}) {
    make(geteuid(), mode);
    EXPECT_NE(refusal(O_RDONLY).find("can be written by others"), std::string::npos) << std::oct << mode;
  }
  make(geteuid(), 0640);
  EXPECT_EQ(refusal(O_RDONLY), "");
}

// Opening a pipe would wait for its other end.
TEST_F(OwnFileTest, ThatIsAPipeIsRefusedAtOnce) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_NE(refusal(O_RDONLY).find("no regular file"), std::string::npos);
  EXPECT_NE(refusal(O_RDWR | O_CREAT).find("no regular file"), std::string::npos);
}

TEST_F(OwnFileTest, SegmentsAreOpenedSo) {
  const InstanceName name{geteuid(), "own-file-test-" + std::to_string(getpid())};
  const std::string segment = name.segment(SegmentKind::kCatalog, 7);
  const std::string path = "/dev/shm/" + segment;
  make();
  ASSERT_EQ(symlink(path_.c_str(), path.c_str()), 0);
  EXPECT_THROW(open_segment_file(segment, Access::kReadOnly, name.uid), AccessError);
  EXPECT_THROW(Segment::open(name, SegmentKind::kCatalog, 7, Access::kReadOnly), AccessError);
  unlink(path.c_str());
  if (geteuid() != 0) return;
  std::ofstream(path) << "text";
  EXPECT_EQ(chown(path.c_str(), 65534, 65534), 0);
  EXPECT_THROW(Segment::open(name, SegmentKind::kCatalog, 7, Access::kReadOnly), AccessError);
  unlink(path.c_str());
}

TEST(UserNames, AreNamesOrNumbers) {
  EXPECT_EQ(find_user("root"), 0u);
  EXPECT_EQ(find_user("60123"), 60123u);
  EXPECT_EQ(find_group("root"), 0u);
  EXPECT_EQ(find_group("60123"), 60123u);
  for (const char* name : {"no-such-name-anywhere", "", "-1", "4294967295", "12x"}) {
    EXPECT_THROW(find_user(name), InvalidArgumentError) << name;
    EXPECT_THROW(find_group(name), InvalidArgumentError) << name;
  }
}

}  // namespace
}  // namespace tensorbroker
