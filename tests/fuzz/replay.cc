// Runs a fuzz target over the files of folders, and with --random N over N more inputs that are made of them: the
// main() of a build without libFuzzer. An input that ends the process is named, or kept in the file of that name.
//
// usage: fuzz_TARGET FOLDER... [--random N [SEED]]

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/fuzz/choices.h"

namespace {

constexpr const char* kLast = "last-random-input";

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Two inputs put together, and some bytes changed.
std::string mixed(const std::vector<std::string>& inputs, std::mt19937& random) {
  const std::string& head = inputs[random() % inputs.size()];
  const std::string& tail = inputs[random() % inputs.size()];
  std::string input = head.substr(0, random() % (head.size() + 1)) + tail.substr(random() % (tail.size() + 1));
  for (unsigned changes = random() % 8; changes > 0 && !input.empty(); --changes) {
    input[random() % input.size()] = static_cast<char>(random() % 4 == 0 ? random() % 8 : random());
  }
  return input;
}

void run_random(const std::vector<std::string>& inputs, long count, unsigned seed) {
  std::printf("seed %u\n", seed);
  std::fflush(stdout);
  std::mt19937 random(seed);
  for (long i = 0; i < count; ++i) {
    const std::string input = mixed(inputs, random);
    std::ofstream(kLast, std::ios::binary) << input;
    run(input);
  }
  std::filesystem::remove(kLast);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  int at = 1;
  for (; at < argc && std::string_view(argv[at]) != "--random"; ++at) {
    for (const auto& file : std::filesystem::directory_iterator(argv[at])) files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> inputs;
  for (const auto& path : files) {
    std::fprintf(stderr, "%s\n", path.c_str());  // before: what ends the process is known by name
    run(inputs.emplace_back(read(path)));
  }
  std::printf("%zu inputs\n", files.size());
  if (files.empty()) return 1;
  if (at + 1 < argc) {
    const long count = std::strtol(argv[at + 1], nullptr, 10);
    const auto seed =
        at + 2 < argc ? static_cast<unsigned>(std::strtoul(argv[at + 2], nullptr, 10)) : std::random_device{}();
    run_random(inputs, count, seed);
  }
  return 0;
}
