// Users and groups by the names that people type. Thread safe.

#ifndef TENSORBROKER_PROTO_USER_NAMES_H_
#define TENSORBROKER_PROTO_USER_NAMES_H_

#include <sys/types.h>

#include <string>

namespace tensorbroker {

// The number of a user or group that is named, or given as a number (which need not have a name).
// Throw InvalidArgumentError where there is none of this name.
uid_t find_user(const std::string& name_or_uid);
gid_t find_group(const std::string& name_or_gid);

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_USER_NAMES_H_
