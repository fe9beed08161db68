// Writes the first inputs of every target's corpus: `fuzz_seeds tests/fuzz/corpus`. What is in the repository is what
// this writes, and the inputs that once found a defect.

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "client/handle.h"
#include "client/safetensors.h"
#include "proto/header.h"
#include "proto/heap_record.h"

namespace tensorbroker::fuzz {
namespace {

class Folder {
 public:
  Folder(const std::filesystem::path& corpus, const char* target) : path_(corpus / target) {
    std::filesystem::create_directories(path_);
  }
  void write(std::string_view bytes) {
    char name[16];
    std::snprintf(name, sizeof name, "seed-%02d", count_++);
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }
  // Any bytes are a whole input where a target reads choices. The generator's numbers are the same everywhere.
  void write_random(int inputs, std::size_t bytes) {
    std::mt19937 random(static_cast<unsigned>(bytes));
    for (int i = 0; i < inputs; ++i) {
      std::string input(bytes, '\0');
      for (char& c : input) c = static_cast<char>(random());
      write(input);
    }
  }

 private:
  std::filesystem::path path_;
  int count_ = 0;
};

std::string_view text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// As Choices::odd_number reads it.
std::string number(std::uint64_t value) {
  std::string bytes(1, '\xff');
  return bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void write_headers(Folder folder) {
  const TensorSpec scalar{.name = "", .dtype = kFloat64, .sizes = {}, .strides = {}};
  const TensorSpec matrix{.name = "w", .dtype = kFloat32, .sizes = {4, 3}, .strides = {1, 4}, .offset = 64};
  const TensorSpec empty{.name = "e", .dtype = kBFloat16, .sizes = {0, 7}, .strides = {7, 1}};
  const auto one = encode_header({&scalar, 1}, R"({"step": 1})");
  const std::array members{matrix, empty};
  const auto bundle = encode_header(members, "");
  folder.write(std::string(1, '\0').append(number(8)).append(text_of(one)));
  folder.write(std::string(1, '\4').append(number(112)).append(text_of(bundle)));
  std::vector<std::byte> record(heap_record_bytes(1, one.size()));
  write_heap_record({8, "x", one}, record.data());
  folder.write(std::string(1, '\3').append(text_of(record)));
  folder.write(std::string("\2\3\2\5\6\1", 6));
  folder.write_random(4, 64);
}

void write_safetensors(Folder folder) {
  using safetensors::Member;
  const std::array members{Member{"w", kFloat32, {2, 2}, 0, 16}, Member{"e", kInt8, {0}, 16, 16},
                           Member{"b", kBFloat16, {3}, 16, 22}};
  const std::string data(22, 'x');
  folder.write(safetensors::encode_header(members, R"({"step": "1"})") + data);
  folder.write(safetensors::encode_header(members, R"({"step": 1, "nested": {"a": [1, null]}})") + data);
  folder.write(safetensors::encode_header({}, ""));
  const auto file = [](std::string_view json) {
    const std::uint64_t length = json.size();
    return std::string(reinterpret_cast<const char*>(&length), sizeof length).append(json);
  };
  folder.write(file(R"({"__metadata__": {"tensorbroker": "{\"a\": [[[[1e9]]]]}"}})"));
  folder.write(file(R"({"a": {"dtype": "F32", "shape": [9223372036854775807, 4], "data_offsets": [0, 8]}})"));
  folder.write(file(R"({"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}, "a": {}})"));
  folder.write(file(R"({"a": {"dtype": "F4", "shape": [-1], "data_offsets": [0, 4, 8]}})"));
}

void write_handles(Folder folder) {
  folder.write(format_handle({"default", 0x0123456789abcdef, 7, 12345, OpenMode::kReadWrite}));
  folder.write("tb://default/0123456789abcdef/4294967296.1.r");
  folder.write("tb:///0123456789abcdef/0.0.c");
  folder.write("tensorbroker.1000.default.session.18446744073709551615");
  folder.write("layer.0/weight \xce\xb1\xf0\x9f\x98\x80");
  folder.write(R"( {"step": 1, "nested": {"a": [1.5e300, null, "\ud83d\ude00"]}} )");
}

void write_segments(Folder folder) {
  for (const char kind : {'\0', '\1', '\2'}) {
    folder.write(std::string(1, kind));                                     // as it is
    folder.write(std::string(1, kind).append({'\0', '\x90', '\0', '\7'}));  // a byte of the header
    folder.write(std::string(1, kind).append({'\0', '\x08', '\0', '\7'}));  // another version
  }
  folder.write_random(3, 48);
}

void write_all(const std::filesystem::path& corpus) {
  write_headers({corpus, "header"});
  write_safetensors({corpus, "safetensors"});
  write_handles({corpus, "handle"});
  write_segments({corpus, "segment"});
  Folder(corpus, "control").write_random(24, 400);
  Folder(corpus, "session").write_random(24, 400);
  Folder(corpus, "ring").write_random(24, 300);
  Folder(corpus, "index").write_random(24, 40);
  Folder(corpus, "python").write_random(24, 120);
}

}  // namespace
}  // namespace tensorbroker::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  tensorbroker::fuzz::write_all(argv[1]);
  return 0;
}
