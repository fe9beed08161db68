#include "proto/runtime_dir.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

namespace fs = std::filesystem;

class RuntimeDirTest : public testing::Test {
 protected:
  RuntimeDirTest() {
    std::string pattern = fs::temp_directory_path() / "runtime-dir-test-XXXXXX";
    parent_ = mkdtemp(pattern.data());
  }
  ~RuntimeDirTest() override { fs::remove_all(parent_); }

  static std::string refusal(const std::string& dir) {
    try {
      prepare_runtime_dir(dir);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }

  fs::path parent_;
};

TEST_F(RuntimeDirTest, IsMadePrivate) {
  const std::string dir = parent_ / "run";
  EXPECT_FALSE(check_runtime_dir(dir, geteuid()));
  prepare_runtime_dir(dir);
  prepare_runtime_dir(dir);
  EXPECT_TRUE(check_runtime_dir(dir, geteuid()));
  EXPECT_EQ(fs::status(dir).permissions(), fs::perms::owner_all);
}

TEST_F(RuntimeDirTest, ThatIsALinkIsRefused) {
  fs::create_directory(parent_ / "real");
  fs::create_directory_symlink(parent_ / "real", parent_ / "link");
  const std::string message = refusal(parent_ / "link");
  EXPECT_NE(message.find("symbolic link"), std::string::npos) << message;
  EXPECT_NE(message.find("--runtime-dir"), std::string::npos) << "the remedy: " << message;
}

TEST_F(RuntimeDirTest, ThatIsOpenToOthersIsRefused) {
  fs::create_directory(parent_ / "open");
  chmod((parent_ / "open").c_str(), 0755);
  EXPECT_NE(refusal(parent_ / "open").find("chmod 700"), std::string::npos);
}

TEST_F(RuntimeDirTest, OfSomebodyElseIsRefused) {
  if (geteuid() == 0) {
    fs::create_directory(parent_ / "theirs");
    ASSERT_EQ(chown((parent_ / "theirs").c_str(), 65534, 65534), 0);
    EXPECT_NE(refusal(parent_ / "theirs").find("belongs to uid 65534"), std::string::npos);
  } else {
    EXPECT_NE(refusal("/").find("belongs to uid 0"), std::string::npos);
  }
}

TEST_F(RuntimeDirTest, ThatCannotBeMadeIsRefused) {
  EXPECT_NE(refusal(parent_ / "a" / "b").find("cannot be created"), std::string::npos);
  EXPECT_NE(refusal("/dev/null").find("is not a directory"), std::string::npos);
}

TEST_F(RuntimeDirTest, ThatIsTooLongForASocketIsRefused) {
  const std::string dir = "/" + std::string(120, 'd');
  try {
    socket_path(dir, "default");
    FAIL() << "it was taken";
  } catch (const InvalidArgumentError& e) {
    EXPECT_NE(std::string(e.what()).find("at most 107"), std::string::npos) << e.what();
  }
  EXPECT_EQ(socket_path("/run", "default"), "/run/default.sock");
}

TEST_F(RuntimeDirTest, IsChosenByArgumentThenEnvironment) {
  setenv("TENSORBROKER_RUNTIME_DIR", "/tmp/from-variable/", 1);
  EXPECT_EQ(choose_runtime_dir("/tmp/explicit", getuid(), Reach::kOwn), "/tmp/explicit");
  EXPECT_EQ(choose_runtime_dir("", getuid(), Reach::kOwn), "/tmp/from-variable");
  unsetenv("TENSORBROKER_RUNTIME_DIR");
  setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
  EXPECT_EQ(choose_runtime_dir("", getuid(), Reach::kOwn), "/run/user/7/tensorbroker");
  unsetenv("XDG_RUNTIME_DIR");
  EXPECT_EQ(choose_runtime_dir("", getuid(), Reach::kOwn), "/tmp/tensorbroker-" + std::to_string(getuid()));
}

}  // namespace
}  // namespace tensorbroker
