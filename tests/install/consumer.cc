// The smallest user of the installed library: includes the public header, links the archive, prints its version.

#include <tensorbroker/tensorbroker.h>
#include <tensorbroker/version.h>

#include <cstdio>

namespace tb = tensorbroker;

int main() {
  tb::ConnectOptions options;
  options.instance = "install-test-without-broker";
  options.autostart = false;
  try {
    tb::Client::connect(options);
  } catch (const tb::BrokerUnavailableError&) {
    std::printf("tensorbroker %s\n", TENSORBROKER_VERSION);
    return 0;
  }
  std::puts("connected to a broker that nobody started");
  return 1;
}
