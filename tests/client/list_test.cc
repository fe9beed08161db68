#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

class Listing : public WithBroker {
 protected:
  std::vector<std::string> names(std::string_view prefix) const {
    std::vector<std::string> listed;
    for (const Info& info : client_.list(prefix)) listed.push_back(info.name);
    return listed;
  }
};

// Another process that puts, replaces and deletes until it is destroyed: names of two kinds, so that entries pass from
// the one to the other and the index is rebuilt, but none of the fixed ones is ever absent.
class Writer {
 public:
  static constexpr std::size_t kNames = 40;

  Writer(const ConnectOptions& options, unsigned seed) : pid_(fork()) {
    if (pid_ != 0) return;
    try {
      write(options, seed);
    } catch (const std::exception&) {
      _exit(1);
    }
  }
  ~Writer() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

 private:
  [[noreturn]] static void write(const ConnectOptions& options, unsigned seed) {
    Client client = Client::connect(options);
    std::mt19937 random(seed);
    const std::int64_t value = 1;
    const Tensor data = from_blob(&value, {1}, kInt64);
    for (int i = 0;; ++i) {
      client.put("fixed/" + std::to_string(random() % kNames), data);
      client.put("other/" + std::to_string(i), data);
      if (i >= 20) client.remove("other/" + std::to_string(i - 20));
    }
  }

  pid_t pid_;
};

TEST_F(Listing, SaysWhatIsThereSortedByName) {
  client_.put("b/2", counting({2, 3}), {.overwrite = true, .metadata = R"({"k": 1})"});
  client_.put("a", counting({1}));
  client_.put("b/10", counting({4}));
  client_.zeros({3}, kInt32, "b/counters");
  const std::vector<Info> all = client_.list();
  std::vector<std::string> names;
  for (const Info& info : all) names.push_back(info.name);
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b/10", "b/2", "b/counters"}));
  EXPECT_EQ(client_.list("b/").size(), 3u);
  const Info& info = all[2];
  EXPECT_EQ(info.shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(info.nbytes, 24u);
  EXPECT_EQ(info.metadata, R"({"k": 1})");
  EXPECT_EQ(info.version, client_.get("b/2").version());
  EXPECT_GT(info.created, 1.7e9);
  EXPECT_TRUE(all[3].is_mutable);
  EXPECT_EQ(client_.list("none").size(), 0u);
}

TEST_F(Listing, CountsHolders) {
  const Tensor held = client_.put("w", counting({1}));
  EXPECT_EQ(client_.holders(client_.list("w")[0]), 1u);
}

// Against what a plain walk over all the names says; some are as long as names can be, or have one prefix in common.
TEST_F(Listing, IsOfTheNamesThatBeginWithThePrefix) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::set<std::string> all;
  while (all.size() < 300) {
    std::string name = random() % 3 == 0 ? std::string(random() % 230 + 1, 'a') : "";
    for (std::size_t i = random() % 24 + 1; i > 0; --i) name += "ab/"[random() % (name.empty() ? 2 : 3)];
    if (name.back() != '/' && name.find("//") == std::string::npos) all.insert(name);
  }
  for (const std::string& name : all) client_.put(name, counting({1}));
  for (int i = 0; i < 300; ++i) {
    auto of = all.begin();
    std::advance(of, random() % all.size());
    const std::string prefix = of->substr(0, random() % (of->size() + 1)) + (random() % 4 == 0 ? "b" : "");
    std::vector<std::string> wanted;
    std::copy_if(all.begin(), all.end(), std::back_inserter(wanted),
                 [&](const std::string& name) { return name.starts_with(prefix); });
    ASSERT_EQ(names(prefix), wanted) << "of \"" << prefix << '"';
  }
  EXPECT_EQ(names(std::string(300, 'a')), std::vector<std::string>());
}

// Each name is one byte longer than the one before, and all are listed by every beginning of theirs: while the index is
// what it was, when it was rebuilt, and by clients of a successor.
TEST_F(Listing, IsOfNamesOfEveryLengthWhateverBecameOfTheIndex) {
  std::string longest;
  while (longest.size() < 255) longest += "\u00e9\u6f22a"[longest.size() % 6];
  longest.resize(254);  // to the end of a character
  std::vector<std::string> all;
  for (std::size_t bytes = 1; bytes <= longest.size(); ++bytes) {
    if (bytes < longest.size() && (static_cast<unsigned char>(longest[bytes]) & 0xc0) == 0x80) continue;
    all.push_back(longest.substr(0, bytes));
    client_.put(all.back(), counting({1}));
  }
  const auto check = [&](const std::string& when) {
    for (std::size_t bytes = 0; bytes <= longest.size(); ++bytes) {
      const std::string prefix = longest.substr(0, bytes);
      std::vector<std::string> wanted;
      std::copy_if(all.begin(), all.end(), std::back_inserter(wanted),
                   [&](const std::string& name) { return name.starts_with(prefix); });
      ASSERT_EQ(names(prefix), wanted) << bytes << " bytes " << when;
    }
    ASSERT_EQ(names(longest + "x"), std::vector<std::string>()) << when;
  };
  check("at first");
  for (int i = 0; client_.stats().counters.at("index_rebuilds") == 0; ++i) {
    client_.put("~" + std::to_string(i), counting({1}));
    client_.remove("~" + std::to_string(i));
  }
  check("after a rebuild");
  broker_.end(SIGKILL);
  broker_.start();
  client_.put("~", counting({1}));
  client_.remove("~");
  check("of a successor");
}

