#include "broker/processor.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

#include "tests/support/broker_process.h"

namespace tensorbroker::broker {
namespace {

int allowed_processors(cpu_set_t& allowed) {
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  return CPU_COUNT(&allowed);
}

TEST(Processor, IsLeftAndMayBeUsedAgain) {
  cpu_set_t before;
  if (allowed_processors(before) < 2) GTEST_SKIP() << "this process may use one processor";
  // The kernel may bring it back at once.
  EXPECT_TRUE(test::eventually([] {
    const unsigned left = own_processor();
    leave_processor(left);
    return own_processor() != left;
  }));
  cpu_set_t after;
  allowed_processors(after);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(Processor, ThatIsTheOnlyOneIsNotLeft) {
  std::thread([] {
    const unsigned own = own_processor();
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(own, &only);
    ASSERT_EQ(sched_setaffinity(0, sizeof only, &only), 0);
    EXPECT_FALSE(leave_processor(own_processor()));
    EXPECT_EQ(own_processor(), own);
    cpu_set_t after;
    allowed_processors(after);
    EXPECT_TRUE(CPU_EQUAL(&only, &after));
  }).join();
}

}  // namespace
}  // namespace tensorbroker::broker
