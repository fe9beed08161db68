// Headers that another process of the same user overwrites while they are read.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <span>
#include <thread>

#include "client/attachment.h"
#include "client/storage.h"
#include "tests/client/with_broker.h"

namespace tensorbroker {
namespace {

// The catalog, mapped to be written to.
class WritableCatalog {
 public:
  explicit WritableCatalog(const Attachment& attachment) : segment_(attachment.catalog().segment()) {
    const int fd = open(("/dev/shm/" + segment_.name()).c_str(), O_RDWR | O_CLOEXEC);
    data_ = static_cast<std::byte*>(mmap(nullptr, segment_.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    close(fd);
    if (data_ == MAP_FAILED) throw RuntimeError("cannot map the catalog");
  }
  ~WritableCatalog() { munmap(data_, segment_.size()); }
  WritableCatalog(const WritableCatalog&) = delete;
  WritableCatalog& operator=(const WritableCatalog&) = delete;

  std::span<std::byte> of(std::span<const std::byte> part) const {
    return {data_ + (part.data() - segment_.data()), part.size()};
  }

 private:
  const Segment& segment_;
  std::byte* data_;
};

class OverwrittenHeader : public WithBroker {
 protected:
  // Calls `read` until it was refused and succeeded a thousand times each, while the storage's header comes and goes.
  static void expect_refused_or_right(const detail::Storage& storage, const std::function<void()>& read) {
    const WritableCatalog catalog(*storage.attachment());
    const std::span<std::byte> header = catalog.of(storage.record().header);
    const std::vector<std::byte> right(header.begin(), header.end());
    std::atomic<bool> done{false};
    std::thread writer([&] {
      while (!done) {
        std::memset(header.data(), 0, header.size());
        std::memcpy(header.data(), right.data(), right.size());
      }
    });
    int refused = 0;
    int fine = 0;
    for (int i = 0; i < 10'000'000 && (refused < 1000 || fine < 1000); ++i) {
      try {
        read();
        ++fine;
      } catch (const CorruptSegmentError&) {
        ++refused;
      }
    }
    done = true;
    writer.join();
    EXPECT_GE(refused, 1000);
    EXPECT_GE(fine, 1000);
  }
};

TEST_F(OverwrittenHeader, OfATensorIsRefusedOrRight) {
  const Tensor put = client_.put("x", counting({2, 3}));
  expect_refused_or_right(*put.storage().get(), [&] { EXPECT_LE(client_.get("x").nbytes(), 24u); });
}

TEST_F(OverwrittenHeader, OfABundleIsRefusedOrRight) {
  const Bundle put = client_.put_bundle("b", std::vector<Bundle::Member>{{"x", counting({2})}, {"y", counting({3})}});
  expect_refused_or_right(*put.at("x").storage().get(), [&] {
    for (const auto& [name, member] : client_.get_bundle("b").members()) EXPECT_LE(member.nbytes(), 12u);
  });
}

TEST_F(OverwrittenHeader, OfMetadataIsRefusedOrWithinTheHeader) {
  const Tensor put = client_.put("x", counting({2}), {}, {.overwrite = true, .metadata = R"({"step": 7})"});
  expect_refused_or_right(*put.storage().get(), [&] { EXPECT_LE(put.metadata().size(), 11u); });
}

}  // namespace
}  // namespace tensorbroker
