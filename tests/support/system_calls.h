// How many system calls some work makes: it runs in a child under ptrace, which stops at each one.

#ifndef TENSORBROKER_TESTS_SUPPORT_SYSTEM_CALLS_H_
#define TENSORBROKER_TESTS_SUPPORT_SYSTEM_CALLS_H_

#include <functional>

namespace tensorbroker::test {

// The work is done in the child alone. The test fails where the child ends in the middle of it.
long count_system_calls(const std::function<void()>& work);

}  // namespace tensorbroker::test

#endif  // TENSORBROKER_TESTS_SUPPORT_SYSTEM_CALLS_H_
