// One direction of a session's command rings: messages from one process to another through shared memory, without a
// system call while the reader looks by itself.
//
// A frame is a word with its length in bytes and then the bytes, filled up to whole words; it is there once the tail
// lies behind it. The reader says when it sleeps and has to be woken by other means: it says so, then looks once more;
// the writer moves the tail, then asks. Of the two one sees the other (Dekker: stores and loads are seq_cst). Either
// side counts its own position, and takes of the other's words only what it can check. Templates over the word, as in
// catalog_layout.h. One writer and one reader, each of one thread at a time.

#ifndef TENSORBROKER_PROTO_COMMAND_RING_H_
#define TENSORBROKER_PROTO_COMMAND_RING_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "proto/catalog_layout.h"

namespace tensorbroker {

inline constexpr std::uint32_t kCommandRingWords = 2048;

template <class W>
struct BasicCommandRing {
  W* words = nullptr;
  std::uint64_t limit = 0;  // words, a power of two
  W* tail = nullptr;        // words written so far
  W* head = nullptr;        // words read so far
  W* asleep = nullptr;      // the reader's: 1: it does not look by itself
  W* processor = nullptr;   // the writer's: 1 + the one that it last said to run on; no writer of replies says so

  explicit operator bool() const noexcept { return words != nullptr; }
  W& word(std::uint64_t position) const noexcept { return words[position & (limit - 1)]; }
};
using CommandRing = BasicCommandRing<Word>;

// Both directions of a session.
struct CommandRings {
  CommandRing requests;
  CommandRing replies;
};

inline std::uint64_t words_of_frame(std::size_t bytes) noexcept {
  return 1 + (bytes + sizeof(std::uint64_t) - 1) / sizeof(std::uint64_t);
}

template <class W>
class BasicRingWriter {
 public:
  enum class Written {
    kNoRoom,  // nothing was written
    kSeen,    // the reader looks by itself
    kUnseen,  // the reader sleeps: wake it
  };

  BasicRingWriter() = default;
  // Goes on where the words say. A writer that does not trust them says where it begins.
  explicit BasicRingWriter(const BasicCommandRing<W>& ring)
      : ring_(ring), tail_(ring.tail->load(std::memory_order_relaxed)) {}
  BasicRingWriter(const BasicCommandRing<W>& ring, std::uint64_t begin) : ring_(ring), tail_(begin) {
    ring.tail->store(begin, std::memory_order_release);
  }

  // Whether the reader would have to be woken now: another way may be the shorter one then.
  bool reader_sleeps() const { return ring_.asleep->load(std::memory_order_relaxed) != 0; }

  // For a reader that will look: where both run on one processor it would keep this side from running.
  void say_processor(unsigned processor) {
    ring_.processor->store(std::uint64_t{processor} + 1, std::memory_order_relaxed);
  }

  Written write(std::span<const std::byte> frame) {
    const std::uint64_t used = tail_ - ring_.head->load(std::memory_order_acquire);
    const std::uint64_t words = words_of_frame(frame.size());
    if (used > ring_.limit || ring_.limit - used < words) return Written::kNoRoom;
    ring_.word(tail_).store(frame.size(), std::memory_order_relaxed);
    auto put = [ring = ring_, at = tail_](std::span<const std::byte> bytes) mutable {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data(), bytes.size());
      ring.word(++at).store(word, std::memory_order_relaxed);
    };
    for (; frame.size() >= sizeof(std::uint64_t); frame = frame.subspan(sizeof(std::uint64_t))) {
      put(frame.first<sizeof(std::uint64_t)>());
    }
    if (!frame.empty()) put(frame);
    tail_ += words;
    ring_.tail->store(tail_, std::memory_order_seq_cst);
    return ring_.asleep->load(std::memory_order_seq_cst) != 0 ? Written::kUnseen : Written::kSeen;
  }

 private:
  BasicCommandRing<W> ring_;
  std::uint64_t tail_ = 0;
};
using RingWriter = BasicRingWriter<Word>;

template <class W>
class BasicRingReader {
 public:
  enum class Read { kNothing, kFrame, kMalformed };

  BasicRingReader() = default;
  // Goes on where the words say that it was.
  explicit BasicRingReader(const BasicCommandRing<W>& ring)
      : ring_(ring), head_(ring.head->load(std::memory_order_relaxed)) {}
  // Passes over whatever was written by now.
  static BasicRingReader at_end(const BasicCommandRing<W>& ring) {
    ring.head->store(ring.tail->load(std::memory_order_acquire), std::memory_order_release);
    return BasicRingReader(ring);
  }

  bool has_more() const noexcept { return ring_.tail->load(std::memory_order_acquire) != head_; }

  // Whether the writer says that it ran on this processor.
  bool writer_was_on(unsigned processor) const noexcept {
    return ring_.processor->load(std::memory_order_relaxed) == std::uint64_t{processor} + 1;
  }

  // Takes the next frame, if there is one. Malformed: lengths or positions that no writer leaves.
  Read read(std::vector<std::byte>* frame) {
    const std::uint64_t there = ring_.tail->load(std::memory_order_acquire) - head_;
    if (there == 0) return Read::kNothing;
    if (there > ring_.limit) return Read::kMalformed;
    const std::uint64_t bytes = ring_.word(head_).load(std::memory_order_relaxed);
    if (bytes == 0 || bytes > (there - 1) * sizeof(std::uint64_t)) return Read::kMalformed;
    const std::uint64_t words = words_of_frame(bytes);
    frame->resize(bytes);
    auto get = [ring = ring_, at = head_](std::span<std::byte> part) mutable {
      const std::uint64_t word = ring.word(++at).load(std::memory_order_relaxed);
      std::memcpy(part.data(), &word, part.size());
    };
    std::span<std::byte> rest(*frame);
    for (; rest.size() >= sizeof(std::uint64_t); rest = rest.subspan(sizeof(std::uint64_t))) {
      get(rest.first<sizeof(std::uint64_t)>());
    }
    if (!rest.empty()) get(rest);
    head_ += words;
    ring_.head->store(head_, std::memory_order_release);
    return Read::kFrame;
  }

  // True: the writer wakes it from now on. False: something has come meanwhile, and it is awake.
  bool fall_asleep() {
    ring_.asleep->store(1, std::memory_order_seq_cst);
    if (ring_.tail->load(std::memory_order_seq_cst) == head_) return true;
    wake_up();
    return false;
  }
  void wake_up() { ring_.asleep->store(0, std::memory_order_relaxed); }

 private:
  BasicCommandRing<W> ring_;
  std::uint64_t head_ = 0;
};
using RingReader = BasicRingReader<Word>;

}  // namespace tensorbroker

#endif  // TENSORBROKER_PROTO_COMMAND_RING_H_
