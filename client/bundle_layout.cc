#include "client/bundle_layout.h"

#include <tensorbroker/error.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "client/strided.h"
#include "client/tensor_memory.h"
#include "proto/geometry.h"
#include "proto/limits.h"

namespace tensorbroker {
namespace {

// Overlapping views that reach less than this part of the memory between them are copied one by one.
constexpr std::uint64_t kSparsestTie = 2;

// The memory that one member reaches, at its source.
struct Reach {
  std::size_t member;
  std::uintptr_t begin;
  std::uintptr_t end;
};

Reach reach_of(std::size_t member, const Tensor& tensor) {
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.const_data());
  std::uint64_t last = 0;  // elements beyond the first
  for (std::size_t d = 0; d < tensor.sizes().size(); ++d) {
    last += static_cast<std::uint64_t>(tensor.sizes()[d] - 1) * static_cast<std::uint64_t>(tensor.strides()[d]);
  }
  return {member, begin, begin + (last + 1) * tensor.itemsize()};
}

class Planner {
 public:
  Planner(std::span<const Bundle::Member> members, std::optional<DType> dtype) : members_(members), dtype_(dtype) {
    layout_.specs.resize(members.size());
    layout_.copied.resize(members.size());
  }

  BundleLayout plan() && {
    std::vector<Reach> reaches = collect();
    std::vector<std::vector<Reach>> groups;
    std::uintptr_t end = 0;
    for (const Reach& reach : reaches) {
      if (groups.empty() || reach.begin >= end) groups.emplace_back();
      groups.back().push_back(reach);
      end = std::max(end, reach.end);
    }
    // Blocks are laid out in the order of the members, as far as ties allow, so that reading in order is sequential.
    std::sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return first(a) < first(b); });
    for (const std::vector<Reach>& group : groups) place(group);
    return std::move(layout_);
  }

 private:
  static std::size_t first(const std::vector<Reach>& group) {
    return std::min_element(group.begin(), group.end(), [](auto& a, auto& b) { return a.member < b.member; })->member;
  }

  const Tensor& tensor(std::size_t member) const { return members_[member].second; }

  DType dtype_of(std::size_t member) const { return dtype_.value_or(tensor(member).dtype()); }

  // What each member reaches, by address, the longer first; members without elements are placed at once.
  std::vector<Reach> collect() {
    std::vector<Reach> reaches;
    reaches.reserve(members_.size());
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (!tensor(i).defined()) throw InvalidArgumentError("the member '" + members_[i].first + "' is undefined");
      if (tensor(i).numel() == 0) {
        layout_.specs[i] = make_spec(members_[i].first, dtype_of(i), sealed_geometry(tensor(i)), 0);
      } else if (has_negative_stride(tensor(i).geometry())) {
        place_alone(i);
      } else {
        reaches.push_back(reach_of(i, tensor(i)));
      }
    }
    std::sort(reaches.begin(), reaches.end(), [](const Reach& a, const Reach& b) {
      return std::tuple(a.begin, b.end, a.member) < std::tuple(b.begin, a.end, b.member);
    });
    return reaches;
  }

  std::uint64_t allocate(std::uint64_t bytes) {
    const std::uint64_t offset = round_up(layout_.bytes, kMemberAlignment);
    if (bytes > std::numeric_limits<std::int64_t>::max() - offset) {
      throw InvalidArgumentError("the members take more bytes than 64 bits can count");
    }
    layout_.bytes = offset + bytes;
    return offset;
  }

  void place_alone(std::size_t member) {
    const Geometry geometry = sealed_geometry(tensor(member));
    const DType dtype = dtype_of(member);
    const auto bytes = static_cast<std::uint64_t>(checked_nbytes(geometry.sizes, itemsize(dtype)));
    layout_.specs[member] = make_spec(members_[member].first, dtype, geometry, allocate(bytes));
    layout_.copied[member] = true;
  }

  bool same_tensor(std::size_t a, std::size_t b) const {
    const Geometry& left = tensor(a).geometry();
    const Geometry& right = tensor(b).geometry();
    return tensor(a).const_data() == tensor(b).const_data() && tensor(a).dtype() == tensor(b).dtype() &&
           left.sizes == right.sizes && left.strides == right.strides;
  }

  void place(const std::vector<Reach>& group) {
    const bool equal = std::all_of(group.begin() + 1, group.end(),
                                   [&](const Reach& r) { return same_tensor(group[0].member, r.member); });
    if (equal || !is_tied(group)) {
      place_each(group);
    } else {
      place_as_they_lie(group);
    }
  }

  // Whether the group fills enough of its memory, and its members stay as they are and aligned when they are moved
  // together.
  bool is_tied(const std::vector<Reach>& group) const {
    std::uintptr_t end = 0;
    std::uint64_t reached = 0;
    for (const Reach& reach : group) {
      if (dtype_of(reach.member) != tensor(reach.member).dtype()) return false;
      end = std::max(end, reach.end);
      reached += std::min<std::uint64_t>(tensor(reach.member).nbytes(), reach.end - reach.begin);
      if ((reach.begin - group[0].begin) % tensor(reach.member).itemsize() != 0) return false;
    }
    return (end - group[0].begin) / kSparsestTie <= reached;
  }

  // One by one, the same tensor under several names once.
  void place_each(const std::vector<Reach>& group) {
    for (std::size_t i = 0; i < group.size(); ++i) {
      const auto same = std::find_if(group.begin(), group.begin() + static_cast<std::ptrdiff_t>(i),
                                     [&](auto& earlier) { return same_tensor(earlier.member, group[i].member); });
      if (same == group.begin() + static_cast<std::ptrdiff_t>(i)) {
        place_alone(group[i].member);
      } else {
        layout_.specs[group[i].member] = layout_.specs[same->member];
        layout_.specs[group[i].member].name = members_[group[i].member].first;
      }
    }
  }

  void place_as_they_lie(const std::vector<Reach>& group) {
    std::uintptr_t end = 0;
    for (const Reach& reach : group) end = std::max(end, reach.end);
    const std::uint64_t offset = allocate(end - group[0].begin);
    std::uintptr_t filled = 0;  // up to here by dense members
    for (const Reach& reach : group) {
      const Tensor& source = tensor(reach.member);
      const Geometry geometry{source.geometry().sizes, source.geometry().strides, 0};
      layout_.specs[reach.member] =
          make_spec(members_[reach.member].first, source.dtype(), geometry, offset + (reach.begin - group[0].begin));
      layout_.copied[reach.member] = reach.end > filled;
      if (reach.end > filled && is_non_overlapping_and_dense(geometry)) filled = reach.end;
    }
  }

  std::span<const Bundle::Member> members_;
  std::optional<DType> dtype_;
  BundleLayout layout_;
};

}  // namespace

