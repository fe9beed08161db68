"""The tables of figures that stand against no bound of their own."""

from __future__ import annotations

from figures import MIB

LARGE = 256 * MIB

# What is measured: the key in C++, the key in Python.
OPERATIONS = [
    ("get by name, not held (Python: to a NumPy view)", "get_by_name", "get_numpy"),
    ("get by name among a million, in random order", "get_among_a_million", ""),
    ("… while a writer replaces names", "get_among_a_million_while_names_are_replaced", ""),
    ("three dependent loads from the same catalog", "three_dependent_loads", ""),
    ("get of a bundle of 300 tensors", "get_bundle_of_300", "get_bundle"),
    ("… and a view of every member", "get_bundle_of_300_and_every_view", "get_bundle_views"),
    ("put of 4 KiB, replacing", "put_replacing/4096", "put_4096"),
    ("put of 64 KiB, replacing", "put_replacing/65536", "put_65536"),
    ("put and delete of 4 KiB", "put_and_delete", "put_and_delete"),
    ("put of 4 KiB, the broker asleep", "put_asleep", "put_asleep"),
    ("delete, the broker asleep", "delete_asleep", "delete_asleep"),
    ("socket round trip", "socket_round_trip", ""),
    ("socket round trip, the peer asleep", "socket_round_trip_asleep", ""),
    ("put of 256 MiB, warm", f"put_replacing/{LARGE}", "put_large"),
    ("memcpy of 256 MiB", f"memcpy_warm/{LARGE}", "memcpy_large"),
    ("the first put of 256 MiB of a client", f"put_first/at_once/{LARGE}", ""),
    ("… of pages that the broker had prepared", f"put_first/prepared/{LARGE}", ""),
    ("… after reserve()", f"put_first/reserved/{LARGE}", ""),
    ("create of 1 GiB, warm", "create_1gib_warm", "create_1gib"),
    ("put of a bundle of 300 of 64 KiB", "put_bundle_of_300", "put_bundle_of_300"),
    ("memcpy of 300 of 64 KiB", "memcpy_300_of_64kib", "memcpy_300_of_64kib"),
    ("from the bundle's put to a reader with every view", "bundle_to_reader/from_start", "bundle_from_start"),
    ("from the return of that put", "bundle_to_reader", "bundle_to_reader"),
    ("from a put to the return of wait()", "put_to_wake", "put_to_wake"),
    ("from the return of that put", "", "put_return_to_wake"),
    ("from a publication to the return of wait()", "publication_to_wake", ""),
    ("… to the return of a wait() that spins", "publication_to_spinning_wake", ""),
    ("… in Python", "publication_to_spinning_wake_python", ""),
    ("futex wake-up", "futex_wake_up", ""),
]

# The same with all processes on one core, and with the client's on one and the other's on another.
PLACED = [
    ("socket round trip", "socket_round_trip"),
    ("socket round trip, the peer asleep", "socket_round_trip_asleep"),
    ("futex wake-up", "futex_wake_up"),
    ("put and delete of 4 KiB", "put_and_delete"),
    ("put of 4 KiB, the broker asleep", "put_asleep"),
    ("delete, the broker asleep", "delete_asleep"),
    ("from a put to the return of wait()", "put_to_wake"),
    ("put of 256 MiB, warm", f"put_replacing/{LARGE}"),
    ("memcpy of 256 MiB", f"memcpy_warm/{LARGE}"),
]
PLACES = [("as the kernel likes", ""), ("one core", "one_core/"), ("two cores", "two_cores/")]

WORKLOAD = [
    ("get 4 KiB", "get"),
    ("put and free 4 KiB", "put_and_free"),
    ("put and free 256 MiB", "put_and_free_large"),
    ("publish 300 of 64 KiB", "publish_300"),
    ("get 300", "get_300"),
    ("one way, spinning", "spin_one_way"),
]
