// The model of one writer and one reader over a command ring's templates, which are in scope where this is included: the
// product's, or a mutant's. Included inside a namespace, so that a program may have several.

using model::Word;

// A writer of a few frames, and a reader that sleeps where it finds nothing, until the doorbell rings.
class RingWorld {
 public:
  explicit RingWorld(int frames) : frames_(frames) {}

  void write() {
    BasicRingWriter<Word> writer(ring());
    using Written = BasicRingWriter<Word>::Written;
    for (int n = 1; n <= frames_; ++n) {
      const std::uint64_t content = static_cast<std::uint64_t>(n);
      const auto written = writer.write(std::as_bytes(std::span(&content, 1)));
      if (written == Written::kNoRoom) model::report("no room in a ring that has some");
      if (written == Written::kUnseen) rung_ = true;
      model::scheduling_point();  // whatever it does next may come long after, and its stores with it
    }
  }

  void read() {
    BasicRingReader<Word> reader(ring());
    std::vector<std::byte> frame;
    for (;;) {
      while (take(reader, frame)) {
      }
      if (read_ == frames_) return;
      if (!reader.fall_asleep()) continue;
      asleep_ = true;
      model::scheduling_point();
      return;
    }
  }

  void check_nothing_lost() const {
    if (asleep_ && !rung_) model::report("a frame was left, its reader sleeps and nobody woke it");
  }

 private:
  bool take(BasicRingReader<Word>& reader, std::vector<std::byte>& frame) {
    using Read = BasicRingReader<Word>::Read;
    const Read result = reader.read(&frame);
    if (result == Read::kMalformed) model::report("half a frame was read");
    if (result == Read::kNothing) return false;
    std::uint64_t content = 0;
    if (frame.size() == sizeof content) std::memcpy(&content, frame.data(), sizeof content);
    if (content != static_cast<std::uint64_t>(++read_)) model::report("another frame was read than was written");
    return true;
  }

  BasicCommandRing<Word> ring() {
    return {.words = words_.data(), .limit = words_.size(), .tail = &tail_, .head = &head_, .asleep = &sleeps_};
  }

  const int frames_;
  std::array<Word, 4> words_;
  Word tail_;
  Word head_;
  Word sleeps_;
  bool rung_ = false;
  bool asleep_ = false;
  int read_ = 0;
};

inline model::Exploration explore_ring(const model::Limits& limits) {
  return model::explore(
      [] {
        auto world = std::make_shared<RingWorld>(2);
        model::Program program;
        program.fibers.emplace_back([world] { world->write(); });
        program.fibers.emplace_back([world] { world->read(); });
        program.at_end = [world] { world->check_nothing_lost(); };
        return program;
      },
      limits);
}
