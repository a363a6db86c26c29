"""Local service discovery (BEP 14) against libtorrent, in a private network where nobody has a tracker or the DHT.

    lsd.py [--slice] [--only TEXT]

Downloads that happen because one client hears the other's multicast announce, over IPv4 and IPv6; then what ccbt says on
the network: one datagram a minute at most, no private torrent, nothing when it is off; and what strangers say.
"""
import argparse, hashlib, os, socket, subprocess, sys, time, traceback
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Ccbt, Libtorrent
from content import Torrent, bencode, single_file
from sandbox import address, until

GROUP, PORT = '239.192.152.143', 6771


def check(condition, what):
    if not condition: raise AssertionError(what)


class Ear:
    """Hears what is announced to the IPv4 group."""

    def __init__(self, ip):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(('', PORT))
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(ip))
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(ip))

    def hear(self, seconds):
        end, out = time.monotonic() + seconds, []
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try: out.append(self.socket.recvfrom(2048))
            except TimeoutError: break
        return out

    def say(self, data): self.socket.sendto(data, (GROUP, PORT))
    def close(self): self.socket.close()


class Bench:
    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-lsd-')
        self.source, self.n = self.folder / 'source', 0
        self.passed = self.failed = 0

    def torrent(self, name, private=False):
        self.n += 1
        t = Torrent(single_file(self.source / f'{name}.bin', 1500000 + self.n, seed=self.n), piece=64 << 10)
        if private: t.info['private'] = 1
        t.hash = hashlib.sha1(bencode(t.info)).hexdigest()
        path = self.folder / f'{name}.torrent'
        path.write_bytes(bencode({'info': t.info}))
        return t, path

    def place(self, name):
        self.n += 1
        return self.folder / f'{self.n:03}-{name}'

    def ccbt(self, n, ip=None, **options):
        ip = ip or address(n)
        c = Ccbt(self.place('ccbt'), address(n), **({'discovery__enable_lsd': True} | options))
        if ':' in ip:
            plain = c.argv
            c.argv = lambda: plain()[:-1] + [f'[{ip}]:{c.port}']
        return c.start()

    def case(self, name, body):
        if self.options.only and self.options.only not in name: return
        begin, why, started = time.monotonic(), '', []
        try: body(started)
        except Exception as error:
            why = f'{type(error).__name__}: {error}'.splitlines()[0][:300]
            if os.environ.get('CCBT_TEST_TRACE'): traceback.print_exc()
        for c in started: c.stop()
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}{name:56}{time.monotonic() - begin:6.1f} s  {why}', flush=True)


