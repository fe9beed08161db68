"""The extension: the classes of the package, and the functions that need no client.

The docstrings here are the only ones: the build gives them to the extension (python/docstrings.py).
"""

import builtins
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from os import PathLike
from types import EllipsisType, TracebackType
from typing import Any, Literal, Protocol, Self, SupportsIndex, TypeAlias, TypedDict, TypeVar, final, overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor as _TorchTensor
from torch import dtype as _TorchDType
from typing_extensions import Buffer

from tensorbroker._device import device
from tensorbroker._listing import Listing
from tensorbroker._size import Size

__version__: str

class Error(Exception):
    """The base of this package's own errors. Each says what was wrong, with which value, and what to do."""

class NotFoundError(Error, KeyError):
    """There is no such name, or what a handle names is gone.

    Example:
        >>> try:
        ...     tb.get("nobody/put/this")
        ... except KeyError as error:
        ...     print(type(error).__name__)
        NotFoundError
    """

class ExistsError(Error, FileExistsError):
    """The name is taken, and it was not to be replaced: `overwrite=False`, or a factory with a `name`."""

class OutOfMemoryError(Error, MemoryError):
    """The capacity, or /dev/shm, is full. The message gives bytes asked, used, the capacity and what the system has."""

class QuotaError(OutOfMemoryError):
    """The limit of this session or user is reached."""

class ReadOnlyError(Error, ValueError):
    """Something would write to a tensor that is sealed, or was opened "r"."""

class AccessError(Error, PermissionError):
    """This user may not: the instance is another user's, who shares it for reading or not at all.

    Also what a path is refused with that is a link, or somebody else's.
    """

class BrokerUnavailableError(Error, ConnectionError):
    """There is no broker and none was to be started, or it did not come back in time.

    The message says where it is unknown whether the call took effect.
    """

class VersionMismatchError(Error, RuntimeError):
    """This package and the broker lay out shared memory differently. The message names both versions."""

class CorruptSegmentError(Error, RuntimeError):
    """A segment or header of shared memory fails its verification. The message names it and the check."""

class ClosedError(Error, RuntimeError):
    """The client was closed, or the tensor or bundle was released."""

@final
class dtype:
    """The type of a tensor's elements, such as `tensorbroker.float32`: one object for each.

    Wherever a dtype is asked for, one of NumPy's or torch's, or its name, will do too.

    Example:
        >>> tb.float32, tb.float32.itemsize
        (torch.float32, 4)
        >>> tb.zeros(2, dtype="int16").dtype is tb.int16
        True
    """

    @property
    def name(self) -> str:
        """The name, as in "float32"."""
    @property
    def itemsize(self) -> builtins.int:
        """The size of an element in bytes."""
    @property
    def is_floating_point(self) -> builtins.bool:
        """Whether the elements are real floats."""
    @property
    def is_complex(self) -> builtins.bool:
        """Whether the elements are complex numbers."""
    @property
    def is_signed(self) -> builtins.bool:
        """Whether elements may be negative."""
    @property
    def __numpy_dtype__(self) -> np.dtype[Any]: ...

bool: dtype
int8: dtype
int16: dtype
int32: dtype
int64: dtype
uint8: dtype
uint16: dtype
uint32: dtype
uint64: dtype
float16: dtype
bfloat16: dtype
float32: dtype
float64: dtype
complex64: dtype
complex128: dtype
float8_e4m3fn: dtype
float8_e5m2: dtype
float8_e4m3fnuz: dtype
float8_e5m2fnuz: dtype
float8_e8m0fnu: dtype
half: dtype
float: dtype
double: dtype
short: dtype
int: dtype
long: dtype
cfloat: dtype
cdouble: dtype

class _SupportsArray(Protocol):
    @property
    def __array__(self) -> Callable[..., Any]: ...

class _SupportsDLPack(Protocol):
    @property
    def __dlpack__(self) -> Callable[..., Any]: ...

_T = TypeVar("_T")
_Int: TypeAlias = SupportsIndex
_Ints: TypeAlias = tuple[SupportsIndex, ...] | list[builtins.int]
_DType: TypeAlias = dtype  # where a class has a property of this name
_Device: TypeAlias = device
_DTypeLike: TypeAlias = dtype | _TorchDType | np.dtype[Any] | type[Any] | str
_Number: TypeAlias = complex | np.number[Any] | np.bool_
_Scalar: TypeAlias = _Number | Tensor | _TorchTensor
_Array: TypeAlias = _SupportsArray | _SupportsDLPack | Buffer
# Sequences of numbers, as deep as anybody types: a recursive alias would let a str in.
_Leaf: TypeAlias = _Number | _SupportsArray
_Row: TypeAlias = Sequence[_Leaf]
_Matrix: TypeAlias = Sequence[_Leaf | _Row]
_Cube: TypeAlias = Sequence[_Leaf | _Matrix]
_Nested: TypeAlias = Sequence[_Leaf | Sequence[_Leaf | _Cube]]
_Data: TypeAlias = _Number | _Array | _Nested
_State: TypeAlias = Mapping[str, object] | Mapping[builtins.int, object]
_Item: TypeAlias = (
    SupportsIndex
    | slice
    | EllipsisType
    | _SupportsArray
    | list[builtins.int]
    | list[builtins.bool]
    | list[list[builtins.int]]
    | list[list[builtins.bool]]
    | None
)
_Key: TypeAlias = _Item | tuple[_Item, ...]
# Any: complex, where the dtype is. Callers know, and would have to narrow every real number.
_Element: TypeAlias = builtins.bool | builtins.int | builtins.float | Any
# Any: a Tensor or a Bundle. Callers know which, and would have to narrow every one.
_Object: TypeAlias = Any
_Metadata: TypeAlias = dict[str, Any]  # JSON values
_Path: TypeAlias = str | bytes | PathLike[str] | PathLike[bytes]

class _Stats(TypedDict):
    instance: str
    broker_pid: builtins.int
    uptime: builtins.float
    capacity: builtins.int
    used: builtins.int
    live: builtins.int
    retired: builtins.int
    free: builtins.int
    tensors: builtins.int
    bundles: builtins.int
    sessions: builtins.int
    limits: dict[str, builtins.int]
    counters: dict[str, builtins.int]

