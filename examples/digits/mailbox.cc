#include "mailbox.h"

#include <algorithm>
#include <atomic>
#include <initializer_list>
#include <string_view>

#include "pages.h"

namespace digits {

namespace tb = tensorbroker;

namespace {

tb::Tensor create_or_open(tb::Client& client, std::string_view name, std::initializer_list<std::int64_t> sizes,
                          tb::DType dtype) {
  try {
    return client.zeros(sizes, dtype, name);
  } catch (const tb::ExistsError&) {
    return client.open(name, tb::OpenMode::kReadWrite);
  }
}

}  // namespace

Mailbox::Mailbox(tb::Client& client)
    : images_(create_or_open(client, "digits/request/images", {kBatch, kPixels}, tb::kFloat32)),
      labels_(create_or_open(client, "digits/request/labels", {kBatch}, tb::kInt64)),
      classes_(create_or_open(client, "digits/answer/classes", {kBatch}, tb::kInt64)),
      control_(create_or_open(client, "digits/control", {kControlWords}, tb::kInt64)) {}

std::optional<Request> Mailbox::next() const {
  const std::int64_t number = std::atomic_ref(*word(kRequested)).load(std::memory_order_acquire);
  if (number == *word(kAnswered)) return std::nullopt;
  // The client may write anything at any time: read the word once, and trust it no further than the tensors reach.
  const std::int64_t count = std::atomic_ref(*word(kCount)).load(std::memory_order_relaxed);
  const auto n = static_cast<std::size_t>(std::clamp<std::int64_t>(count, 0, kBatch));
  return Request{number, MatrixView(images_.const_data_ptr<float>(), static_cast<Eigen::Index>(n), kPixels),
                 std::span(labels_.const_data_ptr<std::int64_t>(), n), std::span(classes_.data_ptr<std::int64_t>(), n)};
}

void Mailbox::answer(const Request& request, std::uint64_t version) const {
  *word(kVersion) = static_cast<std::int64_t>(version);
  std::atomic_ref(*word(kAnswered)).store(request.number, std::memory_order_release);
}

std::size_t Mailbox::copied_bytes() const { return bytes_outside_broker(images_); }

std::int64_t* Mailbox::word(ControlWord word) const { return control_.data_ptr<std::int64_t>() + word; }

}  // namespace digits
