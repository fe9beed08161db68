// The errors of tensorbroker: one class for each thing a caller may want to handle, all derived from Error.
//
// The message always names the offending value and says what to do. Exceptions are values: copy and share freely.

#ifndef TENSORBROKER_ERROR_H_
#define TENSORBROKER_ERROR_H_

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace tensorbroker {

// What went wrong, as carried in replies of the broker. The numbers are part of the protocol: append only.
enum class ErrorCode : std::uint8_t {
  kOk = 0,
  kNotFound = 1,           // no such name, or what the handle names is gone
  kExists = 2,             // overwrite=false, or a named factory, and the name is taken
  kOutOfMemory = 3,        // the capacity or the file system is full
  kQuota = 4,              // a limit of this session or user
  kReadOnly = 5,           // writing to what is sealed or was opened "r"
  kBrokerUnavailable = 6,  // no broker, or it did not come back in time
  kVersionMismatch = 7,    // the two sides' layouts differ
  kCorruptSegment = 8,     // a segment or header fails verification
  kClosed = 9,             // the client was closed, or the tensor released
  kTimeout = 10,           // time ran out in wait or watch
  kInvalidArgument = 11,   // a wrong value: ValueError in Python
  kType = 12,              // a wrong type or dtype: TypeError in Python
  kIndex = 13,             // an index out of range: IndexError in Python
  kRuntime = 14,           // an operation that torch refuses with RuntimeError
  kFile = 15,              // a file cannot be read or written: OSError in Python
  kAccess = 16,            // this user may not, or a path is another user's
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

// Each class fixes its code, so that `catch (const NotFoundError&)` and `e.code()` agree.
template <ErrorCode kCode, class Base = Error>
class CodedError : public Base {
 public:
  explicit CodedError(const std::string& message) : Base(kCode, message) {}

 protected:
  CodedError(ErrorCode code, const std::string& message) : Base(code, message) {}
};

class NotFoundError : public CodedError<ErrorCode::kNotFound> {
  using CodedError::CodedError;
};
class ExistsError : public CodedError<ErrorCode::kExists> {
  using CodedError::CodedError;
};
class OutOfMemoryError : public CodedError<ErrorCode::kOutOfMemory> {
  using CodedError::CodedError;
};
class QuotaError : public OutOfMemoryError {
 public:
  explicit QuotaError(const std::string& message) : OutOfMemoryError(ErrorCode::kQuota, message) {}
};
class ReadOnlyError : public CodedError<ErrorCode::kReadOnly> {
  using CodedError::CodedError;
};
class BrokerUnavailableError : public CodedError<ErrorCode::kBrokerUnavailable> {
  using CodedError::CodedError;
};
class VersionMismatchError : public CodedError<ErrorCode::kVersionMismatch> {
  using CodedError::CodedError;
};
class CorruptSegmentError : public CodedError<ErrorCode::kCorruptSegment> {
  using CodedError::CodedError;
};
class ClosedError : public CodedError<ErrorCode::kClosed> {
  using CodedError::CodedError;
};
class TimeoutError : public CodedError<ErrorCode::kTimeout> {
  using CodedError::CodedError;
};
class InvalidArgumentError : public CodedError<ErrorCode::kInvalidArgument> {
  using CodedError::CodedError;
};
class TypeError : public CodedError<ErrorCode::kType> {
  using CodedError::CodedError;
};
class IndexError : public CodedError<ErrorCode::kIndex> {
  using CodedError::CodedError;
};
// What only the owner of an instance may do; or a path of ours that another user owns or could change.
class AccessError : public CodedError<ErrorCode::kAccess> {
  using CodedError::CodedError;
};
class RuntimeError : public CodedError<ErrorCode::kRuntime> {
  using CodedError::CodedError;
};
// The system refused something about a file of the user's. Says why, and which one.
class FileError : public CodedError<ErrorCode::kFile> {
 public:
  FileError(int error_number, std::string path, const std::string& message)
      : CodedError(message), error_number_(error_number), path_(std::move(path)) {}
  int error_number() const noexcept { return error_number_; }  // an errno
  const std::string& path() const noexcept { return path_; }

 private:
  int error_number_;
  std::string path_;
};

// Throws the class that belongs to `code`. `code` must not be kOk.
[[noreturn]] void throw_error(ErrorCode code, const std::string& message);

}  // namespace tensorbroker

#endif  // TENSORBROKER_ERROR_H_
