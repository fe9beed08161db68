// Makes one kind of call many times, for callgrind to count the instructions of (see compare.py).
//
// usage: counted_calls CALL ROUNDS; without arguments it prints the calls.

#include <tensorbroker/tensorbroker.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/bench/instance.h"

namespace tensorbroker::bench {
namespace {

constexpr int kLive = 1000;  // tensors, each of 4 KiB
constexpr int kElements = 1024;
constexpr int kMembers = 300;
constexpr int kMany = 100;
constexpr int kWarm = 1100;  // rounds before those that are counted: every page and name was seen once

using Call = std::function<void(int round)>;

std::string name_of(int i) { return "live/" + std::to_string(i % kLive); }

std::vector<std::string> put_live() {
  const std::vector<float> data(kElements, 1.0F);
  std::vector<std::string> names;
  for (int i = 0; i < kLive; ++i) {
    names.push_back(name_of(i));
    client().put(names.back(), from_blob(data.data(), {kElements}, kFloat32));
  }
  return names;
}

Call get() {
  return [names = put_live()](int round) { (void)client().get(names[static_cast<std::size_t>(round) % kLive]); };
}

Call find_what_is_missing() {
  put_live();
  return [](int round) { (void)client().find(round % 2 == 0 ? "missing" : "another"); };
}

void put_bundle() {
  const std::vector<float> data(kElements, 1.0F);
  std::vector<Bundle::Member> members;
  for (int i = 0; i < kMembers; ++i) {
    members.emplace_back("layer" + std::to_string(i), from_blob(data.data(), {kElements}, kFloat32));
  }
  client().put_bundle("bundle", members);
}

Call get_bundle() {
  put_bundle();
  return [](int) { (void)client().get_bundle("bundle"); };
}

Call get_every_view() {
  put_bundle();
  return [](int) { (void)client().get_bundle("bundle").members(); };
}

Call put() {
  return [data = std::vector<float>(kElements, 1.0F)](int round) {
    client().put(name_of(round), from_blob(data.data(), {kElements}, kFloat32));
  };
}

// A hundred in every hundredth round.
Call put_many() {
  static const std::vector<float> data(kElements, 1.0F);
  std::vector<Bundle::Member> tensors;
  for (int i = 0; i < kMany; ++i) tensors.emplace_back(name_of(i), from_blob(data.data(), {kElements}, kFloat32));
  return [tensors](int round) {
    if ((round + 1) % kMany == 0) client().put_many(tensors);
  };
}

Call put_and_remove() {
  return [data = std::vector<float>(kElements, 1.0F)](int) {
    client().put("short-lived", from_blob(data.data(), {kElements}, kFloat32));
    client().remove("short-lived");
  };
}

std::map<std::string, Call (*)()> calls() {
  return {{"get", get},
          {"find what is missing", find_what_is_missing},
          {"get a bundle of 300", get_bundle},
          {"get every view of a bundle of 300", get_every_view},
          {"put 4 KiB", put},
          {"put many of 4 KiB", put_many},
          {"put and remove 4 KiB", put_and_remove}};
}

}  // namespace
}  // namespace tensorbroker::bench

// Callgrind counts what happens inside this, on this thread.
extern "C" __attribute__((noinline)) void counted_rounds(const tensorbroker::bench::Call& call, int rounds) {
  for (int i = 0; i < rounds; ++i) call(i);
}

int main(int argc, char** argv) {
  const auto calls = tensorbroker::bench::calls();
  if (argc != 3) {
    for (const auto& [name, make] : calls) std::puts(name.c_str());
    return 0;
  }
  const auto found = calls.find(argv[1]);
  if (found == calls.end()) {
    std::fprintf(stderr, "counted_calls: there is no call '%s'\n", argv[1]);
    return 1;
  }
  const tensorbroker::bench::Call call = found->second();
  for (int i = 0; i < tensorbroker::bench::kWarm; ++i) call(i);
  counted_rounds(call, static_cast<int>(std::strtol(argv[2], nullptr, 10)));
  return 0;
}
