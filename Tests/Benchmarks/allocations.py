"""Heap calls for each 16 KiB block of a whole transfer between two daemons, by process.

    allocations.py [--mib N]

A preloaded library counts malloc, calloc, realloc and their aligned kin in every process. The figures are taken between a
quarter and three quarters of the transfer, so that start and end do not count. The peer workers may call the heap for no
block: their bar, a call in 50 blocks, leaves room for timers, heartbeats and the once-a-second reports alone. The disk
workers have one job a piece or read-ahead chunk: their bar is 8 calls for each of these.
"""
import argparse, os, struct, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'Tests' / 'Interop'))
import sandbox
from clients import Ccbt
from content import Torrent, single_file
from sandbox import address, until

BLOCK, PIECE = 16 << 10, 1 << 20
BARS = {'peer': 1 / 50, 'disk': 8 * BLOCK / PIECE}


class Counted(Ccbt):
    """A daemon whose every process counts."""

    def spawn(self):
        self.counts = self.home / 'counts'
        self.counts.mkdir()
        changed = {'LD_PRELOAD': str(self.library), 'CCBT_COUNT_DIR': str(self.counts)}
        before = {k: os.environ.get(k) for k in changed}
        os.environ.update(changed)
        try: return super().spawn()
        finally:
            for k, v in before.items():
                if v is None: os.environ.pop(k)
                else: os.environ[k] = v

    def heap_calls(self):
        """Calls and bytes so far of each worker that runs."""
        out = {}
        for worker in self.workers().values():
            calls, size = struct.unpack_from('QQ', (self.counts / str(worker['pid'])).read_bytes())
            out[worker['name']] = (calls, size)
        return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--mib', type=int, default=2048)
    options = parser.parse_args()
    sandbox.enter()
    folder = sandbox.scratch('ccbt-allocations-')
    library = folder / 'count.so'
    subprocess.run(['cc', '-O2', '-shared', '-fPIC', '-o', str(library), str(ROOT / 'Tests/Support/AllocationCounter/count.c')], check=True)
    Counted.library = library
    torrent = Torrent(single_file(folder / 'source' / 'payload.bin', options.mib << 20), piece=PIECE)
    seeder, leecher = Counted(folder / 'seeder', address(2)).start(), Counted(folder / 'leecher', address(3)).start()
    file = torrent.write(folder / 'payload.torrent')
    seeder.add(file, folder / 'source')
    until(lambda: seeder.stat()['complete'], 300, what='the seeder to have checked its content')
    leecher.add(file, folder / 'down')
    watch = leecher.watch()
    leecher.dial(seeder.ip, seeder.port)
    marks = []
    for part in (0.25, 0.75):
        until(lambda: watch.done(torrent.hash) >= torrent.size * part, 300, every=0.005, what=f'{part:.0%} of the transfer')
        marks.append((watch.done(torrent.hash), leecher.heap_calls(), seeder.heap_calls()))
    until(lambda: leecher.stat()['complete'], 300, what='the end of the transfer')
    wrong = torrent.difference(folder / 'down')
    assert not wrong, wrong
    blocks = (marks[1][0] - marks[0][0]) / BLOCK
    print(f'{blocks:.0f} blocks of 16 KiB')
    failed = passed = 0
    for side, n in (('downloads', 1), ('uploads', 2)):
        for name in sorted(marks[0][n]):
            calls = (marks[1][n][name][0] - marks[0][n][name][0]) / blocks
            size = (marks[1][n][name][1] - marks[0][n][name][1]) / blocks
            bar = BARS.get(name.split(':')[0])
            judged, good = bar is not None, bar is None or calls <= bar
            failed, passed = failed + (not good), passed + (judged and good)
            print(f'{("ok" if good else "FAILED") if judged else "":7}{side:10} {name:14} {calls:9.4f} heap calls a block, {size:9.1f} bytes a block', flush=True)
    print(f'allocations: {passed} passed, {failed} failed')
    sys.exit(failed > 0)


if __name__ == '__main__': main()