BundleLayout lay_out_bundle(std::span<const Bundle::Member> members, std::optional<DType> dtype) {
  return Planner(members, dtype).plan();
}

bool has_negative_stride(const Geometry& geometry) {
  return std::any_of(geometry.strides.begin(), geometry.strides.end(), [](std::int64_t s) { return s < 0; });
}

Geometry sealed_geometry(const Tensor& tensor) {
  const Geometry& geometry = tensor.geometry();
  if (has_negative_stride(geometry) || !is_non_overlapping_and_dense(geometry)) {
    return contiguous_geometry(geometry.sizes);
  }
  return {geometry.sizes, geometry.strides, 0};
}

void copy_elements(const Tensor& from, const Geometry& to, DType to_dtype, std::byte* to_storage,
                   std::size_t together) {
  const Geometry source{from.geometry().sizes, from.geometry().strides, 0};
  copy_convert(to, to_dtype, to_storage, source, from.dtype(), static_cast<const std::byte*>(from.const_data()),
               together);
  check_intact(from);
}

void copy_bundle(std::span<const Bundle::Member> members, const BundleLayout& layout, std::byte* block) {
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!layout.copied[i]) continue;
    const TensorSpec& spec = layout.specs[i];
    copy_elements(members[i].second, {Dims(spec.sizes), Dims(spec.strides), 0}, spec.dtype, block + spec.offset,
                  layout.bytes);
  }
}

TensorSpec make_spec(std::string name, DType dtype, const Geometry& geometry, std::uint64_t offset) {
  return {std::move(name),
          dtype,
          {geometry.sizes.begin(), geometry.sizes.end()},
          {geometry.strides.begin(), geometry.strides.end()},
          offset};
}

}  // namespace tensorbroker
