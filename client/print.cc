#include "client/print.h"

#include <algorithm>
#include <complex>
#include <cstdint>
#include <memory>
#include <vector>

#include "client/print_format.h"
#include "client/scalar.h"
#include "proto/geometry.h"

namespace tensorbroker {
namespace {

constexpr std::int64_t kThreshold = 1000;
constexpr std::int64_t kEdgeItems = 3;
constexpr std::size_t kLineWidth = 80;
constexpr std::string_view kPrefix = "tensor(";

// The elements of a tensor and which of them are shown.
struct Elements {
  const Geometry& geometry;
  DType dtype;
  const std::byte* storage;
  bool summarize;

  Scalar at(std::int64_t offset) const {
    return load(storage + offset * static_cast<std::int64_t>(itemsize(dtype)), dtype);
  }

  // Whether the middle of dimension `d` is left out.
  bool is_cut(std::size_t d) const { return summarize && geometry.sizes[d] > 2 * kEdgeItems; }

  // Calls visit(offset) for each shown place along dimension `d`, and cut() where some are left out.
  template <class Visit, class Cut>
  void along(std::size_t d, std::int64_t offset, Visit&& visit, Cut&& cut) const {
    const std::int64_t size = geometry.sizes[d];
    for (std::int64_t i = 0; i < size; ++i) {
      if (is_cut(d) && i == kEdgeItems) {
        cut();
        i = size - kEdgeItems;
      }
      visit(offset + i * geometry.strides[d]);
    }
  }

  // Calls visit(element) for all that are shown.
  template <class Visit>
  void for_each_shown(std::size_t d, std::int64_t offset, Visit&& visit) const {
    if (d == geometry.sizes.size()) return visit(at(offset));
    along(d, offset, [&](std::int64_t place) { for_each_shown(d + 1, place, visit); }, [] {});
  }
};

// How the elements of one tensor are written.
class Writer {
 public:
  virtual ~Writer() = default;
  // How much of a line one element takes, the separator not counted.
  virtual std::size_t width() const = 0;
  virtual std::string write(const Scalar& value) const = 0;
};

std::string plain_text(const Scalar& value) {
  if (const bool* truth = std::get_if<bool>(&value)) return *truth ? "True" : "False";
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return std::to_string(*number);
  return std::to_string(std::get<std::int64_t>(value));
}

class PlainWriter : public Writer {
 public:
  explicit PlainWriter(const Elements& elements) : format_(texts(elements)) {}
  std::size_t width() const override { return format_.width(); }
  std::string write(const Scalar& value) const override { return format_.pad(plain_text(value)); }

 private:
  static std::vector<std::string> texts(const Elements& elements) {
    std::vector<std::string> result;
    elements.for_each_shown(0, elements.geometry.storage_offset,
                            [&](const Scalar& value) { result.push_back(plain_text(value)); });
    return result;
  }

  NumberFormat format_;
};

std::vector<double> parts(const Elements& elements, bool imaginary) {
  std::vector<double> result;
  elements.for_each_shown(0, elements.geometry.storage_offset, [&](const Scalar& value) {
    result.push_back(imaginary ? std::get<std::complex<double>>(value).imag() : to_double(value));
  });
  return result;
}

class FloatWriter : public Writer {
 public:
  explicit FloatWriter(const Elements& elements)
      : format_(parts(elements, false), elements.dtype == DType::kFloat8E8M0Fnu
                                            ? NumberFormat::Counted::kE8M0
                                            : NumberFormat::Counted::kFiniteNonzero) {}
  std::size_t width() const override { return format_.width(); }
  std::string write(const Scalar& value) const override { return format_.format(to_double(value)); }

 private:
  NumberFormat format_;
};

class ComplexWriter : public Writer {
 public:
  explicit ComplexWriter(const Elements& elements) : real_(parts(elements, false)), imag_(parts(elements, true)) {}
  std::size_t width() const override { return real_.width() + imag_.width() + 1; }
  std::string write(const Scalar& value) const override {
    const auto number = std::get<std::complex<double>>(value);
    std::string imag = imag_.format(number.imag()) + "j";
    imag.erase(0, imag.find_first_not_of(' '));
    return real_.format(number.real()) + (imag[0] == '-' ? "" : "+") + imag;
  }

