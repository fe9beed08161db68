"""The sizes of a tensor, as torch.Size is."""

import math
from typing import Any, SupportsIndex, overload


class Size(tuple[int, ...]):
    """A tuple of ints that prints as torch.Size does."""

    __slots__ = ()

    def numel(self) -> int:
        """Return the number of elements of a tensor of these sizes."""
        return math.prod(self)

    @overload
    def __getitem__(self, key: SupportsIndex, /) -> int: ...
    @overload
    def __getitem__(self, key: slice, /) -> "Size": ...
    def __getitem__(self, key: Any, /) -> Any:
        """Return one size, or those of a slice."""
        found = super().__getitem__(key)
        return Size(found) if isinstance(key, slice) else found

    def __repr__(self) -> str:
        """Return torch's text."""
        return f"torch.Size([{', '.join(map(str, self))}])"
