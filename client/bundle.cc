#include <tensorbroker/bundle.h>
#include <tensorbroker/error.h>

#include <atomic>
#include <map>

#include "client/decode.h"
#include "client/handle.h"

namespace tensorbroker {

// Made at the first use, and shared by the copies that are made afterwards.
struct Bundle::Decoded {
  std::vector<Member> members;
  std::map<std::string_view, std::size_t> by_name;  // views of the members' names
};

Bundle::Bundle(detail::StorageRef storage) : storage_(std::move(storage)) {}

// Another thread may be decoding `other` at this moment.
Bundle::Bundle(const Bundle& other) : storage_(other.storage_), decoded_(std::atomic_load(&other.decoded_)) {}

Bundle& Bundle::operator=(const Bundle& other) { return *this = Bundle(other); }

const Bundle::Decoded& Bundle::decoded() const {
  if (const auto known = std::atomic_load(&decoded_)) return *known;
  auto made = std::make_shared<Decoded>();
  made->members = decode_members(storage_);
  for (std::size_t i = 0; i < made->members.size(); ++i) made->by_name.emplace(made->members[i].first, i);
  // Another thread may have been faster: the first one stays, since references to it are about.
  std::shared_ptr<const Decoded> expected;
  std::atomic_compare_exchange_strong(&decoded_, &expected, std::shared_ptr<const Decoded>(std::move(made)));
  return *std::atomic_load(&decoded_);
}

const std::vector<Bundle::Member>& Bundle::members() const { return decoded().members; }

std::size_t Bundle::size() const { return decoded().members.size(); }

bool Bundle::contains(std::string_view member) const { return decoded().by_name.contains(member); }

Tensor Bundle::at(std::string_view member) const {
  const Decoded& all = decoded();
  const auto found = all.by_name.find(member);
  if (found == all.by_name.end()) {
    throw NotFoundError("the bundle '" + name() + "' has no member '" + std::string(member) + "'");
  }
  return all.members[found->second].second;
}

std::string Bundle::name() const { return std::string(storage_->record().name); }

std::uint64_t Bundle::version() const noexcept { return storage_ ? version_of(storage_->generation()) : 0; }

std::string_view Bundle::metadata() const {
  decoded();  // which verifies the header, once
  return metadata_of(trusted_header(*storage_.get()));
}

std::size_t Bundle::nbytes() const {
  std::size_t sum = 0;
  for (const auto& [member, tensor] : members()) sum += tensor.nbytes();
  return sum;
}

bool Bundle::is_corrupt() const noexcept { return storage_->is_corrupt(); }

std::string Bundle::handle() const { return format_handle(handle_of(*storage_.get(), OpenMode::kRead)); }

}  // namespace tensorbroker
