// An ordered set of named tensors published as one: a model's state_dict.
//
// A Bundle is a cheap handle to one block under one lease; its members are views of it and keep it alive. Tied members
// (those that shared memory when they were put) name the same bytes. Immutable; thread safe to share.

#ifndef TENSORBROKER_BUNDLE_H_
#define TENSORBROKER_BUNDLE_H_

#include <tensorbroker/tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tensorbroker {

class Bundle {
 public:
  using Member = std::pair<std::string, Tensor>;

  Bundle() = default;
  Bundle(const Bundle& other);
  Bundle(Bundle&& other) noexcept = default;
  Bundle& operator=(const Bundle& other);
  Bundle& operator=(Bundle&& other) noexcept = default;
  ~Bundle() = default;
  // REQUIRES: the storage of a leased bundle entry. The members are decoded at their first use.
  explicit Bundle(detail::StorageRef storage);

  bool defined() const noexcept { return static_cast<bool>(storage_); }

  Tensor at(std::string_view member) const;  // NotFoundError names the member that is not there
  bool contains(std::string_view member) const;
  std::size_t size() const;
  // In the order in which they were put. Throws CorruptSegmentError where the header does not verify.
  const std::vector<Member>& members() const;
  auto begin() const { return members().begin(); }
  auto end() const { return members().end(); }

  std::string name() const;
  std::uint64_t version() const noexcept;
  std::string_view metadata() const;  // a JSON object as text
  std::size_t nbytes() const;         // sum over the members
  std::string handle() const;
  bool is_corrupt() const noexcept;  // as Tensor's

  const detail::StorageRef& storage() const noexcept { return storage_; }

 private:
  struct Decoded;
  const Decoded& decoded() const;

  detail::StorageRef storage_;
  mutable std::shared_ptr<const Decoded> decoded_;  // accessed atomically
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_BUNDLE_H_
