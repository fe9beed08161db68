// Whether the client of a session lives: it holds a flock of its session's segment, by a mapping alone, for exactly as
// long as that mapping exists. See "Sessions, death and fork" in the documentation of the architecture.
//
// One for each session that the broker looks after. Not thread safe.

#ifndef TENSORBROKER_BROKER_LIVENESS_H_
#define TENSORBROKER_BROKER_LIVENESS_H_

#include <cstdint>

#include "proto/segment_name.h"

namespace tensorbroker::broker {

class Liveness {
 public:
  // Opens the session's segment. Throws as open_segment_file does.
  Liveness(const InstanceName& name, std::uint64_t session);
  Liveness(Liveness&& other) noexcept;
  Liveness& operator=(Liveness&& other) noexcept;
  ~Liveness();

  // True while somebody holds the lock. False: nobody did, and this object holds it from now on, so that nobody can
  // come to life again while the session is revoked.
  bool alive() noexcept;

 private:
  int fd_ = -1;
};

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_LIVENESS_H_
