#include "proto/header.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "proto/limits.h"
#include "tensorbroker/error.h"

namespace tensorbroker {
namespace {

constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();

std::string refusal(const std::vector<TensorSpec>& specs, std::uint64_t block_bytes, bool is_bundle,
                    const std::string& metadata = "") {
  const auto bytes = encode_header(specs, metadata);
  try {
    check_header(bytes, block_bytes, is_bundle);
  } catch (const InvalidArgumentError& e) {
    return e.what();
  }
  return "";
}

TensorSpec tensor(std::vector<std::int64_t> sizes, std::vector<std::int64_t> strides, std::uint64_t offset = 0) {
  return {.name = "", .dtype = kFloat32, .sizes = std::move(sizes), .strides = std::move(strides), .offset = offset};
}

TensorSpec member(const std::string& name, std::uint64_t offset = 0) {
  return {.name = name, .dtype = kFloat32, .sizes = {4}, .strides = {1}, .offset = offset};
}

TEST(Header, CarriesTensorsAndMetadata) {
  const auto bytes = encode_header(std::vector{member("a"), member("b", 256)}, R"({"step": 1})");
  const schema::Header& header = check_header(bytes, 1024, true);
  ASSERT_EQ(header.tensors()->size(), 2u);
  EXPECT_EQ(header.tensors()->Get(1)->name()->str(), "b");
  EXPECT_EQ(header.tensors()->Get(1)->offset(), 256u);
  EXPECT_EQ(header.metadata()->str(), R"({"step": 1})");
}

bool flatbuffers_verifies(const std::vector<std::byte>& bytes) {
  flatbuffers::Verifier verifier(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  return verifier.VerifyBuffer<schema::Header>(nullptr);
}

void expect_same(const PlainSpec& plain, const schema::TensorSpec& read) {
  EXPECT_EQ(static_cast<std::uint8_t>(plain.dtype), read.dtype());
  EXPECT_TRUE(std::ranges::equal(plain.sizes, numbers(read.sizes())));
  EXPECT_TRUE(std::ranges::equal(plain.strides, numbers(read.strides())));
}

TEST(Header, OfATensorAloneReadsAsItWasWrittenInAnyNumberOfDimensions) {
  for (std::int64_t dims = 0; dims <= 12; ++dims) {
    TensorSpec spec = tensor({}, {});
    spec.dtype = dims % 2 == 0 ? kBFloat16 : kBool;
    for (std::int64_t i = 0; i < dims; ++i) {
      spec.sizes.push_back(i % 3 + 1);
      spec.strides.push_back(100 + i);
    }
    const auto bytes = encode_header({&spec, 1}, {});
    ASSERT_TRUE(flatbuffers_verifies(bytes)) << dims;
    const schema::TensorSpec& read = *check_header(bytes, 1 << 20, false).tensors()->Get(0);
    EXPECT_EQ(static_cast<DType>(read.dtype()), spec.dtype);
    EXPECT_EQ(std::vector(numbers(read.sizes()).begin(), numbers(read.sizes()).end()), spec.sizes);
    EXPECT_EQ(std::vector(numbers(read.strides()).begin(), numbers(read.strides()).end()), spec.strides);
    const auto plain = read_plain_header(bytes, 1 << 20);
    // FlatBuffers leaves the dtype out where its code is 0.
    ASSERT_EQ(plain.has_value(), dims >= 1 && dims <= 8 && spec.dtype != kBool) << dims;
    if (plain) expect_same(*plain, read);
  }
}

TEST(Header, IsReadAsPlainOnlyWhereItLiesWithinTheBlock) {
  const TensorSpec spec = tensor({3, 2}, {2, 1});
  const auto bytes = encode_header({&spec, 1}, {});
  EXPECT_TRUE(read_plain_header(bytes, 24));
  EXPECT_FALSE(read_plain_header(bytes, 23));
  EXPECT_FALSE(read_plain_header({}, 24));
  const TensorSpec negative = tensor({1}, {-1});
  EXPECT_FALSE(read_plain_header(encode_header({&negative, 1}, {}), 24));
}

TEST(Header, ThatDiffersInAByteIsTakenOnlyWhereFlatBuffersTakesIt) {
  for (const auto& spec : {tensor({3}, {1}), tensor({3, 2}, {2, 1}),
                           tensor(std::vector<std::int64_t>(8, 1), std::vector<std::int64_t>(8, 1))}) {
    const auto right = encode_header({&spec, 1}, {});
    for (std::size_t at = 0; at < right.size(); ++at) {
      for (const int difference : {1, 2, 4, 0x80, 0xff}) {
        auto bytes = right;
        bytes[at] ^= static_cast<std::byte>(difference);
        const auto plain = read_plain_header(bytes, 1 << 20);
        try {
          const schema::Header& header = check_header(bytes, 1 << 20, false);
          if (plain) expect_same(*plain, *header.tensors()->Get(0));
        } catch (const InvalidArgumentError&) {
          EXPECT_FALSE(plain) << "byte " << at << " differs by " << difference;
          continue;
        }
        EXPECT_TRUE(flatbuffers_verifies(bytes)) << "byte " << at << " differs by " << difference;
      }
    }
  }
}

TEST(Header, TakesWhatLiesWithinTheBlock) {
  EXPECT_EQ(refusal({tensor({2, 3}, {3, 1})}, 24, false), "");
  EXPECT_EQ(refusal({tensor({}, {})}, 4, false), "") << "0-d";
  EXPECT_EQ(refusal({tensor({0, 3}, {3, 1})}, 0, false), "") << "no elements";
  EXPECT_EQ(refusal({tensor({kHuge, 1}, {0, 0})}, 4, false), "") << "expanded";
  EXPECT_EQ(refusal({}, 0, true), "") << "an empty bundle";
}

TEST(Header, RefusesWhatReachesBeyondTheBlock) {
  EXPECT_NE(refusal({tensor({2, 3}, {3, 1})}, 23, false), "");
  EXPECT_NE(refusal({tensor({2, 3}, {4, 1})}, 24, false), "");
  EXPECT_NE(refusal({tensor({1}, {1}, 24)}, 24, false), "");
  EXPECT_NE(refusal({tensor({1}, {1}, ~std::uint64_t{3})}, 24, false), "");
  EXPECT_NE(refusal({tensor({2}, {kHuge})}, 24, false), "") << "stride overflows";
  EXPECT_NE(refusal({tensor({kHuge, kHuge}, {1, 1})}, 24, false), "") << "extent overflows";
}

TEST(Header, RefusesWhatMakesNoSense) {
  EXPECT_NE(refusal({tensor({-1}, {1})}, 24, false), "");
  EXPECT_NE(refusal({tensor({2}, {-1}, 4)}, 24, false).find("negative strides"), std::string::npos);
  EXPECT_NE(refusal({tensor({2}, {})}, 24, false).find("1 sizes with 0 strides"), std::string::npos);
  EXPECT_NE(refusal({tensor(std::vector<std::int64_t>(65, 1), std::vector<std::int64_t>(65, 1))}, 24, false), "");
  EXPECT_NE(refusal({tensor({1}, {1}, 2)}, 24, false), "") << "misaligned for its dtype";
  TensorSpec unknown = tensor({1}, {1});
  unknown.dtype = static_cast<DType>(200);
  EXPECT_NE(refusal({unknown}, 24, false).find("200"), std::string::npos);
  EXPECT_NE(refusal({}, 24, false), "") << "a tensor header without a tensor";
  EXPECT_NE(refusal({tensor({1}, {1}), tensor({1}, {1})}, 24, false), "");
}

TEST(Header, RefusesWhatIsTooShortToBeOne) {
  for (std::size_t bytes = 0; bytes < 8; ++bytes) {
    const std::vector<std::byte> header(bytes);
    EXPECT_THROW(check_header(header, 8, false), InvalidArgumentError) << bytes;
    EXPECT_THROW(check_header(header, 8, true), InvalidArgumentError) << bytes;
  }
}

TEST(Header, RefusesMembersWithoutDistinctNames) {
  EXPECT_NE(refusal({member("a"), member("a")}, 24, true).find("'a'"), std::string::npos);
  EXPECT_NE(refusal({member("")}, 24, true), "");
  EXPECT_NE(refusal({member("a\nb")}, 24, true), "");
}

TEST(Header, RefusesMetadataBeyond64KiB) {
  EXPECT_EQ(refusal({member("a")}, 24, true, std::string(kMaxMetadataBytes, ' ')), "");
  EXPECT_NE(refusal({member("a")}, 24, true, std::string(kMaxMetadataBytes + 1, ' ')), "");
}

TEST(Header, SurvivesArbitraryBytes) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  const auto good = encode_header(std::vector{member("a"), member("b", 256)}, R"({"step": 1})");
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = good;
    for (unsigned i = 0; i <= random() % 4; ++i) bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    bytes.resize(random() % 4 == 0 ? random() % bytes.size() : bytes.size());
    try {
      const schema::Header& header = check_header(bytes, 1024, true);
      if (header.tensors() == nullptr) continue;
      for (const auto* spec : *header.tensors()) EXPECT_LE(spec->offset(), 1024u);
    } catch (const InvalidArgumentError&) {
      continue;
    }
  }
}

}  // namespace
}  // namespace tensorbroker
