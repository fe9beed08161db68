#include "proto/runtime_dir.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

constexpr const char* kRemedy = "; choose another with --runtime-dir or TENSORBROKER_RUNTIME_DIR";

std::string environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr ? value : "";
}

[[noreturn]] void refuse(const std::string& dir, const std::string& why) {
  throw Error(ErrorCode::kRuntime, "the runtime directory " + dir + " " + why + kRemedy);
}

}  // namespace

std::string choose_runtime_dir(const std::string& explicit_dir) {
  std::string dir = explicit_dir;
  if (dir.empty()) dir = environment("TENSORBROKER_RUNTIME_DIR");
  if (dir.empty()) {
    const std::string xdg = environment("XDG_RUNTIME_DIR");
    dir = xdg.empty() ? "/tmp/tensorbroker-" + std::to_string(getuid()) : xdg + "/tensorbroker";
  }
  std::string absolute = std::filesystem::absolute(dir).lexically_normal().string();
  if (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  return absolute;
}

bool check_runtime_dir(const std::string& dir) {
  struct stat status{};
  if (lstat(dir.c_str(), &status) != 0) {
    if (errno == ENOENT) return false;
    refuse(dir, std::string("cannot be looked at: ") + std::strerror(errno));
  }
  if (S_ISLNK(status.st_mode)) refuse(dir, "is a symbolic link, which somebody else could turn elsewhere");
  if (!S_ISDIR(status.st_mode)) refuse(dir, "is not a directory");
  if (status.st_uid != geteuid()) {
    refuse(dir, "belongs to uid " + std::to_string(status.st_uid) + ", not to uid " + std::to_string(geteuid()));
  }
  if ((status.st_mode & 0077) != 0) {
    throw Error(ErrorCode::kRuntime, "the runtime directory " + dir + " is open to other users; `chmod 700 " + dir +
                                         "`, or choose another with --runtime-dir or TENSORBROKER_RUNTIME_DIR");
  }
  return true;
}

void prepare_runtime_dir(const std::string& dir) {
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) {
    refuse(dir, std::string("cannot be created: ") + std::strerror(errno));
  }
  check_runtime_dir(dir);
}

std::string socket_path(const std::string& dir, const std::string& instance) {
  const std::string path = dir + "/" + instance + ".sock";
  constexpr std::size_t kLongest = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() > kLongest) {
    throw InvalidArgumentError("the socket path " + path + " has " + std::to_string(path.size()) +
                               " bytes, and a Unix socket's at most " + std::to_string(kLongest) +
                               "; choose a shorter runtime directory");
  }
  return path;
}

std::string log_path(const std::string& dir, const std::string& instance) { return dir + "/" + instance + ".log"; }

}  // namespace tensorbroker
