// Opening files that lie where others can put names: /dev/shm, or a runtime directory.

#ifndef TENSORBROKER_PROTO_OWN_FILE_H_
#define TENSORBROKER_PROTO_OWN_FILE_H_

#include <sys/types.h>

#include <string>

namespace tensorbroker {

// Opens `path` with `flags` of open(2), close-on-exec, without following a link and without waiting (for the other end
// of a pipe that somebody put there); a file that is made gets mode 0600. Returns the descriptor, or -1 with errno set.
// Throws AccessError, naming the path and the reason, for a link, for what is no regular file, belongs to another user
// than `owner`, or can be written by others than its owner.
int open_own_file(const std::string& path, int flags, uid_t owner);

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_OWN_FILE_H_
