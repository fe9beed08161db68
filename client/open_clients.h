// The clients that are open in this process, for what has but an instance's name: sending and receiving by handle.
//
// Thread safe, and safe across fork.

#ifndef TENSORBROKER_CLIENT_OPEN_CLIENTS_H_
#define TENSORBROKER_CLIENT_OPEN_CLIENTS_H_

#include <tensorbroker/client.h>

#include <optional>
#include <string_view>

namespace tensorbroker {

// Lists a client until it is closed or gone.
void list_open_client(const Client& client);

// One that is open for this user's instance of that name; nullopt where there is none.
std::optional<Client> find_open_client(std::string_view instance);

}  // namespace tensorbroker

#endif  // TENSORBROKER_CLIENT_OPEN_CLIENTS_H_
