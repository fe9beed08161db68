"""The same tensor in the same memory, for many processes.

    import tensorbroker as tb

    tb.put("weights", array)                # copies once, and publishes
    tb.get("weights").numpy()               # in any process: the same pages, without a copy

A put tensor is sealed: it never changes. `zeros`, `tensor` and the other factories make mutable ones, which every
process that opens them "r+" writes in place. All functions may be called from any thread.
"""

import builtins as _builtins
import os as _os
from collections.abc import Mapping as _Mapping

from tensorbroker import _core, _launch
from tensorbroker._core import (
    AccessError,
    BrokerUnavailableError,
    Bundle,
    Client,
    ClosedError,
    CorruptSegmentError,
    Error,
    Event,
    Events,
    ExistsError,
    Info,
    NotFoundError,
    OutOfMemoryError,
    QuotaError,
    ReadOnlyError,
    Tensor,
    VersionMismatchError,
    Watch,
    __version__,
    bfloat16,
    complex64,
    complex128,
    connect,
    dtype,
    float8_e4m3fn,
    float8_e4m3fnuz,
    float8_e5m2,
    float8_e5m2fnuz,
    float8_e8m0fnu,
    float16,
    float32,
    float64,
    from_dlpack,
    from_numpy,
    install_sigbus_handler,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from tensorbroker._core import bool as bool
from tensorbroker._default import (
    arange,
    create,
    delete,
    empty,
    empty_like,
    events,
    exists,
    eye,
    flush,
    full,
    full_like,
    get,
    linspace,
    load_safetensors,
    ones,
    ones_like,
    put,
    put_many,
    rand,
    rand_like,
    randn,
    randn_like,
    reserve,
    save_safetensors,
    stats,
    tensor,
    wait,
    wait_async,
    watch,
    zeros,
    zeros_like,
)
from tensorbroker._default import list as list
from tensorbroker._default import open as open
from tensorbroker._device import device
from tensorbroker._listing import Listing
from tensorbroker._random import manual_seed
from tensorbroker._size import Size

TimeoutError = _builtins.TimeoutError  # what wait() and watch() raise

half = float16
float = float32
double = float64
short = int16
int = int32
long = int64
cfloat = complex64
cdouble = complex128

# Without bool, float, int, list and open, which `from tensorbroker import *` would put in the place of builtins.
__all__ = [
    "AccessError",
    "BrokerUnavailableError",
    "Bundle",
    "Client",
    "ClosedError",
    "CorruptSegmentError",
    "Error",
    "Event",
    "Events",
    "ExistsError",
    "Info",
    "Listing",
    "NotFoundError",
    "OutOfMemoryError",
    "QuotaError",
    "ReadOnlyError",
    "Size",
    "Tensor",
    "TimeoutError",
    "VersionMismatchError",
    "Watch",
    "__version__",
    "arange",
    "bfloat16",
    "cdouble",
    "cfloat",
    "complex64",
    "complex128",
    "connect",
    "create",
    "delete",
    "device",
    "double",
    "dtype",
    "empty",
    "empty_like",
    "events",
    "exists",
    "eye",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float16",
    "float32",
    "float64",
    "flush",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "get",
    "half",
    "install_sigbus_handler",
    "int8",
    "int16",
    "int32",
    "int64",
    "linspace",
    "load_safetensors",
    "long",
    "manual_seed",
    "ones",
    "ones_like",
    "put",
    "put_many",
    "rand",
    "rand_like",
    "randn",
    "randn_like",
    "reserve",
    "save_safetensors",
    "short",
    "stats",
    "tensor",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "wait",
    "wait_async",
    "watch",
    "zeros",
    "zeros_like",
]

_Mapping.register(Bundle)
if _os.path.exists(_launch.daemon_path()):
    _core._set_daemon_path(_launch.daemon_path())
