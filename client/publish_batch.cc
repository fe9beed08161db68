#include "client/publish_batch.h"

#include <exception>
#include <iterator>
#include <string>
#include <utility>

namespace tensorbroker {
namespace {

// The exception that is being handled, saying whose it is.
std::exception_ptr current_exception_of(std::string_view name) {
  try {
    throw;
  } catch (const Error& error) {
    try {
      throw_error(error.code(), "'" + std::string(name) + "': " + error.what());
    } catch (...) {
      return std::current_exception();
    }
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

void PublishBatch::drop_unsent() noexcept {
  give_back();
  for (const Item& item : items_) attachment_.discard(item.block);
  items_.clear();
  bytes_ = 0;
}

void PublishBatch::add(const Block& block, const Publication& publication, std::vector<std::byte> header) {
  items_.push_back({block, publication, std::move(header)});
  items_.back().publication.header = items_.back().header;
  bytes_ += publication.nbytes;
}

// Spares for as many of the items as there are.
void PublishBatch::borrow(const Limit& limit) {
  while (leaving_.size() < items_.size()) {
    const std::size_t wanted = items_.size() - leaving_.size();
    auto begun =
        attachment_.try_begin_publication(items_[leaving_.size()].block, static_cast<std::uint32_t>(wanted), limit);
    if (!begun) return;
    leaving_.push_back(*begun);
  }
}

void PublishBatch::give_back() noexcept {
  for (const Leaving& leaving : leaving_) attachment_.end_refused(leaving);
  leaving_.clear();
}

std::vector<PublishSpec> PublishBatch::specs() const {
  std::vector<PublishSpec> specs;
  specs.reserve(leaving_.size());
  for (std::size_t i = 0; i < leaving_.size(); ++i) {
    specs.push_back(Attachment::spec_of(leaving_[i], items_[i].publication));
  }
  return specs;
}

bool PublishBatch::try_send(const PublishBatch& before, const Limit& limit) {
  if (items_.empty()) return true;
  borrow(limit);
  if (leaving_.size() == items_.size()) {
    const auto after = before.posted_ ? before.posted_->way : std::nullopt;
    posted_ = attachment_.calls().try_post_publications(specs(), before.epoch(), after);
  }
  if (!posted_) give_back();
  return posted_.has_value();
}

void PublishBatch::send(const Limit& limit, std::vector<detail::StorageRef>* published) {
  while (!items_.empty()) {
    leaving_.push_back(attachment_.begin_publication(items_.front().block, limit));
    borrow(limit);
    posted_ = attachment_.calls().post_publications(specs(), epoch(), limit);
    if (leaving_.size() == items_.size()) return;
    settle(limit, published);
  }
}

void PublishBatch::settle(const Limit& limit, std::vector<detail::StorageRef>* published) {
  if (!posted_) return;
  const PostedPublications posted = *std::exchange(posted_, std::nullopt);
  const std::vector<Leaving> leaving = std::exchange(leaving_, {});
  const auto rest = items_.begin() + static_cast<std::ptrdiff_t>(leaving.size());
  const std::vector<Item> items(std::make_move_iterator(items_.begin()), std::make_move_iterator(rest));
  items_.erase(items_.begin(), rest);
  bytes_ = 0;
  const auto end_failed = [&](std::size_t i) {
    attachment_.end_failed(leaving[i], std::current_exception());
    attachment_.discard(items[i].block);  // no effect on a block in doubt
  };
  ReplyFrame reply;
  try {
    reply = attachment_.calls().take_publications(posted, limit);
  } catch (...) {
    for (std::size_t i = 0; i < items.size(); ++i) end_failed(i);
    throw;
  }
  std::exception_ptr first;
  for (std::size_t i = 0; i < items.size(); ++i) {
    std::optional<PublishedEntry> entry;
    try {
      entry = Calls::published_of(reply, i, items.size());
      const auto lease = attachment_.end_published(leaving[i], *entry);
      published->push_back(attachment_.leased_storage(lease.cell, lease.entry, lease.generation));
    } catch (...) {
      if (!entry) end_failed(i);
      if (!first) first = current_exception_of(items[i].publication.name);
    }
  }
  if (first) std::rethrow_exception(first);
}

}  // namespace tensorbroker
