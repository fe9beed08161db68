// A connected Unix socket that survives users who close descriptors that are not theirs, and frames on it.
//
// Before each read and write the descriptor is compared with what was opened (device and inode); a strange one is left
// alone. A Socket may be used from several threads; a FrameReader from one at a time.

#ifndef TENSORBROKER_CLIENT_SOCKET_H_
#define TENSORBROKER_CLIENT_SOCKET_H_

#include <sys/types.h>

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/file_identity.h"
#include "client/limit.h"
#include "client/received_file.h"

namespace tensorbroker {

using Frame = std::vector<std::byte>;  // of a message, without the length

// Closed with this object, unless the user closed it before.
class Socket {
 public:
  explicit Socket(int fd) noexcept;
  ~Socket();
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Connects to a listening Unix socket, non-blocking and close-on-exec. Null, with errno set, where that fails.
  static std::shared_ptr<Socket> connect(const std::string& path);

  int fd() const noexcept { return fd_; }
  bool is_ours() const noexcept;
  // Waits for `events` of poll(2), at most `slice`. False where the descriptor is closed; whether what has it now is
  // this socket is looked at by those who read or write it.
  bool poll(short events, Limit::Clock::duration slice) const noexcept;
  // Wakes whoever polls it; it reads end of file from now on, at both ends and in every process.
  void shut_down() noexcept;

 private:
  const int fd_;
  FileIdentity identity_;
};

// A wait looks at its limit's flag, and whether its socket is still its own, this often.
inline constexpr auto kPollSlice = std::chrono::milliseconds(200);

// Takes the bytes of frames as they come, and cuts them apart.
class FrameReader {
 public:
  // Reads what is there, without waiting. False at the end of the stream.
  bool read(const Socket& socket);
  // The next whole frame, if there is one.
  std::optional<Frame> next();
  // The descriptor that came with the frame that was taken last, `count` having come with it: the first one. REQUIRES:
  // asked once for each frame that has any.
  ReceivedFile take_file(std::size_t count);
  // Whether a length came that no frame has.
  bool is_malformed() const noexcept;

 private:
  std::vector<std::byte> buffer_;
  std::size_t filled_ = 0;
  std::deque<ReceivedFile> files_;  // in the order of the frames that they came with
};

// Sends the frame with its length, from byte `*sent` of both on, as far as there is room; advances `*sent`, up to
// kFrameLengthBytes + frame.size(). False where the socket failed.
bool send_part(const Socket& socket, std::span<const std::byte> frame, std::size_t* sent) noexcept;

// The whole of it, waiting for room. False where the socket failed or `limit` passed.
bool write_frame(const Socket& socket, std::span<const std::byte> frame, const Limit& limit);
// The next frame, and the first descriptor that came with it; whatever follows is lost. nullopt at the end of the
// stream or after `limit`.
std::optional<Frame> read_frame(const Socket& socket, const Limit& limit, ReceivedFile* file = nullptr);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_SOCKET_H_
