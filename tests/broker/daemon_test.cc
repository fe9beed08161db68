// The daemon as a process: starting, refusing to start, ending, adopting.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "proto/instance_lock.h"
#include "proto/layout.h"
#include "proto/runtime_dir.h"
#include "tests/support/broker_process.h"

namespace tensorbroker {
namespace {

namespace fs = std::filesystem;
using test::BrokerProcess;
using test::Ended;
using test::run_daemon;
using test::TemporaryInstance;

std::vector<std::string> arguments(const TemporaryInstance& at, std::vector<std::string> more = {}) {
  std::vector<std::string> all{"--instance", at.name().instance, "--runtime-dir", at.runtime_dir()};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

void expect_refusal(const Ended& ended, const std::string& what) {
  EXPECT_GT(ended.status, 0);
  EXPECT_LT(ended.status, 128) << "a status, not a signal";
  EXPECT_NE(ended.err.find(what), std::string::npos) << ended.err;
}

void put(Client& client, const std::string& name, float value) {
  client.put(name, from_blob(static_cast<const void*>(&value), {1}, kFloat32));
}

float value_of(Client& client, const std::string& name) { return *client.get(name).const_data_ptr<float>(); }

// ---------------------------------------------------------------- starting

TEST(Daemon, KeepsItsFilesToItself) {
  const BrokerProcess broker;
  for (const std::string& file : broker.at().files()) {
    EXPECT_EQ(fs::status("/dev/shm/" + file).permissions(), fs::perms::owner_read | fs::perms::owner_write) << file;
  }
  const std::string socket = socket_path(broker.at().runtime_dir(), broker.at().name().instance);
  EXPECT_EQ(static_cast<int>(fs::status(socket).permissions()) & 077, 0);
  const auto record = living_broker(broker.at().name());
  ASSERT_TRUE(record);
  EXPECT_EQ(record->pid, broker.pid());
  EXPECT_EQ(record->runtime_dir, broker.at().runtime_dir());
}

TEST(Daemon, RefusesToBeTheSecond) {
  const BrokerProcess broker;
  expect_refusal(run_daemon(arguments(broker.at())), "pid " + std::to_string(broker.pid()));
  const TemporaryInstance elsewhere;
  const Ended other = run_daemon({"--instance", broker.at().name().instance, "--runtime-dir", elsewhere.runtime_dir()});
  expect_refusal(other, broker.at().runtime_dir());
}

TEST(Daemon, RefusesBadOptionsAtOnce) {
  const TemporaryInstance at;
  for (const std::vector<std::string>& bad : {std::vector<std::string>{"--capacity", "much"},
                                              {"--capacity"},
                                              {"--no-such-option"},
                                              {"--max-tensors", "-1"},
                                              {"--log-level", "loud"},
                                              {"--idle-exit", "soon"}}) {
    const Ended ended = run_daemon(arguments(at, bad));
    expect_refusal(ended, bad[0]);
  }
  expect_refusal(run_daemon({"--instance", "a/b", "--runtime-dir", at.runtime_dir()}), "a/b");
}

TEST(Daemon, RefusesARuntimeDirectoryThatIsNotSafe) {
  const TemporaryInstance at;
  const std::string real = at.runtime_dir() + "/real";
  const std::string link = at.runtime_dir() + "/link";
  fs::create_directory(real);
  fs::create_directory_symlink(real, link);
  expect_refusal(run_daemon({"--instance", at.name().instance, "--runtime-dir", link}), "symbolic link");
  chmod(real.c_str(), 0777);
  expect_refusal(run_daemon({"--instance", at.name().instance, "--runtime-dir", real}), "chmod 700");
  expect_refusal(run_daemon({"--instance", at.name().instance, "--runtime-dir", "/" + std::string(110, 'd')}), "107");
  if (geteuid() == 0) {
    chmod(real.c_str(), 0700);
    ASSERT_EQ(chown(real.c_str(), 65534, 65534), 0);
    expect_refusal(run_daemon({"--instance", at.name().instance, "--runtime-dir", real}), "uid 65534");
  }
  EXPECT_TRUE(at.files().empty()) << "nothing half-done stays behind";
}

// Runs the daemon where `mount` was run before, in a mount namespace of its own.
Ended run_with_shm(const TemporaryInstance& at, const std::string& mount) {
  const std::string script = mount + " && exec \"$0\" \"$@\"";
  std::vector<std::string> prefix{"unshare", geteuid() == 0 ? "-m" : "-Urm", "sh", "-c", script};
  return run_daemon(arguments(at, {"--capacity", "64MiB"}), prefix);
}

TEST(Daemon, SaysWhatIsWrongWithDevShm) {
  const TemporaryInstance at;
  expect_refusal(run_with_shm(at, "mount -t tmpfs -o size=8k tmpfs /dev/shm"), "/dev/shm");
  expect_refusal(run_with_shm(at, "mount -t tmpfs -o ro tmpfs /dev/shm"), "writable");
  // Absent: a directory without /dev/shm in place of /dev.
  expect_refusal(run_with_shm(at, "mount -t tmpfs tmpfs /dev && touch /dev/null"), "/dev/shm");
}

TEST(Daemon, TellsSystemdWhenItIsReady) {
  const TemporaryInstance at;
  const std::string path = at.runtime_dir() + "/notify";
  const int listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  setenv("NOTIFY_SOCKET", path.c_str(), 1);
  const BrokerProcess broker;
  unsetenv("NOTIFY_SOCKET");
  char text[256] = {};
  ASSERT_GT(recv(listener, text, sizeof text - 1, 0), 0);
  EXPECT_NE(std::string(text).find("READY=1"), std::string::npos) << text;
  close(listener);
}

// ---------------------------------------------------------------- ending

TEST(Daemon, EndsInGoodOrderAtSigterm) {
  BrokerProcess broker;
  Client client = broker.connect();
  put(client, "w", 1);
  const Ended ended = broker.end(SIGTERM);
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_TRUE(broker.at().files().empty());
  EXPECT_FALSE(fs::exists(socket_path(broker.at().runtime_dir(), broker.at().name().instance)));
  EXPECT_NE(broker.at().log().find("good order"), std::string::npos);
}

TEST(Daemon, StopKeepLeavesAllForASuccessor) {
  BrokerProcess broker;
  Client client = broker.connect();
  put(client, "w", 5);
  client.stop_broker(true);
  EXPECT_TRUE(test::eventually([&] { return !living_broker(broker.at().name()); }));
  EXPECT_GE(broker.at().files().size(), 4u);
  broker.end(SIGTERM);
  broker.start();
  EXPECT_EQ(value_of(client, "w"), 5);
  EXPECT_EQ(client.stats().tensors, 1u);
}

TEST(Daemon, EndsWhenIdle) {
  const TemporaryInstance at;
  const Ended ended = run_daemon(arguments(at, {"--capacity", "1MiB", "--idle-exit", "0.1"}));
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_TRUE(at.files().empty());
}

TEST(Daemon, IsNotIdleWhileATensorLives) {
  BrokerProcess broker({"--capacity", "16MiB", "--idle-exit", "0.1"});
  {
    Client client = broker.connect();
    put(client, "w", 1);
  }
  usleep(500'000);
  Client client = broker.connect();
  EXPECT_EQ(value_of(client, "w"), 1);
}

// ---------------------------------------------------------------- adopting

TEST(Daemon, KeepsTheOptionsOfTheOneBefore) {
  BrokerProcess broker({"--capacity", "48MiB", "--max-sessions", "7", "--prepared", "3MiB"});
  broker.end(SIGKILL);
  broker.start({});
  Client client = broker.connect();
  EXPECT_EQ(client.stats().capacity, 48u << 20);
  EXPECT_EQ(client.stats().limits.at("max_sessions"), 7u);
  EXPECT_EQ(client.stats().limits.at("prepared"), 3u << 20);
}

TEST(Daemon, KeepsTheLimitsOnClientsOfTheOneBefore) {
  const std::vector<std::string> limits{"--session-tensors",     "2", "--user-tensors",     "30",
                                        "--user-sessions",       "4", "--user-connections", "50",
                                        "--process-connections", "6", "--client-timeout",   "7"};
  const std::map<std::string, std::uint64_t> kept{{"session_tensors", 2},     {"user_tensors", 30},
                                                  {"user_sessions", 4},       {"user_connections", 50},
                                                  {"process_connections", 6}, {"client_timeout", 7}};
  std::vector<std::string> arguments{"--capacity", "16MiB"};
  arguments.insert(arguments.end(), limits.begin(), limits.end());
  BrokerProcess broker(arguments);
  ConnectOptions options = broker.connect_options();
  options.autostart = true;
  Client client = Client::connect(options);
  put(client, "a", 1);
  broker.end(SIGKILL);
  put(client, "b", 2);  // through a successor that this starts
  EXPECT_THROW(put(client, "c", 3), QuotaError);
  Stats stats = client.stats();
  for (const auto& [limit, value] : kept) EXPECT_EQ(stats.limits.at(limit), value) << limit;

  client.stop_broker(true);
  EXPECT_TRUE(test::eventually([&] { return !living_broker(broker.at().name()); }));
  broker.start({"--session-tensors", "3", "--user-connections", "0"});
  put(client, "c", 3);
  stats = client.stats();
  EXPECT_EQ(stats.limits.at("session_tensors"), 3u);
  EXPECT_EQ(stats.limits.at("user_connections"), 0u);
  EXPECT_EQ(stats.limits.at("user_tensors"), 30u) << "what is not said again is kept";
}

TEST(Daemon, RefusesACatalogOfAnotherLayoutAndDeletesNothing) {
  BrokerProcess broker;
  broker.end(SIGKILL);
  const auto files = broker.at().files();
  for (const std::string& file : files) {
    if (file.find(".catalog.") == std::string::npos) continue;
    const int fd = open(("/dev/shm/" + file).c_str(), O_WRONLY | O_CLOEXEC);
    const std::uint32_t version = 99;
    ASSERT_EQ(pwrite(fd, &version, sizeof version, 8), 4);
    close(fd);
  }
  const Ended ended = run_daemon(arguments(broker.at()));
  expect_refusal(ended, "layout 99");
  expect_refusal(ended, "layout " + std::to_string(kLayoutVersion));
  EXPECT_EQ(broker.at().files(), files);
}

TEST(Daemon, DeletesWhatWasNeverFinished) {
  BrokerProcess broker;
  broker.end(SIGKILL);
  const std::string unfinished = "/dev/shm/" + broker.at().name().segment(SegmentKind::kSession, 12345);
  std::ofstream(unfinished) << std::string(8192, '\0');
  broker.start();
  EXPECT_FALSE(fs::exists(unfinished));
}

TEST(Daemon, FreesWhatADeadClientOfADeadBrokerHeld) {
  BrokerProcess broker;
  Client client = broker.connect();
  put(client, "w", 1);
  const pid_t child = fork();
  if (child == 0) {
    static const Tensor held = client.get("w");
    client.remove("w");
    pause();
    _exit(0);
  }
  EXPECT_TRUE(test::eventually([&] { return !client.exists("w"); }));
  broker.end(SIGKILL);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  broker.start();
  EXPECT_TRUE(test::eventually([&] { return client.stats().retired == 0; }));
  EXPECT_EQ(client.stats().sessions, 1u);
}

TEST(Daemon, IsStartedByTheFirstClientAndDetached) {
  const TemporaryInstance at;
  int ours[2];
  ASSERT_EQ(pipe(ours), 0);  // not closed on exec
  const fs::path our_pipe = fs::read_symlink("/proc/self/fd/" + std::to_string(ours[0]));
  ConnectOptions options = at.connect_options();
  options.autostart = true;
  options.capacity = 32 << 20;
  Client client = Client::connect(options);
  const auto pid = static_cast<pid_t>(client.stats().broker_pid);
  EXPECT_EQ(client.stats().capacity, 32u << 20);
  EXPECT_NE(getsid(pid), getsid(0)) << "Ctrl-C at this terminal does not reach it";
  EXPECT_EQ(waitpid(pid, nullptr, WNOHANG), -1) << "it is no child of ours";
  for (const auto& link : fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    EXPECT_NE(fs::read_symlink(link.path()), our_pipe) << "none of our descriptors";
  }
  kill(pid, SIGKILL);
  put(client, "w", 3);
  EXPECT_NE(client.stats().broker_pid, pid) << "and the next call starts a successor";
  client.stop_broker();
  close(ours[0]);
  close(ours[1]);
}

}  // namespace
}  // namespace tensorbroker
