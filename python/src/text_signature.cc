#include "python/src/text_signature.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

namespace tensorbroker::python {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// What the parentheses after the name hold, at its commas; nullopt where they do not close.
std::optional<std::vector<std::string_view>> split_parameters(std::string_view text) {
  std::vector<std::string_view> result;
  std::size_t begin = 0;
  int depth = 0;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (depth == 0 && (c == ',' || c == ')')) {
      const std::string_view parameter = trimmed(text.substr(begin, i - begin));
      if (!parameter.empty()) result.push_back(parameter);
      if (c == ')') return result;
      begin = i + 1;
    } else if (c == '(' || c == '[' || c == '{') {
      ++depth;
    } else if (c == ')' || c == ']' || c == '}') {
      --depth;
    }
  }
  return std::nullopt;
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    result.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

// The place of a parameter without a name, which pybind11 calls "arg0" and so on.
std::optional<std::size_t> nameless(std::string_view name) {
  std::size_t place = 0;
  if (!name.starts_with("arg") || name.size() == 3) return std::nullopt;
  const auto [end, error] = std::from_chars(name.data() + 3, name.data() + name.size(), place);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return place;
}

// "timeout=0.0" from "timeout: object = 0.0".
std::string without_type(std::string_view parameter) {
  const std::string_view name = trimmed(parameter.substr(0, parameter.find(':')));
  const std::size_t equals = parameter.find(" = ");
  std::string result(name);
  if (equals != std::string_view::npos) result.append("=").append(trimmed(parameter.substr(equals + 3)));
  return result;
}

}  // namespace

std::string text_signature(std::string_view generated, std::string_view names) {
  const std::size_t open = generated.find('(');
  if (open == std::string_view::npos || generated.find_first_of(" \n") < open) return {};
  const auto parameters = split_parameters(generated.substr(open + 1));
  if (!parameters) return {};
  const std::vector<std::string_view> known = words(names);
  std::string text;
  bool by_place = false;  // whether the last one was without a name
  const auto append = [&](std::string_view item) { text.append(text.empty() ? "" : ", ").append(item); };
  for (const std::string_view parameter : *parameters) {
    const std::string plain = without_type(parameter);
    const auto place = nameless(plain);
    if (by_place && !place && plain != "/") append("/");
    by_place = place.has_value();
    if (place && *place < known.size()) {
      append(known[*place]);
    } else if (plain == "*args" && !known.empty() && known.back().starts_with('*')) {
      append(known.back());
    } else {
      append(plain);
    }
  }
  if (by_place) append("/");
  return std::string(generated.substr(0, open + 1)) + text + ")";
}

}  // namespace tensorbroker::python
