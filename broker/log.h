// The broker's log: <runtime dir>/<instance>.log, rotated, and stderr as well in the foreground.
//
// Everything logs through spdlog's default logger (spdlog::info and so on), which is thread safe.

#ifndef TENSORBROKER_BROKER_LOG_H_
#define TENSORBROKER_BROKER_LOG_H_

#include <string>

namespace tensorbroker::broker {

// Opens the log and makes it spdlog's default. `level` is a name of spdlog's. Throws Error where the file cannot be
// written, with the remedy.
void open_log(const std::string& path, const std::string& level, bool foreground);

// Warns of a client that was refused or lost its connection. What clients can bring about as often as they like must
// neither fill the log nor keep the broker writing it: beyond a burst and a few lines a second, such lines are only
// counted, and the next one says how many there were. On one thread.
void log_refusal(const std::string& text);

// Writes out what is buffered and lets go of the file.
void close_log() noexcept;

}  // namespace tensorbroker::broker

#endif  // TENSORBROKER_BROKER_LOG_H_
