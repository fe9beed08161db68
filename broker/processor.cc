#include "broker/processor.h"

#include <sched.h>

namespace tensorbroker::broker {

unsigned own_processor() noexcept { return static_cast<unsigned>(sched_getcpu()); }

bool leave_processor(unsigned processor) noexcept {
  cpu_set_t allowed;
  if (processor >= CPU_SETSIZE || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
  cpu_set_t others = allowed;
  CPU_CLR(processor, &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return false;
  sched_setaffinity(0, sizeof allowed, &allowed);
  return true;
}

}  // namespace tensorbroker::broker