 private:
  NumberFormat real_;
  NumberFormat imag_;
};

std::unique_ptr<Writer> make_writer(const Elements& elements) {
  switch (info(elements.dtype).kind) {
    case DTypeKind::kFloat:
      return std::make_unique<FloatWriter>(elements);
    case DTypeKind::kComplex:
      return std::make_unique<ComplexWriter>(elements);
    default:
      return std::make_unique<PlainWriter>(elements);
  }
}

// The brackets around one vector, broken into lines.
std::string vector_text(const Elements& elements, const Writer& writer, std::int64_t offset, std::size_t indent) {
  const std::size_t room = indent < kLineWidth ? kLineWidth - indent : 0;
  const std::size_t per_line = std::max<std::size_t>(1, room / (writer.width() + 2));
  std::string text = "[";
  std::size_t count = 0;
  const auto add = [&](const std::string& item) {
    if (count > 0) text += count % per_line == 0 ? ",\n" + std::string(indent + 1, ' ') : ", ";
    text += item;
    ++count;
  };
  elements.along(
      elements.geometry.sizes.size() - 1, offset, [&](std::int64_t place) { add(writer.write(elements.at(place))); },
      [&] { add(" ..."); });
  return text + "]";
}

// Everything from dimension `d` on.
std::string block_text(const Elements& elements, const Writer& writer, std::size_t d, std::int64_t offset,
                       std::size_t indent) {
  const std::size_t left = elements.geometry.sizes.size() - d;
  if (left == 0) return writer.write(elements.at(offset));
  if (left == 1) return vector_text(elements, writer, offset, indent);
  const std::string separator = "," + std::string(left - 1, '\n') + std::string(indent + 1, ' ');
  std::string text = "[";
  const auto add = [&](const std::string& item) {
    if (text.size() > 1) text += separator;
    text += item;
  };
  elements.along(
      d, offset, [&](std::int64_t place) { add(block_text(elements, writer, d + 1, place, indent + 1)); },
      [&] { add("..."); });
  return text + "]";
}

// "(2, 0)", as Python writes a tuple of other than one element.
std::string tuple_text(const Dims& sizes) {
  std::string text = sizes.to_string();
  text.front() = '(';
  text.back() = ')';
  return text;
}

// What follows the elements: size where they do not show it, dtype where it is not the one that they suggest.
std::vector<std::string> suffixes(const Geometry& geometry, DType dtype, bool empty) {
  std::vector<std::string> result;
  if (empty && geometry.dim() != 1) result.push_back("size=" + tuple_text(geometry.sizes));
  const bool shows = dtype == DType::kInt64 || dtype == DType::kBool || dtype == DType::kComplex64;
  if (dtype != DType::kFloat32 && (empty || !shows)) result.push_back("dtype=torch." + std::string(name(dtype)));
  return result;
}

void add_suffixes(std::string& text, const std::vector<std::string>& suffixes) {
  // torch counts from before the last newline, and one more: a suffix moves to the next line a little early.
  const std::size_t newline = text.rfind('\n');
  std::size_t line = newline == std::string::npos ? text.size() + 2 : text.size() - newline + 1;
  for (const std::string& suffix : suffixes) {
    if (line + suffix.size() + 2 > kLineWidth) {
      text += ",\n" + std::string(kPrefix.size(), ' ') + suffix;
      line = kPrefix.size() + suffix.size();
    } else {
      text += ", " + suffix;
      line += suffix.size() + 2;
    }
  }
}

}  // namespace

std::string to_string(const Geometry& geometry, DType dtype, const std::byte* storage) {
  const std::int64_t count = numel(geometry);
  std::string text(kPrefix);
  if (count == 0) {
    text += "[]";
  } else {
    const Elements elements{geometry, dtype, storage, count > kThreshold};
    text += block_text(elements, *make_writer(elements), 0, geometry.storage_offset, kPrefix.size());
  }
  add_suffixes(text, suffixes(geometry, dtype, count == 0));
  return text + ")";
}

}  // namespace tensorbroker
