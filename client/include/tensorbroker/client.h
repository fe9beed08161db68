// The connection of this process to an instance's broker.
//
// A Client is a cheap, copyable handle; all clients of one instance in a process share one session. Any function may be
// called from any thread. After fork the child has a session of its own without doing anything. Reading (get, find,
// open, exists, list) needs no broker; the rest does, waits for a successor where the broker died, and ends within
// `timeout` with BrokerUnavailableError, which says when the outcome is unknown.

#ifndef TENSORBROKER_CLIENT_H_
#define TENSORBROKER_CLIENT_H_

#include <tensorbroker/bundle.h>
#include <tensorbroker/tensor.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace tensorbroker {

struct ConnectOptions {
  std::string instance;           // empty: $TENSORBROKER_INSTANCE, else "default"
  std::string runtime_dir;        // empty: $TENSORBROKER_RUNTIME_DIR, else $XDG_RUNTIME_DIR/tensorbroker, else /tmp
  std::optional<bool> autostart;  // absent: $TENSORBROKER_AUTOSTART is not "0"
  std::chrono::duration<double> timeout{10.0};  // bounds every call that needs the broker
  std::optional<std::uint64_t> capacity;        // bytes, for a broker that this call starts
  // Whose broker it is, by user name or uid; empty: $TENSORBROKER_OWNER, else this user. Another one's has to run with
  // --group, in the directory that is named or in /tmp/tensorbroker-<uid>; a member of that group reads, and gets
  // AccessError from what writes. It is not started by this call.
  std::string owner{};
};

enum class OpenMode { kRead, kReadWrite, kCopyOnWrite };  // "r", "r+", "c"

struct PutOptions {
  bool overwrite = true;
  std::string metadata;  // a JSON object as text, at most 64 KiB; empty: none
};

struct WaitOptions {
  // How long to look busily before sleeping: a publication is then seen within a microsecond, at the cost of a
  // processor, and whoever publishes need wake nobody. Finite and not negative.
  std::chrono::duration<double> spin{0};
};

// A tensor or a bundle, whichever a name denotes.
using Object = std::variant<Tensor, Bundle>;

struct Info {
  std::string name;
  bool is_bundle = false;
  bool is_mutable = false;
  DType dtype = kFloat32;           // of a tensor
  std::vector<std::int64_t> shape;  // of a tensor; of a bundle, its number of members
  std::uint64_t nbytes = 0;
  std::uint64_t version = 0;
  std::string metadata;  // JSON text; "{}" for none
  double created = 0;    // seconds since the epoch
  std::string handle;
};

struct Stats {
  std::string instance;
  std::int64_t broker_pid = 0;
  double uptime = 0;                                                      // seconds
  std::uint64_t capacity = 0, used = 0, live = 0, retired = 0, free = 0;  // bytes
  std::uint64_t tensors = 0, bundles = 0, sessions = 0;
  std::map<std::string, std::uint64_t> limits, counters;
};

// Called about once a second, and after each signal, while a call sleeps, and every few milliseconds while it spins;
// may throw to end the waiting.
using InterruptCheck = std::function<void()>;

class Client {
 public:
  // Throws BrokerUnavailableError, VersionMismatchError, AccessError where the owner does not share his broker with
  // this user or a path of it is somebody else's, or Error for what is wrong at start.
  static Client connect(const ConnectOptions& options = {});

  // Idempotent. Waits for the puts that nobody waited for, at most `timeout`. Tensors stay valid; later calls that need
  // the broker, and threads blocked in one, get ClosedError.
  void close();
  bool is_closed() const noexcept;
  const std::string& instance() const noexcept;

  // ---- reading: no system call, no message
  Tensor get(std::string_view name) const;         // NotFoundError; RuntimeError for a bundle
  Bundle get_bundle(std::string_view name) const;  // NotFoundError; RuntimeError for a tensor
  std::optional<Tensor> find(std::string_view name) const;
  std::optional<Object> find_object(std::string_view name) const;
  // By name or handle. ReadOnlyError for "r+" on what is sealed, AccessError for "r+" of another user's; NotFoundError
  // where a handle's tensor is gone.
  Tensor open(std::string_view name_or_handle, OpenMode mode = OpenMode::kRead) const;
  Object open_object(std::string_view name_or_handle, OpenMode mode = OpenMode::kRead) const;
  bool exists(std::string_view name) const;
  std::vector<Info> list(std::string_view prefix = {}) const;  // sorted by name

