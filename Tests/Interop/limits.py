"""Rate limits of ccbt measured over real sockets, with libtorrent as the other side.

    limits.py [--slice] [--seconds N] [--only TEXT]

Each case sets limits as a user does (configuration, `btbt limits …`) and counts payload over 10 s once the transfer
runs. The table gives the set and the measured rate and the error in per cent; 5 % are allowed. Where several peers share
one limit, what each of them got is printed too. The slice runs five cases for 6 s each.
"""
import argparse, os, sys, time, traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Ccbt, Libtorrent
from content import Torrent, single_file
from sandbox import address, until

KIB = 1024
ALLOWED = 5.0


class Measured(Exception):
    """A rate that is not what was set."""


class Bench:
    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-limits-')
        # More than any case moves: 10 s and some at the highest rate.
        content = single_file(self.folder / 'source' / 'limited.bin', options.mib << 20)
        other = single_file(self.folder / 'source' / 'second.bin', options.mib << 20)
        self.torrents = [Torrent(content, piece=256 << 10), Torrent(other, piece=256 << 10)]
        self.files = [t.write(self.folder / f'{t.name}.torrent') for t in self.torrents]
        self.n = self.passed = self.failed = 0
        print(f'{"":7}{"case":44}{"set KiB/s":>11}{"measured":>10}{"error %":>9}')

    def place(self, name):
        self.n += 1
        return self.folder / f'{self.n:03}-{name}'

    def row(self, case, wanted, measured, more=''):
        error = (measured / wanted - 1) * 100
        ok = abs(error) <= ALLOWED
        self.passed, self.failed = self.passed + ok, self.failed + (not ok)
        print(f'{"ok" if ok else "FAILED":7}{case:44}{wanted / KIB:11.0f}{measured / KIB:10.1f}{error:+9.2f}  {more}', flush=True)

    def check(self, case, ok, more=''):
        self.passed, self.failed = self.passed + bool(ok), self.failed + (not ok)
        print(f'{"ok" if ok else "FAILED":7}{case:64}{more}', flush=True)

    def run(self, case, body):
        if self.options.only and self.options.only not in case: return
        started = []
        try: body(case, started)
        except Exception as error:
            if os.environ.get('CCBT_TEST_TRACE'): traceback.print_exc()
            tails = ''.join(f'\n      {c.name}: {c.tail(4)}' for c in started)
            self.check(case, False, f'{type(error).__name__}: {error}'[:400] + tails)
        for c in started: c.stop()

    # -- the two directions -------------------------------------------------------------------------------------

    def ccbt(self, started, **options):
        us = Ccbt(self.place('ccbt'), address(1), **options)
        started.append(us)
        return us.start()

    def seeder(self, started, n, which=0):
        it = Libtorrent(self.place('seed'), address(n))
        started.append(it)
        it.start()
        it.add(self.files[which], self.folder / 'source')
        until(lambda: it.stat()['complete'], 60, what='the seeder to check')
        return it

    def leecher(self, started, n, which=0):
        it, down = Libtorrent(self.place('leech'), address(n)), self.place('down')
        started.append(it)
        down.mkdir()
        it.start()
        it.add(self.files[which], down)
        return it

    def downloads(self, us, others, which=0):
        """ccbt begins to fetch the torrent from `others`."""
        us.add(self.files[which], self.place('down'))
        for it in others: us.dial(it.ip, it.port)
        until(lambda: us.stat()['done'] > 0, 30, what='the first piece')

    def uploads(self, us, others, which=0):
        us.add(self.files[which], self.folder / 'source', True, '--skip-check')
        until(lambda: us.stat()['complete'], 30, what='ccbt to seed')
        for it in others: it.dial(us.ip, us.port)
        until(lambda: all(it.stat()['down'] > 0 for it in others), 30, what='the first bytes')

    def rates(self, *counters):
        """Bytes a second of each counter, over the measured time."""
        time.sleep(1)
        begin, before = time.monotonic(), [c() for c in counters]
        time.sleep(self.options.seconds)
        after, span = [c() for c in counters], time.monotonic() - begin
        return [(b - a) / span for a, b in zip(before, after)]

    def share(self, case, rates):
        mean = sum(rates) / len(rates)
        spread = max(abs(r / mean - 1) for r in rates) * 100
        each = ' '.join(f'{r / KIB:.1f}' for r in rates)
        self.check(f'{case}: fair', spread <= 10, f'KiB/s of each: {each}; furthest from the mean {spread:.1f} %')


