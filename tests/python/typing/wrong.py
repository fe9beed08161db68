"""What type checkers shall refuse: each line with a comment, and for this reason. Checked, not run."""

# ruff: noqa: B015, B018

import numpy as np
import tensorbroker as tb


def calls() -> None:
    tb.get(3)  # arg-type
    tb.get("x", 1.0)  # call-arg
    tb.get("x", timeot=1.0)  # call-arg
    tb.wait("x", newer_than="3")  # arg-type
    tb.watch("x", start="soon")  # arg-type
    tb.delete()  # call-arg
    tb.connect(capcity="8GiB")  # call-arg
    tb.reserve(1.5)  # arg-type
    tb.Tensor([1, 2])  # call-arg


def data() -> None:
    tb.put("x", "text")  # arg-type
    tb.put("x", [["a"]])  # list-item
    tb.put("x", object())  # call-overload
    tb.put("x", None)  # call-overload
    tb.put("x", [1], dtype=32)  # call-overload
    tb.put("x", [1], metadata=["step"])  # call-overload
    tb.put(np.ones(3), "x")  # call-overload
    tb.create("x", 2.5)  # arg-type
    tb.zeros(2.5)  # arg-type
    tb.zeros("2")  # arg-type
    tb.from_numpy([1, 2])  # arg-type


def results(t: tb.Tensor, b: tb.Bundle, info: tb.Info) -> None:
    tb.open("x", "r+").keys()  # attr-defined
    tb.put("x", [1]).keys()  # attr-defined
    tb.put("x", {"w": [1]}).item()  # attr-defined
    tb.list()[0].nme  # attr-defined
    tb.stats()["usd"]  # typeddict-item
    t.shape.foo  # attr-defined
    b[0]  # index
    b["w"] = t  # index
    info.name = "other"  # misc
    t.version = 3  # misc
    int(tb.float32)  # call-overload


def tensors(t: tb.Tensor, u: tb.Tensor) -> None:
    t + u  # operator
    t * 2  # operator
    -t  # operator
    t == u  # operator
    t < u  # operator
    t["a"]  # index
    t[1.5]  # index
    t.view("a", 2)  # call-overload
    t.transpose(0)  # call-arg
    t.flatten("a")  # arg-type
    t.unflatten(0, 2)  # arg-type
    t.copy_("a")  # arg-type
    t.fill_("a")  # arg-type
