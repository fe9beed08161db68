// A torch-style tensor over memory that other processes may share.
//
// A Tensor is a cheap handle: a geometry, a dtype and a reference to its storage, which it keeps alive whatever becomes
// of the client or the tensor that it is a view of. The last reference releases the storage, from any thread. Distinct
// Tensor objects may be used from any threads; one object is as thread safe as an int. The bytes are plain memory: of a
// sealed tensor they never change, of a mutable one they change whenever somebody writes.

#ifndef TENSORBROKER_TENSOR_H_
#define TENSORBROKER_TENSOR_H_

#include <tensorbroker/accessor.h>
#include <tensorbroker/dtype.h>
#include <tensorbroker/error.h>
#include <tensorbroker/geometry.h>
#include <tensorbroker/indexing.h>
#include <tensorbroker/scalar.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace tensorbroker {

namespace detail {
class Storage;
void retain(Storage* storage) noexcept;
void release(Storage* storage) noexcept;

// A counted reference to a storage; null for none.
class StorageRef {
 public:
  StorageRef() noexcept = default;
  explicit StorageRef(Storage* adopted) noexcept : storage_(adopted) {}  // takes over one count
  StorageRef(const StorageRef& other) noexcept : storage_(other.storage_) {
    if (storage_ != nullptr) retain(storage_);
  }
  StorageRef(StorageRef&& other) noexcept : storage_(other.storage_) { other.storage_ = nullptr; }
  StorageRef& operator=(StorageRef other) noexcept {
    std::swap(storage_, other.storage_);
    return *this;
  }
  ~StorageRef() {
    if (storage_ != nullptr) release(storage_);
  }
  Storage* get() const noexcept { return storage_; }
  Storage* operator->() const noexcept { return storage_; }
  explicit operator bool() const noexcept { return storage_ != nullptr; }

 private:
  Storage* storage_ = nullptr;
};
}  // namespace detail

// Sizes or dimensions: a braced list, or anything with int64 in a row, which must outlive the call.
class DimList : public std::span<const std::int64_t> {
 public:
  DimList(std::initializer_list<std::int64_t> values) noexcept : span(values.begin(), values.size()) {}
  template <class Values>
    requires std::convertible_to<const Values&, std::span<const std::int64_t>>
  DimList(const Values& values) noexcept : span(static_cast<std::span<const std::int64_t>>(values)) {}
};

class Tensor;

// A term of an index: what Index has, a bool (which is a mask of no dimension), or a tensor.
using TensorIndex = std::variant<std::int64_t, bool, Slice, Ellipsis, NewAxis, Tensor>;

class Tensor {
 public:
  // An undefined tensor; only defined(), assignment and destruction are meaningful.
  Tensor() = default;
  Tensor(detail::StorageRef storage, std::byte* data, DType dtype, Geometry geometry);

  bool defined() const noexcept { return static_cast<bool>(storage_); }

  // ---- geometry, as ATen's. Strides and offsets count elements.
  std::span<const std::int64_t> sizes() const noexcept { return geometry_.sizes; }
  std::span<const std::int64_t> strides() const noexcept { return geometry_.strides; }
  std::int64_t size(std::int64_t dim) const;  // IndexError out of range; negative counts from the end
  std::int64_t stride(std::int64_t dim) const;
  std::int64_t storage_offset() const noexcept { return geometry_.storage_offset; }
  std::int64_t dim() const noexcept { return geometry_.dim(); }
  std::int64_t numel() const noexcept;
  std::size_t itemsize() const noexcept { return tensorbroker::itemsize(dtype_); }
  std::size_t nbytes() const noexcept { return static_cast<std::size_t>(numel()) * itemsize(); }
  DType dtype() const noexcept { return dtype_; }
  bool is_contiguous() const noexcept;
  const Geometry& geometry() const noexcept { return geometry_; }

