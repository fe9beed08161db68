// The structures of DLPack 1.x as they cross library boundaries (https://dmlc.github.io/dlpack). Plain data, with
// DLPack's names for the members.

#ifndef TENSORBROKER_PYTHON_SRC_DLPACK_ABI_H_
#define TENSORBROKER_PYTHON_SRC_DLPACK_ABI_H_

#include <cstdint>

namespace tensorbroker::python::dlpack {

struct Version {
  std::uint32_t major;
  std::uint32_t minor;
};

struct Device {
  std::int32_t device_type;
  std::int32_t device_id;
};

struct DataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};

struct Array {
  void* data;
  Device device;
  std::int32_t ndim;
  DataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // elements; null in older producers: C order
  std::uint64_t byte_offset;
};

struct Legacy {
  // Names of capsules, before and after somebody took what is in them.
  static constexpr const char* kName = "dltensor";
  static constexpr const char* kUsedName = "used_dltensor";

  Array dl_tensor;
  void* manager_ctx;
  void (*deleter)(Legacy*);
};

struct Versioned {
  static constexpr const char* kName = "dltensor_versioned";
  static constexpr const char* kUsedName = "used_dltensor_versioned";

  Version version;
  void* manager_ctx;
  void (*deleter)(Versioned*);
  std::uint64_t flags;
  Array dl_tensor;
};

static_assert(sizeof(Array) == 48 && sizeof(Legacy) == 64 && sizeof(Versioned) == 80);

}  // namespace tensorbroker::python::dlpack

#endif  // TENSORBROKER_PYTHON_SRC_DLPACK_ABI_H_
