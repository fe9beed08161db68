#include "tests/support/leak_check.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/registry.h"
#include "tests/support/broker_process.h"

namespace tensorbroker::test {
namespace {

namespace fs = std::filesystem;

std::set<std::string> open_descriptors() {
  std::set<std::string> found;
  for (const auto& link : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the descriptor of this very listing
    const std::string target = fs::read_symlink(link.path(), gone);
    if (!gone && !target.starts_with("/proc/")) found.insert(link.path().filename().string() + " -> " + target);
  }
  return found;
}

std::set<std::string> child_processes() {
  std::set<std::string> found;
  for (const auto& thread : fs::directory_iterator("/proc/self/task")) {
    std::ifstream children(thread.path() / "children");
    for (std::string pid; children >> pid;) found.insert(pid);
  }
  return found;
}

std::set<std::string> own_segments() {
  const std::string pid = "-" + std::to_string(getpid());
  std::set<std::string> found;
  for (const auto& file : fs::directory_iterator("/dev/shm")) {
    const std::string name = file.path().filename();
    const std::size_t at = name.find(pid);
    if (at == std::string::npos) continue;
    const char after = name[at + pid.size()];
    if (after == '-' || after == '.' || after == '\0') found.insert(name);
  }
  return found;
}

std::map<std::string, std::size_t> segment_mappings() {
  std::map<std::string, std::size_t> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::size_t path = line.find("/dev/shm/tensorbroker.");
    if (path == std::string::npos) continue;
    std::istringstream fields(line);
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    std::string access;
    fields >> std::hex >> begin >> dash >> end >> access;
    found[access + " " + line.substr(path)] += end - begin;
  }
  return found;
}

std::string added(const std::string& what, const std::set<std::string>& then, const std::set<std::string>& now) {
  std::string text;
  for (const std::string& item : now) {
    if (!then.contains(item)) text.append(what).append(" ").append(item).append("\n");
  }
  return text;
}

std::string compare(const Snapshot& then, const Snapshot& now) {
  std::string text = added("descriptor", then.descriptors, now.descriptors) +
                     added("child process", then.children, now.children) +
                     added("segment", then.segments, now.segments);
  for (const auto& [what, bytes] : now.mappings) {
    const auto before = then.mappings.find(what);
    const std::size_t had = before == then.mappings.end() ? 0 : before->second;
    if (bytes > had) text += "mapping " + what + ", " + std::to_string(bytes - had) + " bytes\n";
  }
  if (now.attachments > then.attachments) {
    text += std::to_string(now.attachments - then.attachments) + " attachments still mapped\n";
  }
  return text;
}

class LeakListener : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo&) override { before_ = take_snapshot(); }
  void OnTestEnd(const testing::TestInfo&) override {
    const std::string leaks = leaks_since(before_);
    if (!leaks.empty()) ADD_FAILURE() << "the test left behind:\n" << leaks;
  }

  Snapshot before_;
};

bool register_listener() noexcept {
  testing::UnitTest::GetInstance()->listeners().Append(new LeakListener);
  return true;
}

[[maybe_unused]] const bool registered = register_listener();

}  // namespace

Snapshot take_snapshot() {
  return {open_descriptors(), child_processes(), own_segments(), attachments_mapped(), segment_mappings()};
}

std::string leaks_since(const Snapshot& then, double seconds) {
  std::string leaks;
  eventually([&] { return (leaks = compare(then, take_snapshot())).empty(); }, seconds);
  return leaks;
}

std::string what_is_held(Client& client, double seconds) {
  std::string held;
  eventually(
      [&] {
        held.clear();
        const Stats stats = client.stats();
        for (const char* what : {"leases", "pins"}) {
          const std::uint64_t count = stats.counters.at(what);
          if (count != 0) held += std::to_string(count) + " " + what + "\n";
        }
        return held.empty();
      },
      seconds);
  return held;
}

}  // namespace tensorbroker::test
