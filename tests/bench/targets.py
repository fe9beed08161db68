"""What this project wants to reach, each beside the limit that it stands against, computed from figures of one run.

The keys are those of the figures: cpp/BENCHMARK, cpp/one_core/BENCHMARK and cpp/two_cores/BENCHMARK from the C++
benchmarks, py/… from python_bench.py and python_rest.py, peer/NAME/… from peers/workload.py.
"""

from __future__ import annotations

from figures import MIB
from measure import Measure, Peers, Target, beyond, of, ratio, speed

US = 1e3
MS = 1e6
LARGE = 256 * MIB
MILLION = 1_000_000
KERNEL = "two system calls and a wake-up each way: `cpp/socket_round_trip_asleep`"
ALARM = "waking another process: `cpp/futex_wake_up`"
LINE = "a cache line that goes from core to core"
ASKS = (
    "Each of the calls is a request that waits for its answer. In a burst neither side is woken: what is left are the "
    "instructions of both, which `make bench-guard` counts, and a cache line that goes each way."
)
COPY = "one thread's memcpy of the same bytes"
GET = (
    "1,440 instructions, of which 220 are the loop that counts them: a third find and lease the entry, a fifth copy "
    "and check the header, which anybody of this user could have written to, a sixth make the Tensor of it, a tenth "
    "give the lease up. The get of a bundle leaves the header for later, and takes 730."
)
ASLEEP = (
    "Five system calls of the client (send, poll, receive, and twice whether the descriptor is still its own) and five "
    "of the broker (two for its turn, receive, send, wait), where the round trip has two each; and the instructions "
    "that `make bench-guard` counts, 12,600 and 4,600 for a put, by two processors whose caches have forgotten them. "
    "It would take a tenth of those, and a kernel that wakes both on one processor as it does the two of the round "
    "trip."
)
VIEWS = (
    "Each of the 300 views takes 1,100 instructions in C++: a third of them check the header of its member, a fifth "
    "its name and that none comes twice, the rest makes the Tensor and its name. In Python an array object and a key "
    "come on top of each. It would take views that are made when they are asked for, or a tenth of the checks."
)
STREAMED = (
    "Streamed past the caches by a thread for each processor. Two threads that do nothing but that had 14 GB/s here, "
    "where one that calls memcpy, which streams such sizes itself, had 10: the memory bus is full. Where memcpy reads "
    "what it overwrites, it has 6.5."
)

PIPELINED = (
    "Both sides work at the same time, the client 9,500 instructions for each, the broker 6,100, 4,100 of them to "
    "handle it, none of them in one place."
)

MEMORY_PER_TENSOR = Measure(
    ("cpp/put_a_million/broker_bytes", "cpp/put_a_million/header_bytes"),
    lambda used, header: (used - 20 * MIB) / MILLION - header,
    "(`cpp/put_a_million/broker_bytes` - 20 MiB) / 1,000,000 - `cpp/put_a_million/header_bytes`",
)

READ = [
    Target("Read", "get by name of a tensor that is not held, and its release, among 1,000; C++",
           of("cpp/get_by_name"), "≤", 100, "time", "a few cache misses; no message, no system call", GET),
    Target("Read", "the same among 1,000,000 in random order, over three dependent loads",
           ratio("cpp/get_among_a_million", "cpp/three_dependent_loads"), "≤", 1.3, "ratio",
           "three dependent loads from random places of the same catalog"),
    Target("Read", "the same while a writer replaces names at full speed, over without it",
           ratio("cpp/get_among_a_million_while_names_are_replaced", "cpp/get_among_a_million"), "≤", 1.25, "ratio",
           "the same without a writer"),
    Target("Read", "get by name to a NumPy view; Python",
           of("py/get_numpy"), "≤", 0.8 * US, "time", "the interpreter's calls, and two objects", GET),
    Target("Read", "the same, how many times ahead of the best peer", Peers("get"), "≥", 9, "ratio",
           "the peers in the same workload"),
    Target("Read", "get of a bundle of 300 tensors; C++",
           of("cpp/get_bundle_of_300"), "≤", 150, "time", "a get of one tensor"),
    Target("Read", "get of a bundle of 300 tensors; Python",
           of("py/get_bundle"), "≤", 5 * US, "time", "a get of one tensor"),
    Target("Read", "the dict of its 300 NumPy views; Python",
           of("py/get_bundle_views"), "≤", 120 * US, "time", "300 array objects of NumPy", VIEWS),
]  # fmt: skip

