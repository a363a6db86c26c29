"""The IP filter of ccbt with real connections: libtorrent peers that it refuses, drops or lets in.

    filter.py [--slice] [--only TEXT]

Lists come as files of every form and over HTTP; half a million ranges are loaded and the figures printed.
"""
import argparse, gzip, http.server, os, random, struct, subprocess, sys, threading, time, traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import BIN, Ccbt, Libtorrent
from content import Torrent, single_file
from sandbox import address, until


class Lists(http.server.ThreadingHTTPServer):
    """Serves what `body` holds, with the status of `status`."""
    daemon_threads = True

    def __init__(self, ip, port):
        self.body, self.status, self.asked = b'', 200, 0
        super().__init__((ip, port), Answer)
        self.url = f'http://{ip}:{port}/list'
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        self.send_response(self.server.status)
        self.send_header('Content-Length', str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_): pass


class Bench:
    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-filter-')
        self.torrent = Torrent(single_file(self.folder / 'source' / 'filtered.bin', 8 << 20), piece=64 << 10)
        self.file = self.torrent.write(self.folder / 'filtered.torrent')
        self.n = self.passed = self.failed = 0

    def place(self, name):
        self.n += 1
        return self.folder / f'{self.n:03}-{name}'

    def run(self, case, body):
        if self.options.only and self.options.only not in case: return
        started, why, more, begin = [], '', '', time.monotonic()
        try: more = body(self, started) or ''
        except Exception as error:
            if os.environ.get('CCBT_TEST_TRACE'): traceback.print_exc()
            why = f'{type(error).__name__}: {error}'[:400] + ''.join(f'\n      {c.name}: {c.tail(4)}' for c in started)
        for c in started: c.stop()
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}filter {case:44}{time.monotonic() - begin:6.1f} s  {why or more}', flush=True)

    def ccbt(self, started, **options):
        us = Ccbt(self.place('ccbt'), address(1), **options)
        started.append(us)
        return us.start()

    def peer(self, started, n):
        """A libtorrent that wants the torrent."""
        it, down = Libtorrent(self.place('peer'), address(n)), self.place('down')
        started.append(it)
        down.mkdir()
        it.start()
        it.add(self.file, down)
        return it

    def seed(self, us):
        us.add(self.file, self.folder / 'source', True, '--skip-check')
        until(lambda: us.stat()['complete'], 30, what='ccbt to seed')

    def is_refused(self, us, n):
        r = subprocess.run([str(BIN / 'btbt'), '--state-dir', str(us.home), 'filter', 'test', address(n)], capture_output=True, text=True)
        assert r.returncode in (0, 1), r.stderr
        return r.returncode == 1


def on(us, *mode): us.btbt('filter', 'on', *mode)
def setting(us, name, value): us.btbt('settings', 'set', 'security.ip_filter.' + name, value)


def accept(bench, started):
    """Who is refused gets no byte; who is not, everything."""
    us = bench.ccbt(started)
    on(us)
    us.btbt('filter', 'add', address(3), f'{address(5)}-{address(6)}')
    bench.seed(us)
    bad, good = bench.peer(started, 3), bench.peer(started, 2)
    until(lambda: bad.dial(us.ip, us.port) or us.btbt('filter')['refused'] > 0, 20, 0.3, 'a refusal')
    good.dial(us.ip, us.port)
    until(lambda: good.stat()['complete'], 30, what='the other to complete')
    assert bad.stat()['down'] == 0 and not any(p['endpoint'].startswith(address(3) + ':') for p in us.btbt('peers', us.hash))


def dial(bench, started):
    """Neither an address that the user names nor one of a tracker is dialled."""
    us = bench.ccbt(started)
    on(us)
    us.btbt('filter', 'add', address(3))
    seeder = Libtorrent(bench.place('seed'), address(3))
    started.append(seeder)
    seeder.start()
    seeder.add(bench.file, bench.folder / 'source')
    until(lambda: seeder.stat()['complete'], 30, what='the seeder to check')
    us.add(bench.file, bench.place('down'))
    us.dial(seeder.ip, seeder.port)
    time.sleep(3)
    assert us.stat()['peers'] == 0 and us.btbt('filter')['notTaken'] >= 1
    us.btbt('filter', 'remove', address(3))
    us.dial(seeder.ip, seeder.port)
    until(lambda: us.stat()['complete'], 60, what='ccbt to complete')


def closes(bench, started):
    """A connection that becomes refused is closed, and stays so over a restart."""
    us = bench.ccbt(started, limits__global_up_kib=100)
    on(us)
    bench.seed(us)
    peer = bench.peer(started, 4)
    peer.dial(us.ip, us.port)
    until(lambda: us.stat()['peers'] == 1, 20, what='the connection')
    us.btbt('filter', 'add', f'{address(4)}/32')
    until(lambda: us.stat()['peers'] == 0, 10, what='the end of the connection')
    until(lambda: us.btbt('filter')['closed'] == 1, 5, what='the count')
    us.stop()
    us.start(keep=True)
    until(lambda: us.stat()['complete'], 30, what='ccbt to seed again')
    assert bench.is_refused(us, 4)
    until(lambda: peer.dial(us.ip, us.port) or us.btbt('filter')['refused'] > 0, 20, 0.3, 'a refusal')
    us.btbt('filter', 'off')
    until(lambda: peer.dial(us.ip, us.port) or us.stat()['peers'] == 1, 30, 0.5, 'the connection')