  // ---- elements. The typed forms throw TypeError where T is not the dtype's C++ type (float16, bfloat16 and float8
  // have none: use the untyped forms). Writing forms throw ReadOnlyError on a sealed tensor or one opened "r".
  const void* const_data() const;
  void* data() const;
  template <class T>
  const T* const_data_ptr() const {
    check_dtype(dtype_of<T>());
    return static_cast<const T*>(const_data());
  }
  template <class T>
  T* data_ptr() const {
    check_dtype(dtype_of<T>());
    return static_cast<T*>(data());
  }
  // The elements in C order, for reading (span<const float>()) or writing (span<float>()). Throws as the typed pointers
  // do, and RuntimeError where the tensor is not contiguous. The memory is the tensor's: keep the tensor.
  template <class T>
  std::span<T> span() const {
    T* const first = typed_data<T>();
    check_contiguous();
    return {first, static_cast<std::size_t>(numel())};
  }
  // The elements by N indices, whatever the strides. Throws as the typed pointers do, and RuntimeError where the tensor
  // has not N dimensions. Points into this Tensor object: keep it, and do not assign to it.
  template <class T, std::size_t N>
  TensorAccessor<T, N> accessor() const& {
    T* const first = typed_data<T>();
    check_dim(N);
    return {first, geometry_.sizes.data(), geometry_.strides.data()};
  }
  template <class T, std::size_t N>
  TensorAccessor<T, N> accessor() && = delete;  // it would point into a temporary
  bool is_writable() const noexcept;
  // The same elements for a library that knows no read-only memory, as torch and most consumers of DLPack: this tensor
  // where it is writable; where it is sealed, over private copy-on-write pages (a copy below 64 KiB), the same for all
  // calls on one storage, so that a stray write changes nobody else's bytes. ReadOnlyError for what is neither: a
  // mutable tensor opened "r", and constant memory of the caller's.
  Tensor exportable() const;

  // ---- views over the same storage, with torch's results and errors
  Tensor select(std::int64_t dim, std::int64_t index) const;
  Tensor narrow(std::int64_t dim, std::int64_t start, std::int64_t length) const;
  Tensor slice(std::int64_t dim, std::optional<std::int64_t> start, std::optional<std::int64_t> stop,
               std::int64_t step = 1) const;
  Tensor index(std::span<const Index> indices) const;  // basic indexing
  Tensor operator[](std::int64_t index) const { return select(0, index); }
  Tensor view(DimList shape) const;
  Tensor view(DType dtype) const;  // the same bytes as elements of another dtype
  Tensor view_as(const Tensor& other) const { return view(other.sizes()); }
  Tensor unflatten(std::int64_t dim, DimList sizes) const;
  Tensor transpose(std::int64_t dim0, std::int64_t dim1) const;
  Tensor t() const;
  Tensor mT() const;       // the last two dimensions exchanged
  Tensor numpy_T() const;  // all dimensions reversed: Python's T
  Tensor permute(DimList dims) const;
  Tensor movedim(DimList source, DimList destination) const;
  Tensor movedim(std::int64_t source, std::int64_t destination) const;
  Tensor unsqueeze(std::int64_t dim) const;
  Tensor squeeze() const;
  Tensor squeeze(std::int64_t dim) const;
  Tensor squeeze(DimList dims) const;
  Tensor expand(DimList sizes) const;
  Tensor expand_as(const Tensor& other) const { return expand(other.sizes()); }
  std::vector<Tensor> unbind(std::int64_t dim = 0) const;
  std::vector<Tensor> split(std::int64_t split_size, std::int64_t dim = 0) const;
  std::vector<Tensor> split_with_sizes(DimList split_sizes, std::int64_t dim = 0) const;
  std::vector<Tensor> chunk(std::int64_t chunks, std::int64_t dim = 0) const;
  Tensor diagonal(std::int64_t offset = 0, std::int64_t dim1 = 0, std::int64_t dim2 = 1) const;
  Tensor unfold(std::int64_t dim, std::int64_t size, std::int64_t step) const;
  Tensor as_strided(DimList sizes, DimList strides, std::optional<std::int64_t> storage_offset = {}) const;

  // ---- a view where that can be, else a copy in memory of this process
  Tensor reshape(DimList shape) const;
  Tensor flatten(std::int64_t start_dim = 0, std::int64_t end_dim = -1) const;
  Tensor contiguous() const;
  Tensor to(DType dtype, bool copy = false) const;

  // ---- copies in memory of this process, writable
  Tensor clone() const;
  // Advanced indexing, where a TensorIndex may be a tensor of integers (int32, int64), or a mask (bool, uint8).
  Tensor index(std::span<const TensorIndex> indices) const;