  // ---- waiting. The newest, once there is one with a version above `newer_than`; nullopt when `timeout` has passed
  // (absent: waits for ever). A name that is not there yet is waited for. InvalidArgumentError for options that cannot
  // be.
  using Timeout = std::optional<std::chrono::duration<double>>;
  std::optional<Object> wait_object(std::string_view name, std::uint64_t newer_than, Timeout timeout,
                                    const InterruptCheck& check = {}, const WaitOptions& options = {}) const;
  std::optional<Tensor> wait(std::string_view name, std::uint64_t newer_than, Timeout timeout = {},
                             const WaitOptions& options = {}) const;
  std::optional<Bundle> wait_bundle(std::string_view name, std::uint64_t newer_than, Timeout timeout = {},
                                    const WaitOptions& options = {}) const;

  // ---- publishing
  // Copies once and publishes atomically; the tensor returned is the sealed one.
  Tensor put(std::string_view name, const Tensor& data, const PutOptions& options = {}) {
    return put(name, data, data.dtype(), options);
  }
  Bundle put_bundle(std::string_view name, std::span<const Bundle::Member> members, const PutOptions& options = {});
  // The same with every element converted on the way, as to() does. Members that are converted stay tied where they
  // are the same view, not where they overlap in part.
  Tensor put(std::string_view name, const Tensor& data, DType dtype, const PutOptions& options = {});
  Bundle put_bundle(std::string_view name, std::span<const Bundle::Member> members, DType dtype,
                    const PutOptions& options = {});
  // Each tensor under its name, as put() does, but waiting for none of them in between: several times as many a second.
  // Converted where a dtype is given; returned in order. What can be seen to be wrong at first is, and nothing was
  // published; where there is no room, or a name is taken meanwhile, some of the others may have been.
  std::vector<Tensor> put_many(std::span<const Bundle::Member> tensors, std::optional<DType> dtype = {},
                               const PutOptions& options = {});
  // The same as put() and put_bundle(), but not waiting for the broker's answer: the data was copied, and is on its
  // way. Published soon, in the order of this client's calls of one thread (publish() of a draft apart), and before
  // flush() or close() returns; one of them has to come before the process ends. A get may not find it at once. What
  // can be seen to be wrong at first is thrown, and what the broker refuses by flush().
  void put_nowait(std::string_view name, const Tensor& data, std::optional<DType> dtype = {},
                  const PutOptions& options = {});
  void put_bundle_nowait(std::string_view name, std::span<const Bundle::Member> members,
                         std::optional<DType> dtype = {}, const PutOptions& options = {});
  // Waits for the answers of all puts that this client did not wait for, and throws the first error since the last
  // flush().
  void flush();
  // A draft: write in place, then publish() it.
  Tensor create(std::string_view name, std::span<const std::int64_t> sizes, DType dtype,
                const PutOptions& options = {});
  Tensor create(std::string_view name, std::initializer_list<std::int64_t> sizes, DType dtype,
                const PutOptions& options = {}) {
    return create(name, std::span(sizes.begin(), sizes.size()), dtype, options);
  }
  void remove(std::string_view name);  // NotFoundError; those who hold it keep it

  // ---- safetensors files
  // Publishes what the file holds as a bundle, read straight into its pages. Without metadata in the options it has the
  // file's. Throws FileError, and InvalidArgumentError for a file that is not as the format says.
  Bundle load_safetensors(std::string_view name, const std::string& path, const PutOptions& options = {});
  // Writes a bundle or tensor, in C order and tied members each for itself, and replaces the file when all is written.
  // Throws NotFoundError, FileError, and TypeError for a dtype that the format does not have.
  void save_safetensors(std::string_view name, const std::string& path) const;

  // ---- mutable tensors, opened "r+"; with a name, ExistsError where it is taken; "" makes it anonymous
  Tensor empty(std::span<const std::int64_t> sizes, DType dtype = kFloat32, std::string_view name = {},
               std::string_view metadata = {});
  Tensor zeros(std::span<const std::int64_t> sizes, DType dtype = kFloat32, std::string_view name = {});
  Tensor zeros(std::initializer_list<std::int64_t> sizes, DType dtype = kFloat32, std::string_view name = {}) {
    return zeros(std::span(sizes.begin(), sizes.size()), dtype, name);
  }
  Tensor ones(std::initializer_list<std::int64_t> sizes, DType dtype = kFloat32, std::string_view name = {});
  Tensor full(std::span<const std::int64_t> sizes, double value, DType dtype = kFloat32, std::string_view name = {});

  // ---- the broker
  Stats stats();
  std::uint64_t holders(const Info& info);  // sessions that hold this version; 0 where it is gone
  // Has memory granted ahead, and then mapped in the background, so that later puts find warm pages.
  void reserve(std::uint64_t nbytes);
  void stop_broker(bool keep = false);

  struct Impl;
  explicit Client(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  const std::shared_ptr<Impl>& impl() const noexcept { return impl_; }

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_H_
