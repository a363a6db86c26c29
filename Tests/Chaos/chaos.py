"""Real worker processes killed, stopped and starved in the middle of real transfers.

    chaos.py [--slice] [--mib N] [--only TEXT]

Method: ccbt downloads from a libtorrent seeder whose rate is limited, so that the fault lands in the middle. The oracles
stand outside the daemon: the seeder's upload counter (bytes sent minus the torrent's size are the bytes fetched twice), its
list of connections, and a comparison of the files.
"""
import argparse, os, re, shutil, signal, subprocess, sys, time, traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'Interop'))
import sandbox
from clients import Ccbt, Libtorrent
from content import Torrent, single_file
from sandbox import Tracker, address, alive, until

Ccbt.crashes = None  # SIGSTOP ends in one
BLOCK = 16 << 10
# network.pipeline_max_depth: requests that can be outstanding at the one seeder.
IN_FLIGHT = 512 * BLOCK
# What any kill -9 may cost: unfinished pieces and blocks in flight.
AFTER_A_CRASH = 64 << 20


class Runner:
    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-chaos-')
        self.torrent = Torrent(single_file(self.folder / 'source' / 'payload.bin', (options.mib << 20) + 777), piece=1 << 20)
        self.small = Torrent(single_file(self.folder / 'source' / 'small.bin', (96 << 20) + 13, seed=5), piece=256 << 10)
        self.tracker = Tracker(self.folder / 'tracker', [self.torrent.hash, self.small.hash])
        for t in (self.torrent, self.small): t.write(self.folder / f'{t.name}.torrent', self.tracker.announce('http'))
        # The slice's download lasts 6 s, the full one 14 s; a machine that is slower only makes it longer.
        self.rate = self.torrent.size // (6 if options.slice else 14)
        self.n = self.passed = self.failed = 0
        self.rows = []

    def file(self, torrent): return self.folder / f'{torrent.name}.torrent'

    def place(self, name):
        self.n += 1
        path = self.folder / f'{self.n:02}-{name}'
        path.mkdir()
        return path

    def seeder(self, rate=0):
        it = Libtorrent(self.folder / f'{self.n:02}-seeder', address(2), upload_rate_limit=rate)
        return self.keep(it.start())

    def daemon(self, **options):
        return self.keep(Ccbt(self.folder / f'{self.n:02}-ccbt', address(1), **options).start())

    def keep(self, client):
        self.started.append(client)
        return client

    def run(self, name, body):
        if self.options.only and self.options.only not in name: return
        self.started, begin, why, note = [], time.monotonic(), '', ''
        try: note = body() or ''
        except Exception as error:
            why = f'{type(error).__name__}: {error}'[:400]
            if os.environ.get('CCBT_TEST_TRACE'): traceback.print_exc()
        if why:
            for c in self.started: why += f'\n      {c.name}: {c.tail(8)}'
        for c in self.started: c.stop()
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}{name:34}{time.monotonic() - begin:7.1f} s  {note}{why}', flush=True)
        if not why:
            for path in self.folder.glob(f'{self.n:02}-*'): shutil.rmtree(path, ignore_errors=True)


class Download:
    """A download that has reached its middle."""

    def __init__(self, runner, part=0.4):
        self.runner, self.torrent = runner, runner.torrent
        self.down = runner.place('down')
        self.seeder = runner.seeder(runner.rate)
        self.seeder.add(runner.file(self.torrent), runner.folder / 'source')
        until(lambda: self.seeder.stat()['complete'], 300, what='the seeder to check')
        self.us = runner.daemon()
        self.us.add(runner.file(self.torrent), self.down)
        self.dial()
        self.watch = self.us.watch()
        self.reach(part)
        self.connections = self.ports()
        # The supervisor's row, where there is one, is not killed by these.
        self.workers = {name: w for name, w in self.us.workers().items() if w['role'] != 'supervisor'}

    def dial(self): self.us.dial(self.seeder.ip, self.seeder.port)
    def ports(self): return {(p['ip'], p['port']) for p in self.seeder.peers()}
    def done(self): return self.watch.done(self.torrent.hash)
    def reach(self, part):
        until(lambda: self.us.alive() and self.done() >= self.torrent.size * part, 120, 0.005, f'{part:.0%} of the download')

    def restart(self):
        """The daemon again on the same state."""
        self.watch.stop()
        self.us.start(keep=True)
        self.dial()
        self.watch = self.us.watch()

    def finish(self, bound):
        """To the end; the figures of the row. `bound`: bytes that may be fetched twice."""
        patience = 60 + 4 * self.torrent.size / self.runner.rate
        until(lambda: self.us.alive() and self.watch.state(self.torrent.hash) == 'seeding', patience, 0.02, 'the download to complete')
        wrong = self.torrent.difference(self.down)
        assert not wrong, wrong
        twice = self.seeder.stat()['up'] - self.torrent.size
        ours = self.us.torrent()['downloadedAgain']
        self.watch.stop()
        assert twice <= bound, f'{twice} bytes fetched twice, allowed {bound}'
        return f'twice {twice / 1024:8.0f} KiB (ours {ours / 1024:.0f}, allowed {bound / 1024:.0f})'


