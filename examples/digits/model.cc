#include "model.h"

#include <array>
#include <string>
#include <utility>

#include "pages.h"

namespace digits {

namespace tb = tensorbroker;

namespace {

// train.py's names for the layers, in the order in which they are applied; a ReLU stands between two of them.
constexpr std::array<std::string_view, 3> kLayers = {"hidden1", "hidden2", "output"};

Linear linear(const tb::Bundle& bundle, std::string_view layer, std::int64_t inputs) {
  const std::string name(layer);
  const tb::Tensor weight = bundle.at(name + ".weight");
  const tb::Tensor bias = bundle.at(name + ".bias");
  if (weight.dim() != 2 || weight.size(1) != inputs || bias.dim() != 1 || bias.size(0) != weight.size(0) ||
      !weight.is_contiguous() || !bias.is_contiguous()) {
    throw tb::RuntimeError("layer " + name + " does not take " + std::to_string(inputs) +
                           " inputs: publish the network of train.py");
  }
  return {MatrixView(weight.const_data_ptr<float>(), weight.size(0), inputs),
          VectorView(bias.const_data_ptr<float>(), bias.size(0))};
}

}  // namespace

Matrix Linear::operator()(const Eigen::Ref<const Matrix>& input) const {
  return (input * weight.transpose()).rowwise() + bias;
}

Model::Model(tb::Bundle bundle) : bundle_(std::move(bundle)) {
  std::int64_t width = kPixels;
  for (const std::string_view name : kLayers) {
    layers_.push_back(linear(bundle_, name, width));
    width = layers_.back().weight.rows();
  }
  for (const auto& [name, tensor] : bundle_) copied_bytes_ += bytes_outside_broker(tensor);
}

void Model::predict(const MatrixView& images, std::span<std::int64_t> classes) const {
  Matrix activations = images;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    activations = i == 0 ? layers_[i](images) : layers_[i](activations.cwiseMax(0.0F));
  }
  for (std::size_t row = 0; row < classes.size(); ++row) {
    Eigen::Index best = 0;
    activations.row(static_cast<Eigen::Index>(row)).maxCoeff(&best);
    classes[row] = best;
  }
}

}  // namespace digits