def moves(bench, t, path, seeder, leecher, seconds=60):
    """`leecher` gets the content from `seeder`, whom only the local network names."""
    seeder.add(path, bench.source)
    until(lambda: seeder.stat()['complete'], 60, 0.1, f'{seeder.name} to check its data')
    down = bench.place('down')
    down.mkdir()
    leecher.add(path, down)
    until(lambda: leecher.stat()['complete'], seconds, 0.1, f'{leecher.name} to be complete')
    check((down / t.name).read_bytes() == t.source.read_bytes(), 'other bytes')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--only', default='')
    options = parser.parse_args()
    sandbox.enter()
    bench = Bench(options)
    if not sandbox.isolated():
        print('skipped: needs a network namespace\n0 passed, 0 failed')
        return
    for n in (2, 3): subprocess.run(f'ip addr add fd77::{n}/64 dev near nodad'.split(), check=True)
    lt = lambda n: Libtorrent(bench.place('libtorrent'), address(n), enable_lsd=True).start()

    def one(a, b):
        def body(started):
            t, path = bench.torrent(f'file{bench.n}')
            for make in (a, b): started.append(make())
            moves(bench, t, path, *started)
        return body
    bench.case('LSD: libtorrent seeds, ccbt downloads', one(lambda: lt(2), lambda: bench.ccbt(3)))
    bench.case('LSD: ccbt seeds, libtorrent downloads', one(lambda: bench.ccbt(4), lambda: lt(5)))
    bench.case('LSD: ccbt seeds, ccbt downloads', one(lambda: bench.ccbt(6), lambda: bench.ccbt(7)))
    bench.case('LSD over IPv6: ccbt seeds, ccbt downloads', one(lambda: bench.ccbt(2, 'fd77::2'), lambda: bench.ccbt(3, 'fd77::3')))

    def said(started):
        """Three torrents at once and a private one: one datagram with the first that was added."""
        ear = Ear(address(30))
        try:
            c = bench.ccbt(8)
            started.append(c)
            public, secret = [bench.torrent(f'said{i}') for i in range(3)], bench.torrent('secret', private=True)
            for t, path in [secret] + public: c.add(path, bench.source)
            heard = [(d, who) for d, who in ear.hear(6) if who[0] == c.ip]
            check(len(heard) == 1, f'{len(heard)} datagrams in 6 s')
            text = heard[0][0].decode()
            check(text.startswith('BT-SEARCH * HTTP/1.1\r\n') and f'Port: {c.port}\r\n' in text and text.endswith('\r\n\r\n\r\n'), repr(text))
            check(any(t.hash in text for t, _ in public), 'none of ours')
            check(secret[0].hash not in text, 'a private torrent was announced')
            if not options.slice:
                more = [(d, who) for d, who in ear.hear(62) if who[0] == c.ip]
                check(len(more) == 1, f'{len(more)} datagrams in the next minute')
                both = text + more[0][0].decode()
                check(all(t.hash in both for t, _ in public) and secret[0].hash not in both, 'not all of ours')
        finally: ear.close()
    bench.case('LSD: one datagram a minute, no private torrent', said)

    def hybrid(started):
        import libtorrent as lt2
        source = single_file(bench.source / 'both' / 'both.bin', 900001, seed=77)
        store = lt2.file_storage()
        lt2.add_files(store, str(source.parent))
        maker = lt2.create_torrent(store, 32768, 0)
        lt2.set_piece_hashes(maker, str(bench.source))
        tree = maker.generate()
        path = bench.folder / 'both.torrent'
        path.write_bytes(lt2.bencode(tree))
        info = lt2.torrent_info(tree)
        v1, v2 = str(info.info_hashes().v1), str(info.info_hashes().v2)
        ear = Ear(address(30))
        try:
            c = bench.ccbt(12)
            started.append(c)
            c.add(path, bench.source)
            text = ''.join(d.decode() for d, who in ear.hear(5) if who[0] == c.ip)
            check(v1 in text and v2[:40] in text, repr(text))
        finally: ear.close()
    bench.case('LSD: a hybrid is announced under both hashes', hybrid)

    def silent(started):
        ear = Ear(address(30))
        try:
            c = bench.ccbt(9, discovery__enable_lsd=False)
            started.append(c)
            c.add(bench.torrent('silent')[1], bench.source)
            check(not [1 for _, who in ear.hear(4) if who[0] == c.ip], 'it announces')
        finally: ear.close()
    bench.case('LSD: enable_lsd = false says nothing', silent)

    def hostile(started):
        ear = Ear(address(30))
        try:
            c = bench.ccbt(10)
            started.append(c)
            t, path = bench.torrent('hostile', private=True)
            down = bench.place('down')
            down.mkdir()
            c.add(path, down)
            # A neighbour that claims to have a private torrent, then noise.
            ear.say(f'BT-SEARCH * HTTP/1.1\r\nHost: {GROUP}:{PORT}\r\nPort: 9\r\nInfohash: {t.hash}\r\n\r\n\r\n'.encode())
            for n in range(3000): ear.say(os.urandom(n % 1400) if n % 2 else b'BT-SEARCH * HTTP/1.1\r\n' + b'Infohash: x\r\n' * (n % 100))
            time.sleep(2)
            check(c.btbt('peers', c.hash) == [], 'a peer of a private torrent')
            check(c.workers()['discovery:0']['restarts'] == 0, 'the worker was restarted')
        finally: ear.close()
    bench.case('LSD hostile: noise, floods, private torrents', hostile)

    print(f'{bench.passed} passed, {bench.failed} failed')
    sys.exit(bench.failed > 0)


main()