TEST_F(Listing, IsSortedByAllTheBytesOfANameAsUnsignedNumbers) {
  std::vector<std::string> all;
  for (const std::string after :
       {"", "a", "a!", "aaaaaaaab", "aaaaaaaa", "z", "aaaaaaaaa", "aaaaaaab", "\u00e9", "\u6f22"}) {
    all.push_back("p/" + after + ".");
  }
  for (const std::string& name : all) client_.put(name, counting({1}));
  std::sort(all.begin(), all.end());
  EXPECT_EQ(names("p/"), all);
  EXPECT_EQ(names(""), all);
}

// Records of every kind, those too large to be copied as well.
TEST_F(Listing, DescribesEverything) {
  const std::string text = R"({"k": ")" + std::string(2'000, 'v') + R"("})";
  client_.put("a", counting({2, 3}), {.overwrite = true, .metadata = text});
  std::vector<Bundle::Member> members;
  for (int i = 0; i < 100; ++i) members.emplace_back("member-" + std::to_string(i), counting({1, 2}));
  client_.put_bundle("b", members);
  client_.put_bundle("c", std::span(members).first(2));
  const double value = 1.5;
  client_.put("d", from_blob(static_cast<const void*>(&value), {}, kFloat64));
  client_.zeros({0, 3}, kInt32, "e");
  const std::vector<Info> all = client_.list();
  ASSERT_EQ(all.size(), 5u);
  EXPECT_EQ(all[0].metadata, text);
  EXPECT_EQ(all[0].shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_TRUE(all[1].is_bundle && all[2].is_bundle && !all[0].is_bundle);
  EXPECT_EQ(all[1].shape, std::vector<std::int64_t>{100});
  EXPECT_EQ(all[1].nbytes, 800u);
  EXPECT_EQ(all[2].nbytes, 16u);
  EXPECT_EQ(all[3].shape, std::vector<std::int64_t>());
  EXPECT_EQ(all[3].nbytes, 8u);
  EXPECT_EQ(all[3].dtype, kFloat64);
  EXPECT_EQ(all[4].nbytes, 0u);
  EXPECT_TRUE(all[4].is_mutable && !all[3].is_mutable);
  for (const Info& info : all) {
    EXPECT_GT(info.version, 0u);
    EXPECT_GT(info.created, 1.7e9);
    EXPECT_TRUE(info.metadata == text || info.metadata == "{}") << info.name;
    EXPECT_EQ(std::visit([](const auto& opened) { return opened.version(); }, client_.open_object(info.handle)),
              info.version);
  }
}

TEST_F(Listing, NeverMissesANameWhileEntriesPassFromNameToName) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (std::size_t i = 0; i < Writer::kNames; ++i) client_.put("fixed/" + std::to_string(i), counting({1}));
  const std::vector<std::string> fixed = names("fixed/");
  ASSERT_EQ(fixed.size(), Writer::kNames);
  const std::uint64_t published = client_.stats().counters.at("publications");
  const Writer writer(broker_.connect_options(), seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  for (int round = 0; std::chrono::steady_clock::now() < end; ++round) {
    ASSERT_EQ(names("fixed/"), fixed) << "round " << round;
  }
  const std::map<std::string, std::uint64_t> counters = client_.stats().counters;
  EXPECT_GT(counters.at("publications"), published + 1000);
  std::cout << "[ writer   ] " << counters.at("publications") - published << " publications, "
            << counters.at("index_rebuilds") << " rebuilds\n";
}

TEST_F(Listing, NeverMissesANameThatIsAlwaysThere) {
  for (int i = 0; i < 50; ++i) client_.put("fixed/" + std::to_string(i), counting({1}));
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; !done.load(); ++i) {
      client_.put("fixed/" + std::to_string(i % 50), counting({1}));
      client_.put("passing/" + std::to_string(i), counting({1}));
      if (i >= 100) client_.remove("passing/" + std::to_string(i - 100));
    }
  });
  for (int round = 0; round < 200 && !HasFailure(); ++round) {
    EXPECT_EQ(client_.list("fixed/").size(), 50u) << "round " << round;
  }
  done.store(true);
  writer.join();
}

}  // namespace
}  // namespace tensorbroker
