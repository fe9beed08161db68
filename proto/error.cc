#include <tensorbroker/error.h>

namespace tensorbroker {

void throw_error(ErrorCode code, const std::string& message) {
  switch (code) {
    case ErrorCode::kNotFound:
      throw NotFoundError(message);
    case ErrorCode::kExists:
      throw ExistsError(message);
    case ErrorCode::kOutOfMemory:
      throw OutOfMemoryError(message);
    case ErrorCode::kQuota:
      throw QuotaError(message);
    case ErrorCode::kReadOnly:
      throw ReadOnlyError(message);
    case ErrorCode::kBrokerUnavailable:
      throw BrokerUnavailableError(message);
    case ErrorCode::kVersionMismatch:
      throw VersionMismatchError(message);
    case ErrorCode::kCorruptSegment:
      throw CorruptSegmentError(message);
    case ErrorCode::kClosed:
      throw ClosedError(message);
    case ErrorCode::kTimeout:
      throw TimeoutError(message);
    case ErrorCode::kInvalidArgument:
      throw InvalidArgumentError(message);
    case ErrorCode::kType:
      throw TypeError(message);
    case ErrorCode::kIndex:
      throw IndexError(message);
    case ErrorCode::kRuntime:
      throw RuntimeError(message);
    case ErrorCode::kAccess:
      throw AccessError(message);
    case ErrorCode::kOk:
    case ErrorCode::kFile:  // never crosses the socket
      break;
  }
  // A newer peer may send a code that this side does not know: keep its message.
  throw Error(code, message);
}

}  // namespace tensorbroker
