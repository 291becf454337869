"""Faults at the level of HTTP/2 frames: a proxy that reads what client and server send each other, and answers for the server.

It decodes headers and encodes them anew, without compression, so that a frame can be left out and both ends still understand
each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from hpack import Decoder, Encoder
from hpack.struct import NeverIndexedHeaderTuple
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
)

from tests.faults.injection import METHODS, PATIENCE, PlannedFaults

if TYPE_CHECKING:
    from typing_extensions import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER = 9  # bytes before each frame's body

ERRORS = (
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
)
"""The error codes of HTTP/2, by number."""


class Then(Enum):
    """What becomes of the connection after a fault."""

    CLOSE = auto()
    STAY = auto()
    WAIT = auto()
    """The rest of the service's own answer comes when the client has given the call up."""
    ANSWER = auto()
    """The service's own answer follows."""
    SLOWLY = auto()
    """It follows byte by byte."""


@dataclass(frozen=True)
class FrameFault:
    """What a client gets in the place of an answer.

    `make` has the stream's number and the bytes of the answer's frames, and says what is sent instead. `acted`: the call
    reaches the service, which does what it was asked for.
    """

    kind: str
    make: Callable[[int, list[bytes]], bytes] = field(repr=False, compare=False)
    then: Then = Then.STAY
    acted: bool = True

    def __str__(self) -> str:
        return self.kind


@dataclass
class _Connection:
    """One client's: its streams, and the answers that are held back until they are whole."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    upstream: asyncio.StreamWriter
    faults: dict[int, FrameFault] = field(default_factory=dict)
    swallowed: set[int] = field(default_factory=set)
    answers: dict[int, list[bytes]] = field(default_factory=dict)
    given_up: asyncio.Event = field(default_factory=asyncio.Event)


class FrameProxy(PlannedFaults[FrameFault]):
    """Between a client and the server at `upstream`; a context manager.

    `identity` is a pair of files, the certificate and the key, to be spoken to over TLS.
    """

    def __init__(self, upstream: str, *, identity: tuple[str, str] | None = None) -> None:
        super().__init__()
        self._upstream = upstream
        self._tls: ssl.SSLContext | None = None
        if identity is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(*identity)
            self._tls.set_alpn_protocols(["h2"])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()
        self._stop: asyncio.Event
        self.address = ""
        self.held = threading.Event()
        """An answer is held back until the client gives the call up."""
        self.headers: list[dict[str, str]] = []
        """What came with them."""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(3):  # the loop still has callbacks to call, which close what was accepted last
            await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self._upstream.rpartition(":")
        ends = [writer]
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                above, upstream = await asyncio.open_connection(host, int(port))
                ends.append(upstream)
                connection = _Connection(above, writer, upstream)
                upstream.write(await reader.readexactly(len(PREFACE)))
                requests = asyncio.ensure_future(self._requests(connection, reader))
                answers = asyncio.ensure_future(self._answers(connection))
                done, left = await asyncio.wait({requests, answers}, return_when=asyncio.FIRST_COMPLETED)
                for task in left:
                    task.cancel()
                await asyncio.gather(*done, *left, return_exceptions=True)
        finally:
            for end in ends:
                # Closed at once: over TLS a good-bye would be waited for.
                with contextlib.suppress(OSError):
                    end.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
                end.transport.abort()

    async def _requests(self, connection: _Connection, reader: asyncio.StreamReader) -> None:
        """From the client to the server."""
        decoder = Decoder()
        while True:
            frame, raw = await _read(reader, decoder)
            stream = frame.stream_id
            if isinstance(frame, HeadersFrame):
                fault = self._take(dict(frame.headers))  # type: ignore[attr-defined]  # set in `_read`
                if fault is not None:
                    connection.faults[stream] = fault
                    if not fault.acted:
                        connection.swallowed.add(stream)
            if isinstance(frame, RstStreamFrame):
                connection.given_up.set()
            if stream in connection.swallowed:
                # What comes in the place of an answer comes when the call is complete.
                if "END_STREAM" in frame.flags and not await self._fire(connection, stream):
                    return
                continue
            connection.upstream.write(raw)
            await connection.upstream.drain()

    async def _answers(self, connection: _Connection) -> None:
        """From the server to the client."""
        decoder = Decoder()
        while True:
            frame, raw = await _read(connection.reader, decoder)
            fault = connection.faults.get(frame.stream_id)
            if fault is None or not isinstance(frame, (HeadersFrame, DataFrame, RstStreamFrame)):
                connection.writer.write(raw)
            else:
                answer = connection.answers.setdefault(frame.stream_id, [])
                answer.append(raw)
                if "END_STREAM" not in frame.flags:
                    continue
                if not await self._fire(connection, frame.stream_id):
                    return
            await connection.writer.drain()

    async def _fire(self, connection: _Connection, stream: int) -> bool:
        """Whether the connection lives on."""
        fault, answer = connection.faults[stream], connection.answers.pop(stream, [])
        instead = fault.make(stream, answer)
        connection.writer.write(instead)
        if fault.then is Then.WAIT:
            await connection.writer.drain()
            self.held.set()
            await connection.given_up.wait()
            connection.given_up.clear()
            whole = b"".join(answer)
            connection.writer.write(whole.removeprefix(instead))
        if fault.then is Then.ANSWER:
            connection.writer.write(b"".join(answer))
        elif fault.then is Then.SLOWLY:
            for byte in b"".join(answer):
                connection.writer.write(bytes([byte]))
                await connection.writer.drain()
                await asyncio.sleep(0)
        await connection.writer.drain()
        return fault.then is not Then.CLOSE

    def _take(self, headers: dict[str, str]) -> FrameFault | None:
        verb = METHODS[headers[":path"].rpartition("/")[2]]
        self.headers.append(headers)
        return self.take(verb)


async def _read(reader: asyncio.StreamReader, decoder: Decoder) -> tuple[Frame, bytes]:
    """The next frame, as it is read and as it is passed on; headers are decoded, and encoded without a table."""
    head = await reader.readexactly(HEADER)
    frame, length = Frame.parse_frame_header(memoryview(head))
    body = await reader.readexactly(length)
    frame.parse_body(memoryview(body))
    if not isinstance(frame, HeadersFrame):
        assert not isinstance(frame, ContinuationFrame), "no call here has so long headers"
        return frame, head + body
    headers = [(str(name), str(value)) for name, value in decoder.decode(frame.data)]
    frame.headers = headers  # type: ignore[attr-defined]
    return frame, headers_frame(frame.stream_id, headers, end="END_STREAM" in frame.flags)


def headers_frame(stream: int, headers: list[tuple[str, str]], *, end: bool) -> bytes:
    """A frame with these headers that leaves no trace in the reader's table."""
    frame = HeadersFrame(stream, Encoder().encode([NeverIndexedHeaderTuple(*pair) for pair in headers], huffman=False))
    frame.flags.add("END_HEADERS")
    if end:
        frame.flags.add("END_STREAM")
    return frame.serialize()


