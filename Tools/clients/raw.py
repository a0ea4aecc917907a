"""Requests that no client library would send, byte by byte."""

import json
import socket
import time


def exchange(server, data, timeout=30, pause=0.0, pieces=1):
    """Sends bytes, reads until the server closes; returns (status or None, body, seconds).

    None means that the server closed without an answer.
    """
    start = time.monotonic()
    received = bytearray()
    with socket.create_connection((server.host, server.port), timeout=timeout) as link:
        try:
            size = max(1, len(data) // pieces)
            for place in range(0, len(data), size):
                link.sendall(data[place:place + size])
                if pause:
                    time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it was all sent; the answer may still be there
        try:
            while True:
                left = timeout - (time.monotonic() - start)
                if left <= 0:
                    raise TimeoutError(f"no end after {timeout} s: {bytes(received[:300])!r}")
                link.settimeout(left)
                piece = link.recv(65536)
                if not piece:
                    break
                received += piece
                if _is_whole(received):
                    break
        except ConnectionResetError:
            pass
    seconds = time.monotonic() - start
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    return (int(head.split(b" ")[1]) if head else None), body, seconds


def _is_whole(received):
    head, separator, body = bytes(received).partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return bool(separator) and len(body) >= int(line.split(b":")[1])
    return False


def post(path, body, *headers, length=None):
    """A POST with this body; `length` lies about it."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1", "Host: test", "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
