// Comparisons of the product as the targets of choices have them traced: not at all. libFuzzer would put their operands
// into inputs, where none of these is as it is compared, and it takes a fifth of the time. The linker sends the calls
// of the instrumentation here (--wrap); targets whose inputs are texts and headers keep libFuzzer's own.

#include <cstdint>

// The linker chooses these names.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {

void __wrap___sanitizer_cov_trace_cmp1(std::uint8_t, std::uint8_t) {}
void __wrap___sanitizer_cov_trace_cmp2(std::uint16_t, std::uint16_t) {}
void __wrap___sanitizer_cov_trace_cmp4(std::uint32_t, std::uint32_t) {}
void __wrap___sanitizer_cov_trace_cmp8(std::uint64_t, std::uint64_t) {}
void __wrap___sanitizer_cov_trace_const_cmp1(std::uint8_t, std::uint8_t) {}
void __wrap___sanitizer_cov_trace_const_cmp2(std::uint16_t, std::uint16_t) {}
void __wrap___sanitizer_cov_trace_const_cmp4(std::uint32_t, std::uint32_t) {}
void __wrap___sanitizer_cov_trace_const_cmp8(std::uint64_t, std::uint64_t) {}
void __wrap___sanitizer_cov_trace_switch(std::uint64_t, std::uint64_t*) {}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier)
