// The network that train.py publishes, computed with Eigen on the broker's pages.
//
// A Model keeps its bundle, and so the lease on its pages; the weights are Eigen::Maps of those pages and are never
// copied. Immutable once constructed: any number of threads may call predict().

#ifndef TENSORBROKER_EXAMPLES_DIGITS_MODEL_H_
#define TENSORBROKER_EXAMPLES_DIGITS_MODEL_H_

#include <tensorbroker/tensorbroker.h>

#include <Eigen/Core>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace digits {

inline constexpr std::int64_t kPixels = 64;  // 8 x 8, row by row

// Row-major, as torch lays out its tensors.
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixView = Eigen::Map<const Matrix>;
using VectorView = Eigen::Map<const Eigen::RowVectorXf>;

// One torch.nn.Linear: weight is [outputs, inputs], bias [outputs].
struct Linear {
  MatrixView weight;
  VectorView bias;

  Matrix operator()(const Eigen::Ref<const Matrix>& input) const;
};

class Model {
 public:
  // Throws NotFoundError, TypeError or RuntimeError where the bundle is not the network that is expected.
  explicit Model(tensorbroker::Bundle bundle);

  // Writes the most likely class of each row of `images` ([n, kPixels]) to `classes`. REQUIRES: classes.size() == n.
  void predict(const MatrixView& images, std::span<std::int64_t> classes) const;

  std::uint64_t version() const noexcept { return bundle_.version(); }
  std::string_view metadata() const { return bundle_.metadata(); }
  std::size_t nbytes() const { return bundle_.nbytes(); }
  // Bytes of weights that do not lie in the broker's shared memory, as the kernel's list of mappings has it.
  std::size_t copied_bytes() const noexcept { return copied_bytes_; }

 private:
  tensorbroker::Bundle bundle_;  // keeps the pages that layers_ points to
  std::vector<Linear> layers_;
  std::size_t copied_bytes_ = 0;
};

}  // namespace digits

#endif  // TENSORBROKER_EXAMPLES_DIGITS_MODEL_H_
