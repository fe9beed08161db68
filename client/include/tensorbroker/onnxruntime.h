// Tensors to and from ONNX Runtime's Ort::Value, without a copy. Header-only, included on request; wants the C++
// headers and the library of ONNX Runtime 1.22 or later.
//
// to_ort is for what a session reads: the tensor's own memory, sealed or not, since a session does not write to its
// inputs. An Ort::Value knows no read-only memory, though: nobody may write through GetTensorMutableData of a sealed
// tensor's. to_ort_output is for what a session writes: a draft or a mutable tensor. A value keeps the memory until
// it is released, which may be long after the tensor and the client are gone, on any thread. Thread safe as Tensor is.

#ifndef TENSORBROKER_ONNXRUNTIME_H_
#define TENSORBROKER_ONNXRUNTIME_H_

#include <onnxruntime_cxx_api.h>
#include <tensorbroker/tensor.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#if ORT_API_VERSION < 22
#error "tensorbroker/onnxruntime.h needs ONNX Runtime 1.22 or later, whose values can own memory of others"
#endif

namespace tensorbroker {

// ONNX Runtime's C++ types for what C++20 has none of: data_ptr<Ort::BFloat16_t>() and the like.
template <>
constexpr DType dtype_of<Ort::Float16_t>() {
  return kFloat16;
}
template <>
constexpr DType dtype_of<Ort::BFloat16_t>() {
  return kBFloat16;
}
template <>
constexpr DType dtype_of<Ort::Float8E4M3FN_t>() {
  return kFloat8E4M3Fn;
}
template <>
constexpr DType dtype_of<Ort::Float8E4M3FNUZ_t>() {
  return kFloat8E4M3Fnuz;
}
template <>
constexpr DType dtype_of<Ort::Float8E5M2_t>() {
  return kFloat8E5M2;
}
template <>
constexpr DType dtype_of<Ort::Float8E5M2FNUZ_t>() {
  return kFloat8E5M2Fnuz;
}

namespace detail {
// Complex numbers have types there, but no value of one can be made.
inline constexpr std::pair<DType, ONNXTensorElementDataType> kElementTypes[] = {
    {kBool, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},
    {kInt8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
    {kInt16, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16},
    {kInt32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
    {kInt64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},
    {kUInt8, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8},
    {kUInt16, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16},
    {kUInt32, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32},
    {kUInt64, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64},
    {kFloat16, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16},
    {kBFloat16, ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16},
    {kFloat32, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
    {kFloat64, ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE},
    {kFloat8E4M3Fn, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FN},
    {kFloat8E5M2, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2},
    {kFloat8E4M3Fnuz, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E4M3FNUZ},
    {kFloat8E5M2Fnuz, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E5M2FNUZ},
#if ORT_API_VERSION >= 28
    {kFloat8E8M0Fnu, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E8M0},
#endif
};

// The "allocator" of one value. It allocates nothing; asked to free the value's memory, it lets go of the tensor and is
// gone.
class OrtOwner : public OrtAllocator {
 public:
  explicit OrtOwner(Tensor kept) : OrtAllocator{}, kept_(std::move(kept)) {
    version = ORT_API_VERSION;
    Alloc = [](OrtAllocator*, std::size_t) -> void* { return nullptr; };
    Free = [](OrtAllocator* self, void*) { delete static_cast<OrtOwner*>(self); };
    Info = [](const OrtAllocator* self) -> const OrtMemoryInfo* {
      return static_cast<const OrtOwner*>(self)->memory_info_;
    };
  }

 private:
  Tensor kept_;
  Ort::MemoryInfo memory_info_ = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
};
}  // namespace detail

// TypeError for a dtype that ONNX Runtime makes no values of: the complex ones, and float8_e8m0fnu before its 1.28.
inline ONNXTensorElementDataType to_element_type(DType dtype) {
  for (const auto& [known, type] : detail::kElementTypes) {
    if (known == dtype) return type;
  }
  const bool complex = info(dtype).kind == DTypeKind::kComplex;
  throw TypeError("ONNX Runtime makes no values of dtype " + std::string(name(dtype)) +
                  (complex ? "; view it as real numbers first, as .view(kFloat32)" : "; convert it first, with .to()"));
}

// TypeError for a type that tensors do not have, as strings and integers of 4 bits.
inline DType from_element_type(ONNXTensorElementDataType type) {
  for (const auto& [dtype, known] : detail::kElementTypes) {
    if (known == type) return dtype;
  }
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING) {
    throw TypeError("the ONNX Runtime value holds strings, of which there are no tensors; encode them first");
  }
  throw TypeError("ONNX Runtime's element type " + std::to_string(type) +
                  " is not a dtype of tensors; cast it in the model");
}

// A value to be read: an input, or a weight. TypeError for an undefined tensor or a dtype that ONNX Runtime does not
// have, InvalidArgumentError unless the elements lie in C order.
inline Ort::Value to_ort(const Tensor& tensor) {
  if (!tensor.defined()) throw TypeError("the tensor is undefined");
  const ONNXTensorElementDataType type = to_element_type(tensor.dtype());
  if (!tensor.is_contiguous()) {
    std::ostringstream message;
    message << "ONNX Runtime reads elements in C order only, and this tensor has strides (";
    for (std::size_t d = 0; d < tensor.strides().size(); ++d) message << (d == 0 ? "" : ", ") << tensor.strides()[d];
    throw InvalidArgumentError(message.str() + "); call .contiguous() first");
  }
  void* const data = const_cast<void*>(tensor.const_data());
  auto owner = std::make_unique<detail::OrtOwner>(tensor);
  OrtValue* made = nullptr;
  Ort::ThrowOnError(Ort::GetApi().CreateTensorWithDataAndDeleterAsOrtValue(
      owner.get(), data, tensor.nbytes(), tensor.sizes().data(), tensor.sizes().size(), type, &made));
  owner.release();  // the value's from now on
  return Ort::Value(made);
}

// The same, for an output to be written into. ReadOnlyError unless the tensor is a draft or a mutable one opened "r+",
// or writable memory of this process.
inline Ort::Value to_ort_output(const Tensor& tensor) {
  if (!tensor.defined()) throw TypeError("the tensor is undefined");
  static_cast<void>(tensor.data());  // throws where it is read-only
  return to_ort(tensor);
}

// A writable tensor over the memory of a value on the CPU, which it keeps: what a session returned, or to_ort made (of
// a sealed tensor's nobody may write to this one either). TypeError for what is no tensor there, or not here: an empty
// value, a sequence, map or sparse tensor, strings, another device.
inline Tensor from_ort(Ort::Value value) {
  if (!value) throw TypeError("the ONNX Runtime value is empty");
  const ONNXType kind = value.GetTypeInfo().GetONNXType();
  if (kind != ONNX_TYPE_TENSOR) {
    throw TypeError("the ONNX Runtime value is no tensor (ONNXType " + std::to_string(kind) +
                    "); take the tensors out of it, as with GetValue");
  }
  const Ort::TensorTypeAndShapeInfo described = value.GetTensorTypeAndShapeInfo();
  const DType dtype = from_element_type(described.GetElementType());
  const OrtMemoryInfoDeviceType device = value.GetTensorMemoryInfo().GetDeviceType();
  if (device != OrtMemoryInfoDeviceType_CPU) {
    throw TypeError("the ONNX Runtime value is on another device than the CPU (device type " + std::to_string(device) +
                    "); copy it to the CPU first, as with IoBinding");
  }
  const std::vector<std::int64_t> sizes = described.GetShape();
  void* const data = value.GetTensorMutableRawData();
  auto kept = std::make_shared<Ort::Value>(std::move(value));
  return from_blob(data, sizes, dtype, [kept = std::move(kept)](void*) mutable { kept.reset(); });
}

}  // namespace tensorbroker

#endif  // TENSORBROKER_ONNXRUNTIME_H_