  // ---- elements as a whole. Those that write throw ReadOnlyError before anything is written; what else they throw is
  // torch's too. `source` and `value` are broadcast, and converted as to() does.
  const Tensor& copy_(const Tensor& source) const;
  const Tensor& fill_(const Scalar& value) const;
  const Tensor& zero_() const;
  // As copy_, into the elements that the indices name; integer tensors want a value of the same dtype. Where one
  // element is named more than once, one of the values stays.
  const Tensor& index_put_(std::span<const TensorIndex> indices, const Tensor& value) const;
  bool equal(const Tensor& other) const;  // sizes and elements; NaN is equal to nothing
  Scalar item() const;                    // RuntimeError unless there is one element

  // ---- what the broker knows of it
  std::string name() const;  // "" for an anonymous tensor, a draft's intended name for a draft
  std::uint64_t version()
      const noexcept;                 // grows with every publication in the instance; 0 for a draft or foreign memory
  std::string_view metadata() const;  // a JSON object as text; "{}" where none was given
  std::string handle() const;         // a text for open(), good in any process of the instance
  bool is_sealed() const noexcept;
  bool is_mutable() const noexcept;
  bool is_draft() const noexcept;
  // Whether bytes of it were lost because somebody truncated a segment of the broker's: what was read from it may have
  // been zeros (see install_sigbus_handler()). One system call.
  bool is_corrupt() const noexcept;

  // ---- drafts only (RuntimeError otherwise)
  // Makes the tensor visible under its name, replacing what was there; this handle and its copies become read-only.
  void publish();
  // Gives the memory back. Pointers into it must not be used any more.
  void discard();

  // Byte for byte what torch prints for the same values.
  std::string to_string() const;

  const detail::StorageRef& storage() const noexcept { return storage_; }

 private:
  void check_dtype(DType wanted) const;
  void check_contiguous() const;
  void check_dim(std::size_t wanted) const;
  template <class T>
  T* typed_data() const {
    if constexpr (std::is_const_v<T>) {
      return const_data_ptr<std::remove_const_t<T>>();
    } else {
      return data_ptr<T>();
    }
  }
  Tensor with(Geometry geometry) const;
  std::vector<Tensor> each(std::vector<Geometry> geometries) const;
  std::uint64_t storage_nbytes() const;  // from where the geometry's offset counts

  detail::StorageRef storage_;
  std::byte* base_ = nullptr;  // of the storage that the geometry's offset counts from
  DType dtype_ = kFloat32;
  Geometry geometry_;
};

std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

// A tensor over memory of the caller's: contiguous, writable, not shared with other processes. `deleter`, if given, is
// called once when the last view is gone, from whichever thread drops it.
// Throws RuntimeError or InvalidArgumentError for sizes that are negative or overflow, and for a null pointer where
// there are elements; the deleter is then not called.
Tensor from_blob(void* data, std::span<const std::int64_t> sizes, DType dtype, std::function<void(void*)> deleter = {});
Tensor from_blob(const void* data, std::span<const std::int64_t> sizes, DType dtype,
                 std::function<void(void*)> deleter = {});  // read-only
// The same with strides, in elements; InvalidArgumentError also where they are negative or not as many as the sizes.
Tensor from_blob(void* data, std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides, DType dtype,
                 std::function<void(void*)> deleter = {});
Tensor from_blob(const void* data, std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides,
                 DType dtype, std::function<void(void*)> deleter = {});
// No memory: for tensors without elements.
inline Tensor from_blob(std::nullptr_t, std::span<const std::int64_t> sizes, DType dtype,
                        std::function<void(void*)> deleter = {}) {
  return from_blob(static_cast<void*>(nullptr), sizes, dtype, std::move(deleter));
}
inline Tensor from_blob(std::nullptr_t, std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides,
                        DType dtype, std::function<void(void*)> deleter = {}) {
  return from_blob(static_cast<void*>(nullptr), sizes, strides, dtype, std::move(deleter));
}
inline Tensor from_blob(std::nullptr_t, std::initializer_list<std::int64_t> sizes, DType dtype) {
  return from_blob(static_cast<void*>(nullptr), std::span(sizes.begin(), sizes.size()), dtype);
}
inline Tensor from_blob(void* data, std::initializer_list<std::int64_t> sizes, DType dtype) {
  return from_blob(data, std::span(sizes.begin(), sizes.size()), dtype);
}
inline Tensor from_blob(const void* data, std::initializer_list<std::int64_t> sizes, DType dtype) {
  return from_blob(data, std::span(sizes.begin(), sizes.size()), dtype);
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_TENSOR_H_
