#include <tensorbroker/bundle.h>
#include <tensorbroker/error.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <numeric>

#include "client/decode.h"
#include "client/handle.h"

namespace tensorbroker {

// Made at the first use, and shared by the copies that are made afterwards.
struct Bundle::Decoded {
  std::vector<Member> members;

  // Null where there is none.
  const Tensor* find(std::string_view name) const;

 private:
  void sort() const;

  mutable std::once_flag sorted_;
  mutable std::vector<std::uint32_t> in_order_;  // of their names; of no use to who only goes through the members
};

void Bundle::Decoded::sort() const {
  in_order_.resize(members.size());
  std::iota(in_order_.begin(), in_order_.end(), 0);
  std::sort(in_order_.begin(), in_order_.end(),
            [this](std::uint32_t a, std::uint32_t b) { return members[a].first < members[b].first; });
}

const Tensor* Bundle::Decoded::find(std::string_view name) const {
  std::call_once(sorted_, [this] { sort(); });
  const auto at = std::lower_bound(in_order_.begin(), in_order_.end(), name,
                                   [this](std::uint32_t i, std::string_view to) { return members[i].first < to; });
  return at != in_order_.end() && members[*at].first == name ? &members[*at].second : nullptr;
}

Bundle::Bundle(detail::StorageRef storage) : storage_(std::move(storage)) {}

// Another thread may be decoding `other` at this moment.
Bundle::Bundle(const Bundle& other) : storage_(other.storage_), decoded_(std::atomic_load(&other.decoded_)) {}

Bundle& Bundle::operator=(const Bundle& other) { return *this = Bundle(other); }

const Bundle::Decoded& Bundle::decoded() const {
  if (const auto known = std::atomic_load(&decoded_)) return *known;
  auto made = std::make_shared<Decoded>();
  const VerifiedHeader header(*storage_.get());
  made->members = decode_members(storage_, *header);
  // Another thread may have been faster: the first one stays, since references to it are about.
  std::shared_ptr<const Decoded> expected;
  std::atomic_compare_exchange_strong(&decoded_, &expected, std::shared_ptr<const Decoded>(std::move(made)));
  return *std::atomic_load(&decoded_);
}

const std::vector<Bundle::Member>& Bundle::members() const { return decoded().members; }

std::size_t Bundle::size() const { return decoded().members.size(); }

bool Bundle::contains(std::string_view member) const { return decoded().find(member) != nullptr; }

Tensor Bundle::at(std::string_view member) const {
  if (const Tensor* const found = decoded().find(member)) return *found;
  throw NotFoundError("the bundle '" + name() + "' has no member '" + std::string(member) + "'");
}

std::string Bundle::name() const { return std::string(storage_->record().name); }

std::uint64_t Bundle::version() const noexcept { return storage_ ? version_of(storage_->generation()) : 0; }

std::string_view Bundle::metadata() const { return metadata_of(*storage_.get()); }

std::size_t Bundle::nbytes() const {
  std::size_t sum = 0;
  for (const auto& [member, tensor] : members()) sum += tensor.nbytes();
  return sum;
}

bool Bundle::is_corrupt() const noexcept { return storage_->is_corrupt(); }

std::string Bundle::handle() const { return format_handle(handle_of(*storage_.get(), OpenMode::kRead)); }

}  // namespace tensorbroker
