// What becomes of a process that reads memory of a broker's of which somebody took the pages away.
//
// The broker and its clients never do that: pages are reserved before anybody is given them. A process of the same user
// can, by truncating a segment, and whoever reads there then gets SIGBUS, whose default is the end of the process.

#ifndef TENSORBROKER_SIGBUS_H_
#define TENSORBROKER_SIGBUS_H_

namespace tensorbroker {

// Makes this process survive that: from here on such a read finds zeros instead, and the tensor is corrupt:
// Tensor::is_corrupt() says so, and what reads or writes its elements through this library throws CorruptSegmentError.
// What reads bare memory (a pointer, a NumPy array, a torch tensor) gets the zeros without a word: look at is_corrupt()
// afterwards. What is written there stays with this process. System calls that are given such memory fail with EFAULT.
//
// Only faults in memory that this library mapped are taken. Every other SIGBUS goes to the handler that was there
// before, or ends the process as it would have. Idempotent; where somebody has installed another handler since, this
// one is put before it. For the whole process and its forked children, for good; exec ends it. Thread safe. Throws
// RuntimeError where it was put before others seven times already, and Error where the system refuses.
void install_sigbus_handler();

}  // namespace tensorbroker

#endif  // TENSORBROKER_SIGBUS_H_
