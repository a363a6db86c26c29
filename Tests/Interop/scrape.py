"""Scrapes over HTTP (BEP 48) and UDP (BEP 15) against opentracker, and against trackers made of one socket.

    scrape.py [--slice] [--only TEXT]
"""
import argparse, http.server, os, socket, struct, sys, threading, time, traceback, urllib.parse
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Ccbt
from content import Torrent, single_file
from sandbox import Tracker, address, until


def check(condition, what):
    if not condition: raise AssertionError(what)


class Bench:
    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-scrape-')
        self.source = self.folder / 'source'
        self.torrents = [Torrent(single_file(self.source / f'file{n}.bin', 200000 + n, seed=n), piece=64 << 10) for n in range(3)]
        self.n = self.passed = self.failed = 0

    def place(self, name):
        self.n += 1
        path = self.folder / f'{self.n:03}-{name}'
        path.mkdir()
        return path

    def ccbt(self, started, n):
        c = Ccbt(self.folder / f'ccbt{len(started)}-{self.n}', address(n))
        started.append(c)
        self.n += 1
        return c.start()

    def add(self, c, announce, folder, torrents=None):
        for t in torrents or self.torrents: c.add(t.write(self.folder / f'{t.hash}.torrent', announce=announce), folder)

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


def figures(row): return row.get('seeds'), row.get('leechers')


def counted(bench, way):
    def body(started):
        """A seed and a leecher of each torrent; a scrape by the seed counts both at once."""
        tracker = Tracker(bench.folder / f'tracker-{way}', [t.hash for t in bench.torrents])
        try:
            seed = bench.ccbt(started, 1)
            bench.add(seed, tracker.announce(way), bench.source)
            until(lambda: all(t['state'] == 'seeding' for t in seed.btbt('list')), 60, 0.1, 'the data to be checked')
            for t in bench.torrents: until(lambda: tracker.knows(t.hash), 60, 0.1, 'the announce of the seed')
            hashes = [t.hash for t in bench.torrents]
            rows = seed.btbt('scrape', *hashes)
            check([r['hash'] for r in rows] == hashes and all(figures(r) == (1, 0) and r['url'] == tracker.announce(way) for r in rows), rows)
            # They stop nobody: a leecher that only says hello is enough.
            leech = bench.ccbt(started, 2)
            empty = bench.place('empty')
            bench.add(leech, tracker.announce(way), empty, bench.torrents[:1])
            until(lambda: sum(figures(seed.btbt('scrape', hashes[0])[0])) == 2, 60, 0.5, 'the leecher to be counted')
            shown = seed.btbt('trackers', hashes[0])[0]
            check(shown['seeds'] + shown['leechers'] == 2, shown)
        finally: tracker.stop()
    bench.case(f'opentracker scraped over {way}, three torrents', body)


def one_request(bench):
    asked = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.partition('?')
            asked.append(self.path)
            if path == '/scrape':
                hashes = [urllib.parse.unquote_to_bytes(p[10:]) for p in query.split('&') if p.startswith('info_hash=')]
                files = b''.join(b'20:' + h + b'd8:completei%de10:downloadedi9e10:incompletei4ee' % (n + 1) for n, h in enumerate(sorted(hashes)[:2]))
                body = b'd5:filesd' + files + b'ee'
            else: body = b'd8:intervali1800e5:peers0:e'
            self.send_response(200)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_): pass

    def body(started):
        server = http.server.ThreadingHTTPServer((address(9), 7000), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            c = bench.ccbt(started, 3)
            bench.add(c, f'http://{address(9)}:7000/announce?passkey=k', bench.source)
            rows = c.btbt('scrape', *[t.hash for t in bench.torrents])
            check(sum(p.startswith('/scrape?') for p in asked) == 1 and all('passkey=k' in p for p in asked), asked)
            known = {r['hash']: figures(r) for r in rows if 'seeds' in r}
            first, second, third = sorted(t.hash for t in bench.torrents)
            check(known == {first: (1, 4), second: (2, 4)}, rows)
            check([r['error'] for r in rows if r['hash'] == third] == ['the tracker does not know the torrent'], rows)
        finally:
            server.shutdown()
            server.server_close()
    bench.case('one HTTP request for three torrents, one unknown', body)


def liar(bench):
    def body(started):
        """Answers that are none: of another transaction, too short for all torrents, of another action; then an error."""
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((address(10), 7001))

        def serve():
            while True:
                try: data, who = s.recvfrom(2048)
                except OSError: return
                action, transaction = struct.unpack('>II', data[8:16])
                if action == 0: s.sendto(struct.pack('>IIQ', 0, transaction, 77), who)
                elif action == 2:
                    for a in (struct.pack('>II', 2, transaction ^ 1) + bytes(36), struct.pack('>II', 2, transaction) + bytes(12), struct.pack('>II', 1, transaction) + bytes(12)): s.sendto(a, who)
                    s.sendto(struct.pack('>II', 3, transaction) + b'no scrapes here', who)
        threading.Thread(target=serve, daemon=True).start()
        try:
            c = bench.ccbt(started, 4)
            bench.add(c, f'udp://{address(10)}:7001/announce', bench.source)
            rows = c.btbt('scrape', *[t.hash for t in bench.torrents])
            check(len(rows) == 3 and all(r['error'] == 'no scrapes here' for r in rows), rows)
            check(c.workers()['discovery:0']['restarts'] == 0, 'the worker was restarted')
        finally: s.close()
    bench.case('a UDP tracker that answers nonsense, then an error', body)


def nobody(bench):
    def body(started):
        c = bench.ccbt(started, 5)
        bench.add(c, f'http://{address(11)}:7002/announce', bench.source, bench.torrents[:1])
        rows = c.btbt('scrape', bench.torrents[0].hash)
        check(len(rows) == 1 and rows[0]['error'] and 'seeds' not in rows[0], rows)
    bench.case('a tracker that is down is said to be', body)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--only', default='')
    options = parser.parse_args()
    sandbox.enter()
    bench = Bench(options)
    for way in ('http', 'udp'): counted(bench, way)
    one_request(bench)
    liar(bench)
    nobody(bench)
    print(f'{bench.passed} passed, {bench.failed} failed')
    sys.exit(bench.failed > 0)


main()
