#include "client/strided.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "client/bulk_copy.h"
#include "client/element.h"
#include "proto/geometry.h"

namespace tensorbroker {
namespace {

// One dimension of a loop over two tensors at once; strides in elements.
struct Axis {
  std::int64_t size;
  std::int64_t to;
  std::int64_t from;
};

// As few loops as visit every element once: dimensions of size 1 dropped, the destination's shortest steps innermost,
// neighbours that both tensors step through alike merged. The innermost axis is `run`.
struct Plan {
  std::array<Axis, kMaxDims> outer;
  std::size_t depth = 0;
  Axis run{1, 1, 1};
  bool empty = false;

  Plan(const Geometry& to, const Geometry& from) {
    for (std::size_t d = 0; d < to.sizes.size(); ++d) {
      empty = empty || to.sizes[d] == 0;
      if (to.sizes[d] != 1) outer[depth++] = {to.sizes[d], to.strides[d], from.strides[d]};
    }
    // Strides of a tensor without elements may be anything, so nothing is computed from them.
    if (empty) return;
    std::stable_sort(outer.begin(), outer.begin() + depth, [](const Axis& a, const Axis& b) {
      return std::abs(a.to) != std::abs(b.to) ? std::abs(a.to) > std::abs(b.to) : std::abs(a.from) > std::abs(b.from);
    });
    merge();
    if (depth > 0) run = outer[--depth];
  }

 private:
  void merge() {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < depth; ++i) {
      const Axis axis = outer[i];
      if (kept > 0 && outer[kept - 1].to == axis.size * axis.to && outer[kept - 1].from == axis.size * axis.from) {
        outer[kept - 1] = {outer[kept - 1].size * axis.size, axis.to, axis.from};
      } else {
        outer[kept++] = axis;
      }
    }
    depth = kept;
  }
};

// Calls visit(first element of `to`, first element of `from`) for each run of the plan.
template <class Visit>
void for_each_run(const Plan& plan, std::int64_t to, std::int64_t from, Visit&& visit) {
  if (plan.empty) return;
  std::array<std::int64_t, kMaxDims> at{};
  while (true) {
    visit(to, from);
    std::size_t d = plan.depth;
    for (; d > 0; --d) {
      const Axis& axis = plan.outer[d - 1];
      to += axis.to;
      from += axis.from;
      if (++at[d - 1] < axis.size) break;
      at[d - 1] = 0;
      to -= axis.size * axis.to;
      from -= axis.size * axis.from;
    }
    if (d == 0) return;
  }
}

// Calls visit(integral_constant<itemsize>), so that copies of one element compile to one move.
template <class Visit>
void visit_itemsize(std::size_t itemsize, Visit&& visit) {
  switch (itemsize) {
    case 1:
      return visit(std::integral_constant<std::size_t, 1>{});
    case 2:
      return visit(std::integral_constant<std::size_t, 2>{});
    case 4:
      return visit(std::integral_constant<std::size_t, 4>{});
    case 8:
      return visit(std::integral_constant<std::size_t, 8>{});
    default:
      return visit(std::integral_constant<std::size_t, 16>{});
  }
}

template <std::size_t kSize>
void copy_run(std::byte* to, std::int64_t to_step, const std::byte* from, std::int64_t from_step, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * to_step, from + i * from_step, kSize);
  }
}

std::ptrdiff_t bytes(std::int64_t elements, std::size_t itemsize) {
  return elements * static_cast<std::ptrdiff_t>(itemsize);
}

// Elements converted at a time, through a buffer of wide numbers: 20 readers and writers serve all 400 pairs.
constexpr std::int64_t kChunk = 256;

template <class Wide>
void write_chunk(DType dtype, std::byte* to, std::ptrdiff_t step, const Wide* buffer, std::int64_t count) {
  visit_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    for (std::int64_t i = 0; i < count; ++i) write_wide<T>(to + i * step, buffer[i]);
  });
}

void convert_run(DType to_dtype, std::byte* to, std::ptrdiff_t to_step, DType from_dtype, const std::byte* from,
                 std::ptrdiff_t from_step, std::int64_t count) {
  visit_dtype(from_dtype, [&]<class T>(std::type_identity<T>) {
    std::array<decltype(read_wide<T>(from)), kChunk> buffer;
    for (std::int64_t done = 0; done < count; done += kChunk) {
      const std::int64_t now = std::min(kChunk, count - done);
      for (std::int64_t i = 0; i < now; ++i) {
        buffer[static_cast<std::size_t>(i)] = read_wide<T>(from + (done + i) * from_step);
      }
      write_chunk(to_dtype, to + done * to_step, to_step, buffer.data(), now);
    }
  });
}

}  // namespace