WRITE_SMALL = [
    Target("Write small", "put and delete of 4 KiB in a burst; Python",
           of("py/put_and_delete"), "≤", 5 * US, "time", "a burst that wakes nobody", ASKS),
    Target("Write small", "put and delete of 4 KiB in a burst; C++",
           of("cpp/put_and_delete"), "≤", 2 * US, "time", "a burst that wakes nobody", ASKS),
    Target("Write small", "put of 4 KiB to a broker that sleeps, in round trips; C++",
           ratio("cpp/put_asleep", "cpp/socket_round_trip_asleep"), "≤", 1.3, "ratio", KERNEL, ASLEEP),
    Target("Write small", "delete, to a broker that sleeps, in round trips; C++",
           ratio("cpp/delete_asleep", "cpp/socket_round_trip_asleep"), "≤", 1.3, "ratio", KERNEL, ASLEEP),
    Target("Write small", "put of 4 KiB to a broker that sleeps, in round trips; Python",
           ratio("py/put_asleep", "cpp/socket_round_trip_asleep"), "≤", 1.3, "ratio", KERNEL, ASLEEP),
    Target("Write small", "delete, to a broker that sleeps, in round trips; Python",
           ratio("py/delete_asleep", "cpp/socket_round_trip_asleep"), "≤", 1.3, "ratio", KERNEL, ASLEEP),
    Target("Write small", "puts that wait for nothing between them; C++",
           of("cpp/put_many/rate"), "≥", 500_000, "rate", "the broker's work for one", PIPELINED),
    Target("Write small", "the same by one call each, with wait=False; C++",
           of("cpp/put_nowait/rate"), "≥", 500_000, "rate", "the broker's work for one, and a message each", PIPELINED),
]  # fmt: skip

WRITE_LARGE = [
    Target("Write large", "put of 256 MiB into warm pages, all on one core, over memcpy; C++",
           speed(f"cpp/one_core/put_replacing/{LARGE}", f"cpp/one_core/memcpy_warm/{LARGE}"), "≥", 0.95, "ratio", COPY,
           STREAMED),
    Target("Write large", "put of 256 MiB into warm pages, on both cores, over memcpy; C++",
           speed(f"cpp/put_replacing/{LARGE}", f"cpp/memcpy_warm/{LARGE}"), "≥", 1.6, "ratio", COPY, STREAMED),
    Target("Write large", "the first put of 256 MiB after reserve(), over memcpy; C++",
           of(f"cpp/put_first/reserved/{LARGE}/memcpy_ratio"), "≥", 0.8, "ratio", COPY),
    Target("Write large", "the first put of 256 MiB, of pages that the broker had prepared, over memcpy; C++",
           of(f"cpp/put_first/prepared/{LARGE}/memcpy_ratio"), "≥", 0.5, "ratio", COPY),
    Target("Write large", "create of 1 GiB in recycled pages; C++",
           of("cpp/create_1gib_warm"), "≤", 100 * US, "time", "no page is touched"),
    Target("Write large", "create of 1 GiB in recycled pages; Python",
           of("py/create_1gib"), "≤", 100 * US, "time", "no page is touched"),
]  # fmt: skip

PUBLISH = [
    Target("Publish a model", "put of 300 tensors of 64 KiB as a bundle, over memcpy; C++",
           ratio("cpp/put_bundle_of_300", "cpp/memcpy_300_of_64kib"), "≤", 1.15, "ratio", COPY),
    Target("Publish a model", "put of 300 arrays of 64 KiB as a bundle, over memcpy; Python",
           ratio("py/put_bundle_of_300", "py/memcpy_300_of_64kib"), "≤", 1.15, "ratio", COPY),
    Target("Publish a model", "from put's return to a reader that holds every view, beyond a wake-up; Python",
           beyond("py/bundle_to_reader", "cpp/futex_wake_up"), "≤", 150 * US, "time", ALARM, VIEWS),
    Target("Publish a model", "from put's return to a reader that holds every view, in wake-ups; C++",
           ratio("cpp/bundle_to_reader", "cpp/futex_wake_up"), "≤", 1.2, "ratio", ALARM, VIEWS),
    Target("Publish a model", "memory of a thousand versions that a reader follows, over that of three",
           of("cpp/versions_of_a_bundle/over_three"), "≤", 1, "ratio", "the one that is read, the next, and one more"),
]  # fmt: skip

WAKE = [
    Target("Wake", "from a publication to the return of wait(), in wake-ups; C++",
           ratio("cpp/publication_to_wake", "cpp/futex_wake_up"), "≤", 1.2, "ratio", ALARM),
    Target("Wake", "from a publication to the return of a wait() that spins; C++",
           of("cpp/publication_to_spinning_wake"), "≤", 0.5 * US, "time", LINE),
    Target("Wake", "from a publication to the return of a wait() that spins; Python",
           of("cpp/publication_to_spinning_wake_python"), "≤", 1.3 * US, "time", LINE),
    Target("Wake", "the same, how many times ahead of iceoryx2, one way, spinning; Python",
           speed("cpp/publication_to_spinning_wake_python", "peer/iceoryx2/spin_one_way"), "≥", 1, "ratio",
           "iceoryx2 in the same run"),
]  # fmt: skip

