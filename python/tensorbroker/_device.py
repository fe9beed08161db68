"""The device of a tensor: always the CPU."""


class device:
    """What torch.device("cpu") is: equal to it, and to its name."""

    __slots__ = ("type",)

    index = None

    def __init__(self, type: str = "cpu") -> None:
        """Take the one type that there is."""
        if type != "cpu":
            raise ValueError(f"tensors lie in the memory of the CPU, not on {type!r}; move what torch() gives")
        self.type = type

    def __eq__(self, other: object) -> bool:
        """Compare with a device of this package or torch, or with a name."""
        return str(other) == self.type

    def __hash__(self) -> int:
        """Return the hash of the name."""
        return hash(self.type)

    def __str__(self) -> str:
        """Return the name."""
        return self.type

    def __repr__(self) -> str:
        """Return torch's text."""
        return f"device(type={self.type!r})"
