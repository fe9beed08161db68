// A session's command rings in plain memory.

#ifndef TENSORBROKER_TESTS_SUPPORT_LOCAL_RINGS_H_
#define TENSORBROKER_TESTS_SUPPORT_LOCAL_RINGS_H_

#include <memory>

#include "proto/command_ring.h"
#include "proto/session_layout.h"

namespace tensorbroker::test {

class LocalRings {
 public:
  CommandRings rings() {
    return {.requests = {.words = memory_->requests,
                         .limit = kCommandRingWords,
                         .tail = &memory_->control.requests_tail,
                         .head = &memory_->control.requests_head,
                         .asleep = &memory_->control.requests_asleep,
                         .processor = &memory_->control.requests_processor},
            .replies = {.words = memory_->replies,
                        .limit = kCommandRingWords,
                        .tail = &memory_->control.replies_tail,
                        .head = &memory_->control.replies_head,
                        .asleep = &memory_->control.replies_asleep}};
  }
  SessionControl& control() { return memory_->control; }

 private:
  struct Memory {
    SessionControl control{};
    Word requests[kCommandRingWords]{};
    Word replies[kCommandRingWords]{};
  };
  std::unique_ptr<Memory> memory_ = std::make_unique<Memory>();
};

}  // namespace tensorbroker::test

#endif  // TENSORBROKER_TESTS_SUPPORT_LOCAL_RINGS_H_
