"""The command tensorbroker, run as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tensorbroker as tb
from support import LIMIT, Broker, broker_pid, expect_within, segments


def run(*arguments: str, status: int = 0, instance: str | None = None) -> str:
    """Run the command; return what it prints, or its message where it fails."""
    command = [sys.executable, "-m", "tensorbroker.cli", *(["--instance", instance] if instance else []), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT * 2, check=False)
    assert done.returncode == status, done.stderr
    if status == 0:
        return done.stdout
    if arguments[0] != "doctor":
        assert done.stderr.startswith(("tensorbroker: ", "usage: "))
    return done.stderr


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_status(client: tb.Client) -> None:
    client.put("x", [1])
    assert f"pid {client.stats()['broker_pid']}" in run("status")
    assert "512.0 MiB" in run("status")
    stats = run_json("status")
    assert stats["tensors"] == 1 and stats["instance"] == client.instance
    assert json.loads(run("--json", "status"))["tensors"] == 1


def test_ls(client: tb.Client) -> None:
    client.put("m/x", np.ones((2, 3), np.float32), metadata={"step": 1})
    client.put("m/b", {"y": [1]})
    client.put("n" * 255, [1])
    text = run("ls")
    assert "m/x" in text and "float32" in text and "(2, 3)" in text and "n" * 255 in text
    assert "n" * 255 not in run("ls", "m/")
    bundle, tensor = run_json("ls", "m/")
    assert (bundle["name"], bundle["kind"], bundle["dtype"]) == ("m/b", "bundle", None)
    assert (tensor["shape"], tensor["nbytes"], tensor["metadata"]) == ([2, 3], 24, {"step": 1})
    assert run_json("ls", "nothing") == []


def test_show(client: tb.Client) -> None:
    tensor = client.put("x", [[1, 2], [3, 4]])
    assert "tensor([[1, 2],\n        [3, 4]])" in run("show", "x")
    shown = run_json("show", "x")
    assert shown["version"] == tensor.version and shown["holders"] >= 1
    client.put("m", {"fc.weight": np.ones((2, 2), np.float16)})
    assert "fc.weight" in run("show", "m")
    assert run_json("show", "m")["members"] == {"fc.weight": {"dtype": "float16", "shape": [2, 2]}}
    assert "there is no 'y'" in run("show", "y", status=1)


def test_put_and_get(client: tb.Client, tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "in.npy", array)
    assert run("put", "x", str(tmp_path / "in.npy")) == ""
    assert np.array_equal(client.get("x").numpy(), array)
    assert run("get", "x", str(tmp_path / "out")) == ""
    assert np.array_equal(np.load(tmp_path / "out"), array)
    assert run_json("put", "x", str(tmp_path / "in.npy"))["version"] == client.get("x").version


def test_get_and_put_of_what_a_file_does_not_hold(client: tb.Client, tmp_path: Path) -> None:
    client.put("m", {"x": [1]})
    assert "is a bundle" in run("get", "m", str(tmp_path / "x.npy"), status=1)
    client.put("b", np.ones(2, ml_dtypes.bfloat16))
    assert "cannot hold bfloat16" in run("get", "b", str(tmp_path / "x.npy"), status=1)
    assert not (tmp_path / "x.npy").exists()
    np.save(tmp_path / "objects.npy", np.array([None]), allow_pickle=True)
    run("put", "o", str(tmp_path / "objects.npy"), status=1)
    assert "nothing.npy" in run("put", "o", str(tmp_path / "nothing.npy"), status=1)


def test_rm(client: tb.Client) -> None:
    client.put("x", [1])
    assert run("rm", "x") == ""
    assert not client.exists("x")
    assert "there is no 'x'" in run("rm", "x", status=1)


def test_watch(client: tb.Client) -> None:
    first = client.put("x", [1], metadata={"step": 1})
    command = [sys.executable, "-m", "tensorbroker.cli", "watch", "x", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watcher:
        try:
            assert watcher.stdout is not None
            assert json.loads(watcher.stdout.readline())["version"] == first.version
            second = client.put("x", {"y": [1]}, metadata={"step": 2})
            line = json.loads(watcher.stdout.readline())
            assert (line["version"], line["kind"], line["metadata"]) == (second.version, "bundle", {"step": 2})
            watcher.send_signal(2)
            assert watcher.wait(LIMIT) == 130
        finally:
            watcher.kill()


def test_start_and_stop(instance: str) -> None:
    assert "no broker" in run("status", instance=instance, status=1)
    assert "no broker" in run("stop", instance=instance, status=1)
    assert "started a broker" in run("start", "--capacity", "64MiB", instance=instance)
    pid = broker_pid(instance)
    assert f"running already (pid {pid})" in run("start", instance=instance)
    with tb.connect(instance) as client:
        assert client.stats()["capacity"] == 64 << 20
    assert run("stop", instance=instance) == ""
    assert broker_pid(instance) is None
    expect_within(LIMIT, lambda: segments(instance + "."), {})


def test_stop_keep(instance: str) -> None:
    run("start", "--capacity", "64MiB", instance=instance)
    with tb.connect(instance) as client:
        version = client.put("x", [1, 2]).version
    run("stop", "--keep", instance=instance)
    assert broker_pid(instance) is None
    assert segments(instance + ".")
    run("start", instance=instance)
    with tb.connect(instance) as client:
        assert client.get("x").version == version
        assert client.stats()["capacity"] == 64 << 20


def test_usage_errors() -> None:
    for arguments in (["bogus"], ["show"], ["ls", "a", "b"], ["--bogus", "ls"]):
        assert "usage: tensorbroker" in run(*arguments, status=2)
    assert "doctor" in run("--help")


def test_doctor(client: tb.Client) -> None:
    text = run("doctor")
    assert f"pid {client.stats()['broker_pid']}" in text
    findings = {finding["subject"]: finding for finding in run_json("doctor")}
    assert {"/dev/shm", "memory limit", "runtime directory", "lock", "broker", "segments"} <= set(findings)
    assert findings["lock"]["level"] == "ok"


def test_doctor_finds_what_is_wrong(tmp_path: Path, broker: Broker) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    command = [sys.executable, "-m", "tensorbroker.cli", "--runtime-dir", str(folder), "--instance", "nobody", "doctor"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 1
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)}
    assert findings["runtime directory"]["remedy"] == f"chmod 700 {folder}"
    (tmp_path / "link").symlink_to(folder)
    assert "is a link" in run_doctor(str(tmp_path / "link"))
    broker.signal(9)
    assert f"the instance '{broker.instance}' has" in run_doctor(broker.runtime_dir)
    assert f"--instance {broker.instance} start" in run_doctor(broker.runtime_dir)


def run_doctor(folder: str) -> str:
    command = [sys.executable, "-m", "tensorbroker.cli", "--runtime-dir", folder, "--instance", "nobody", "doctor"]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False).stdout


def test_a_closed_pipe_is_no_traceback(client: tb.Client) -> None:
    for i in range(50):
        client.put(f"x{i}", [1])
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "tensorbroker.cli", "ls", "--json"]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=LIMIT, check=False)
    os.close(write_end)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("before", [True, False])
def test_options_stand_before_or_after(client: tb.Client, before: bool) -> None:
    client.put("x", [1])
    options = ["--instance", client.instance, "--json"]
    arguments = [*options, "ls"] if before else ["ls", *options]
    assert [info["name"] for info in json.loads(run(*arguments))] == ["x"]
