// What the generated tests of mutants.cmake need.

#ifndef TENSORBROKER_TESTS_MODEL_MUTANTS_H_
#define TENSORBROKER_TESTS_MODEL_MUTANTS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "proto/catalog_layout.h"
#include "proto/session_layout.h"
#include "tests/model/explorer.h"

namespace tensorbroker::model {

inline testing::AssertionResult is_caught(const Exploration& mutant) {
  if (mutant.violations.empty()) {
    return testing::AssertionFailure() << "no violation in " << mutant.schedules << " schedules";
  }
  return testing::AssertionSuccess() << mutant.violations.front();
}

}  // namespace tensorbroker::model

#endif  // TENSORBROKER_TESTS_MODEL_MUTANTS_H_
