// What lies in /dev/shm under an instance's names.

#ifndef TENSORBROKER_BROKER_INSTANCE_FILES_H_
#define TENSORBROKER_BROKER_INSTANCE_FILES_H_

#include <vector>

#include "proto/segment_name.h"

namespace tensorbroker::broker {

// The segments of the instance, in no order: regular files of its owner's. What others have put there under such names,
// links too, is left out and stays where it is; the log says so. Throws Error where /dev/shm cannot be read.
std::vector<SegmentId> segments_of(const InstanceName& name);

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_INSTANCE_FILES_H_
