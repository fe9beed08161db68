#include "broker/log.h"

#include <fcntl.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <tensorbroker/error.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "proto/own_file.h"

namespace tensorbroker::broker {
namespace {

constexpr std::size_t kMaxBytes = 8 * 1024 * 1024;
constexpr std::size_t kOldFiles = 2;

// Lines that may be written: so many at once, and so many more each second.
class LineBudget {
 public:
  bool spend(std::chrono::steady_clock::time_point now) {
    const std::chrono::duration<double> since = now - last_;
    lines_ = std::min(kBurst, lines_ + since.count() * kEachSecond);
    last_ = now;
    if (lines_ < 1) return false;
    lines_ -= 1;
    return true;
  }

 private:
  static constexpr double kBurst = 50;
  static constexpr double kEachSecond = 5;

  double lines_ = kBurst;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// The sink would follow a link, and write into whatever is there.
void check_log(const std::string& path) {
  const int fd = open_own_file(path, O_WRONLY | O_CREAT | O_APPEND, geteuid());
  if (fd >= 0) close(fd);
}

}  // namespace

void open_log(const std::string& path, const std::string& level, bool foreground) {
  check_log(path);
  std::vector<spdlog::sink_ptr> sinks;
  try {
    sinks.push_back(std::make_shared<spdlog::sinks::rotating_file_sink_mt>(path, kMaxBytes, kOldFiles));
  } catch (const spdlog::spdlog_ex& e) {
    throw Error(ErrorCode::kRuntime, std::string("cannot write the log ") + path + ": " + e.what() +
                                         "; choose a writable directory with --runtime-dir");
  }
  if (foreground) sinks.push_back(std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  auto logger = std::make_shared<spdlog::logger>("tensorbrokerd", sinks.begin(), sinks.end());
  logger->set_level(spdlog::level::from_str(level));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %P %l %v");
  logger->flush_on(spdlog::level::info);
  // A full disk costs lines of the log, never the broker.
  logger->set_error_handler([](const std::string&) {});
  spdlog::set_default_logger(std::move(logger));
}

void log_refusal(const std::string& text) {
  static LineBudget budget;
  static std::uint64_t left_out = 0;
  if (!budget.spend(std::chrono::steady_clock::now())) {
    ++left_out;
    return;
  }
  if (left_out > 0) spdlog::warn("{} lines about clients that were refused are left out here", left_out);
  left_out = 0;
  spdlog::warn("{}", text);
}

void close_log() noexcept { spdlog::shutdown(); }

}  // namespace tensorbroker::broker
