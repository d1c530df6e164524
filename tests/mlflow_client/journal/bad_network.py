"""A TCP relay on loopback that does harm to the connections it is told to: what lies between a client under test and a real server.

    with BadNetwork(server_port, lambda n: ("cut-request", 700) if n == 0 else None) as network:
        … http://127.0.0.1:{network.port} …

harm(n) is asked for the n-th connection (from 0) and answers None (let it be) or a pair:
    ("cut-request", bytes)  reset after that many bytes from the client; the server may have acted on them
    ("cut-reply", bytes)    reset after that many bytes from the server; it has acted
    ("refuse", 0)           reset at once
    ("answer", bytes)       these bytes are the reply to whatever is asked, and the end
network.answer = bytes is, while it is set, the reply to whatever comes on any connection, also on one that is long open, and the connection's end.
cut=("request" | "reply", bytes) counts that direction over all connections, and resets, once, the one that carries the byte of that number.
network.connections counts them, network.harmed those that were harmed; network.bytes["request"] and ["reply"] are what passed.
"""

import select
import socket
import struct
import threading
import time


def reset(connection):
    """The peer sees a broken connection, not an orderly end."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    connection.close()


class BadNetwork:
    def __init__(self, server_port, harm=lambda n: None, cut=None):
        self.server_port, self.harm, self.cut = server_port, harm, cut
        self.bytes, self.lock = {"request": 0, "reply": 0}, threading.Lock()
        self.connections = self.harmed = 0
        self.answer = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.closing = False

    def __enter__(self):
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing = True
        self.listener.close()

    def _listen(self):
        while not self.closing:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            harm = self.harm(self.connections)
            self.connections += 1
            self.harmed += harm is not None
            threading.Thread(target=self._serve, args=(client, harm or ("none", 0)), daemon=True).start()

    def _serve(self, client, harm):
        kind, amount = harm
        if kind == "refuse":
            return reset(client)
        if kind == "answer":
            try:
                client.recv(1 << 20)
                client.sendall(amount)
            except OSError:
                pass
            return client.close()
        try:
            server = socket.create_connection(("127.0.0.1", self.server_port))
        except OSError:
            return reset(client)
        left = {client: amount if kind == "cut-request" else None, server: amount if kind == "cut-reply" else None}
        try:
            self._relay(client, server, left)
        except OSError:
            pass
        if self.answer:
            time.sleep(0.05)  # a reset would take the answer with it
        reset(client), reset(server)

    def _count(self, direction, data):
        """How much of it passes, and whether the connection breaks there."""
        with self.lock:
            before, whole = self.bytes[direction], len(data)
            if self.cut and self.cut[0] == direction and before + whole >= self.cut[1]:
                data, self.cut = data[: max(0, self.cut[1] - before)], None
                self.harmed += 1
                self.bytes[direction] += len(data)
                return data, True
            self.bytes[direction] += whole
            return data, False

    def _relay(self, client, server, left):
        other = {client: server, server: client}
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(65536)
                if not data:
                    return
                answer = self.answer
                if answer and source is client:
                    self.harmed += 1
                    return client.sendall(answer)
                if left[source] is not None:
                    data, left[source] = data[: left[source]], left[source] - len(data)
                data, breaks = self._count("request" if source is client else "reply", data)
                other[source].sendall(data)
                if breaks:
                    return
                if left[source] is not None and left[source] <= 0:
                    return
