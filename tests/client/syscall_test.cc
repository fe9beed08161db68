// get makes no system call: 10,000 gets of names that are not held.

#include <unistd.h>

#include "tests/client/with_broker.h"
#include "tests/support/system_calls.h"

namespace tensorbroker {
namespace {

using test::count_system_calls;
using Syscalls = WithBroker;

constexpr int kGets = 10'000;

TEST_F(Syscalls, TenThousandGetsOfNamesNotHeldMakeNone) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) {
    names.push_back("n/" + std::to_string(i));
    client_.put(names.back(), counting({16}));
  }
  const long calls = count_system_calls([&] {
    client_.get(names[0]);  // whatever the process does at the first one is done
  });
  EXPECT_LE(calls, 50);
  EXPECT_EQ(count_system_calls([&] {
              for (int i = 0; i < kGets; ++i) {
                const Tensor tensor = client_.get(names[static_cast<std::size_t>(i) % names.size()]);
                if (tensor.numel() != 16) _exit(1);
              }
            }),
            0);
}

TEST_F(Syscalls, TheCountSeesAMessage) {
  EXPECT_GT(count_system_calls([&] { client_.stats(); }), 1);
}

}  // namespace
}  // namespace tensorbroker
