#!/usr/bin/env python3
"""A BitTorrent tracker for tests: HTTP (BEP 3, 7, 23, 24, 31, 48) and UDP (BEP 15, 41), IPv4 and IPv6.

It is a real tracker (peers that announce find each other) that can also misbehave. How is chosen by the path of
the tracker URL, the same for HTTP and (through BEP 41) for UDP:

    /announce             well-behaved
    /announce/MODE        see HTTP_MODES and UDP_MODES below
    /announce/MODE/ARG    where a mode takes an argument

As a command it prints one line of JSON with its ports and serves until its standard input ends:

    tracker.py [--host 127.0.0.1] [--http-port 0] [--udp-port 0] [--interval 1800] [--min-interval N] [--log FILE] [--tls PEM]

--log gets one line of JSON per request. As a module: Tracker(...).start(), .requests, .stop().
"""

import argparse
import gzip
import http.server
import ipaddress
import json
import os
import random
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse
import zlib

UDP_PROTOCOL = 0x41727101980


def bencode(value):
    if isinstance(value, bool):
        raise TypeError("bencode has no truth values")
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, (bytes, bytearray)):
        return b"%d:%s" % (len(value), bytes(value))
    if isinstance(value, list):
        return b"l" + b"".join(bencode(v) for v in value) + b"e"
    items = sorted((k.encode() if isinstance(k, str) else k, v) for k, v in value.items())
    return b"d" + b"".join(bencode(k) + bencode(v) for k, v in items) + b"e"


def compact(peers, version):
    out = b""
    for host, port in peers:
        address = ipaddress.ip_address(host)
        if address.version == version:
            out += address.packed + struct.pack(">H", port)
    return out


class Swarm:
    def __init__(self):
        self.peers = {}  # (host, port) -> left
        self.downloads = 0

    def announce(self, host, port, left, event):
        if event == "stopped":
            self.peers.pop((host, port), None)
            return
        if event == "completed":
            self.downloads += 1
        self.peers[(host, port)] = left

    @property
    def seeds(self):
        return sum(1 for left in self.peers.values() if left == 0)

    @property
    def leechers(self):
        return len(self.peers) - self.seeds


