"""ccbt against other BitTorrent clients, through real sockets and real files.

    interop.py [--slice] [--mib N] [--clients NAME …] [--ways peer http udp] [--only TEXT]

For each client: ccbt downloads from it and seeds to it, finding each other by an explicit peer, by opentracker over
HTTP and over UDP; a single file and a torrent of 2,000 files. Then a magnet link, and swarms of 3 ccbt + 3 others from
one seed. Everything downloaded is compared byte by byte. The slice runs each client in both directions with every way
and content used by some client, in a minute or two.
"""
import argparse, importlib.util, os, shutil, sys, time, traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import OTHERS, Ccbt, Libtorrent, Qbittorrent, Transmission
from content import Torrent, many_files, single_file
from sandbox import Tracker, address, until


class Bench:
    """The content, the torrents of it, and the record of what passed."""

    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-interop-')
        single = single_file(self.folder / 'source' / 'single.bin', (options.mib << 20) + 4321)
        many = many_files(self.folder / 'source' / 'many files', 2000, options.many_mib << 20)
        self.torrents = {'single': Torrent(single, piece=(1 << 20) if options.mib > 256 else (128 << 10)),
                         'many': Torrent(many, piece=64 << 10)}
        self.source = self.folder / 'source'
        self.tracker = None
        self.rows, self.failed, self.n = [], 0, 0

    def torrent_file(self, content, way):
        """Each use of a tracker starts with one that knows nobody."""
        path = self.folder / f'{content}-{way}.torrent'
        if way != 'peer':
            if self.tracker: self.tracker.stop()
            self.tracker = Tracker(self.folder / 'tracker', [t.hash for t in self.torrents.values()])
        announce = {} if way == 'peer' else {'announce': self.tracker.announce(way)}
        return path if path.exists() else self.torrents[content].write(path, **announce)

    def place(self, name):
        self.n += 1
        return self.folder / f'{self.n:03}-{name}'

    def run(self, client, direction, way, content, body):
        """One row of the table."""
        label = f'{client} {direction} {way} {content}'
        if self.options.only and self.options.only not in label: return
        begin, started, why = time.monotonic(), [], ''
        try: body(started)
        except Exception as error:
            why = f'{type(error).__name__}: {error}'.splitlines()[0][:300]
            if os.environ.get('CCBT_TEST_TRACE'): traceback.print_exc()
        if why:
            for c in started: why += f'\n      {c.name}: {c.tail(6)}'
        for c in started: c.stop()
        for c in started: shutil.rmtree(c.home, ignore_errors=not why) if not why else None
        seconds = time.monotonic() - begin
        self.rows.append((client, direction, way, content, seconds, why))
        self.failed += bool(why)
        print(f'{"ok" if not why else "FAILED":7}{client:13}{direction:15}{way:6}{content:8}{seconds:7.1f} s  {why}', flush=True)

    def patience(self, content):
        """Seconds for a transfer: start-up and announces, then 8 MiB/s at worst on two busy cores."""
        return 45 + self.torrents[content].size / (8 << 20)


def transfer(bench, seeder, leecher, way, content, started):
    """`seeder` holds the content; `leecher` gets it."""
    file, down = bench.torrent_file(content, way), bench.place('down')
    down.mkdir()
    for c in (seeder, leecher): started.append(c); c.start()
    seeder.add(file, bench.source, seed=True)
    until(lambda: seeder.alive() and seeder.stat()['complete'], bench.patience(content), 0.05, f'{seeder.name} to check its data')
    # Who asks the tracker before the seeder has announced itself would ask again half an hour later.
    if way != 'peer': until(lambda: bench.tracker.knows(bench.torrents[content].hash), 30, what=f'{seeder.name} to announce')
    leecher.add(file, down)
    ours, other = (seeder, leecher) if isinstance(seeder, Ccbt) else (leecher, seeder)
    finish(bench, leecher, content, down, Meeting(ours, other) if way == 'peer' else None)


class Meeting:
    """Names the other side to ccbt, again every 3 s while they have no connection: qBittorrent and Transmission
    turn callers away while they check a torrent's files."""

    def __init__(self, ours, other): self.ours, self.other, self.next, self.times = ours, other, 0, 0
    def __call__(self):
        if time.monotonic() < self.next or self.times and self.ours.stat()['peers']: return
        caller, called = (self.other, self.ours) if self.other.calls else (self.ours, self.other)
        caller.dial(called.ip, called.port)
        self.next, self.times = time.monotonic() + 3, self.times + 1


def finish(bench, leecher, content, down, meet=None, keep=False):
    def complete():
        if meet: meet()
        return leecher.alive() and leecher.stat()['complete']
    until(complete, bench.patience(content), 0.1, f'{leecher.name} to complete')
    # Others flush their caches a moment after they say so.
    wrong = lambda: bench.torrents[content].difference(down, leecher.empty_files)
    try: until(lambda: not wrong(), 10, 0.25)
    except TimeoutError: raise AssertionError(wrong()) from None
    if not keep: shutil.rmtree(down)