def goaway(error: str, last: int | None = None) -> Callable[[int, list[bytes]], bytes]:
    """The server wants no more of this connection, and has done nothing of what came after stream `last`, or this one's."""

    def make(stream: int, _: list[bytes]) -> bytes:
        return GoAwayFrame(last_stream_id=stream if last is None else last, error_code=ERRORS.index(error)).serialize()

    return make


def reset(error: str) -> Callable[[int, list[bytes]], bytes]:
    """The server ends the call."""
    return lambda stream, _: RstStreamFrame(stream, error_code=ERRORS.index(error)).serialize()


def http(status: int) -> Callable[[int, list[bytes]], bytes]:
    """Something on the way answers, which does not know gRPC."""
    headers = [(":status", str(status)), ("content-type", "text/html")]
    return lambda stream, _: headers_frame(stream, headers, end=True)


def frames(count: int, more: int = 0) -> Callable[[int, list[bytes]], bytes]:
    """So many frames of the answer, and so many bytes of the next one."""
    return lambda _, answer: b"".join(answer[:count]) + b"".join(answer[count:])[:more]


def nothing(_: int, __: list[bytes]) -> bytes:
    return b""


def unknown(stream: int, _: list[bytes]) -> bytes:
    """A frame of a kind that nobody knows, which must be ignored."""
    return b"\0\0\1\xfa\0" + stream.to_bytes(4, "big") + b"?"


def _goaways() -> Iterator[FrameFault]:
    # One is left out: of a GOAWAY with HTTP_1_1_REQUIRED gRPC ends the whole process.
    for error in ERRORS[:-1]:
        yield FrameFault(f"GOAWAY {error}, last stream 0, closed", goaway(error, 0), Then.CLOSE)
        yield FrameFault(f"GOAWAY {error}, last stream 0", goaway(error, 0))
        yield FrameFault(f"GOAWAY {error}, this stream, closed", goaway(error), Then.CLOSE)
    for last in (0, None):
        yield FrameFault(
            f"GOAWAY NO_ERROR, last stream {last}, not forwarded", goaway("NO_ERROR", last), Then.CLOSE, acted=False
        )
    yield FrameFault("GOAWAY NO_ERROR, last stream 0, and the answer", goaway("NO_ERROR", 0), Then.ANSWER)


def _resets() -> Iterator[FrameFault]:
    for error in ERRORS:
        yield FrameFault(f"RST_STREAM {error}", reset(error))
    for error in ("REFUSED_STREAM", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY"):
        yield FrameFault(f"RST_STREAM {error}, not forwarded", reset(error), acted=False)
    yield FrameFault("RST_STREAM NO_ERROR, after the answer's data", lambda s, a: b"".join(a[:2]) + reset("NO_ERROR")(s, a))


def _cuts() -> Iterator[FrameFault]:
    """An answer is three frames: headers, data, trailers."""
    for count in range(3):
        for more in (0, HEADER - 4, HEADER + 3):
            yield FrameFault(f"cut after {count} frames and {more} bytes", frames(count, more), Then.CLOSE)


BREAKS = (*_goaways(), *_resets(), *_cuts())
"""The connection, or the call on it, breaks; nobody can tell from it whether the service has acted."""

HELD = (
    FrameFault("GOAWAY NO_ERROR, this stream, and no answer", goaway("NO_ERROR"), Then.WAIT),
    *(FrameFault(f"held back after {count} frames and {more} bytes", frames(count, more), Then.WAIT) for count, more in
      ((0, 0), (1, HEADER + 3), (2, 0))),
)  # fmt: skip
"""Frames that do not come before the client gives up."""

HTTP = {status: FrameFault(f"HTTP {status}", http(status)) for status in (400, 401, 403, 404, 429, 500, 502, 503, 504)}

HARMLESS = (
    FrameFault("GOAWAY NO_ERROR, no stream yet", goaway("NO_ERROR", 2**31 - 1), Then.ANSWER),
    FrameFault("GOAWAY NO_ERROR, this stream, and the answer", goaway("NO_ERROR"), Then.ANSWER),
    FrameFault("a frame of an unknown kind", unknown, Then.ANSWER),
    FrameFault("an answer byte by byte", nothing, Then.SLOWLY),
)
"""What no call may fail for."""
