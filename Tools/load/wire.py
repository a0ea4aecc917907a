"""A small HTTP client for measuring servers: raw asyncio, standard library only.

While a request runs, nothing but the arrival time and the bytes of each piece are kept; headers,
chunks and JSON are taken apart afterwards. On a machine whose cores the server wants, a client
that parses as it goes would be part of what it measures.
"""

import asyncio
import bisect
import json
import time


class BrokenAnswer(Exception):
    """What came back is not an HTTP answer, or not all of one."""


class Answer:
    """A whole answer, with the time at which each of its bytes arrived."""

    def __init__(self, sent, pieces):
        self.sent = sent
        self._ends, self._times, raw = [], [], bytearray()
        for at, piece in pieces:
            raw += piece
            self._ends.append(len(raw))
            self._times.append(at)
        self.ended = self._times[-1] if self._times else time.monotonic()
        head, separator, rest = bytes(raw).partition(b"\r\n\r\n")
        if not separator:
            raise BrokenAnswer(f"the answer ended within its head: {bytes(raw[:200])!r}")
        lines = head.split(b"\r\n")
        self.status = int(lines[0].split(b" ", 2)[1])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            self.headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
        start = len(head) + 4
        # Pairs (length of the body so far, place in the raw bytes): where each byte came from.
        self._places = [(0, start)]
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            self.body, self.complete = self._dechunked(bytes(raw), start)
        else:
            self.body = rest
            length = self.headers.get("content-length")
            self.complete = length is None or len(rest) >= int(length)

    def _dechunked(self, raw, place):
        body = bytearray()
        while True:
            end = raw.find(b"\r\n", place)
            if end < 0:
                return bytes(body), False
            size = int(raw[place:end].split(b";")[0], 16)
            if size == 0:
                return bytes(body), True
            self._places.append((len(body), end + 2))
            body += raw[end + 2:end + 2 + size]
            place = end + 2 + size + 2

    def _time(self, offset):
        """When the byte at this offset of the body arrived."""
        index = bisect.bisect_right(self._places, (offset, len(self.body) + 1 << 40)) - 1
        start, place = self._places[index]
        return self._times[min(
            bisect.bisect_right(self._ends, place + offset - start), len(self._times) - 1)]

    def json(self):
        return json.loads(self.body)

    def events(self):
        """Pairs (arrival, data) of a stream of server-sent events; `[DONE]` stays text."""
        place = 0
        while True:
            end = self.body.find(b"\n\n", place)
            if end < 0:
                return
            lines = [
                line[5:].strip() for line in self.body[place:end].split(b"\n")
                if line.startswith(b"data:")]
            if lines:
                data = b"\n".join(lines)
                yield self._time(end + 1), "[DONE]" if data == b"[DONE]" else json.loads(data)
            place = end + 2


class _Exchange(asyncio.Protocol):
    def __init__(self, request, done):
        self.request, self.done = request, done
        self.pieces, self.sent = [], 0.0
        self._tail = b""
        self._left = None

    def connection_made(self, transport):
        self.transport = transport
        self.sent = time.monotonic()
        transport.write(self.request)

    def data_received(self, piece):
        self.pieces.append((time.monotonic(), piece))
        if self._left is None:
            self._tail += piece
            head, separator, rest = self._tail.partition(b"\r\n\r\n")
            if not separator:
                return
            self._left = float("inf")
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    self._left = int(line.split(b":")[1])
            self._tail, piece = b"", rest
        self._left -= len(piece)
        self._tail = (self._tail + piece)[-7:]
        if self._left <= 0 or self._left == float("inf") and self._tail == b"\r\n0\r\n\r\n":
            self.transport.close()
            self._finish()

    def connection_lost(self, error):
        self._finish()

    def _finish(self):
        if not self.done.done():
            self.done.set_result(None)


def request_bytes(host, port, path, body=None, headers=None, method=None):
    """An HTTP/1.1 request that asks for the connection to be closed."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"{method or ('GET' if body is None else 'POST')} {path} HTTP/1.1",
        f"Host: {host}:{port}", "Connection: close"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


async def ask(host, port, path, body=None, headers=None, method=None, timeout=600):
    """Sends one request on a connection of its own and returns the whole answer."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    request = request_bytes(host, port, path, body, headers, method)
    transport, exchange = await loop.create_connection(
        lambda: _Exchange(request, done), host, port)
    try:
        await asyncio.wait_for(done, timeout)
    finally:
        transport.close()
    return Answer(exchange.sent, exchange.pieces)
