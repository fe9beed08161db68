"""What list() gives."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorbroker._core import Info


class Listing(list["Info"]):
    """A list of Info, sorted by name, which notebooks show as a table."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from tensorbroker import _display

        return _display.listing_html(self)