SCALE = [
    Target("Scale", "a million tensors put, waiting for none in between",
           of("cpp/put_a_million/rate"), "≥", 300_000, "rate", "the broker's work for one"),
    Target("Scale", "the broker's memory for each of them, beyond 20 MiB and its header",
           MEMORY_PER_TENSOR, "≤", 256, "bytes", "an entry, two index cells"),
    Target("Scale", "list of the 10,000 names with a prefix, of a million",
           of("cpp/list_10000_of_a_million"), "≤", 10 * MS, "time", "the copying of 10,000 names",
           "A listing passes over one word for each cell of the index (1.3 ms), which lets by one in some hundreds of "
           "the names with another prefix, more of long ones. Each of the 10,000 that match is copied at a glance, "
           "sorted and described: some 0.4 us, a third of it fresh memory, and page faults, for what is returned."),
    Target("Scale", "from a broker's SIGKILL to a put's return, with a million",
           of("cpp/kill_to_put/1000000"), "≤", 2000 * MS, "time", "one pass over the catalog"),
    Target("Scale", "the longest call of another client while they are put",
           of("cpp/put_a_million/other_longest"), "≤", 5 * MS, "time",
           "the longest gap of a process that only computes beside two: `cpp/put_a_million/longest_gap`"),
    Target("Scale", "sessions that are connected at one time",
           of("cpp/thousand_sessions/connected"), "≥", 1000, "count", "descriptors of the broker"),
    Target("Scale", "readers that hold one tensor at one time",
           of("cpp/readers_of_one_tensor/holding"), "≥", 64, "count", "a cell each"),
    Target("Scale", "memory in use over live bytes, after creations and deletions of random sizes",
           of("cpp/fragmentation/used_ratio"), "≤", 1.15, "ratio", "the live bytes",
           "In use are all pages of the extents that clients own. A client keeps idle memory up to a tenth of what its "
           "tensors occupy; beyond that an empty extent, or the end of one, goes back to the broker once twice its "
           "length was placed elsewhere (`client/idle_extents.h`). The price: here every fourth large tensor needs a "
           "grant, and fresh page tables."),
]  # fmt: skip

REST = [
    Target("Rest", "wake-ups of an idle broker a second",
           of("py/idle_wakeups_per_s"), "≤", 0, "rate", "none"),
    Target("Rest", "memory of an idle broker beside the pages of tensors",
           of("py/idle_broker_bytes"), "≤", 20 * MIB, "bytes", "a small program"),
    Target("Rest", "import tensorbroker, beyond NumPy",
           of("py/import"), "≤", 30 * MS, "time", "a shared library and what it needs"),
    Target("Rest", "connect() that starts the broker",
           of("py/connect_autostart"), "≤", 30 * MS, "time", "two forks and an exec"),
]  # fmt: skip

RECOVERY = [
    Target("Recovery", "from a broker's SIGKILL to a put's return, with 1,000 tensors",
           of("cpp/kill_to_put/1000"), "≤", 250 * MS, "time", "starting the successor"),
]  # fmt: skip

THIRD = (
    "Alone, client and broker look at the rings from a processor each, and neither is woken. So it stays beside a "
    "third process where the kernel leaves them one each; else each request is a wake-up, 5 to 10 times as long. A "
    "newcomer costs the broker as much as ten requests and cannot be interrupted: while rings are looked at one is "
    "taken in each 100 us. What is reclaimed, for which every session's leases are looked at, is put off for up to 16 "
    "requests of a burst."
)
HOSTILE = [
    Target("Beside hostile processes", f"{call}, beside a process that {does}, over alone",
           of(f"cpp/beside/{key}/{figure}_median_ratio"), "≤", 2, "ratio", "half of a processor",
           THIRD if figure == "put" else "")
    for key, does in (
        ("spinning", "only computes"),
        ("requests", "floods the broker with requests"),
        ("connections", "tries 10,000 connections again and again"),
        ("garbage", "sends garbage"),
        ("trickle", "lets bytes trickle in on 64 connections"),
        ("rewriting", "rewrites its session all the time"),
    )
    for call, figure in (("get", "get"), ("put and delete of 4 KiB", "put"))
]  # fmt: skip

TARGETS = [*READ, *WRITE_SMALL, *WRITE_LARGE, *PUBLISH, *WAKE, *SCALE, *REST, *RECOVERY, *HOSTILE]
