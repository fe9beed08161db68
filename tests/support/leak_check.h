// After every test of every C++ suite: descriptors, child processes, attachments, mappings of segments and files in
// /dev/shm are as before.
//
// Linked into each test binary, where it registers itself with GoogleTest. Leases and pins are the broker's to count,
// which is a test's own: its fixture asks what_is_held().

#ifndef TENSORBROKER_TESTS_SUPPORT_LEAK_CHECK_H_
#define TENSORBROKER_TESTS_SUPPORT_LEAK_CHECK_H_

#include <tensorbroker/client.h>

#include <cstddef>
#include <map>
#include <set>
#include <string>

namespace tensorbroker::test {

struct Snapshot {
  std::set<std::string> descriptors;            // "7 -> /dev/null"
  std::set<std::string> children;               // pids
  std::set<std::string> segments;               // files in /dev/shm that carry this process's pid in their name
  std::size_t attachments = 0;                  // of the client library, mapped
  std::map<std::string, std::size_t> mappings;  // bytes mapped of segments, by "r--s <path>"
};

Snapshot take_snapshot();

// What there is now and was not then, in words; "" for nothing. Looks again for a few seconds before it says something:
// a broker that was told to end takes a moment.
std::string leaks_since(const Snapshot& then, double seconds = 5);

// The leases and pins that the client's broker counts, in words; "" for none. Looks again in the same way.
std::string what_is_held(Client& client, double seconds = 5);

}  // namespace tensorbroker::test

#endif  // TENSORBROKER_TESTS_SUPPORT_LEAK_CHECK_H_
