#include "tests/client/member_actions.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "client/registry.h"

namespace tensorbroker::test {
namespace {

std::string in_child(const std::function<std::string()>& act) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    std::string said;
    try {
      said = act();
    } catch (const std::exception& e) {
      said = e.what();
    }
    static_cast<void>(!::write(ends[1], said.data(), said.size()));
    _exit(0);
  }
  ::close(ends[1]);
  char buffer[4096];
  std::string said;
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;) said.append(buffer, static_cast<size_t>(n));
  ::close(ends[0]);
  waitpid(child, nullptr, 0);
  return said;
}

// What this user could do to a file that he should only read, if at all.
std::string liberties_with(const std::string& path) {
  std::string taken;
  const int writing = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (writing >= 0) taken += "opened " + path + "\n";
  if (writing >= 0) ::close(writing);
  const int reading = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (reading < 0) return taken;
  void* const mapped = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, reading, 0);
  if (mapped != MAP_FAILED) taken += "mapped " + path + "\n";
  if (ftruncate(reading, 0) == 0) taken += "truncated " + path + "\n";
  ::close(reading);
  return taken;
}

bool can_be_written(const void* page) { return mprotect(const_cast<void*>(page), 4096, PROT_READ | PROT_WRITE) == 0; }

}  // namespace

Tensor of(std::initializer_list<float> values) {
  auto* data = new std::vector<float>(values);
  const auto size = static_cast<std::int64_t>(data->size());
  return from_blob(data->data(), std::span(&size, 1), kFloat32, [data](void*) { delete data; });
}

std::string text(const Tensor& tensor) {
  const float* p = tensor.const_data_ptr<float>();
  std::string all;
  for (std::int64_t i = 0; i < tensor.numel(); ++i) all += std::to_string(static_cast<int>(p[i])) + " ";
  return all;
}

std::string MemberActions::operator()(const std::string& question) {
  const std::size_t blank = question.find(' ');
  const std::string name = blank == std::string::npos ? "" : question.substr(blank + 1);
  static const std::map<std::string, std::string (MemberActions::*)(const std::string&)> actions{
      {"get", &MemberActions::get},           {"list", &MemberActions::list},
      {"wait", &MemberActions::wait},         {"open", &MemberActions::open},
      {"sessions", &MemberActions::sessions}, {"close", &MemberActions::close},
      {"change", &MemberActions::change},     {"write", &MemberActions::write},
      {"fork", &MemberActions::fork_and_get}, {"map", &MemberActions::map}};
  return (this->*actions.at(question.substr(0, blank)))(name);
}

Client& MemberActions::client() {
  if (!client_) client_ = Client::connect(options_);
  return *client_;
}

std::string MemberActions::get(const std::string& name) { return text(held_[name] = client().get(name)); }

std::string MemberActions::list(const std::string& /*unused*/) {
  std::string names;
  for (const Info& info : client().list()) names += info.name + " ";
  return names;
}

std::string MemberActions::wait(const std::string& name) {
  return text(client().wait(name, 0, std::chrono::seconds(20)).value());
}

std::string MemberActions::open(const std::string& handle) { return text(client().open(handle)); }

std::string MemberActions::sessions(const std::string& /*unused*/) { return std::to_string(client().stats().sessions); }

std::string MemberActions::close(const std::string& /*unused*/) {
  held_.clear();
  client_.reset();
  return "done";
}

std::string MemberActions::change(const std::string& name) {
  Tensor copy = client().open(name, OpenMode::kCopyOnWrite);
  copy.data_ptr<float>()[0] = 77;
  return text(copy);
}

std::string MemberActions::write(const std::string& way) {
  Client& c = client();
  const std::map<std::string, std::function<void()>> ways{{"put", [&] { c.put("x", of({1})); }},
                                                          {"put-nothing", [&] { c.put("x", of({})); }},
                                                          {"create", [&] { c.create("y", {4}, kFloat32).publish(); }},
                                                          {"zeros", [&] { c.zeros({4}, kFloat32, "z"); }},
                                                          {"anonymous", [&] { c.zeros({4}); }},
                                                          {"delete", [&] { c.remove("x"); }},
                                                          {"reserve", [&] { c.reserve(1 << 20); }},
                                                          {"open", [&] { c.open("counters", OpenMode::kReadWrite); }},
                                                          {"stop", [&] { c.stop_broker(); }}};
  ways.at(way)();
  return way + " was not refused";
}

std::string MemberActions::fork_and_get(const std::string& name) {
  held_[name] = client().get(name);
  return in_child([&] { return in_child([&] { return text(held_.at(name)) + "/ " + text(client().get(name)); }); });
}

std::string MemberActions::map(const std::string& /*unused*/) {
  client();
  std::string taken;
  for (const auto& file : std::filesystem::directory_iterator("/dev/shm")) {
    const std::string path = file.path();
    if (path.find("." + options_.instance + ".") != std::string::npos) taken += liberties_with(path);
  }
  static bool writable = false;
  for_each_attachment([](Attachment& attachment) {
    writable =
        writable || can_be_written(attachment.arena().data()) || can_be_written(attachment.catalog().segment().data());
  });
  return writable ? taken + "a mapping was made writable" : taken;
}

}  // namespace tensorbroker::test