class Tracker:
    def __init__(self, host="127.0.0.1", http_port=0, udp_port=0, interval=1800, min_interval=None, log=None, tls=None):
        self.host, self.interval, self.min_interval = host, interval, min_interval
        self.lock = threading.Lock()
        self.swarms = {}
        self.requests = []
        self.log = open(log, "a", buffering=1) if log else None
        self.stopping = threading.Event()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        tracker = self

        class Server(http.server.ThreadingHTTPServer):
            address_family = family
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, client_address):
                pass  # Clients that hang up are part of the tests.

        class Handler(HTTPHandler):
            pass

        Handler.tracker = tracker
        self.http = Server((host, http_port), Handler)
        if tls:  # key and certificate in one file
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.bind((host, udp_port))
        self.udp_other = socket.socket(family, socket.SOCK_DGRAM)  # another port to answer from
        self.udp_other.bind((host, 0))
        self.connections = {}
        self.http_port = self.http.server_address[1]
        self.udp_port = self.udp.getsockname()[1]

    def start(self):
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        threading.Thread(target=self.serve_udp, daemon=True).start()
        return self

    def stop(self):
        self.stopping.set()
        self.http.shutdown()
        self.http.server_close()
        self.udp.close()

    def record(self, **entry):
        entry["at"] = time.monotonic()
        with self.lock:
            self.requests.append(entry)
            if self.log:
                self.log.write(json.dumps(entry) + "\n")

    def swarm(self, info_hash):
        return self.swarms.setdefault(info_hash, Swarm())

    # ---- UDP

    def serve_udp(self):
        while not self.stopping.is_set():
            try:
                packet, source = self.udp.recvfrom(4096)
            except OSError:
                return
            try:
                self.udp_packet(packet, source)
            except (struct.error, IndexError):
                pass

    def udp_packet(self, packet, source):
        head, action, transaction = struct.unpack(">QII", packet[:16])
        if action == 0 and head == UDP_PROTOCOL:
            connection = random.getrandbits(64)
            self.connections[connection] = (source, time.monotonic())
            self.record(kind="udp-connect", source=source[0])
            self.udp.sendto(struct.pack(">IIQ", 0, transaction, connection), source)
            return
        known = self.connections.get(head)
        if known is None or known[0][0] != source[0] or time.monotonic() - known[1] > 120:
            self.udp.sendto(struct.pack(">II", 3, transaction) + b"connection id unknown", source)
            return
        if action == 1:
            self.udp_announce(packet, source, transaction)
        elif action == 2:
            out = struct.pack(">II", 2, transaction)
            for at in range(16, len(packet) - 19, 20):
                swarm = self.swarm(packet[at : at + 20])
                out += struct.pack(">III", swarm.seeds, swarm.downloads, swarm.leechers)
            self.udp.sendto(out, source)

    def udp_announce(self, packet, source, transaction):
        info_hash, peer_id = packet[16:36], packet[36:56]
        downloaded, left, uploaded, event, ip, key, want, port = struct.unpack(">QQQIIIiH", packet[56:98])
        data, at = b"", 98
        while at < len(packet) and packet[at] != 0:  # BEP 41
            if packet[at] == 1:
                at += 1
                continue
            kind, length = packet[at], packet[at + 1]
            if kind == 2:
                data += packet[at + 2 : at + 2 + length]
            at += 2 + length
        word = ["", "completed", "started", "stopped"][event]
        self.record(
            kind="udp-announce", source=source[0], target=data.decode("latin-1"), info_hash=info_hash.hex(), peer_id=peer_id.hex(),
            port=port, uploaded=uploaded, downloaded=downloaded, left=left, event=word, key="%08X" % key, numwant=want, ip=ip)
        mode = (data.decode("latin-1").split("?")[0].split("/") + ["", "", ""])[2]
        swarm = self.swarm(info_hash)
        swarm.announce(source[0], port, left, word)
        peers = [p for p in swarm.peers if p != (source[0], port)][: max(0, want)]
        body = struct.pack(">III", self.interval, swarm.leechers, swarm.seeds)
        body += compact(peers, 6 if ":" in self.host else 4)
        good = struct.pack(">II", 1, transaction) + body
        UDP_MODES.get(mode, udp_ok)(self, good, transaction, source)


def udp_ok(tracker, good, transaction, source):
    tracker.udp.sendto(good, source)


def udp_silent(tracker, good, transaction, source):
    pass


def udp_error(tracker, good, transaction, source):
    tracker.udp.sendto(struct.pack(">II", 3, transaction) + b"torrent not registered", source)


def udp_forged(tracker, good, transaction, source):
    """Wrong ones first, a good one last: from another port, of another transaction, cut short, of another action."""
    tracker.udp_other.sendto(good + b"\x09\x09\x09\x09\x09\x09", source)
    evil = b"\x06\x06\x06\x06\x06\x06"
    tracker.udp.sendto(good[:4] + struct.pack(">I", transaction ^ 1) + good[8:] + evil, source)
    tracker.udp.sendto(good[:11], source)
    tracker.udp.sendto(struct.pack(">I", 2) + good[4:] + evil, source)
    tracker.udp.sendto(good[:3], source)
    tracker.udp.sendto(good, source)


UDP_MODES = {"silent": udp_silent, "error": udp_error, "forged": udp_forged}


class HTTPHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    tracker = None

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = {}
        for part in url.query.split("&"):
            name, _, value = part.partition("=")
            query.setdefault(name, []).append(urllib.parse.unquote_to_bytes(value))
        one = lambda name, otherwise=b"": query.get(name, [otherwise])[0]
        parts = url.path.strip("/").split("/")
        self.tracker.record(
            kind="http-" + parts[0], source=self.client_address[0], client_port=self.client_address[1], target=self.path,
            info_hash=one("info_hash").hex(), peer_id=one("peer_id").hex(), port=int(one("port", b"0") or 0),
            uploaded=int(one("uploaded", b"0")), downloaded=int(one("downloaded", b"0")), left=int(one("left", b"0")),
            event=one("event").decode(), key=one("key").decode(), numwant=int(one("numwant", b"-1")),
            trackerid=one("trackerid").decode("latin-1"), user_agent=self.headers.get("User-Agent", ""),
            encoding=self.headers.get("Accept-Encoding", ""), host=self.headers.get("Host", ""))
        if parts[0] == "scrape":
            files = {}
            for info_hash in query.get("info_hash", []):
                swarm = self.tracker.swarm(info_hash)
                files[info_hash] = {"complete": swarm.seeds, "downloaded": swarm.downloads, "incomplete": swarm.leechers}
            return self.answer(bencode({"files": files}))
        if parts[0] != "announce":
            return self.answer(b"no such page", status=404)
        mode = HTTP_MODES.get(parts[1] if len(parts) > 1 else "ok", http_ok)
        mode(self, one, urllib.parse.unquote("/".join(parts[2:])))

    def normal(self, one):
        tracker = self.tracker
        swarm = tracker.swarm(one("info_hash"))
        me = (self.client_address[0], int(one("port", b"0")))
        with tracker.lock:
            swarm.announce(*me, int(one("left", b"0")), one("event").decode())
            peers = [p for p in swarm.peers if p != me][: max(0, int(one("numwant", b"50")))]
            answer = {
                "interval": tracker.interval, "complete": swarm.seeds, "incomplete": swarm.leechers, "downloaded": swarm.downloads,
                "peers": compact(peers, 4), "external ip": ipaddress.ip_address(self.client_address[0]).packed}
        if tracker.min_interval is not None:
            answer["min interval"] = tracker.min_interval
        six = compact(peers, 6)
        if six:
            answer["peers6"] = six
        return answer, peers

    def answer(self, body, status=200, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def http_ok(h, one, argument):
    h.answer(bencode(h.normal(one)[0]))


def http_gzip(h, one, argument):
    h.answer(gzip.compress(bencode(h.normal(one)[0])), headers=[("Content-Encoding", "gzip")])


def http_dict(h, one, argument):
    """Peers as dictionaries (BEP 3), two of them useless."""
    answer, peers = h.normal(one)
    answer["peers"] = [{"ip": host, "port": port, "peer id": b"x" * 20} for host, port in peers]
    answer["peers"] += [{"ip": "tracker.invalid", "port": 1}, {"ip": "1.2.3.4", "port": 0}]
    h.answer(bencode(answer))


def http_useless(h, one, argument):
    """Ourselves, port 0, multicast, broadcast, unspecified, and one good peer."""
    answer, _ = h.normal(one)
    peers = [(h.client_address[0], int(one("port"))), ("1.2.3.4", 0), ("224.0.0.1", 5), ("255.255.255.255", 5), ("0.0.0.0", 5)]
    answer["peers"] = compact(peers + [("192.0.2.7", 6881)], 4)
    h.answer(bencode(answer))


def http_many(h, one, argument):
    answer, _ = h.normal(one)
    answer["peers"] = b"".join(struct.pack(">IH", 0x0B000000 + i, 6881) for i in range(100_000))
    h.answer(bencode(answer))


def http_warning(h, one, argument):
    answer, _ = h.normal(one)
    answer["warning message"] = "your client\n is \x1b[31mold"
    answer["tracker id"] = "id/7"
    h.answer(bencode(answer))


def http_interval(h, one, argument):
    answer, _ = h.normal(one)
    answer["interval"] = int(argument)
    h.answer(bencode(answer))


def http_refuse(h, one, argument):
    h.answer(bencode({"failure reason": argument or "unregistered torrent"}))


def http_refuse403(h, one, argument):
    h.answer(bencode({"failure reason": "wrong passkey"}), status=403)


def http_retry(h, one, argument):
    h.answer(bencode({"failure reason": "full", "retry in": int(argument) if argument.isdigit() else argument}))


def http_status(h, one, argument):
    status = int(argument)
    h.answer(b"<html>error</html>", status=status, headers=[("Retry-After", "120")] if status in (429, 503) else ())


def http_html(h, one, argument):
    h.answer(b"<!DOCTYPE html><html><body>Log in to the hotel's network</body></html>")


def http_garbage(h, one, argument):
    h.answer(random.Random(7).randbytes(5000))


def http_truncated(h, one, argument):
    h.answer(bencode(h.normal(one)[0])[:-9])


def http_empty(h, one, argument):
    h.answer(b"")


def http_redirect(h, one, argument):
    """To /announce/ARG here, or to ARG where that is a whole URL."""
    target = argument if "://" in argument else "/announce/" + argument
    target = target.replace("{self}", "%s:%d" % (h.tracker.host, h.tracker.http_port))
    if "://" not in argument or "http" in argument:
        target += ("&" if "?" in target else "?") + urllib.parse.urlsplit(h.path).query
    h.answer(b"", status=302, headers=[("Location", target)])


def http_hops(h, one, argument):
    """ARG more redirects, then an answer."""
    left = int(argument)
    if left == 0:
        return http_ok(h, one, "")
    query = urllib.parse.urlsplit(h.path).query
    h.answer(b"", status=301, headers=[("Location", "/announce/hops/%d?%s" % (left - 1, query))])


def http_loop(h, one, argument):
    h.answer(b"", status=302, headers=[("Location", h.path)])


def http_slow(h, one, argument):
    h.tracker.stopping.wait(float(argument or 60))
    http_ok(h, one, "")


def http_drip(h, one, argument):
    """One byte a second."""
    h.send_response(200)
    h.send_header("Content-Length", "1000")
    h.end_headers()
    for _ in range(1000):
        h.wfile.write(b"d")
        h.wfile.flush()
        if h.tracker.stopping.wait(1):
            return


def http_endless(h, one, argument):
    h.close_connection = True
    h.send_response(200)
    h.send_header("Connection", "close")
    h.end_headers()
    h.wfile.write(b"d8:intervali1800e5:peers999999999:")
    while not h.tracker.stopping.is_set():
        h.wfile.write(b"x" * 65536)


def http_announced(h, one, argument):
    """Says beforehand that it is 5 MiB."""
    h.answer(b"d5:peers5242880:" + b"x" * 5242880 + b"e")


def http_bomb(h, one, argument):
    """1 GiB of zeros in 1 MiB of gzip."""
    h.close_connection = True
    h.send_response(200)
    h.send_header("Content-Encoding", "gzip")
    h.send_header("Connection", "close")
    h.end_headers()
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    h.wfile.write(packer.compress(b"d8:intervali1800e5:peers1073741824:"))
    for _ in range(1024):
        h.wfile.write(packer.compress(b"\0" * (1 << 20)))
    h.wfile.write(packer.flush())


def http_hangup(h, one, argument):
    h.close_connection = True
    h.connection.shutdown(socket.SHUT_RDWR)


HTTP_MODES = {
    "ok": http_ok, "gzip": http_gzip, "dict": http_dict, "useless": http_useless, "many": http_many, "warning": http_warning,
    "interval": http_interval, "refuse": http_refuse, "refuse403": http_refuse403, "retry": http_retry, "status": http_status,
    "html": http_html, "garbage": http_garbage, "truncated": http_truncated, "empty": http_empty, "redirect": http_redirect,
    "hops": http_hops, "loop": http_loop, "slow": http_slow, "drip": http_drip, "endless": http_endless, "announced": http_announced,
    "bomb": http_bomb, "hangup": http_hangup}


def main():
    parser = argparse.ArgumentParser(description="A tracker for tests.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--http-port", type=int, default=0)
    parser.add_argument("--udp-port", type=int, default=0)
    parser.add_argument("--interval", type=int, default=1800)
    parser.add_argument("--min-interval", type=int)
    parser.add_argument("--log")
    parser.add_argument("--tls")
    options = parser.parse_args()
    tracker = Tracker(options.host, options.http_port, options.udp_port, options.interval, options.min_interval, options.log, options.tls).start()
    print(json.dumps({"http": tracker.http_port, "udp": tracker.udp_port}), flush=True)
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