def kill(runner, name, bound, keeps_connections):
    def body():
        d = Download(runner)
        old, before, begin = d.workers[name], d.done(), time.monotonic()
        os.kill(old['pid'], signal.SIGKILL)
        new = until(lambda: (w := d.us.workers()[name])['generation'] > old['generation'] and w['state'] == 'ready' and w, 30, 0.005, f'{name} to be back')
        back = time.monotonic() - begin
        until(lambda: d.done() > before + (1 << 20), 30, 0.005, 'the transfer to go on')
        going = time.monotonic() - begin
        lost = len(d.connections - d.ports())
        assert not keeps_connections or lost == 0, f'{lost} peer connections lost'
        figures = d.finish(bound)
        others = [w['name'] for w in d.us.workers().values() if w['restarts'] and w['name'] != name]
        assert not others, f'{others} restarted too'
        assert new['restarts'] == 1, f'{new["restarts"]} restarts'
        return f'{figures}, lost {lost} connections, ready after {back * 1000:.0f} ms, receiving after {going * 1000:.0f} ms'
    runner.run(f'kill -9 {name}', body)


def kill_supervisor(runner):
    def body():
        d = Download(runner)
        begin = time.monotonic()
        os.kill(d.us.proc.pid, signal.SIGKILL)
        d.us.proc.wait()
        pids = [w['pid'] for w in d.workers.values()]
        until(lambda: not any(alive(p) for p in pids), 6, 0.01, 'the workers to end by themselves')
        ended = time.monotonic() - begin
        d.restart()
        return f'{d.finish(AFTER_A_CRASH)}, workers ended after {ended * 1000:.0f} ms'
    runner.run('kill -9 supervisor', body)


def kill_all(runner):
    def body():
        d = Download(runner, 0.6)
        pids = [d.us.proc.pid] + [w['pid'] for w in d.workers.values()]
        for p in pids: os.kill(p, signal.SIGSTOP)  # so that none sees another's death
        for p in pids: os.kill(p, signal.SIGKILL)
        d.us.proc.wait()
        before = d.done()
        begin = time.monotonic()
        d.restart()
        until(lambda: d.us.torrent()['state'] == 'downloading' and d.us.torrent()['done'] > 0, 60, 0.02, 'the download to go on')
        kept = d.us.torrent()['done']
        back = time.monotonic() - begin
        # 256 MiB or 5 s of writes may stand behind the last checkpoint; they are hashed again, not fetched again.
        return f'{d.finish(AFTER_A_CRASH)}, kept {kept >> 20} of {before >> 20} MiB, going on after {back * 1000:.0f} ms'
    runner.run('kill -9 of all at once', body)


def stop(runner, name, bound):
    """Silent for 5.5 s means a hang; on a machine so busy that the supervisor itself runs late it waits up to a minute more."""
    def body():
        d = Download(runner)
        old, begin = d.workers[name], time.monotonic()
        os.kill(old['pid'], signal.SIGSTOP)
        until(lambda: (w := d.us.workers()[name])['generation'] > old['generation'] and w['state'] == 'ready', 75, 0.02, f'{name} to be replaced')
        back = time.monotonic() - begin
        until(lambda: not alive(old['pid']), 5, what='the stopped process to be gone')
        assert back > 4, f'replaced after {back:.1f} s: a pause of 4 s is no hang'
        return f'{d.finish(bound)}, replaced after {back:.1f} s'
    runner.run(f'SIGSTOP {name}', body)


