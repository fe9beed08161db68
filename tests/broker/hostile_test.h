// A broker with a client that must notice nothing, beside whoever is hostile.

#ifndef TENSORBROKER_TESTS_BROKER_HOSTILE_TEST_H_
#define TENSORBROKER_TESTS_BROKER_HOSTILE_TEST_H_

#include <gtest/gtest.h>
#include <tensorbroker/tensorbroker.h>

#include <optional>
#include <string>
#include <vector>

#include "tests/support/raw_client.h"

namespace tensorbroker::test {

class HostileTest : public testing::Test {
 protected:
  // The client beside the hostile one is served: it reads, puts and deletes, and its bytes are the right ones.
  void expect_others_served();
  // All that the hostile client had is the broker's again, by its own counts, and its log says `reason`.
  void expect_reclaimed();
  void expect_logged(const std::string& reason);
  std::size_t broker_descriptors() const;
  std::uint64_t broker_resident_bytes() const;
  std::shared_ptr<Socket> connect() const { return connect_raw(broker_->at()); }
  RawSession attach() const { return attach_raw(broker_->at()); }

  // Starts the broker with these options beyond its capacity.
  void start(std::vector<std::string> options = {});
  void TearDown() override;

  std::optional<BrokerProcess> broker_;
  std::optional<Client> client_;

 private:
  std::uint64_t used_ = 0;
};

}  // namespace tensorbroker::test

#endif  // TENSORBROKER_TESTS_BROKER_HOSTILE_TEST_H_
