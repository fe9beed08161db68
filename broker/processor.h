// The processor that the loop's thread runs on, and leaving it to a client.
//
// The kernel likes to put a process that is woken on the processor of the one that wakes it. Two that pass messages to
// and fro there take turns, and neither can look for the other one's next word while that is written: a put of 4 KiB
// and its deletion took 27 us there, and 4 to 7 with a processor for each (2 cores of an AMD EPYC). Linux only; any
// thread.

#ifndef TENSORBROKER_BROKER_PROCESSOR_H_
#define TENSORBROKER_BROKER_PROCESSOR_H_

namespace tensorbroker::broker {

// The processor that this thread runs on.
unsigned own_processor() noexcept;

// Moves this thread to another processor; the kernel leaves it there while it runs. It may use the same ones as before,
// by now as if it had been told so: one that is added to the machine or its control group later is none of them. False
// where it may use no other.
bool leave_processor(unsigned processor) noexcept;

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_PROCESSOR_H_
