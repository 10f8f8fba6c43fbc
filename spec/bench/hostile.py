"""Drives the server of `spec/bench/hostile`: hostile.py PORT PID TURNS SECONDS [ROW...].

Fifty peers send what they can of one kind of flood, and one honest client asks for /clock again and again. Its answer
says what the process had used of the CPU when the handler ran; before it asks, it looks at the same clock."""
import os
import selectors
import signal
import socket
import struct
import sys
import time

PORT, PID, TURNS, SECONDS = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
PEERS = 50
SAMPLES = 300  # at least, or the 99th percentile says nothing; but not for longer than
MOST_SECONDS = SECONDS * 10
UPGRADE = (b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
FORM = PART * 900 + b"--x--\r\n"
FULL_SECONDS = 0.05  # whoever can send nothing for so long, and does not read, leaves, and comes again
LARGE = b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" * 200
# name: what opens a connection, what is sent for ever, whether answers are read
KINDS = {
    "404": (b"", b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n" * 200, True),
    "hello": (b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 200, True),
    "messages": (UPGRADE % b"/ws", b"\x81\x81\0\0\0\0x" * 1000, True),
    "pings": (UPGRADE % b"/ws", b"\x89\x80\0\0\0\0" * 1000, True),
    "chunks": (b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000, True),
    "parts": (b"", b"POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n"
              b"Content-Length: %d\r\n\r\n%s" % (len(FORM), FORM), True),
    "large": (b"", LARGE, True),
    "unread": (b"", LARGE, False),
    "writes": (b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n", b"", True),
}


def server_cpu():
    return time.clock_gettime((~PID << 3) | 2)


class Peer:
    def __init__(self, kind, waiting):
        self.first, self.flood, self.reads = KINDS[kind]
        self.waiting = waiting
        self.open()

    def open(self):
        self.rest = memoryview(self.first or self.flood)
        self.socket = socket.create_connection(("127.0.0.1", PORT))
        self.socket.setblocking(False)
        self.sent = time.monotonic()
        events = (selectors.EVENT_WRITE if len(self.rest) else 0) | (selectors.EVENT_READ if self.reads else 0)
        self.waiting.register(self.socket, events, self)

    def come_again(self):
        self.waiting.unregister(self.socket)
        self.socket.close()
        self.open()

    def is_full(self):
        return not self.reads and time.monotonic() - self.sent > FULL_SECONDS

    def write(self):
        try:
            self.rest = self.rest[self.socket.send(self.rest):]
        except BlockingIOError:
            return
        except OSError:
            self.come_again()
            return
        self.sent = time.monotonic()
        if not self.rest:
            self.rest = memoryview(self.flood)

    def read(self):
        try:
            self.socket.recv(1 << 18)
        except OSError:
            pass


def flood(kinds):
    waiting = selectors.DefaultSelector()
    peers = [Peer(kinds[i % len(kinds)], waiting) for i in range(PEERS)]
    while True:
        for key, events in waiting.select(FULL_SECONDS):
            if events & selectors.EVENT_READ:
                key.data.read()
            if events & selectors.EVENT_WRITE and len(key.data.rest):
                key.data.write()
        for peer in peers:
            if peer.is_full():
                peer.come_again()


def ask(conn):
    """None: we were kept from sending meanwhile, so what the server did is not what we waited for."""
    began = time.monotonic()
    before = server_cpu()
    conn.sendall(b"GET /clock HTTP/1.1\r\nHost: a\r\n\r\n")
    was_kept = time.monotonic() - began > 0.0005
    answer = b""
    while b"\r\n\r\n" not in answer or not answer.endswith(b"!"):
        answer += conn.recv(4096)
    return None if was_kept else float(answer.rsplit(b"\r\n", 1)[1][:-1]) - before


def turns():
    with open(TURNS, "r+b") as file:
        most, count = struct.unpack("<QQ", file.read(16))
        file.seek(0)
        file.write(bytes(16))
    return most / 1e6, count


def ask_on(conn):
    began = time.monotonic()
    waits = []
    while (passed := time.monotonic() - began) < MOST_SECONDS and (passed < SECONDS or len(waits) < SAMPLES):
        wait = ask(conn)
        if wait is not None:
            waits.append(wait * 1000)
    return sorted(waits)


def measure(kinds):
    child = os.fork()
    if child == 0:
        flood(kinds)
    conn = socket.create_connection(("127.0.0.1", PORT))
    time.sleep(0.3)
    turns()
    waits = ask_on(conn)
    most, count = turns()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return most, count, waits[int(len(waits) * 0.99)], waits[len(waits) // 2], len(waits)


ROWS = {**{kind: [kind] for kind in KINDS}, "all": list(KINDS)}
print("%-9s %16s %10s %8s %8s %6s" % ("peers", "largest turn ms", "p99 wait", "p50", "turns", "asked"))
for name in sys.argv[5:] or ROWS:
    most, count, p99, p50, asked = measure(ROWS[name])
    print("%-9s %16.2f %10.2f %8.2f %8d %6d" % (name, most, p99, p50, count, asked), flush=True)
