#include "client/findings.h"

#include <algorithm>
#include <new>
#include <type_traits>
#include <utility>

namespace tensorbroker {
namespace {

std::uint64_t key_of(std::string_view name) {
  std::uint64_t key = 0;
  for (std::size_t i = 0; i < sizeof key; ++i) {
    key = key << 8 | (i < name.size() ? static_cast<unsigned char>(name[i]) : 0U);
  }
  return key;
}

}  // namespace

std::span<std::uint64_t> Findings::room(std::size_t words) {
  void* const memory = memory_.allocate(words * sizeof(std::uint64_t), alignof(std::uint64_t));
  return {static_cast<std::uint64_t*>(memory), words};
}

void Findings::add(const EntryRecord& entry) {
  add(Finding{.name = entry.record.name, .version = version_of(entry.generation), .entry = entry});
}

void Findings::add(Info&& described) {
  Info& kept = described_.emplace_back(std::move(described));
  add(Finding{.name = kept.name, .version = kept.version, .described = &kept});
}

void Findings::add(const Finding& finding) {
  static_assert(std::is_trivially_destructible_v<Finding>);
  void* const memory = memory_.allocate(sizeof(Finding), alignof(Finding));
  places_.push_back({key_of(finding.name.substr(prefix_bytes_)), new (memory) Finding(finding)});
}

bool Findings::comes_before(const Place& a, const Place& b) {
  if (a.key != b.key) return a.key < b.key;
  const int order = a.finding->name.compare(b.finding->name);
  return order != 0 ? order < 0 : a.finding->version > b.finding->version;
}

// In their order the findings lie anywhere in memory. (Inline: a compiler leaves out a call that does nothing else.)
[[gnu::always_inline]] inline void Findings::fetch_ahead(std::size_t at) const {
  constexpr std::size_t kFurther = 8;  // first the finding, then the record that it names
  if (at + 2 * kFurther < places_.size()) __builtin_prefetch(places_[at + 2 * kFurther].finding);
  if (at + kFurther >= places_.size()) return;
  const Finding& next = *places_[at + kFurther].finding;
  __builtin_prefetch(next.name.data());
  __builtin_prefetch(next.entry.record.header.data());
  __builtin_prefetch(static_cast<const void*>(&next.described));
}

std::vector<Info> Findings::in_order(const Describer& describe) {
  std::sort(places_.begin(), places_.end(), comes_before);
  std::vector<Info> all;
  all.reserve(places_.size());
  for (std::size_t i = 0; i < places_.size(); ++i) {
    fetch_ahead(i);
    const Finding& finding = *places_[i].finding;
    if (i > 0 && places_[i].key == places_[i - 1].key && all.back().name == finding.name) continue;
    all.push_back(finding.described != nullptr ? std::move(*finding.described) : describe(finding.entry));
  }
  return all;
}

}  // namespace tensorbroker