def allow(bench, started):
    us = bench.ccbt(started)
    us.btbt('filter', 'add', address(2))
    on(us, '--mode', 'allow')
    bench.seed(us)
    bad, good = bench.peer(started, 3), bench.peer(started, 2)
    bad.dial(us.ip, us.port)
    good.dial(us.ip, us.port)
    until(lambda: good.stat()['complete'], 30, what='the listed one to complete')
    assert bad.stat()['down'] == 0


def forms(bench, started):
    """One list of each form, the last line of the text ones malformed."""
    def p2b():
        word = lambda n: struct.pack('>I', n)
        return b'\xff\xff\xff\xffP2B\x02' + b'some\xc3\xa9\0' + word(0x01010100) + word(0x010101ff)
    files = {
        'cidr.txt': b'# mine\n2.2.2.0/24\n2001:db8::/32\nnonsense\n',
        'guarding.p2p.gz': gzip.compress(b'Some: body:3.3.3.0-3.3.3.255\nnonsense\n'),
        'ipfilter.dat': b'004.004.004.000 - 004.004.004.255 , 000 , bad\n005.005.005.000 - 005.005.005.255 , 200 , good\nnonsense\n',
        'guarding.p2b': p2b(),
    }
    for name, body in files.items(): (bench.folder / name).write_bytes(body)
    us = bench.ccbt(started)
    setting(us, 'filter_files', ','.join(str(bench.folder / name) for name in files) + ',/nowhere/list')
    on(us)
    until(lambda: us.btbt('filter')['ranges'] == 5, 10, what='five ranges')
    lists = {l['source'].rsplit('/', 1)[1]: l for l in us.btbt('filter')['lists']}
    for name in ('cidr.txt', 'guarding.p2p.gz', 'ipfilter.dat'):
        assert lists[name]['malformedCount'] == 1 and lists[name]['malformed'][0]['text'] == 'nonsense', lists[name]
    assert lists['list']['error'] and lists['guarding.p2b']['malformedCount'] == 0
    test = lambda ip: subprocess.run([str(BIN / 'btbt'), '--state-dir', str(us.home), 'filter', 'test', ip], capture_output=True).returncode
    assert [test(ip) for ip in ('1.1.1.1', '2.2.2.2', '3.3.3.3', '4.4.4.4', '5.5.5.5', '2001:db8:1::1', '2001:db9::')] == [1, 1, 1, 1, 0, 1, 0]


def url(bench, started):
    """Fetched at the start, again on reload; a failing server leaves the last list in force."""
    server = Lists(address(9), 8080)
    server.body = gzip.compress(f'{address(3)}/32\n'.encode())
    us = bench.ccbt(started)
    setting(us, 'filter_urls', server.url)
    on(us)
    until(lambda: bench.is_refused(us, 3), 15, what='the list')
    server.body = f'{address(4)}\n{address(5)}\n'.encode()
    us.btbt('filter', 'reload')
    until(lambda: bench.is_refused(us, 4) and not bench.is_refused(us, 3), 15, what='the new list')
    server.status = 503
    us.btbt('filter', 'reload')
    until(lambda: us.btbt('filter')['lists'][0].get('error'), 15, what='the error')
    assert bench.is_refused(us, 4)
    asked = server.asked
    us.stop()
    us.start(keep=True)
    assert bench.is_refused(us, 4) and us.btbt('filter')['enabled']
    time.sleep(2)
    assert server.asked == asked, 'fetched again although it is fresh'
    server.shutdown()


def half_a_million(bench, started):
    rng, lines = random.Random(5), []
    for n in range(500_000):
        first = rng.randrange(11 << 24, 223 << 24)
        last = min(first + rng.randrange(1, 4000), 0xffffffff)
        ip = lambda a: '.'.join(str(a >> s & 255) for s in (24, 16, 8, 0))
        lines.append(f'Organisation {n}:{ip(first)}-{ip(last)}')
    (bench.folder / 'level1.p2p').write_text('\n'.join(lines))
    us = bench.ccbt(started)
    setting(us, 'filter_files', str(bench.folder / 'level1.p2p'))
    on(us)
    until(lambda: us.btbt('filter')['ranges'] > 1000, 60, what='the list')
    s = us.btbt('filter')
    figures = f'500,000 lines, {s["ranges"]} ranges after merging: read in {s["loadMilliseconds"]} ms, a look-up takes {s["lookupNanoseconds"]:.0f} ns'
    if 'release' in str(BIN): assert s['loadMilliseconds'] < 1000 and s['lookupNanoseconds'] < 100, figures
    bench.seed(us)
    peer = bench.peer(started, 2)
    peer.dial(us.ip, us.port)
    until(lambda: peer.stat()['complete'], 30, what='the peer to complete')
    return figures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--only')
    options = parser.parse_args()
    sandbox.enter()
    bench = Bench(options)
    for case, body in [('at accept', accept), ('at dial', dial), ('closes connections', closes), ('allow list', allow), ('forms of lists', forms),
                       ('from a URL', url), ('half a million ranges', half_a_million)]:
        bench.run(case, body)
    print(f'{bench.passed} passed, {bench.failed} failed')
    sys.exit(bench.failed > 0)


if __name__ == '__main__': main()
