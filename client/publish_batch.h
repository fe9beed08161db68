// Publications that travel in one message, each answered for itself.
//
// Blocks are added when they are filled; the batch is sent, and settled later: meanwhile the next one is filled. What
// was added is published, given back or in doubt in the end, whatever happens. For one thread.

#ifndef TENSORBROKER_CLIENT_PUBLISH_BATCH_H_
#define TENSORBROKER_CLIENT_PUBLISH_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "client/attachment.h"
#include "proto/limits.h"

namespace tensorbroker {

class PublishBatch {
 public:
  // While one batch is answered there is room for the next.
  static constexpr std::size_t kMost = kWindow / 2;
  // From so many bytes on a message costs little beside their copying, and what they replace is wanted back.
  static constexpr std::uint64_t kMostBytes = 1 << 20;

  // `most`: publications that there will be.
  explicit PublishBatch(Attachment& attachment, std::size_t most = kMost) : attachment_(attachment) {
    items_.reserve(most);
  }
  ~PublishBatch() { drop_unsent(); }  // what was sent has to be settled before
  PublishBatch(const PublishBatch&) = delete;
  PublishBatch& operator=(const PublishBatch&) = delete;

  // Takes the block over, and leaves it where it throws. The name must stay until the batch was sent.
  void add(const Block& block, const Publication& publication, std::vector<std::byte> header);
  bool is_full() const noexcept { return items_.size() == kMost || bytes_ >= kMostBytes; }

  // Sends it, unless it is empty, to be carried out after `before`: at once where that can be, and else when
  // `settle_before()` has settled that and all that were sent earlier. Appends what was settled meanwhile, where there
  // are fewer spares than tensors.
  template <class Settle>
  void send_after(const PublishBatch& before, const Limit& limit, std::vector<detail::StorageRef>* published,
                  const Settle& settle_before) {
    if (try_send(before, limit)) return;
    settle_before();
    send(limit, published);
  }
  // Whether it went out on a connection; else settle() sends it.
  bool is_on_its_way() const noexcept { return posted_ && posted_->epoch != 0; }
  // Gives back what was added and not sent.
  void drop_unsent() noexcept;
  // Waits for the answers, if it was sent, and appends what was published; it is empty then. Throws the first error
  // once all of them are settled.
  void settle(const Limit& limit, std::vector<detail::StorageRef>* published);

 private:
  struct Item {
    Block block;
    Publication publication;
    std::vector<std::byte> header;
  };
  using Leaving = Attachment::Leaving;

  // False, and not sent, where the broker has too much to answer already, or no spare entries, or it might overtake.
  bool try_send(const PublishBatch& before, const Limit& limit);
  // Waits for room.
  void send(const Limit& limit, std::vector<detail::StorageRef>* published);
  std::uint64_t epoch() const { return posted_ ? posted_->epoch : attachment_.channel_->epoch(); }
  void borrow(const Limit& limit);
  void give_back() noexcept;
  std::vector<PublishSpec> specs() const;

  Attachment& attachment_;
  std::vector<Item> items_;
  std::vector<Leaving> leaving_;  // of the first items: with a spare lent
  std::uint64_t bytes_ = 0;
  std::optional<PostedPublications> posted_;  // these
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_PUBLISH_BATCH_H_
