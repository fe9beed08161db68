#include "proto/runtime_dir.h"

#include <fcntl.h>
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

std::string refusal(const std::string& dir, const std::string& why) {
  return "the runtime directory " + dir + " " + why + kRemedy;
}

[[noreturn]] void refuse(const std::string& dir, const std::string& why) {
  throw Error(ErrorCode::kRuntime, refusal(dir, why));
}

[[noreturn]] void throw_no_entry(const std::string& dir, uid_t owner) {
  throw AccessError("uid " + std::to_string(geteuid()) + " may not enter the runtime directory " + dir + " of uid " +
                    std::to_string(owner) +
                    ": its broker has to run with --group, and this user has to be a member of that group");
}

std::string somebody_elses(uid_t found, uid_t owner) {
  std::string text = "belongs to uid " + std::to_string(found) + ", not to uid " + std::to_string(owner);
  if (found == geteuid()) return text;
  return text + "; if the broker of uid " + std::to_string(found) +
         " is meant, name it as the owner (owner=, --owner or TENSORBROKER_OWNER)";
}

}  // namespace

std::string choose_runtime_dir(const std::string& explicit_dir, uid_t owner, Reach reach) {
  std::string dir = explicit_dir;
  if (dir.empty()) dir = environment("TENSORBROKER_RUNTIME_DIR");
  if (dir.empty()) {
    const std::string xdg = reach == Reach::kOwn ? environment("XDG_RUNTIME_DIR") : "";
    dir = xdg.empty() ? "/tmp/tensorbroker-" + std::to_string(owner) : xdg + "/tensorbroker";
  }
  std::string absolute = std::filesystem::absolute(dir).lexically_normal().string();
  if (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  return absolute;
}

bool check_runtime_dir(const std::string& dir, uid_t owner) {
  struct stat status{};
  if (lstat(dir.c_str(), &status) != 0) {
    if (errno == ENOENT) return false;
    if (errno == EACCES) throw_no_entry(dir, owner);
    refuse(dir, std::string("cannot be looked at: ") + std::strerror(errno));
  }
  if (S_ISLNK(status.st_mode)) {
    throw AccessError(refusal(dir, "is a symbolic link, which somebody else could turn elsewhere"));
  }
  if (!S_ISDIR(status.st_mode)) refuse(dir, "is not a directory");
  if (status.st_uid != owner) throw AccessError(refusal(dir, somebody_elses(status.st_uid, owner)));
  if ((status.st_mode & 0027) != 0) {
    throw Error(ErrorCode::kRuntime, "the runtime directory " + dir + " is open to other users; `chmod 700 " + dir +
                                         "`, or choose another with --runtime-dir or TENSORBROKER_RUNTIME_DIR");
  }
  return true;
}

void prepare_runtime_dir(const std::string& dir) {
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) {
    refuse(dir, std::string("cannot be created: ") + std::strerror(errno));
  }
  check_runtime_dir(dir, geteuid());
}

void share_runtime_dir(const std::string& dir, gid_t group) {
  const int fd = open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) refuse(dir, std::string("cannot be opened: ") + std::strerror(errno));
  struct stat status{};
  int error = fstat(fd, &status) == 0 ? 0 : errno;
  const bool is_anothers = error == 0 && (status.st_mode & 0070) != 0 && status.st_gid != group;
  if (error == 0 && !is_anothers && (fchown(fd, static_cast<uid_t>(-1), group) != 0 || fchmod(fd, 0750) != 0)) {
    error = errno;
  }
  close(fd);
  if (is_anothers) refuse(dir, "is shared with the group " + std::to_string(status.st_gid) + " already");
  if (error != 0) throw_not_shared(dir, group, error);
}

void throw_not_shared(const std::string& path, gid_t group, int error) {
  const std::string what =
      "cannot give " + path + " to the group " + std::to_string(group) + ": " + std::strerror(error);
  if (error != EPERM) throw Error(ErrorCode::kRuntime, what);
  throw AccessError(what + "; uid " + std::to_string(geteuid()) +
                    " has to be a member of that group (`usermod -aG GROUP USER`, then log in anew), or choose another "
                    "--group");
}

bool check_socket(const std::string& path, uid_t owner) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == EACCES) throw_no_entry(path.substr(0, path.rfind('/')), owner);
    return false;
  }
  if (!S_ISSOCK(status.st_mode)) throw AccessError(path + " is no socket; remove it");
  if (status.st_uid == owner) return true;
  throw AccessError("the socket " + path + " belongs to uid " + std::to_string(status.st_uid) + ", not to uid " +
                    std::to_string(owner) + "; have it removed by its owner or root");
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