def sent_of(it): return lambda: it.stat()['up']
def received_of(it): return lambda: it.stat()['down']


def global_down(bench, kib):
    def body(case, started):
        us = bench.ccbt(started, limits__global_down_kib=kib)
        seeds = [bench.seeder(started, 2), bench.seeder(started, 3)]
        bench.downloads(us, seeds)
        bench.row(case, kib * KIB, sum(bench.rates(*map(sent_of, seeds))))
    return body


def global_up(bench, kib, n=1, fair=False):
    def body(case, started):
        us = bench.ccbt(started, limits__global_up_kib=kib)
        leeches = [bench.leecher(started, 2 + k) for k in range(n)]
        bench.uploads(us, leeches)
        rates = bench.rates(*map(received_of, leeches))
        bench.row(case, kib * KIB, sum(rates))
        if fair: bench.share(case, rates)
    return body


def fair_down(bench, kib):
    def body(case, started):
        us = bench.ccbt(started, limits__global_down_kib=kib)
        seeds = [bench.seeder(started, 2 + k) for k in range(4)]
        bench.downloads(us, seeds)
        until(lambda: all(s.stat()['up'] > 0 for s in seeds), 30, what='every seeder to send')
        rates = bench.rates(*map(sent_of, seeds))
        bench.row(case, kib * KIB, sum(rates))
        bench.share(case, rates)
    return body


def per_torrent(bench, case, started):
    """One torrent has a limit of its own, the other the default of all."""
    us = bench.ccbt(started)
    seeds = [bench.seeder(started, 2, 0), bench.seeder(started, 3, 1)]
    us.btbt('limits', 'set', '--torrent-down', '800K')
    bench.downloads(us, seeds[:1], 0)
    us.btbt('limits', us.hash, '--down', '300K')
    bench.downloads(us, seeds[1:], 1)
    own, default = bench.rates(*map(sent_of, seeds))
    bench.row(case + ': own', 300 * KIB, own)
    bench.row(case + ': default', 800 * KIB, default)


def per_peer(bench, case, started):
    us = bench.ccbt(started, limits__per_peer_up_kib=400)
    leeches = [bench.leecher(started, 2), bench.leecher(started, 3)]
    bench.uploads(us, leeches)
    for n, rate in enumerate(bench.rates(*map(received_of, leeches))): bench.row(f'{case}: {n + 1}', 400 * KIB, rate)


def group(bench, case, started):
    us = bench.ccbt(started)
    seeds = [bench.seeder(started, 2, 0), bench.seeder(started, 3, 1)]
    us.btbt('limits', 'group', 'films', '--down', '1M')
    for which in (0, 1):
        us.add(bench.files[which], bench.place('down'))
        us.btbt('limits', us.hash, '--group', 'films')
        us.dial(seeds[which].ip, seeds[which].port)
        until(lambda: us.stat()['done'] > 0, 30, what='the first piece')
    bench.row(case, 1024 * KIB, sum(bench.rates(*map(sent_of, seeds))))


