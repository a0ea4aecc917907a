"""Starts and stops the servers that are measured, and reads what the kernel says of them."""

import functools
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request


class ServerFailed(Exception):
    """A server did not start, or ended while it was needed."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A server process on a free port of this machine; `with` stops it."""

    host = "127.0.0.1"

    def __init__(self, name, command, port, log=None):
        self.name, self.port = name, port
        self.base = f"http://{self.host}:{port}"
        self.log = log or tempfile.NamedTemporaryFile(
            prefix=f"{name}-", suffix=".log", delete=False).name
        with open(self.log, "ab") as sink:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=sink,
                stderr=sink)

    def __enter__(self):
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_until_ready(self, seconds=120):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerFailed(
                    f"{self.name} ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                with urllib.request.urlopen(f"{self.base}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.05)
        raise ServerFailed(f"{self.name} is not ready after {seconds} s:\n{self.log_tail()}")

    @functools.cached_property
    def model(self):
        """The name under which the model is served."""
        return self.get("/v1/models")["data"][0]["id"]

    def get(self, path):
        with urllib.request.urlopen(f"{self.base}{path}", timeout=60) as answer:
            return json.loads(answer.read())

    def post(self, path, body):
        request = urllib.request.Request(
            f"{self.base}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.loads(answer.read())

    def log_tail(self, lines=20):
        with open(self.log, "rb") as log:
            return b"\n".join(log.read().splitlines()[-lines:]).decode(errors="replace")

    def stop(self, seconds=30):
        """Asks the server to end, waits, and kills it if it does not; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def memory(self):
        """Resident bytes, now and at most."""
        found = {}
        with open(f"/proc/{self.process.pid}/status", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith(("VmRSS:", "VmHWM:")):
                    found[line[:5]] = int(line.split()[1]) * 1024
        return found.get("VmRSS", 0), found.get("VmHWM", 0)

    def thread_seconds(self):
        """Processor time of each thread so far, to the nanosecond."""
        found = {}
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(
                    f"/proc/{self.process.pid}/task/{thread}/schedstat", encoding="ascii") as line:
                found[thread] = int(line.read().split()[0]) / 1e9
        return found

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii", errors="replace") as line:
            fields = line.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def yuyan(binary, model, threads=2, extra=(), log=None):
    port = free_port()
    return Server("yuyan", [
        binary, "serve", "--model", model, "--host", Server.host, "--port", port, "--threads",
        threads, *extra], port, log)


def llama_server(binary, model, threads=2, slots=16, slot_tokens=1024, extra=(), log=None):
    port = free_port()
    return Server("llama-server", [
        binary, "-m", model, "--host", Server.host, "--port", port, "-t", threads, "-tb", threads,
        "-np", slots, "-c", slots * slot_tokens, *extra], port, log)
