// The lock that makes a broker the only one of its instance, whatever the environment of the others.
//
// It lies beside the segments, /dev/shm/tensorbroker.<uid>.<instance>.lock, is flocked by the broker for its life, and
// records the broker's runtime directory and pid. Only the holder adopts, cleans up or ends an instance.

#ifndef TENSORBROKER_PROTO_INSTANCE_LOCK_H_
#define TENSORBROKER_PROTO_INSTANCE_LOCK_H_

#include <sys/types.h>

#include <optional>
#include <string>

#include "proto/segment_name.h"

namespace tensorbroker {

// What a broker wrote into its lock file.
struct LockRecord {
  pid_t pid = 0;
  std::string runtime_dir;
};

// Holds the lock until destroyed. Move only.
class InstanceLock {
 public:
  // Takes the lock, or returns nullopt and the living holder's record in `*holder`. After locking, the file is compared
  // with its name, since a cleaner of /dev/shm may have replaced it, and taken again if it differs.
  // Throws Error where the file cannot be made (no /dev/shm, read-only, full), AccessError where it is a link or
  // belongs to somebody else.
  static std::optional<InstanceLock> acquire(const InstanceName& name, const LockRecord& record, LockRecord* holder);

  InstanceLock(InstanceLock&& other) noexcept;
  InstanceLock& operator=(InstanceLock&& other) noexcept;
  ~InstanceLock();

  // Whether the name still denotes the file that is locked.
  bool still_named() const noexcept;
  // Removes the name, if it is still ours: the last act of an orderly end.
  void remove_name() noexcept;

 private:
  InstanceLock(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  int fd_ = -1;
  std::string path_;
};

// The record of the broker that holds the instance's lock now; nullopt where none does. Locks nothing for longer than
// the look. Ignores what is a link or not the instance's owner's.
std::optional<LockRecord> living_broker(const InstanceName& name);

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_INSTANCE_LOCK_H_
