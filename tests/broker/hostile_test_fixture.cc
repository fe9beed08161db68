#include <csignal>
#include <filesystem>
#include <fstream>

#include "hostile_test.h"

namespace tensorbroker::test {
namespace {

constexpr std::uint64_t kOfTheOther = 8 << 20;  // what the client beside it may have been granted meanwhile

constexpr float kData[4] = {0, 1, 2, 3};

Tensor small() { return from_blob(static_cast<const void*>(kData), {4}, kFloat32); }

}  // namespace

void HostileTest::start(std::vector<std::string> options) {
  options.insert(options.begin(), {"--capacity", "64MiB"});
  broker_.emplace(options);
  client_ = broker_->connect();
  client_->put("kept", small());
  client_->put("passing", small());
  client_->remove("passing");
  used_ = client_->stats().used;
}

void HostileTest::TearDown() {
  expect_others_served();
  client_->close();
  EXPECT_EQ(broker_->end(SIGTERM).status, 0);
}

void HostileTest::expect_others_served() {
  EXPECT_EQ(client_->get("kept").const_data_ptr<float>()[3], 3);
  client_->put("passing", small());
  EXPECT_EQ(client_->get("passing").const_data_ptr<float>()[2], 2);
  client_->remove("passing");
}

void HostileTest::expect_reclaimed() {
  Stats now;
  EXPECT_TRUE(eventually([&] {
    now = client_->stats();
    return now.sessions == 1 && now.retired == 0 && now.tensors == 1 && now.used <= used_ + kOfTheOther;
  })) << now.sessions
      << " sessions, " << now.retired << " bytes retired, " << now.tensors << " tensors, " << now.used
      << " bytes used (" << used_ << " before)";
}

void HostileTest::expect_logged(const std::string& reason) {
  EXPECT_TRUE(eventually([&] { return broker_->at().log().find(reason) != std::string::npos; }))
      << "not logged: " << reason << "\n"
      << broker_->at().log();
}

std::size_t HostileTest::broker_descriptors() const {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& fd :
       std::filesystem::directory_iterator("/proc/" + std::to_string(broker_->pid()) + "/fd")) {
    ++count;
  }
  return count;
}

std::uint64_t HostileTest::broker_resident_bytes() const {
  std::ifstream statm("/proc/" + std::to_string(broker_->pid()) + "/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return resident * kPageSize;
}

}  // namespace tensorbroker::test