void fill(const Geometry& geometry, DType dtype, std::byte* storage, const Scalar& value) {
  std::array<std::byte, 16> element{};
  if (numel(geometry) != 1) check_range(dtype, value);
  store(element.data(), dtype, value);
  const std::size_t size = itemsize(dtype);
  const Plan plan(geometry, geometry);
  visit_itemsize(size, [&]<std::size_t kSize>(std::integral_constant<std::size_t, kSize>) {
    for_each_run(plan, geometry.storage_offset, 0, [&](std::int64_t to, std::int64_t) {
      copy_run<kSize>(storage + bytes(to, kSize), bytes(plan.run.to, kSize), element.data(), 0, plan.run.size);
    });
  });
}

void copy_strided(const Geometry& to, std::byte* to_storage, const Geometry& from, const std::byte* from_storage,
                  std::size_t itemsize, std::size_t together) {
  const Plan plan(to, from);
  const bool alike = plan.run.to == 1 && plan.run.from == 1;
  visit_itemsize(itemsize, [&]<std::size_t kSize>(std::integral_constant<std::size_t, kSize>) {
    for_each_run(plan, to.storage_offset, from.storage_offset, [&](std::int64_t to_at, std::int64_t from_at) {
      std::byte* const target = to_storage + bytes(to_at, kSize);
      const std::byte* const source = from_storage + bytes(from_at, kSize);
      if (alike) {
        bulk_copy(target, source, static_cast<std::size_t>(plan.run.size) * kSize, together);
      } else {
        copy_run<kSize>(target, bytes(plan.run.to, kSize), source, bytes(plan.run.from, kSize), plan.run.size);
      }
    });
  });
}

void copy_convert(const Geometry& to, DType to_dtype, std::byte* to_storage, const Geometry& from, DType from_dtype,
                  const std::byte* from_storage, std::size_t together) {
  if (to_dtype == from_dtype) return copy_strided(to, to_storage, from, from_storage, itemsize(to_dtype), together);
  const Plan plan(to, from);
  const std::size_t to_size = itemsize(to_dtype);
  const std::size_t from_size = itemsize(from_dtype);
  for_each_run(plan, to.storage_offset, from.storage_offset, [&](std::int64_t to_at, std::int64_t from_at) {
    convert_run(to_dtype, to_storage + bytes(to_at, to_size), bytes(plan.run.to, to_size), from_dtype,
                from_storage + bytes(from_at, from_size), bytes(plan.run.from, from_size), plan.run.size);
  });
}

bool equal_strided(const Geometry& a, const std::byte* a_storage, const Geometry& b, const std::byte* b_storage,
                   DType dtype) {
  const Plan plan(a, b);
  const std::size_t size = itemsize(dtype);
  bool equal = true;
  visit_dtype(dtype, [&]<class T>(std::type_identity<T>) {
    for_each_run(plan, a.storage_offset, b.storage_offset, [&](std::int64_t a_at, std::int64_t b_at) {
      const std::byte* first = a_storage + bytes(a_at, size);
      const std::byte* second = b_storage + bytes(b_at, size);
      for (std::int64_t i = 0; equal && i < plan.run.size; ++i) {
        equal = read_wide<T>(first) == read_wide<T>(second);
        first += bytes(plan.run.to, size);
        second += bytes(plan.run.from, size);
      }
    });
  });
  return equal;
}

void copy_places(const Geometry& to, std::byte* to_storage, std::span<const std::int64_t> to_places,
                 const Geometry& from, const std::byte* from_storage, std::span<const std::int64_t> from_places,
                 std::size_t itemsize) {
  const Plan plan(to, from);
  visit_itemsize(itemsize, [&]<std::size_t kSize>(std::integral_constant<std::size_t, kSize>) {
    const bool alike = plan.run.to == 1 && plan.run.from == 1;
    for (std::size_t i = 0; i < to_places.size(); ++i) {
      for_each_run(plan, to.storage_offset + to_places[i], from.storage_offset + from_places[i],
                   [&](std::int64_t to_at, std::int64_t from_at) {
                     std::byte* const target = to_storage + bytes(to_at, kSize);
                     const std::byte* const source = from_storage + bytes(from_at, kSize);
                     if (alike) {
                       std::memcpy(target, source, static_cast<std::size_t>(plan.run.size) * kSize);
                     } else {
                       copy_run<kSize>(target, bytes(plan.run.to, kSize), source, bytes(plan.run.from, kSize),
                                       plan.run.size);
                     }
                   });
    }
  });
}

}  // namespace tensorbroker
