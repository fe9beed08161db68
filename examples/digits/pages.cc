#include "pages.h"

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

namespace digits {

std::size_t bytes_outside_broker(const tensorbroker::Tensor& tensor) {
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.const_data());
  const std::uintptr_t end = begin + tensor.nbytes();
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    // "7f0000000000-7f0000010000 r--s 00000000 00:1b 42   /dev/shm/tensorbroker.1000.default.arena.7"
    if (line.find(" /dev/shm/tensorbroker.") == std::string::npos) continue;
    std::istringstream fields(line);
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    char dash = 0;
    fields >> std::hex >> from >> dash >> to;
    if (from <= begin && end <= to) return 0;
  }
  return tensor.nbytes();
}

}  // namespace digits
