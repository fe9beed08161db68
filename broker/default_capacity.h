// How many bytes of tensors an instance may hold where nobody said: what the machine and the container can bear.
//
// Reads files of the kernel; no state. The paths are parameters so that tests can show it a container.

#ifndef TENSORBROKER_BROKER_DEFAULT_CAPACITY_H_
#define TENSORBROKER_BROKER_DEFAULT_CAPACITY_H_

#include <cstdint>
#include <optional>
#include <string>

namespace tensorbroker::broker {

// Where the kernel tells of memory.
struct MemoryFiles {
  std::string shm_dir = "/dev/shm";
  std::string self_cgroup = "/proc/self/cgroup";
  std::string cgroup_root = "/sys/fs/cgroup";
  std::string meminfo = "/proc/meminfo";
};

// Bytes that the memory cgroup of this process and each of those above it still allow (version 2 and version 1), page
// cache that could be dropped counted as free. nullopt where nothing limits it.
std::optional<std::uint64_t> cgroup_room(const MemoryFiles& files);

// The smallest of what the file system has left, the room under the memory cgroup and the machine's available memory,
// less a sixteenth for everybody else, in whole pages. Throws Error where the file system cannot be looked at.
std::uint64_t default_capacity(const MemoryFiles& files = {});

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_DEFAULT_CAPACITY_H_
