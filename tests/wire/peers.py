"""Badly behaved peers on loopback, as raw sockets: what a real library cannot be made to say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Talk = Callable[[socket.socket, threading.Event], None]


@contextmanager
def peer(talk: Talk) -> Iterator[str]:
    """A server that lets `talk` speak on each connection; yields its URL. The event says that it is over."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            connection.settimeout(5)
            threading.Thread(target=_speak, args=(talk, connection, over), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.close()
        thread.join(5)


def _speak(talk: Talk, connection: socket.socket, over: threading.Event) -> None:
    with connection, suppress(OSError):
        talk(connection, over)


def read_request(connection: socket.socket) -> bytes:
    """The request's head, and whatever came with it."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            break
        data += more
    return data


def says(answer: bytes) -> Talk:
    """A peer that answers every request with these bytes, and closes."""

    def talk(connection: socket.socket, _over: threading.Event) -> None:
        read_request(connection)
        connection.sendall(answer)

    return talk


def hangs(connection: socket.socket, over: threading.Event) -> None:
    """Takes the request and says nothing."""
    read_request(connection)
    over.wait(10)


def drops(connection: socket.socket, _over: threading.Event) -> None:
    """Takes the request and hangs up."""
    read_request(connection)


def trickles_head(connection: socket.socket, over: threading.Event) -> None:
    """Sends headers for ever, a byte at a time."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not over.wait(0.02):
        connection.sendall(b"a")


def trickles_body(connection: socket.socket, over: threading.Event) -> None:
    """Sends a body without end, a byte at a time."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while not over.wait(0.02):
        connection.sendall(b"a")


def floods(connection: socket.socket, over: threading.Event) -> None:
    """Sends a body without end, as fast as it can."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while not over.is_set():
        connection.sendall(b"a" * 65536)
