// Tells when names that others find this broker by may be gone, or files behind them shorter: somebody was at /dev/shm
// or at the runtime directory.
//
// Where there is no inotify it never tells. On the loop's thread.

#ifndef TENSORBROKER_BROKER_NAME_WATCH_H_
#define TENSORBROKER_BROKER_NAME_WATCH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "broker/inotify.h"

namespace tensorbroker::broker {

class NameWatch {
 public:
  // `look`: called after something happened to a watched name (true), or to a length alone (false); it looks for itself
  // what is gone.
  NameWatch(EventLoop& loop, std::function<void(bool)> look);
  NameWatch(const NameWatch&) = delete;
  NameWatch& operator=(const NameWatch&) = delete;
  ~NameWatch() = default;

  // A file whose name should stay, and with `length` its length too (this process's own fallocate tells as well).
  // Replaces an earlier watch of the same path.
  void watch_file(const std::string& path, bool length = false);
  // A directory that should stay, and the names in it.
  void watch_directory(const std::string& path);
  // Before this process removes the name itself.
  void forget(const std::string& path);

 private:
  void watch(const std::string& path, std::uint32_t events);

  Inotify inotify_;
  std::map<std::string, int> watches_;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_NAME_WATCH_H_
