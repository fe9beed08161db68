// The structures of DLPack 1.x as they cross library boundaries (https://dmlc.github.io/dlpack). Plain data.

#ifndef TENSORBROKER_PYTHON_SRC_DLPACK_ABI_H_
#define TENSORBROKER_PYTHON_SRC_DLPACK_ABI_H_

#include <cstdint>

namespace tensorbroker::python::dlpack {

inline constexpr std::uint32_t kMajor = 1;
inline constexpr std::uint32_t kMinor = 1;

inline constexpr std::int32_t kCpu = 1;
inline constexpr std::uint64_t kReadOnlyFlag = 1;
inline constexpr std::uint64_t kCopiedFlag = 2;

// Names of capsules, before and after somebody took what is in them.
inline constexpr const char* kLegacyName = "dltensor";
inline constexpr const char* kLegacyUsed = "used_dltensor";
inline constexpr const char* kVersionedName = "dltensor_versioned";
inline constexpr const char* kVersionedUsed = "used_dltensor_versioned";

struct Version {
  std::uint32_t major;
  std::uint32_t minor;
};

struct Device {
  std::int32_t type;
  std::int32_t id;
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
  Array array;
  void* context;
  void (*deleter)(Legacy*);
};

struct Versioned {
  Version version;
  void* context;
  void (*deleter)(Versioned*);
  std::uint64_t flags;
  Array array;
};

static_assert(sizeof(Array) == 48 && sizeof(Legacy) == 64 && sizeof(Versioned) == 80);

}  // namespace tensorbroker::python::dlpack

#endif  // TENSORBROKER_PYTHON_SRC_DLPACK_ABI_H_
