// The rarely used part of a Storage: what drafts, private copies and foreign memory have, and leased storages do not.

#ifndef TENSORBROKER_CLIENT_STORAGE_EXTRA_H_
#define TENSORBROKER_CLIENT_STORAGE_EXTRA_H_

#include <functional>

#include "client/block_allocator.h"
#include "client/storage.h"

namespace tensorbroker::detail {

struct Storage::Extra {
  bool was_draft = false;  // a draft, or published from one
  DraftSpec draft;
  Block block;                         // of a draft
  std::function<void(void*)> deleter;  // of foreign memory
  StorageRef source;                   // of a private copy
  bool is_private_map = false;         // mapped, not copied
};

}  // namespace tensorbroker::detail

#endif  // TENSORBROKER_CLIENT_STORAGE_EXTRA_H_
