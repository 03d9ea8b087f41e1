"""A server on loopback that says exactly the bytes a test wants, however wrong, and when it wants."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.needs import needs


@dataclass
class Line:
    """The server's end of one connection."""

    sock: socket.socket
    stopped: threading.Event
    requests: list[bytes]

    def read_request(self) -> bytes:
        """The head and the body (by its Content-Length) of one request; empty when the line was closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.sock.recv(65536)
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for row in head.lower().split(b"\r\n"):
            if row.startswith(b"content-length:"):
                length = int(row.partition(b":")[2])
        while len(body) < length:
            more = self.sock.recv(65536)
            if not more:
                return b""
            body += more
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def say(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def trickle(self, data: bytes, pause_seconds: float = 0.02) -> None:
        """Send it byte by byte until the test is over."""
        for index in range(len(data)):
            if self.stopped.wait(pause_seconds):
                return
            self.sock.sendall(data[index : index + 1])

    def hang(self) -> None:
        """Do nothing until the test is over."""
        self.stopped.wait(30)


Script = Callable[[Line], None]


@dataclass
class RawServer:
    """Where the server is and what it was asked."""

    port: int
    scheme: str = "http"
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serve(script: Script, tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """Run `script` on each connection, in a thread of its own."""
    stopped = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    server = RawServer(listener.getsockname()[1], "http" if tls is None else "https")
    threads: list[threading.Thread] = []
    socks: list[socket.socket] = []

    def talk(sock: socket.socket) -> None:
        # A client that breaks off is what these tests are about.
        with contextlib.suppress(OSError), sock:
            sock.settimeout(10)
            if tls is None:
                script(Line(sock, stopped, server.requests))
            else:
                with tls.wrap_socket(sock, server_side=True) as wrapped:
                    script(Line(wrapped, stopped, server.requests))

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            server.connections += 1
            socks.append(sock)
            thread = threading.Thread(target=talk, args=(sock,), daemon=True)
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        stopped.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(5)
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)


@contextlib.contextmanager
def full_listener() -> Iterator[str]:
    """The URL of a port whose queue is full, so that connecting to it hangs."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer with its length."""
    rows = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(rows).encode("latin-1") + b"\r\n\r\n" + body


def saying(data: bytes) -> Script:
    """Answers every request of a connection with these bytes."""

    def script(line: Line) -> None:
        while line.read_request():
            line.say(data)

    return script


def saying_once(data: bytes) -> Script:
    """Answers one request with these bytes and closes."""

    def script(line: Line) -> None:
        line.read_request()
        line.say(data)

    return script


def endless(head: bytes, chunk: bytes) -> Script:
    """Answers with the head and then with the chunk, up to a gigabyte, for as long as anybody listens."""

    def script(line: Line) -> None:
        line.read_request()
        line.say(head)
        for _ in range(2**30 // len(chunk)):
            line.say(chunk)

    return script


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A fresh self-signed certificate for 127.0.0.1: its file, and a server's context that shows it."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = [needs("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command += ["-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


def signed(folder: Path, *, days: int = 2) -> tuple[Path, ssl.SSLContext]:
    """A throw-away authority's certificate, and the context of a server for 127.0.0.1 whose own certificate
    that authority signed; with negative `days` it has run out."""
    openssl = needs("openssl")
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def run(*command: str) -> None:
        subprocess.run([openssl, *command], check=True, capture_output=True, timeout=30, cwd=folder)

    run(
        "req",
        "-x509",
        *new_key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=A test CA",
    )
    run("req", *new_key, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=127.0.0.1")
    (folder / "leaf.ext").write_text("subjectAltName=IP:127.0.0.1\n")
    authority = ["-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "2"]
    more = ["-days", str(days), "-extfile", "leaf.ext", "-out", "leaf.pem"]
    run("x509", "-req", "-in", "leaf.csr", *authority, *more)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")
    return folder / "ca.pem", context


def tunnel(line: Line) -> None:
    """A proxy: passes CONNECT on to where it says, and answers plain requests itself."""
    head = line.read_request()
    if not head.startswith(b"CONNECT "):
        line.say(answer(b'{"by":"proxy"}'))
        return
    host, _, port = head.split(b" ")[1].decode("ascii").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as upstream:
        line.say(b"HTTP/1.1 200 Connection established\r\n\r\n")
        exchange(line.sock, upstream)


def exchange(one: socket.socket, other: socket.socket) -> None:
    """Pass on what each says to the other, until one of them ends or nothing is said for ten seconds.

    One thread does it for both ways: a TLS connection must not be read and written by two at once.
    """
    ways = {one: other, other: one}
    with contextlib.suppress(OSError):
        while ready := select.select(ways, (), (), 10)[0]:
            for source in ready:
                data = source.recv(65536)
                while data and isinstance(source, ssl.SSLSocket) and source.pending():
                    data += source.recv(65536)
                if not data:
                    ways[source].shutdown(socket.SHUT_WR)
                    return
                ways[source].sendall(data)
