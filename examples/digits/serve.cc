// A C++ inference worker: answers requests with whatever model train.py published last.
//
//   build/examples/digits/serve [--json]
//
// Two threads. One waits for versions of digits/model and maps each as it appears. The other, the request path, takes
// the newest between two requests with one atomic exchange, and reads weights and images where they lie: no lock, no
// copy, no message to the broker. It reports, for each version, the accuracy over one pass through the held-out images
// and the time from put returning in train.py to the first answer with the new weights. SIGINT or SIGTERM ends it.

#include <tensorbroker/tensorbroker.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>

#include "handover.h"
#include "mailbox.h"
#include "model.h"
#include "report.h"

namespace digits {

namespace tb = tensorbroker;
using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

std::atomic<bool> stop_requested = false;
static_assert(std::atomic<bool>::is_always_lock_free, "the signal handler stores to it");

void request_stop(int /*signal*/) { stop_requested = true; }

// The clock of train.py's time.clock_gettime_ns(CLOCK_MONOTONIC).
std::int64_t now() { return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Maps each version of the model as it appears. A model that does not fit is refused; the one before it goes on.
void watch(const tb::Client& client, Handover<const Model>& handover, const std::stop_token& stop) {
  std::uint64_t version = 0;
  while (!stop.stop_requested()) {
    try {
      std::optional<tb::Bundle> bundle = client.wait_bundle("digits/model", version, milliseconds(100));
      if (!bundle) continue;
      version = bundle->version();
      handover.offer(std::make_unique<const Model>(*std::move(bundle)));
    } catch (const tb::Error& error) {
      std::cerr << "serve: " << error.what() << std::endl;
      std::this_thread::sleep_for(milliseconds(100));
    }
  }
}

class Server {
 public:
  Server(tb::Client client, Report report)
      : client_(std::move(client)), mailbox_(client_), report_(report), copied_(mailbox_.copied_bytes()) {}

  // Answers until a signal asks for the end.
  void run() {
    report_.ready();
    std::jthread watcher([this](const std::stop_token& stop) { watch(client_, handover_, stop); });
    while (!stop_requested) {
      if (std::unique_ptr<const Model> fresh = handover_.take()) swap_in(std::move(fresh));
      const std::optional<Request> request = model_ ? mailbox_.next() : std::nullopt;
      if (request) {
        answer(*request);
      } else {
        std::this_thread::sleep_for(microseconds(20));
      }
      if (!tally_.reported && tally_.images >= pass_) report_version();
    }
    finish_version();
    report_.end(requests_, images_, versions_);
  }

 private:
  void swap_in(std::unique_ptr<const Model> fresh) {
    finish_version();
    model_ = std::move(fresh);  // and lets the broker have the pages of the one before
    tally_ = {};
    ++versions_;
    if (pass_ == kUnknown) {
      if (const auto heldout = client_.find_object("digits/heldout")) {
        pass_ = std::get<tb::Bundle>(*heldout).at("labels").numel();
      }
    }
  }

  void answer(const Request& request) {
    model_->predict(request.images, request.classes);
    std::int64_t correct = 0;
    for (std::size_t i = 0; i < request.classes.size(); ++i) correct += request.classes[i] == request.labels[i] ? 1 : 0;
    mailbox_.answer(request, model_->version());
    if (tally_.first_answer == 0) tally_.first_answer = now();
    const auto count = static_cast<std::int64_t>(request.classes.size());
    if (tally_.images < pass_) {  // counts each held-out image once, however late the trainer's word on its put
      tally_.images += count;
      tally_.correct += correct;
    }
    images_ += count;
    ++requests_;
  }

  // Reports once the trainer has said when its put returned; that takes it a moment longer than publishing.
  void report_version() {
    const std::optional<tb::Tensor> published = client_.find("digits/published");
    if (!published || published->numel() != 2) return;
    const auto* words = published->const_data_ptr<std::int64_t>();
    const auto version = static_cast<std::uint64_t>(words[0]);
    if (version < model_->version()) return;
    print_version(version == model_->version() ? std::optional(tally_.first_answer - words[1]) : std::nullopt);
  }

  // The version goes: report what there is, if it was in use for less than one pass.
  void finish_version() {
    if (tally_.images > 0 && !tally_.reported) print_version(std::nullopt);
  }

  void print_version(std::optional<std::int64_t> latency) {
    report_.version(model_->version(), model_->metadata(), tally_, latency, model_->nbytes(),
                    model_->copied_bytes() + copied_);
    tally_.reported = true;
  }

  static constexpr std::int64_t kUnknown = INT64_MAX;

  tb::Client client_;
  Mailbox mailbox_;
  Report report_;
  Handover<const Model> handover_;
  std::unique_ptr<const Model> model_;
  Tally tally_;                   // of model_
  std::int64_t pass_ = kUnknown;  // images in one pass through the held-out ones
  std::size_t copied_;            // bytes of a request that are not read in place
  std::int64_t requests_ = 0;
  std::int64_t images_ = 0;
  std::int64_t versions_ = 0;
};

}  // namespace
}  // namespace digits

int main(int argc, char** argv) {
  const bool json = argc == 2 && std::string_view(argv[1]) == "--json";
  if (argc > 1 && !json) {
    std::cerr << "usage: serve [--json]" << std::endl;
    return 2;
  }
  std::signal(SIGINT, digits::request_stop);
  std::signal(SIGTERM, digits::request_stop);
  try {
    digits::Server(tensorbroker::Client::connect(), digits::Report(json)).run();
  } catch (const std::exception& error) {
    std::cerr << "serve: " << error.what() << std::endl;
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