def changed_while_running(bench, case, started):
    """From no limit to one, to the alternative one, and back."""
    us = bench.ccbt(started)
    leech = bench.leecher(started, 2)
    leech.set(download_rate_limit=8 << 20)
    bench.uploads(us, [leech])
    leech.set(download_rate_limit=0)
    us.btbt('limits', 'set', '--up', '2M')
    us.btbt('limits', 'alt', 'set', '--up', '500K')
    bench.row(case + ': set', 2048 * KIB, bench.rates(received_of(leech))[0])
    us.btbt('limits', 'alt', 'schedule', 'daily 00:00-24:00')
    bench.row(case + ': alternative by schedule', 500 * KIB, bench.rates(received_of(leech))[0])
    shown = us.btbt('limits')
    bench.check(case + ': shown', shown['alternativeHolds'] and shown['alternative']['up'] == 500 * KIB)
    us.btbt('limits', 'alt', 'off')
    bench.row(case + ': ordinary again', 2048 * KIB, bench.rates(received_of(leech))[0])


def lowered_download(bench, case, started):
    """Megabytes are under way when the limit comes: the socket is held back."""
    us = bench.ccbt(started, limits__global_down_kib=20 << 10)
    seeds = [bench.seeder(started, 2), bench.seeder(started, 3)]
    bench.downloads(us, seeds)
    us.btbt('limits', 'set', '--down', '1M')
    bench.row(case, 1024 * KIB, sum(bench.rates(*map(sent_of, seeds))))


def local_peers(bench, case, started):
    """Every address here is of a private network."""
    us = bench.ccbt(started, limits__global_up_kib=100, limits__local_peers='own', limits__local_up_kib=1500)
    leech = bench.leecher(started, 2)
    bench.uploads(us, [leech])
    bench.row(case, 1500 * KIB, bench.rates(received_of(leech))[0])


def survives(bench, case, started):
    """A restart of the session and of the shard, and of the daemon, changes no limit."""
    us = bench.ccbt(started)
    leech = bench.leecher(started, 2)
    us.add(bench.files[0], bench.folder / 'source', True, '--skip-check')
    us.btbt('limits', us.hash, '--up', '600K', '--max-peers', '7')
    us.btbt('limits', 'set', '--up', '5M')
    us.stop()
    us.start(keep=True)
    shown = us.btbt('limits')
    bench.check(case + ': shown', shown['global']['up'] == 5 << 20 and [(t['up'], t['maxPeers']) for t in shown['torrents']] == [(600 * KIB, 7)], str(shown['torrents']))
    us.btbt('workers', 'restart', 'peer:0')
    us.btbt('workers', 'restart', 'session:0')
    time.sleep(3)
    until(lambda: us.stat()['complete'], 30, what='ccbt to seed')
    leech.dial(us.ip, us.port)
    until(lambda: leech.stat()['down'] > 0, 60, what='the first bytes')
    bench.row(case, 600 * KIB, bench.rates(received_of(leech))[0])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--seconds', type=float)
    parser.add_argument('--only')
    options = parser.parse_args()
    options.seconds = options.seconds or (6 if options.slice else 10)
    options.mib = 256 if options.slice else 512
    sandbox.enter()
    bench = Bench(options)
    named = lambda function: lambda case, started: function(bench, case, started)
    cases = [
        ('global download 1 MiB/s', global_down(bench, 1024), True),
        ('global upload 2 MiB/s', global_up(bench, 2048), False),
        ('global upload 100 KiB/s', global_up(bench, 100), False),
        ('global download 20 MiB/s', global_down(bench, 20 << 10), False),
        ('global upload 4 peers', global_up(bench, 1600, 4, True), True),
        ('global download 4 peers', fair_down(bench, 1600), False),
        ('per torrent download', named(per_torrent), True),
        ('per peer upload', named(per_peer), False),
        ('group download', named(group), False),
        ('local peers upload', named(local_peers), False),
        ('changed while running', named(changed_while_running), False),
        ('lowered download', named(lowered_download), True),
        ('survives restarts', named(survives), False),
    ]
    for name, body, in_slice in cases:
        if in_slice or not options.slice: bench.run(name, body)
    print(f'{bench.passed} passed, {bench.failed} failed')
    sys.exit(bench.failed > 0)


if __name__ == '__main__': main()