def pairs(bench, names, ways):
    for i, name in enumerate(names):
        make = OTHERS[name]
        if make.program and not shutil.which(make.program):
            print(f'skipped  {name}: {make.program} is not installed'); continue
        if make.module and not importlib.util.find_spec(make.module):
            print(f'skipped  {name}: no wheel of {make.module} for this machine'); continue
        for d, direction in enumerate(('download from', 'seed to')):
            for w, way in enumerate(ways):
                for k, content in enumerate(('single', 'many')):
                    # Every client and direction by an explicit peer, and one of the tracker's ways in turn.
                    if bench.options.slice and ((way == 'peer') != (k == 0) or (way != 'peer' and w != 1 + (i + d) % 2)): continue
                    if way != 'peer' and name == 'transmission' and not sandbox.isolated():
                        print('skipped  transmission by tracker: it refuses peers in 127/8, and there is no namespace'); continue
                    def body(started):
                        us, it = Ccbt(bench.place('ccbt'), address(1)), make(bench.place(name), address(2 + i))
                        transfer(bench, *((it, us) if d == 0 else (us, it)), way, content, started)
                    bench.run(name, direction, way, content, body)


def magnet(bench):
    """ccbt gets the metadata, then the content, from libtorrent; and libtorrent's from ccbt."""
    def body(started):
        seeder, us, down = Libtorrent(bench.place('lt'), address(2)), Ccbt(bench.place('ccbt'), address(1)), bench.place('down')
        for c in (seeder, us): started.append(c); c.start()
        down.mkdir()
        seeder.add(bench.torrent_file('many', 'peer'), bench.source)
        until(lambda: seeder.stat()['complete'], 60, what='libtorrent to check')
        us.add(f'magnet:?xt=urn:btih:{bench.torrents["many"].hash}&x.pe={seeder.ip}:{seeder.port}', down)
        finish(bench, us, 'many', down)
    bench.run('libtorrent', 'download from', 'magnet', 'many', body)


def swarm(bench, way):
    """One libtorrent seed; 3 ccbt and 3 others fetch from it and from each other."""
    def body(started):
        seed = Libtorrent(bench.place('seed'), address(20), upload_rate_limit=24 << 20)
        others = [Libtorrent(bench.place('lt'), address(24)), Transmission(bench.place('tr'), address(25)), Qbittorrent(bench.place('qb'), address(26))]
        ours = [Ccbt(bench.place(f'ccbt{n}'), address(21 + n)) for n in range(3)]
        places = {}
        for c in [seed, *ours, *others]: started.append(c); c.start()
        file = bench.torrent_file('single', way)
        seed.add(file, bench.source)
        until(lambda: seed.stat()['complete'], 120, what='the seed to check')
        for c in [*others, *ours]:
            places[c] = bench.place('down')
            places[c].mkdir()
            c.add(file, places[c])
        meetings = [Meeting(us, other) for us in ours for other in [seed, *others, *ours] if us is not other] if way == 'peer' else []
        # Once round suffices for those that are ready; who is not is named again while he has no connection.
        def meet():
            for m in meetings:
                if not m.times or not m.other.stat()['peers']: m()
        for c in [*ours, *others]: finish(bench, c, 'single', places[c], meet, keep=True)
        for path in places.values(): shutil.rmtree(path)
    bench.run('3 ccbt + 3', 'swarm', way, 'single', body)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--mib', type=int, help='size of the single file (1024; slice 48)')
    parser.add_argument('--clients', nargs='+', choices=OTHERS, default=list(OTHERS))
    parser.add_argument('--ways', nargs='+', choices=['peer', 'http', 'udp'], default=['peer', 'http', 'udp'])
    parser.add_argument('--only', help='rows whose text contains this')
    options = parser.parse_args()
    options.mib = options.mib or (48 if options.slice else 1024)
    options.many_mib = 24 if options.slice else 256
    sandbox.enter()
    bench = Bench(options)
    pairs(bench, options.clients, options.ways)
    if 'libtorrent' in options.clients: magnet(bench)
    if len(options.clients) == len(OTHERS):
        for way in ('peer',) if options.slice else ('peer', 'http'): swarm(bench, way)
    print(f'\n{"client":13}{"direction":15}{"way":8}{"content":9}{"MiB":>6}{"seconds":>9}  result')
    for client, direction, way, content, seconds, why in bench.rows:
        size = bench.torrents[content].size / (1 << 20)
        print(f'{client:13}{direction:15}{way:8}{content:9}{size:6.0f}{seconds:9.1f}  {"FAILED" if why else "identical"}')
    print(f'interop: {len(bench.rows) - bench.failed} passed, {bench.failed} failed')
    sys.exit(1 if bench.failed else 0)


if __name__ == "__main__": main()