def full_disk(runner):
    """A volume of 48 MiB for a torrent of 96; another torrent on another volume must not notice."""
    volume = runner.folder / 'volume'
    volume.mkdir(exist_ok=True)
    mount = lambda *a: subprocess.run(['mount', '-t', 'tmpfs', *a, 'ccbt-chaos', str(volume)], capture_output=True).returncode == 0
    if runner.options.only and runner.options.only not in 'full disk': return
    if not mount('-o', 'size=48m'): return print('skipped  full disk: mounting a small tmpfs needs root')

    def body():
        down = runner.place('down')
        seeder = runner.seeder(runner.rate)
        for t in (runner.small, runner.torrent): seeder.add(runner.file(t), runner.folder / 'source')
        for n in (0, 1): until(lambda: seeder.stat(n)['complete'], 300, what='the seeder to check')
        us = runner.daemon()
        hashes = [us.btbt('add', runner.file(t), '--save', where)[0]['hash'] for t, where in ((runner.small, volume), (runner.torrent, down))]
        for h in hashes: us.btbt('peers', 'add', h, f'{seeder.ip}:{seeder.port}')
        watch = us.watch()
        starved = until(lambda: watch.state(hashes[0]) in ('error', 'waiting') and watch.last[hashes[0]], 90, what='the full volume to show')
        text = starved.get('error') or ''
        assert re.search('full|space', text), f'the error should name the cause: {text!r}'
        until(lambda: watch.state(hashes[1]) == 'seeding', 120, what='the other torrent to complete')
        assert not runner.torrent.difference(down), runner.torrent.difference(down)
        subprocess.run(['mount', '-o', 'remount,size=256m', str(volume)], check=True)
        begin = time.monotonic()
        # By itself within the 30 s of RELIABILITY; a user who resumes it is not kept waiting either.
        until(lambda: watch.state(hashes[0]) == 'seeding', 90, what='the torrent to go on when there is space')
        resumed = time.monotonic() - begin
        assert not runner.small.difference(volume), runner.small.difference(volume)
        restarts = sum(w['restarts'] for w in us.workers().values())
        assert restarts == 0, f'{restarts} worker restarts'
        watch.stop()
        return f'"{text}"; complete {resumed:.1f} s after space was made'
    try: runner.run('full disk', body)
    finally: subprocess.run(['umount', '-l', str(volume)], capture_output=True)


def damaged_file(runner, name, damage):
    """The file of a seeding torrent goes or shrinks under the daemon."""
    def body():
        data, down = runner.place('data'), runner.place('down')
        for t in (runner.small, runner.torrent): shutil.copy(t.source, data)
        us, leecher = runner.daemon(), runner.keep(Libtorrent(runner.folder / f'{runner.n:02}-leecher', address(3)).start())
        hashes = [us.btbt('add', runner.file(t), '--save', data)[0]['hash'] for t in (runner.small, runner.torrent)]
        watch = us.watch()
        for h in hashes: until(lambda: watch.state(h) == 'seeding', 120, what='ccbt to check')
        damage(data / runner.small.name)
        for t in (runner.small, runner.torrent): leecher.add(runner.file(t), down)
        for h in hashes: us.btbt('peers', 'add', h, f'{leecher.ip}:{leecher.port}')
        text = until(lambda: watch.state(hashes[0]) == 'error' and watch.last[hashes[0]].get('error'), 60, what='the torrent to err')
        until(lambda: leecher.stat(1)['complete'], 120, what='the sound torrent to be seeded')
        restarts = sum(w['restarts'] for w in us.workers().values())
        assert restarts == 0, f'{restarts} worker restarts'
        # Mended, it seeds again.
        shutil.copy(runner.small.source, data)
        us.btbt('recheck', hashes[0])
        until(lambda: watch.state(hashes[0]) == 'seeding', 60, what='the recheck')
        us.btbt('peers', 'add', hashes[0], f'{leecher.ip}:{leecher.port}')
        until(lambda: leecher.stat(0)['complete'], 120, what='the mended torrent to be seeded')
        # libtorrent calls a torrent complete when its pieces are hashed; the last writes follow.
        until(lambda: not runner.small.difference(down), 20, what='the leecher to have written what it was sent')
        watch.stop()
        return f'"{text}"'
    runner.run(name, body)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--mib', type=int, help='size of the download (4096; slice 256)')
    parser.add_argument('--only', help='scenarios whose name contains this')
    options = parser.parse_args()
    options.mib = options.mib or (256 if options.slice else 4096)
    sandbox.enter()
    runner = Runner(options)
    kill(runner, 'disk:0', 0, keeps_connections=True)
    kill(runner, 'peer:0', IN_FLIGHT, keeps_connections=False)
    kill(runner, 'session:0', 0, keeps_connections=True)
    kill(runner, 'discovery:0', 0, keeps_connections=True)
    kill_supervisor(runner)
    kill_all(runner)
    stop(runner, 'disk:0', 0)
    if not options.slice: stop(runner, 'peer:0', IN_FLIGHT)
    full_disk(runner)
    damaged_file(runner, 'file truncated while seeding', lambda p: os.truncate(p, p.stat().st_size // 3))
    damaged_file(runner, 'file deleted while seeding', lambda p: p.unlink())
    print(f'chaos: {runner.passed} passed, {runner.failed} failed')
    sys.exit(1 if runner.failed else 0)


if __name__ == '__main__': main()
