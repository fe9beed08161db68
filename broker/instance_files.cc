#include "broker/instance_files.h"

#include <dirent.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <tensorbroker/error.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

namespace tensorbroker::broker {
namespace {

bool is_own(const std::string& path, uid_t owner) {
  struct stat status{};
  if (lstat(path.c_str(), &status) != 0) return false;  // it has gone meanwhile
  if (S_ISREG(status.st_mode) && status.st_uid == owner) return true;
  spdlog::warn("{} is left alone: it is a link, no regular file, or not of uid {}", path, owner);
  return false;
}

}  // namespace

std::vector<SegmentId> segments_of(const InstanceName& name) {
  const std::string shm(kShmDirectory);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(shm.c_str()), closedir);
  if (directory == nullptr) {
    throw Error(ErrorCode::kRuntime, "cannot look into " + shm + ": " + std::strerror(errno));
  }
  std::vector<SegmentId> found;
  while (const dirent* const file = readdir(directory.get())) {
    const auto segment = parse_segment_name(name, file->d_name);
    if (segment && is_own(shm + "/" + file->d_name, name.uid)) found.push_back(*segment);
  }
  return found;
}

}  // namespace tensorbroker::broker