@final
class Tensor:
    """A torch-style tensor on the CPU, over memory that other processes may share.

    Three kinds: a *sealed* one (what `put` and `get` give) never changes; a *mutable* one (what the factories make, or
    `open(name, "r+")` gives) is written by every process that has it; a *draft* (what `create` gives) is nobody else's
    until it is published. Shapes, views, indices and conversions are torch's, errors included; arithmetic and
    comparisons are left to `numpy()` and `torch()`, which share the memory. A view keeps the memory alive.

    Methods may be called from any thread; writing one tensor from two at once is for the caller to order. Operations
    on a released tensor raise ClosedError, writing what is sealed or was opened "r" ReadOnlyError.

    Example:
        >>> t = tb.put("weights", [[1.0, 2.0], [3.0, 4.0]])
        >>> t.shape, t.dtype, t.sealed
        (torch.Size([2, 2]), torch.float32, True)
        >>> t[:, 1].tolist()
        [2.0, 4.0]
        >>> float(t.numpy().sum())
        10.0
    """

    __hash__: Callable[[], builtins.int]  # by identity, though there is an __eq__
    @property
    def shape(self) -> Size:
        """The number of elements in each dimension, as a Size."""
    @overload
    def size(self, dim: None = None) -> Size:
        """Return the shape, or the number of elements in dimension `dim`. IndexError where there is no such one."""
    @overload
    def size(self, dim: _Int) -> builtins.int: ...
    def dim(self) -> builtins.int:
        """Return the number of dimensions."""
    @property
    def ndim(self) -> builtins.int:
        """The number of dimensions."""
    def numel(self) -> builtins.int:
        """Return the number of elements."""
    @property
    def dtype(self) -> _DType:
        """The type of the elements."""
    def element_size(self) -> builtins.int:
        """Return the size of an element in bytes."""
    @property
    def itemsize(self) -> builtins.int:
        """The size of an element in bytes."""
    @property
    def nbytes(self) -> builtins.int:
        """The size of all elements in bytes."""
    @overload
    def stride(self, dim: None = None) -> tuple[builtins.int, ...]:
        """Return how many elements lie between neighbours along each dimension, or along `dim`."""
    @overload
    def stride(self, dim: _Int) -> builtins.int: ...
    def storage_offset(self) -> builtins.int:
        """Return how many elements after its storage's begin the first one lies."""
    def is_contiguous(self) -> builtins.bool:
        """Return whether the elements lie in C order without gaps."""
    def data_ptr(self) -> builtins.int:
        """Return the address of the first element in this process; 0 where there is none.

        The memory then stays mapped as long as this object, even after `release()`.
        """
    @property
    def device(self) -> _Device:
        """The device: always the CPU."""
    def is_floating_point(self) -> builtins.bool:
        """Return whether the elements are real floats."""
    def is_complex(self) -> builtins.bool:
        """Return whether the elements are complex numbers."""
    def ndimension(self) -> builtins.int:
        """Return the number of dimensions."""
    def nelement(self) -> builtins.int:
        """Return the number of elements."""
    @overload
    def view(self, *size: _Int) -> Tensor:
        """Return the same elements in another shape, as ints or one tuple `size`, one of which may be -1.

        With a dtype instead: the same bytes as elements of `dtype`.

        Raises:
            RuntimeError: the elements would have to move, or do not fit; `reshape()` copies then.

        Example:
            >>> tb.arange(6).view(2, -1).tolist()
            [[0, 1, 2], [3, 4, 5]]
        """
    @overload
    def view(self, size_or_dtype: _Ints | _DTypeLike, /) -> Tensor: ...
    @overload
    def view(self, *, dtype: _DTypeLike) -> Tensor: ...
    def view_as(self, other: _Array) -> Tensor:
        """Return `view()` with the shape of the tensor or array `other`. RuntimeError as there."""
    def reshape(self, *shape: _Int | _Ints) -> Tensor:
        """Return a view of this `shape` where `view()` can give one, else a copy in memory of this process.

        RuntimeError where the elements do not fill it.
        """
    def reshape_as(self, other: _Array) -> Tensor:
        """Return `reshape()` with the shape of the tensor or array `other`. RuntimeError as there."""
    def flatten(self, start_dim: _Int = 0, end_dim: _Int = -1) -> Tensor:
        """Return the dimensions from `start_dim` to `end_dim` made one: this tensor, a view, or a copy.

        IndexError for a dimension that is not there, RuntimeError where the first comes after the last.
        """
    def ravel(self) -> Tensor:
        """Return all elements, in C order, in one dimension: a view of a contiguous tensor, else a copy."""
    def unflatten(self, dim: _Int, sizes: _Ints) -> Tensor:
        """Return a view with dimension `dim` split into these `sizes`. RuntimeError where they do not fit."""
    def transpose(self, dim0: _Int, dim1: _Int) -> Tensor:
        """Return a view with dimensions `dim0` and `dim1` exchanged. IndexError for one that is not there."""
    def swapaxes(self, dim0: _Int, dim1: _Int) -> Tensor:
        """Return a view with dimensions `dim0` and `dim1` exchanged: `transpose()`."""
    def swapdims(self, dim0: _Int, dim1: _Int) -> Tensor:
        """Return a view with dimensions `dim0` and `dim1` exchanged: `transpose()`."""
    def t(self) -> Tensor:
        """Return a view of a matrix transposed, of what has fewer dimensions as it is. RuntimeError for more."""
    @property
    def T(self) -> Tensor:
        """A view with all dimensions reversed."""
    @property
    def mT(self) -> Tensor:
        """A view with the last two dimensions exchanged. RuntimeError where there are fewer."""
    def permute(self, *dims: _Int | _Ints) -> Tensor:
        """Return a view with the dimensions in the order `dims`. RuntimeError where one is missing or twice there."""
    def movedim(self, source: _Int | _Ints, destination: _Int | _Ints) -> Tensor:
        """Return a view with dimensions moved from `source` to `destination`; the rest keep their order."""
    def moveaxis(self, source: _Int | _Ints, destination: _Int | _Ints) -> Tensor:
        """Return a view with dimensions moved from `source` to `destination`: `movedim()`."""
    def select(self, dim: _Int, index: _Int) -> Tensor:
        """Return a view, one dimension less, of what has this `index` in dimension `dim`. IndexError beyond its end."""
    def narrow(self, dim: _Int, start: _Int, length: _Int) -> Tensor:
        """Return a view of `length` indices of dimension `dim`, from `start` on. RuntimeError beyond its end."""
    def squeeze(self, dim: _Int | _Ints | None = None) -> Tensor:
        """Return a view without the dimensions of size 1: all of them, or those that `dim` names."""
    def unsqueeze(self, dim: _Int) -> Tensor:
        """Return a view with another dimension of size 1 at `dim`."""
    def expand(self, *sizes: _Int | _Ints) -> Tensor:
        """Return a view of these `sizes`: dimensions of size 1 repeated, without a copy; -1 keeps one.

        RuntimeError where another dimension would change.
        """
    def broadcast_to(self, *sizes: _Int | _Ints) -> Tensor:
        """Return a view of these `sizes`: `expand()`."""
    def expand_as(self, other: _Array) -> Tensor:
        """Return `expand()` to the shape of the tensor or array `other`."""
    def unbind(self, dim: _Int = 0) -> tuple[Tensor, ...]:
        """Return a tuple of views, of what each index of dimension `dim` has."""
    def split(self, split_size: _Int | _Ints, dim: _Int = 0) -> tuple[Tensor, ...]:
        """Return a tuple of views, of parts of dimension `dim` of `split_size` each, or of each of these sizes."""
    def chunk(self, chunks: _Int, dim: _Int = 0) -> tuple[Tensor, ...]:
        """Return a tuple of views, of at most so many `chunks` of dimension `dim`."""
    def diagonal(self, offset: _Int = 0, dim1: _Int = 0, dim2: _Int = 1) -> Tensor:
        """Return a view whose last dimension is a diagonal of `dim1` and `dim2`, `offset` above the main one."""
    def unfold(self, dimension: _Int, size: _Int, step: _Int) -> Tensor:
        """Return a view of windows of `size` elements, `step` apart, along `dimension`; they are the last dimension."""
    def as_strided(self, size: _Ints, stride: _Ints, storage_offset: _Int | None = None) -> Tensor:
        """Return a view of what `size` and `stride`, from `storage_offset` on, all in elements, reach of the storage.

        RuntimeError where that lies beyond it.
        """
    def clone(self) -> Tensor:
        """Return a copy in memory of this process, writable, with the same strides where the tensor is dense."""
    def contiguous(self) -> Tensor:
        """Return this tensor where it is contiguous, else a copy in C order."""
    def to(
        self,
        *args: _DTypeLike | _Device | Tensor | _TorchTensor | builtins.bool,
        dtype: _DTypeLike | None = None,
        device: _Device | str | None = None,
        non_blocking: builtins.bool = False,
        copy: builtins.bool = False,
        memory_format: object = None,
    ) -> Tensor:
        """Return the elements converted: to(dtype), to(other) or to("cpu", dtype); with copy=True always a copy.

        This tensor where there is nothing to do. What the new dtype does not hold wraps or is rounded, as in torch.
        RuntimeError for another device than the CPU.

        Example:
            >>> tb.tensor([1.7, -1.7]).to(tb.int8)
            tensor([ 1, -1], dtype=torch.int8)
        """
    def detach(self) -> Tensor:
        """Return another Tensor over the same elements."""
    def cpu(self) -> Tensor:
        """Return this tensor."""
    def copy_(self, src: _Array | _Number, non_blocking: builtins.bool = False) -> Tensor:
        """Write the elements of the tensor, array or number `src`, broadcast and converted, and return this tensor.

        `non_blocking` changes nothing.

        Raises:
            ReadOnlyError: this tensor is sealed, or was opened "r".
            RuntimeError: the shapes do not fit.
        """
    def fill_(self, value: _Scalar) -> Tensor:
        """Write one number `value` everywhere, and return this tensor.

        ReadOnlyError for a sealed tensor, RuntimeError where the dtype does not hold it.
        """
    def zero_(self) -> Tensor:
        """Write 0 everywhere, and return this tensor. ReadOnlyError for a sealed one."""
    def equal(self, other: _Array) -> builtins.bool:
        """Return whether the tensor or array `other` has the same shape and equal elements. NaN equals nothing."""
    def is_shared(self) -> builtins.bool:
        """Return whether the elements lie in memory that other processes can map."""
    def share_memory_(self) -> Tensor:
        """Move a tensor of this process's own memory into the broker's, and return it.

        That is this object, not the views made of it before. OutOfMemoryError where there is no room.

        Example:
            >>> t = tb.from_numpy(np.zeros(3)).share_memory_()
            >>> t.is_shared()
            True
        """
    def item(self) -> _Element:
        """Return the one element as a bool, int, float or complex. RuntimeError where there is not just one."""
    def tolist(self) -> Any:
        """Return the elements as nested lists of bools, ints, floats or complexes; a 0-d tensor's as a number."""
    def numpy(self) -> NDArray[Any]:
        """Return an ndarray over the tensor's own memory, read-only where the tensor is.

        It keeps the memory alive. `torch.from_numpy()` of a sealed tensor's ignores that it is read-only, and a write
        there faults: use `torch()`.

        Example:
            >>> with tb.create("squares", 4, tb.int64) as draft:
            ...     draft.numpy()[:] = np.arange(4) ** 2
            >>> tb.get("squares").numpy().flags.writeable
            False
        """
    def torch(self) -> _TorchTensor:
        """Return a torch.Tensor: over the same memory where the tensor is writable, over private pages where sealed.

        A write to a sealed tensor's changes the private copy alone. torch is imported by the first call.

        Raises:
            ReadOnlyError: a mutable tensor was opened "r"; open it "r+" or "c".
            ImportError: torch is not installed.
        """
    def __getitem__(self, key: _Key, /) -> Tensor:
        """Return a view of what an int, slice, `...`, None, or a tuple of them, finds; a copy for lists and masks."""
    def __setitem__(self, key: _Key, value: _Data, /) -> None:
        """Write to what `key` finds. ReadOnlyError for a sealed tensor."""
    def __len__(self) -> builtins.int: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __bool__(self) -> builtins.bool: ...
    def __int__(self) -> builtins.int: ...
    def __float__(self) -> builtins.float: ...
    def __complex__(self) -> complex: ...
    def __index__(self) -> builtins.int: ...
    def __eq__(self, other: None, /) -> builtins.bool: ...  # type: ignore[override]
    def __ne__(self, other: None, /) -> builtins.bool: ...  # type: ignore[override]
    def __array__(self, dtype: Any = None, copy: builtins.bool | None = None) -> NDArray[Any]: ...
    def __jax_array__(self) -> Any: ...
    @property
    def __array_interface__(self) -> dict[str, Any]: ...
    def __buffer__(self, flags: builtins.int, /) -> memoryview: ...
    def __dlpack__(
        self,
        *,
        stream: None = None,
        max_version: tuple[builtins.int, builtins.int] | None = None,
        dl_device: tuple[Any, builtins.int] | None = None,
        copy: builtins.bool | None = None,
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[builtins.int, builtins.int]: ...
    @property
    def name(self) -> str:
        """The name it was published under; "" for a tensor without one."""
    @property
    def version(self) -> builtins.int:
        """A number that grows with every publication in the instance; 0 for what is not published."""
    @property
    def metadata(self) -> dict[str, Any]:
        """A new dict of what the publisher said of it."""
    @property
    def mutable(self) -> builtins.bool:
        """Whether other processes may write to it."""
    @property
    def sealed(self) -> builtins.bool:
        """Whether it never changes again."""
    @property
    def corrupt(self) -> builtins.bool:
        """Whether bytes of it were lost because another program truncated a segment of the broker's.

        What was read from it may have been zeros: see `install_sigbus_handler()`.
        """
    @property
    def handle(self) -> str:
        """A text for `open()`, good in any process of the instance while the tensor lives. A view's names it whole."""
    def publish(self) -> None:
        """Make the draft visible under its name, sealed from then on.

        Raises:
            RuntimeError: this is no draft of `create()`, or not any more.
            ExistsError: the name is taken, and `create()` was told not to overwrite.
            BrokerUnavailableError: the broker did not answer in time.
        """
    def discard(self) -> None:
        """Give the draft up. Arrays over it stay valid, and are nobody's. RuntimeError for what is no draft."""
    def release(self) -> None:
        """Let go: later use of this object is ClosedError. Views, arrays and torch tensors made from it live on."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, type: builtins.type[BaseException] | None, value: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def __copy__(self) -> Tensor: ...
    def __deepcopy__(self, memo: Any) -> Tensor: ...
    def _repr_html_(self) -> str: ...

@final
class Bundle(Mapping[str, Tensor]):
    """An ordered mapping of names to tensors, published as one: a model's state_dict.

    All members lie in one block and are of one version. May be used from any thread. Operations on a released bundle
    raise ClosedError.

    Example:
        >>> b = tb.put("model", {"fc.weight": np.ones((2, 3)), "fc.bias": np.zeros(2)}, metadata={"step": 100})
        >>> list(b), b["fc.weight"].shape, b.metadata["step"]
        (['fc.weight', 'fc.bias'], torch.Size([2, 3]), 100)
    """

    def __getitem__(self, member: str, /) -> Tensor:
        """Return the tensor of this name. NotFoundError where there is none."""
    def __contains__(self, member: object, /) -> builtins.bool: ...
    def __len__(self) -> builtins.int: ...
    def __iter__(self) -> Iterator[str]: ...
    def keys(self) -> KeysView[str]:
        """Return the members' names, in order."""
    def values(self) -> ValuesView[Tensor]:
        """Return the members' tensors, in order."""
    def items(self) -> ItemsView[str, Tensor]:
        """Return pairs of name and tensor, in order."""
    @overload
    def get(self, member: str, default: None = None) -> Tensor | None:
        """Return the tensor of the name `member`, or `default` where there is none."""
    @overload
    def get(self, member: str, default: _T) -> Tensor | _T: ...
    def nested(self, form: Literal["tensor", "numpy", "torch"] = "tensor") -> dict[Any, Any]:
        """Return what `put()` was given, with its mappings, lists and other leaves; the tensors in this `form`.

        Raises:
            ValueError: there is no such form, or the metadata is not that of the members.

        Example:
            >>> b = tb.put("state", {"weights": {"a": np.ones(2)}, "step": 7})
            >>> list(b)
            ['weights.a']
            >>> b.nested("numpy")
            {'weights': {'a': array([1., 1.])}, 'step': 7}
        """
    def numpy(self) -> dict[str, NDArray[Any]]:
        """Return a dict of read-only ndarrays over the bundle's memory."""
    def torch(self) -> dict[str, _TorchTensor]:
        """Return a dict of torch tensors over private pages, for `load_state_dict`. Tied tensors stay tied.

        ImportError where torch is not installed.
        """
    @property
    def name(self) -> str:
        """The name it was published under."""
    @property
    def version(self) -> builtins.int:
        """A number that grows with every publication in the instance."""
    @property
    def metadata(self) -> dict[str, Any]:
        """A new dict of what the publisher said of it."""
    @property
    def nbytes(self) -> builtins.int:
        """The size of the block that all members lie in, in bytes."""
    @property
    def corrupt(self) -> builtins.bool:
        """Whether bytes of a member were lost because another program truncated a segment of the broker's.

        What was read from the members may have been zeros: see `install_sigbus_handler()`.
        """
    @property
    def handle(self) -> str:
        """A text for `open()`, good in any process of the instance while the bundle lives."""
    def release(self) -> None:
        """Let go: later use of this object is ClosedError. Tensors made from it live on."""
    def _repr_html_(self) -> str: ...
    def _ipython_key_completions_(self) -> list[str]: ...

@final
class Info:
    """What a listing says of one name, as it was when it was listed.

    Example:
        >>> _ = tb.put("scores", np.zeros((2, 3), np.float32))
        >>> tb.list()[0].shape, tb.list()[0].nbytes
        (torch.Size([2, 3]), 24)
    """

    @property
    def name(self) -> str:
        """The name."""
    @property
    def kind(self) -> Literal["tensor", "bundle"]:
        """What it is: "tensor" or "bundle"."""
    @property
    def dtype(self) -> _DType | None:
        """The type of a tensor's elements; None for a bundle."""
    @property
    def shape(self) -> Size:
        """The number of elements in each dimension of a tensor; of a bundle, the number of its members."""
    @property
    def nbytes(self) -> builtins.int:
        """The size of its data in bytes."""
    @property
    def version(self) -> builtins.int:
        """The version that was listed."""
    @property
    def mutable(self) -> builtins.bool:
        """Whether processes that open it "r+" may write to it."""
    @property
    def metadata(self) -> dict[str, Any]:
        """A new dict of what the publisher said of it."""
    @property
    def created(self) -> builtins.float:
        """When it was published, in seconds since the epoch."""
    @property
    def handle(self) -> str:
        """A text for `open()` of this version."""
    @property
    def holders(self) -> builtins.int:
        """How many sessions hold this version now. Asks the broker: BrokerUnavailableError, ClosedError."""

@final
class Watch:
    """The iterator of `watch()`: each time the newest version, as it appears. Threads, or tasks, that share one get
    each version once.

    For `async for`, too, where the event loop goes on meanwhile.
    """

    def __iter__(self) -> Self: ...
    def __next__(self) -> _Object: ...
    # The package's, not the extension's: _async.py.
    def __aiter__(self) -> Self: ...
    async def __anext__(self) -> _Object: ...
    def _awaited(self) -> tuple[Client, str, builtins.int, builtins.float | None, builtins.bool]: ...
    def _saw(self, version: builtins.int) -> builtins.bool: ...

@final
class Event:
    """What happened to a name, as `events()` gives it."""

    @property
    def kind(self) -> Literal["publish", "delete", "overflow"]:
        """What it was: "publish", "delete", or "overflow": some events were missed, list again."""
    @property
    def name(self) -> str:
        """The name; "" for an overflow."""
    @property
    def version(self) -> builtins.int:
        """The version that was published or deleted; 0 for an overflow."""

@final
class Events:
    """The iterator of `events()`, for one thread at a time: RuntimeError where another one is waiting in it."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Event: ...

@final
class Client:
    """A connection of this process to an instance's broker, as `connect()` gives it.

    Its methods are functions of the module too, on a client that this process connects at first use. All may be called
    from any thread, and a forked child goes on with a session of its own. `with` closes it. As a container it has the
    names that are published: `name in client`, `len(client)`, and their iteration in sorted order.

    Example:
        >>> with tb.connect() as client:
        ...     _ = client.put("x", [1, 2, 3])
        ...     print("x" in client, list(client))
        True ['x']
    """

    @property
    def instance(self) -> str:
        """The name of the instance."""
    @property
    def closed(self) -> builtins.bool:
        """Whether `close()` was called."""
    def close(self) -> None:
        """Close the connection; once more does nothing.

        Tensors and views stay valid. Calls that need the broker, and threads blocked in one, get ClosedError.
        """
    def __enter__(self) -> Self: ...
    def __exit__(
        self, type: builtins.type[BaseException] | None, value: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
    def get(self, name: str, *, timeout: builtins.float | None = 0.0) -> _Object:
        """Return the newest version of what a name denotes: a Tensor or a Bundle over the shared pages.

        No copy is made and, where the name is there, no message sent. A mutable tensor comes as a read-only view in
        which changes show.

        Args:
            name: 1 to 255 bytes of UTF-8 without control characters.
            timeout: how many seconds to wait for a name that is not there; None waits for ever.

        Raises:
            NotFoundError: there is no such name, after `timeout`.
            ValueError: the name is not a valid one, or `timeout` is negative.
            TypeError: the name is no str.
            CorruptSegmentError: what shared memory says of it fails verification.
            BrokerUnavailableError: the instance ended, and there is no other.
            ClosedError: the client was closed.

        Example:
            >>> _ = tb.put("weights", np.ones((2, 3), np.float32))
            >>> w = tb.get("weights")
            >>> w.shape, w.numpy().sum()
            (torch.Size([2, 3]), np.float32(6.0))
        """
    def wait(
        self,
        name: str,
        newer_than: builtins.int = 0,
        timeout: builtins.float | None = None,
        *,
        spin: builtins.float = 0.0,
    ) -> _Object:
        """Return the newest version of what a name denotes, once there is one newer than that.

        A name that is not there is waited for, and deleting it ends nobody's waiting. A signal's handler does, Ctrl-C
        for one. Waiting costs no processor time, but with `spin`: a version that comes while it spins is here within
        about a microsecond, where waking a thread that sleeps takes tens, and the call keeps a processor busy.

        Args:
            name: the name.
            newer_than: a `version` that was seen; 0 takes any.
            timeout: in seconds; None waits for ever.
            spin: for how many seconds to look busily before sleeping, such as 50e-6; part of `timeout`.

        Raises:
            TimeoutError: none came in time.
            ValueError: the name is not a valid one, or a number is negative.
            TypeError: the name is no str, or a number none.
            CorruptSegmentError: what shared memory says of it fails verification.
            BrokerUnavailableError: the broker ended, and none came back in time.
            ClosedError: the client was closed, meanwhile perhaps.

        Example:
            >>> seen = tb.put("model", {"w": [1.0]}).version
            >>> newer = tb.put("model", {"w": [2.0]})
            >>> tb.wait("model", newer_than=seen, timeout=5.0).version == newer.version
            True
        """
    # The package's, with its text: _async.py.
    async def wait_async(
        self, name: str, newer_than: builtins.int = 0, timeout: builtins.float | None = None
    ) -> _Object: ...
    def watch(
        self,
        name: str,
        *,
        start: Literal["current", "next"] = "current",
        timeout: builtins.float | None = None,
        spin: builtins.float = 0.0,
    ) -> Watch:
        """Iterate, with `for` or `async for`, over the versions of a name as they appear: each time the newest.

        A slow loop skips versions, and never sees one twice or goes back. The loop ends by `break`, or an error.

        Args:
            name: the name; it need not be there yet.
            start: "current", the version of now comes first, or "next", only newer ones.
            timeout: how many seconds to wait for each; None waits for ever.
            spin: for how many seconds to look busily for each, before sleeping, as in `wait()`. `async for` does not.

        Raises:
            TimeoutError: none came in time.
            ValueError: the name is not a valid one, or `start`, `timeout` or `spin` is something else.
            TypeError: the name or `start` is no str, or `timeout` or `spin` no number.
            CorruptSegmentError: what shared memory says of it fails verification.
            BrokerUnavailableError: the broker ended, and none came back in time.
            ClosedError: the client was closed, meanwhile perhaps.

        Example:
            >>> _ = tb.put("step", 1)
            >>> for step in tb.watch("step", timeout=5.0):
            ...     if step.item() == 3:
            ...         break
            ...     _ = tb.put("step", step.item() + 1)
            >>> tb.get("step").item()
            3
        """
    def events(self, prefix: str = "", *, timeout: builtins.float | None = None) -> Events:
        """Iterate over the publications and deletions of names under a `prefix`, from now on and in their order.

        Where some were missed, one event of kind "overflow" says so: list again, what follows is newer. The last
        thousand are kept; a killed broker's successor, and another instance, begin with an overflow.

        Args:
            prefix: what the names begin with; "" for all.
            timeout: how many seconds to wait for each; None waits for ever.

        Raises:
            TimeoutError: none came in time.
            ValueError: the prefix cannot begin a name, or `timeout` is negative.
            TypeError: the prefix is no str.
            BrokerUnavailableError: the broker ended, and none came back in time.
            ClosedError: the client was closed, meanwhile perhaps.

        Example:
            >>> events = tb.events("models/", timeout=5.0)
            >>> _ = tb.put("models/a", [1.0]), tb.delete("models/a")
            >>> [(event.kind, event.name) for event in (next(events), next(events))]
            [('publish', 'models/a'), ('delete', 'models/a')]
        """
    @overload
    def open(self, name_or_handle: str, mode: Literal["r", "c"] = "r") -> _Object:
        """Return what a name or a handle denotes, opened in one of np.memmap's modes.

        Args:
            name_or_handle: a name, or the `handle` of a tensor or bundle of any process of the instance.
            mode: "r" read-only; "r+" writable, the same pages in every process, for mutable tensors alone; "c" private
                copy-on-write pages.

        Raises:
            NotFoundError: there is no such name, or what the handle names is gone.
            ReadOnlyError: "r+" of what is sealed.
            AccessError: "r+" of another user's.
            ValueError: the name or handle is not a valid one, or the mode is another.
            TypeError: the name or the mode is no str.
            CorruptSegmentError: what shared memory says of it fails verification.
            BrokerUnavailableError: the broker was needed, and did not answer in time.
            ClosedError: the client was closed.

        Example:
            >>> counters = tb.zeros(3, dtype=tb.int64, name="counters")
            >>> tb.open("counters", "r+").numpy()[0] += 5
            >>> counters.tolist()
            [5, 0, 0]
        """
    @overload
    def open(self, name_or_handle: str, mode: Literal["r+"]) -> Tensor: ...
    @overload
    def open(self, name_or_handle: str, mode: str) -> _Object: ...
    def exists(self, name: str) -> builtins.bool:
        """Return whether the name `name` denotes something now.

        Raises:
            ValueError: the name is not a valid one.
            TypeError: the name is no str.
            BrokerUnavailableError: the instance ended, and there is no other.
            ClosedError: the client was closed.
        """
    def list(self, prefix: str = "") -> Listing:
        """Return an Info for each name that begins with the `prefix`, sorted by name: a list, a table in notebooks.

        Raises:
            TypeError: the prefix is no str.
            BrokerUnavailableError: the instance ended, and there is no other.
            ClosedError: the client was closed.

        Example:
            >>> _ = tb.put("digits/labels", np.zeros(3, np.int64)), tb.put("digits/model", {"w": [1.0]})
            >>> [(info.name, info.kind, info.nbytes) for info in tb.list("digits/")]
            [('digits/labels', 'tensor', 24), ('digits/model', 'bundle', 4)]
        """
    def __contains__(self, name: str, /) -> builtins.bool: ...
    def __len__(self) -> builtins.int: ...
    def __iter__(self) -> Iterator[str]: ...
    @overload
    def put(
        self,
        name: str,
        data: _State | Bundle,
        *,
        dtype: _DTypeLike | None = None,
        overwrite: builtins.bool = True,
        metadata: _Metadata | None = None,
        wait: Literal[True] = True,
    ) -> Bundle:
        """Copy data into shared memory once, and publish it under a name, sealed: a Tensor, or a Bundle of a mapping.

        What the name denoted before is replaced at once: a reader sees the old or the new, whole. Strides are kept
        where the data is dense, else the copy is in C order.

        Args:
            name: 1 to 255 bytes of UTF-8 without control characters, not beginning with "tb://".
            data: an array or tensor of NumPy, torch, JAX or this package; anything with `__dlpack__`, the buffer
                protocol or `__array__`; a number; nested lists of numbers, where floats give float32. Or a mapping of
                names to those; where it is nested, as an optimizer's state_dict is, the bundle has its tensors by
                dotted path, the other leaves as metadata, and `nested()` gives it back.
            dtype: what the elements are converted to; None keeps theirs.
            overwrite: whether to replace what has the name.
            metadata: a dict of JSON values, at most 64 KiB as JSON.
            wait: False returns None as soon as the data is copied and on its way to the broker, so that the next call
                need not wait for its answer. It is published soon, after earlier calls of this thread and before later
                ones, a draft's `publish()` apart; what the broker refuses is raised by `flush()`. Call that, or
                `close()`, before the process ends.

        Raises:
            ExistsError: the name is taken, and `overwrite` is False.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, nested lists are of unequal lengths, or the metadata is too long.
            TypeError: the data is none that tensors hold, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time; says where the outcome is unknown.
            ClosedError: the client was closed.

        Example:
            >>> tb.put("scores", [[1.0, 2.0], [3.0, 4.0]])
            tensor([[1., 2.],
                    [3., 4.]])
            >>> tb.put("model", {"w": np.ones((2, 2)), "b": np.zeros(2)}, metadata={"step": 100}).metadata
            {'step': 100}
        """
    @overload
    def put(
        self,
        name: str,
        data: _Data,
        *,
        dtype: _DTypeLike | None = None,
        overwrite: builtins.bool = True,
        metadata: _Metadata | None = None,
        wait: Literal[True] = True,
    ) -> Tensor: ...
    @overload
    def put(
        self,
        name: str,
        data: _Data | _State | Bundle,
        *,
        dtype: _DTypeLike | None = None,
        overwrite: builtins.bool = True,
        metadata: _Metadata | None = None,
        wait: Literal[False],
    ) -> None: ...
    def flush(self) -> None:
        """Wait for every `put` of this client that was not waited for: what it copied is published then.

        `close()` does the same, without raising.

        Raises:
            ExistsError, OutOfMemoryError, QuotaError: the first of those puts since the last flush that the broker
                refused; the others may have been published.
            BrokerUnavailableError: the broker did not answer in time; says where the outcome is unknown.
            ClosedError: the client was closed.

        Example:
            >>> for step in range(3):
            ...     tb.put(f"loss/{step}", 1.0 / (step + 1), wait=False)
            >>> tb.flush()
            >>> tb.get("loss/1").item()
            0.5
        """
    def put_many(
        self,
        tensors: Mapping[str, _Data],
        *,
        dtype: _DTypeLike | None = None,
        overwrite: builtins.bool = True,
        metadata: _Metadata | None = None,
    ) -> dict[str, Tensor]:
        """Put each tensor under its name, as `put` does, waiting for none of them in between.

        Each is published for itself, in order: for many small ones that take a message each. What belongs together is a
        bundle, `put("model", tensors)`, of which readers see one version.

        Args:
            tensors: data as `put` takes it, by name.
            dtype: what the elements are converted to; None keeps theirs.
            overwrite: whether to replace what has the names.
            metadata: of each of them: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: a name is taken, and `overwrite` is False.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit. Some of the
                tensors may have been published.
            ValueError: a name is not a valid one, or the metadata is too long.
            TypeError: a value is none that tensors hold, such as a bundle, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time; says where the outcome is unknown.
            ClosedError: the client was closed.

        Example:
            >>> tb.put_many({"rows/0": [1.0, 2.0], "rows/1": [3.0]})["rows/1"]
            tensor([3.])
        """
    def create(
        self,
        name: str,
        shape: _Int | _Ints,
        dtype: _DTypeLike | None = None,
        *,
        overwrite: builtins.bool = True,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a draft, to be written in place without a copy and published by `publish()` or the end of a `with`.

        Nobody else finds it until then; an exception in the block discards it, `discard()` too. Its contents are
        unknown at first.

        Args:
            name: the name that it will have.
            shape: the sizes, or one.
            dtype: of the elements; None is float32.
            overwrite: whether its publication replaces what has the name.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the name is taken, and `overwrite` is False.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            RuntimeError: a size is negative.
            TypeError: the shape is no ints, the dtype is none of tensors, or the metadata is no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.

        Example:
            >>> with tb.create("table", (2, 3)) as t:
            ...     t.numpy()[...] = np.arange(6).reshape(2, 3)
            >>> tb.get("table").tolist()
            [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
        """
    def delete(self, name: str) -> None:
        """Remove the name `name`. Those who hold what it denoted keep it; its memory is free after the last.

        Raises:
            NotFoundError: there is no such name.
            ValueError: the name is not a valid one.
            TypeError: the name is no str.
            BrokerUnavailableError: the broker did not answer in time; says where the outcome is unknown.
            ClosedError: the client was closed.
        """
    def load_safetensors(
        self, name: str, path: _Path, *, overwrite: builtins.bool = True, metadata: _Metadata | None = None
    ) -> Bundle:
        """Publish a safetensors file as a bundle, read straight into its pages.

        Args:
            name: the bundle's name.
            path: the file.
            overwrite: whether to replace what has the name.
            metadata: a dict of JSON values; None takes the file's.

        Raises:
            OSError: the file cannot be read.
            ExistsError: the name is taken, and `overwrite` is False.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the file is not as the format says, or holds a dtype that tensors do not have.
            TypeError: the name or path is none, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time; says where the outcome is unknown.
            ClosedError: the client was closed.
        """
    def save_safetensors(self, name: str, path: _Path) -> None:
        """Write a bundle or tensor to a safetensors file, which replaces the one at `path` when it is whole.

        Tensors are written in C order, tied ones each for itself.

        Args:
            name: of the bundle or tensor.
            path: of the file.

        Raises:
            NotFoundError: there is no such name.
            OSError: the file cannot be written.
            TypeError: the format does not have a dtype.
            ValueError: the name is not a valid one.
            BrokerUnavailableError: the instance ended, and there is no other.
            ClosedError: the client was closed.
        """
    def stats(self) -> _Stats:
        """Return what the broker knows of itself, as a dict.

        `instance`, `broker_pid` and `uptime` (seconds); `capacity`, `used` (granted), `live` (published), `retired`
        (deleted or replaced, and held) and `free`, all in bytes; how many `tensors`, `bundles` and `sessions` (attached
        processes) there are; `limits` and `counters`, each a dict of numbers by name.

        Raises:
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.

        Example:
            >>> stats = tb.stats()
            >>> stats["used"] <= stats["capacity"]
            True
        """
    def reserve(self, nbytes: builtins.int | str) -> None:
        """Have memory granted ahead, and then populated in the background, so that later puts find warm pages.

        The memory is this client's when the call returns; a thread of its own then maps it. A put in the meantime
        works, and finds as much done as there is.

        Args:
            nbytes: how much: bytes, or text such as "1GiB".

        Raises:
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: `nbytes` is negative, or a text that is no size.
            TypeError: it is something else.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.
        """
    def tensor(
        self,
        data: _Data,
        *,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor with a copy of the data, as torch.tensor does.

        Args:
            data: what `put()` takes, mappings aside.
            dtype: of the elements; None is the data's, as torch takes it.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.

        Example:
            >>> tb.tensor([[1, 2], [3, 4]])
            tensor([[1, 2],
                    [3, 4]])
        """
    def empty(
        self,
        *sizes: _Int | _Ints,
        size: _Int | _Ints | None = None,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor of unknown contents.

        Args:
            sizes: the number of elements in each dimension, as ints or one tuple.
            size: the same by name.
            dtype: of the elements; None is float32.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            RuntimeError: a size is negative.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.
        """
    def zeros(
        self,
        *sizes: _Int | _Ints,
        size: _Int | _Ints | None = None,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor of zeros.

        Args:
            sizes: the number of elements in each dimension, as ints or one tuple.
            size: the same by name.
            dtype: of the elements; None is float32.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            RuntimeError: a size is negative.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.

        Example:
            >>> tb.zeros(2, 3, dtype=tb.int64)
            tensor([[0, 0, 0],
                    [0, 0, 0]])
        """
    def ones(
        self,
        *sizes: _Int | _Ints,
        size: _Int | _Ints | None = None,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor of ones.

        Args:
            sizes: the number of elements in each dimension, as ints or one tuple.
            size: the same by name.
            dtype: of the elements; None is float32.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            RuntimeError: a size is negative.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.

        Example:
            >>> tb.ones((2,))
            tensor([1., 1.])
        """
    def full(
        self,
        size: _Int | _Ints,
        fill_value: _Scalar,
        *,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor filled with one number.

        Args:
            size: the number of elements in each dimension.
            fill_value: the number.
            dtype: of the elements; None is the number's, as torch takes it.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            RuntimeError: a size is negative, or the dtype does not hold the number.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.

        Example:
            >>> tb.full((2,), 7)
            tensor([7, 7])
        """
    def arange(
        self,
        *bounds: _Scalar,
        start: _Scalar | None = None,
        end: _Scalar | None = None,
        step: _Scalar | None = None,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor of the numbers of arange(end) or arange(start, end[, step]).

        Args:
            bounds: `end`; `start` and `end`; or those and `step`, by place.
            start: the first number; 0 unless given.
            end: where the numbers end, which it is not one of.
            step: from one to the next; 1 unless given.
            dtype: of the elements; None is int64 where all three are integers, else float32.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            RuntimeError: the step is 0, or leads away from the end.
            NotImplementedError: the dtype is bool or complex.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.

        Example:
            >>> tb.arange(1, 6, 2)
            tensor([1, 3, 5])
        """
    def linspace(
        self,
        start: _Scalar,
        end: _Scalar,
        steps: _Int,
        *,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor of numbers evenly spaced from start to end.

        Args:
            start: the first number.
            end: the last number.
            steps: how many there are.
            dtype: of the elements; None is float32, or complex64 for complex numbers.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            RuntimeError: `steps` is negative.
            NotImplementedError: the dtype is bool.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.

        Example:
            >>> tb.linspace(0, 1, 3)
            tensor([0.0000, 0.5000, 1.0000])
        """
    def eye(
        self,
        n: _Int,
        m: _Int | None = None,
        *,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable matrix with 1 on the diagonal and 0 elsewhere.

        Args:
            n: how many rows.
            m: how many columns; None is `n`.
            dtype: of the elements; None is float32.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            RuntimeError: `n` or `m` is negative.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.
        """
    def rand(
        self,
        *size: _Int | _Ints,
        generator: np.random.Generator | None = None,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor of random numbers from 0 up to, but without, 1.

        They are NumPy's, so not torch's of the same seed.

        Args:
            size: the number of elements in each dimension, as ints or one tuple.
            generator: a `numpy.random.Generator`; None is the one that `manual_seed()` seeds.
            dtype: of the elements; None is float32.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            RuntimeError: a size is negative.
            NotImplementedError: the dtype is no real or complex float of two bytes or more.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.

        Example:
            >>> tb.rand(2, 3, generator=np.random.default_rng(0)).shape
            torch.Size([2, 3])
        """
    def randn(
        self,
        *size: _Int | _Ints,
        generator: np.random.Generator | None = None,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor of random numbers, normally distributed with mean 0 and variance 1.

        They are NumPy's, so not torch's of the same seed.

        Args:
            size: the number of elements in each dimension, as ints or one tuple.
            generator: a `numpy.random.Generator`; None is the one that `manual_seed()` seeds.
            dtype: of the elements; None is float32.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            RuntimeError: a size is negative.
            NotImplementedError: the dtype is no real or complex float of two bytes or more.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.

        Example:
            >>> tb.randn(2, 3, generator=np.random.default_rng(0)).shape
            torch.Size([2, 3])
        """
    def empty_like(
        self,
        input: _Array,
        *,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor of unknown contents with the shape and order of dimensions of another.

        Args:
            input: a tensor or array.
            dtype: of the elements; None is the other's.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.
        """
    def zeros_like(
        self,
        input: _Array,
        *,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor of zeros with the shape and order of dimensions of another.

        Args:
            input: a tensor or array.
            dtype: of the elements; None is the other's.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.
        """
    def ones_like(
        self,
        input: _Array,
        *,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor of ones with the shape and order of dimensions of another.

        Args:
            input: a tensor or array.
            dtype: of the elements; None is the other's.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.
        """
    def full_like(
        self,
        input: _Array,
        fill_value: _Scalar,
        *,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return a mutable tensor of one number with the shape and order of dimensions of another.

        Args:
            input: a tensor or array.
            fill_value: the number.
            dtype: of the elements; None is the other's.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            RuntimeError: the dtype does not hold the number.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.
        """
    def rand_like(
        self,
        input: _Array,
        *,
        generator: np.random.Generator | None = None,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return what `rand()` does, with the shape and order of dimensions of another tensor.

        Args:
            input: a tensor or array.
            generator: a `numpy.random.Generator`; None is the one that `manual_seed()` seeds.
            dtype: of the elements; None is the other's.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            NotImplementedError: the dtype is no real or complex float of two bytes or more.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.
        """
    def randn_like(
        self,
        input: _Array,
        *,
        generator: np.random.Generator | None = None,
        dtype: _DTypeLike | None = None,
        name: str | None = None,
        metadata: _Metadata | None = None,
    ) -> Tensor:
        """Return what `randn()` does, with the shape and order of dimensions of another tensor.

        Args:
            input: a tensor or array.
            generator: a `numpy.random.Generator`; None is the one that `manual_seed()` seeds.
            dtype: of the elements; None is the other's.
            name: publishes it, so that every process that opens it "r+" has the same pages.
            metadata: a dict of JSON values, at most 64 KiB as JSON.

        Raises:
            ExistsError: the `name` is taken.
            OutOfMemoryError: there is no room; QuotaError where it is this session's or user's limit.
            ValueError: the name is not a valid one, or the metadata is too long.
            NotImplementedError: the dtype is no real or complex float of two bytes or more.
            TypeError: an argument is of another type, or the metadata no JSON.
            BrokerUnavailableError: the broker did not answer in time.
            ClosedError: the client was closed.
        """
    def _find_newer(self, name: str, newer_than: builtins.int, timeout: builtins.float | None) -> _Object: ...
    def _receive(self, handle: str, token: builtins.int) -> _Object: ...
    def _stop_broker(self, keep: builtins.bool = False) -> None: ...

def connect(
    instance: str | None = None,
    *,
    runtime_dir: str | PathLike[str] | None = None,
    autostart: builtins.bool | None = None,
    timeout: builtins.float | None = 10.0,
    capacity: builtins.int | str | None = None,
    owner: str | builtins.int | None = None,
) -> Client:
    """Connect to an instance's broker, and start one where there is none.

    Args:
        instance: its name; None is TENSORBROKER_INSTANCE, else "default".
        runtime_dir: where its socket and log are; None is TENSORBROKER_RUNTIME_DIR, else a directory of the user's.
        autostart: whether to start a broker; None is as TENSORBROKER_AUTOSTART says, else True.
        timeout: in seconds, of this and every later call that needs the broker; None waits for ever.
        capacity: bytes, or text such as "8GiB", for a broker that this call starts.
        owner: whose broker it is, by user name or uid; None is TENSORBROKER_OWNER, else this user. Another user's has
            to run with ``--group``, in the `runtime_dir` or /tmp/tensorbroker-UID. Members of that group read; what
            writes, deletes or stops is an AccessError. This call starts no broker of another user's.

    Raises:
        BrokerUnavailableError: there is no broker and none was to be started, or it is not ready in time.
        AccessError: its owner does not share it with this user, or a path of it is somebody else's.
        VersionMismatchError: the broker lays out shared memory differently.
        CorruptSegmentError: its catalog fails verification.
        OutOfMemoryError: there is no room for the session.
        ValueError: an argument is not a valid one.
        TypeError: an argument is of another type.

    Example:
        >>> with tb.connect(timeout=5.0) as client:
        ...     client.closed
        False
    """

def from_numpy(ndarray: NDArray[Any]) -> Tensor:
    """Return a tensor over an array's memory, wherever that is; of an array that lies in a broker's tensor, a view.

    Args:
        ndarray: the array. The tensor is read-only where it is.

    Raises:
        TypeError: it is no ndarray, or its dtype is none of tensors.
        ValueError: it has negative strides.

    Example:
        >>> a = np.zeros(3)
        >>> tb.from_numpy(a)[0] = 5
        >>> a
        array([5., 0., 0.])
    """

def from_dlpack(
    ext_tensor: _SupportsDLPack | Any, *, device: str | device | None = None, copy: builtins.bool | None = None
) -> Tensor:
    """Return a tensor over the memory of another library's.

    Args:
        ext_tensor: any object with `__dlpack__`, or a DLPack capsule.
        device: "cpu", or None.
        copy: True always copies, False never does, None where it must be.

    Raises:
        TypeError: it is no such object, or its dtype is none of tensors.
        ValueError: its memory is not the CPU's, or `copy` is False and it must be copied.
        BufferError: the other library refuses.

    Example:
        >>> tb.from_dlpack(np.arange(3))
        tensor([0, 1, 2])
    """

def install_sigbus_handler() -> None:
    """Have this process survive reading a tensor of which another program took the pages away.

    Only a program of the same user can do that, by truncating a file in /dev/shm. By default a reader then dies of
    SIGBUS. From here on it reads zeros instead, and the tensor is corrupt: `Tensor.corrupt` is True, and using it
    raises CorruptSegmentError. What reads its bare memory, as NumPy and torch do, gets the zeros without a word: look
    at `corrupt` after a computation. Writes there are seen by nobody else, and system calls that are given such memory
    (an array's `tofile()`, say) fail with OSError.

    Only faults in memory of this package's are taken: any other SIGBUS goes to the handler that was there before,
    faulthandler's included, or ends the process. For the whole process and its forked children, for good. Doing it
    again puts the handler before one that was installed since.

    Raises:
        RuntimeError: it was put before other handlers seven times already.
        Error: the system refuses.
    """

def _is_array_like(object: object, /) -> builtins.bool: ...
def _view_of(
    object: Tensor | Bundle,
    dtype: _DTypeLike,
    offset: builtins.int,
    sizes: tuple[builtins.int, ...],
    strides: tuple[builtins.int, ...],
    /,
) -> Tensor: ...

class _WaitQueue:
    def __init__(self) -> None: ...
    def fileno(self) -> builtins.int: ...
    def start(
        self, client: Client, name: str, newer_than: builtins.int, timeout: builtins.float | None
    ) -> builtins.int: ...
    def cancel(self, id: builtins.int, /) -> None: ...
    def take(self) -> builtins.list[tuple[builtins.int, Any]]: ...

def _send_memory(address: builtins.int, nbytes: builtins.int) -> tuple[Any, ...] | None: ...
def _open_client(instance: str) -> Client | None: ...
def _set_daemon_path(path: str) -> None: ...
def _places(instance: str = "", runtime_dir: str = "", owner: str = "") -> dict[str, Any]: ...
