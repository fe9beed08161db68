// What the handshake with a broker brings: the parts of a new Attachment. Private to attachment*.cc.

#ifndef TENSORBROKER_CLIENT_ATTACHED_H_
#define TENSORBROKER_CLIENT_ATTACHED_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "client/attachment.h"

namespace tensorbroker {

struct Attachment::Attached {
  std::shared_ptr<Socket> socket;
  std::uint64_t catalog_id = 0;
  Catalog catalog;
  std::unique_ptr<ArenaMap> arena;
  std::uint64_t session_id = 0;
  std::unique_ptr<SessionSegment> session;
  std::uint64_t heir_id = 0;
  std::unique_ptr<SessionSegment> heir;  // null: none for now
  std::vector<EntryId> spares;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_ATTACHED_H_
