#include "report.h"

#include <iomanip>
#include <iostream>

namespace digits {

void Report::ready() const {
  std::cout << (json_ ? R"({"event": "ready"})" : "serve: waiting for a model and for requests") << std::endl;
}

void Report::version(std::uint64_t version, std::string_view metadata, const Tally& tally,
                     std::optional<std::int64_t> latency, std::size_t nbytes, std::size_t copied) const {
  const double accuracy = static_cast<double>(tally.correct) / static_cast<double>(tally.images);
  if (json_) {
    std::cout << R"({"event": "served", "version": )" << version << R"(, "metadata": )" << metadata << R"(, "images": )"
              << tally.images << R"(, "accuracy": )" << accuracy << R"(, "latency_ns": )";
    if (latency) {
      std::cout << *latency;
    } else {
      std::cout << "null";
    }
    std::cout << R"(, "nbytes": )" << nbytes << R"(, "copied_bytes": )" << copied << "}" << std::endl;
    return;
  }
  std::cout << "serve: version " << version << " " << metadata << ": accuracy " << std::fixed << std::setprecision(4)
            << accuracy << " over " << tally.images << " images, " << nbytes << " bytes of weights mapped, " << copied
            << " bytes copied";
  if (latency) {
    std::cout << ", first answer " << std::setprecision(3) << static_cast<double>(*latency) / 1e6
              << " ms after put returned";
  }
  std::cout << std::endl;
}

void Report::end(std::int64_t requests, std::int64_t images, std::int64_t versions) const {
  if (json_) {
    std::cout << R"({"event": "end", "requests": )" << requests << R"(, "images": )" << images << R"(, "versions": )"
              << versions << "}" << std::endl;
  } else {
    std::cout << "serve: answered " << requests << " requests (" << images << " images) with " << versions
              << " versions of the model" << std::endl;
  }
}

}  // namespace digits
