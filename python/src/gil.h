// Giving the GIL up, and taking it where it may not be had any more.
//
// A thread that asks for the GIL while the interpreter ends is ended by Python up to 3.13: its stack is unwound, which
// ends the whole process where C++ must not throw. Daemon threads that wait for a tensor meet this at every exit. Here
// such a thread sleeps instead, as from Python 3.14 on, until the process is gone.

#ifndef TENSORBROKER_PYTHON_SRC_GIL_H_
#define TENSORBROKER_PYTHON_SRC_GIL_H_

#include <Python.h>
#include <cxxabi.h>
#include <unistd.h>

namespace tensorbroker::python {

// Calls what waits for the GIL; does not return where that ends the thread.
template <class F>
void take_or_sleep(F&& take) noexcept {
  try {
    take();
  } catch (abi::__forced_unwind&) {
    for (;;) pause();
  }
}

// Whether the interpreter is ending or gone, and this thread gets the GIL no more.
inline bool is_python_over() noexcept {
  if (Py_IsInitialized() == 0) return true;
#if PY_VERSION_HEX >= 0x030d0000
  const bool ending = Py_IsFinalizing() != 0;
#else
  const bool ending = _Py_IsFinalizing() != 0;
#endif
  return ending && PyGILState_Check() == 0;
}

// Without the GIL until the end of the scope. REQUIRES: the thread holds it.
class NoGil {
 public:
  NoGil() noexcept : state_(PyEval_SaveThread()) {}
  ~NoGil() {
    take_or_sleep([this] { PyEval_RestoreThread(state_); });
  }
  NoGil(const NoGil&) = delete;
  NoGil& operator=(const NoGil&) = delete;

 private:
  PyThreadState* const state_;
};

// With the GIL until the end of the scope, from any thread, whether it holds it or not.
class WithGil {
 public:
  WithGil() noexcept {
    take_or_sleep([this] { state_ = PyGILState_Ensure(); });
  }
  ~WithGil() { PyGILState_Release(state_); }
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;

 private:
  PyGILState_STATE state_{};
};

}  // namespace tensorbroker::python

#endif  // TENSORBROKER_PYTHON_SRC_GIL_H_
