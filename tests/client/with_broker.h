// A test with a broker of its own and a client of it.

#ifndef TENSORBROKER_TESTS_CLIENT_WITH_BROKER_H_
#define TENSORBROKER_TESTS_CLIENT_WITH_BROKER_H_

#include <gtest/gtest.h>
#include <tensorbroker/tensorbroker.h>

#include <numeric>
#include <string>
#include <vector>

#include "tests/support/broker_process.h"

namespace tensorbroker {

class WithBroker : public testing::Test {
 protected:
  // A float tensor of this process's memory that counts up from `first`.
  static Tensor counting(std::initializer_list<std::int64_t> sizes, float first = 0) {
    auto* data = new std::vector<float>(
        static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{1}, std::multiplies<>())));
    std::iota(data->begin(), data->end(), first);
    return from_blob(data->data(), std::span(sizes.begin(), sizes.size()), kFloat32, [data](void*) { delete data; });
  }

  static std::vector<float> values(const Tensor& tensor) {
    const float* p = tensor.const_data_ptr<float>();
    return {p, p + tensor.numel()};
  }

  // The text of the error that `call` throws; "" where it throws none of this class.
  template <class Expected, class Call>
  static std::string refusal(Call call) {
    try {
      call();
    } catch (const Expected& e) {
      return e.what();
    }
    return "";
  }

  test::BrokerProcess broker_;
  Client client_ = broker_.connect();
};

}  // namespace tensorbroker

#endif  // TENSORBROKER_TESTS_CLIENT_WITH_BROKER_H_
