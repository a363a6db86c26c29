"""`ccbt FILE` itself: verified exit, interruption and resumption, no process left behind, one clear line on failure.

    foreground.py
"""
import json, os, shutil, signal, subprocess, sys, time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Libtorrent
from content import Torrent, many_files, single_file
from sandbox import BIN, address, alive, children, until


class Foreground:
    def __init__(self):
        self.folder = sandbox.scratch('ccbt-foreground-')
        self.single = Torrent(single_file(self.folder / 'source' / 'single.bin', (64 << 20) + 99), piece=256 << 10)
        self.many = Torrent(many_files(self.folder / 'source' / 'many files', 200, 4 << 20), piece=32 << 10)
        self.seeder = Libtorrent(self.folder / 'seeder', address(2)).start()
        for n, t in enumerate((self.single, self.many)):
            self.seeder.add(t.write(self.folder / f'{t.name}.torrent'), self.folder / 'source')
            until(lambda: self.seeder.stat(n)['complete'], 60)
        self.passed = self.failed = self.n = 0

    def down(self):
        self.n += 1
        return self.folder / f'down{self.n}'

    def ccbt(self, source, down, *arguments):
        # A terminal's process group is the tests' as well; a session of its own keeps signals apart.
        return subprocess.Popen([str(BIN / 'ccbt'), str(source), '-o', str(down), '--listen', f'{address(1)}:7100', *arguments],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)

    def torrent(self, t): return self.folder / f'{t.name}.torrent'
    def peer(self): return ['--peer', f'{self.seeder.ip}:{self.seeder.port}']

    def run(self, name, body):
        begin, why = time.monotonic(), ''
        try: body()
        except Exception as error: why = f'{type(error).__name__}: {error}'[:500]
        self.seeder.set(upload_rate_limit=0)
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}ccbt {name:44}{time.monotonic() - begin:6.1f} s  {why}', flush=True)

    def expect(self, proc, status, timeout=60):
        try: out, err = proc.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            proc.kill()
            raise AssertionError(f'still running after {timeout} s: {proc.communicate()}') from None
        assert proc.returncode == status, f'exit status {proc.returncode}, not {status}: {err.strip()[-300:]}'
        return out, err

    # -- cases ----------------------------------------------------------------------------------------------------

    def downloads(self):
        for t in (self.single, self.many):
            down = self.down()
            out, _ = self.expect(self.ccbt(self.torrent(t), down, '--json', *self.peer()), 0)
            lines = [json.loads(line) for line in out.splitlines()]
            assert lines[-1]['result'] == 'verified' and lines[-1]['hash'] == t.hash, lines[-1]
            assert all(a['done'] <= b['done'] for a, b in zip(lines[:-1], lines[1:-1])), 'done went back'
            assert not t.difference(down), t.difference(down)
            assert not (down / '.ccbt').exists(), 'the private state is still there'
            # Run again, it finds everything there.
            self.expect(self.ccbt(self.torrent(t), down), 0)

    def magnet(self):
        down = self.down()
        self.expect(self.ccbt(f'magnet:?xt=urn:btih:{self.many.hash}', down, *self.peer()), 0)
        assert not self.many.difference(down), self.many.difference(down)

    def resumes(self):
        down, before = self.down(), self.seeder.stat(0)['up']
        self.seeder.set(upload_rate_limit=16 << 20)
        proc = self.ccbt(self.torrent(self.single), down, '--json', *self.peer())
        for line in proc.stdout:
            if json.loads(line)['done'] > self.single.size // 2: break
        proc.send_signal(signal.SIGINT)
        self.expect(proc, 130, 15)
        assert (down / '.ccbt' / self.single.hash).is_dir(), 'no state to resume from'
        self.expect(self.ccbt(self.torrent(self.single), down, *self.peer()), 0)
        twice = self.seeder.stat(0)['up'] - before - self.single.size
        assert not self.single.difference(down), self.single.difference(down)
        # Unfinished pieces and the requests in flight when it stopped.
        assert twice < 32 << 20, f'{twice >> 20} MiB fetched twice'

    def leaves_nothing(self):
        down = self.down()
        self.seeder.set(upload_rate_limit=2 << 20)
        proc = self.ccbt(self.torrent(self.single), down, '--json', *self.peer())
        for line in proc.stdout:
            if json.loads(line)['done'] > 0: break
        pids = children(proc.pid)
        assert len(pids) >= 5, f'{len(pids)} processes'
        proc.kill()
        proc.communicate()
        until(lambda: not any(alive(p) for p in pids), 12, what='the daemon to die with ccbt')

    def seeds(self):
        down = self.down()
        shutil.copytree(self.many.source, down / self.many.name)
        proc = self.ccbt(self.torrent(self.many), down, '--seed', '--json')
        for line in proc.stdout:
            if json.loads(line).get('state') == 'seeding': break
        other = Libtorrent(self.folder / 'leecher', address(3)).start()
        got = self.down()
        other.add(self.torrent(self.many), got)
        other.dial(address(1), 7100)
        until(lambda: other.stat()['complete'], 30, what='libtorrent to download from ccbt --seed')
        # libtorrent writes a moment after it says so.
        until(lambda: not self.many.difference(got), 10, what='libtorrent to write what it got')
        other.stop()
        proc.send_signal(signal.SIGTERM)
        self.expect(proc, 0, 15)

    def long_path(self):
        down = self.down() / ('x' * 60) / ('y' * 60)
        self.expect(self.ccbt(self.torrent(self.many), down, *self.peer()), 0)
        assert not self.many.difference(down), self.many.difference(down)

    def failures(self):
        def fails(status, source, down, *arguments, text):
            _, err = self.expect(self.ccbt(source, down, *arguments), status, 30)
            lines = err.strip().splitlines()
            assert len(lines) == 1 and text in lines[0], f'one line with {text!r} expected: {err!r}'
        bad = self.folder / 'bad.torrent'
        bad.write_bytes(b'd4:infoi1ee')
        blocked = self.folder / 'a file'
        blocked.write_text('')
        fails(4, self.folder / 'missing.torrent', self.down(), text='no such file')
        fails(1, bad, self.down(), text='bad.torrent')
        fails(1, self.torrent(self.single), blocked / 'below', text='a file')
        fails(78, self.torrent(self.single), self.down(), '--set', 'disk.cache_size_mb=1', text='disk.cache_size_mb')
        fails(2, self.torrent(self.single), self.down(), '--peer', 'nonsense', text='HOST:PORT')

    def full_disk(self):
        volume = self.down()
        volume.mkdir()
        if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=24m', 'ccbt-test', str(volume)], capture_output=True).returncode:
            return print('skipped  full disk: mounting a small tmpfs needs root')
        try:
            state = self.down()
            _, err = self.expect(self.ccbt(self.torrent(self.single), volume, '--state-dir', str(state), *self.peer()), 1, 60)
            lines = err.strip().splitlines()
            assert len(lines) == 1 and ('full' in lines[0] or 'space' in lines[0]), err
        finally: subprocess.run(['umount', '-l', str(volume)])


def main():
    sandbox.enter()
    f = Foreground()
    f.run('downloads, verifies, removes its state', f.downloads)
    f.run('takes a magnet link', f.magnet)
    f.run('resumes after Ctrl-C', f.resumes)
    f.run('killed, takes its daemon along', f.leaves_nothing)
    f.run('--seed seeds until stopped', f.seeds)
    f.run('downloads under a long path', f.long_path)
    f.run('says why it cannot, in one line', f.failures)
    f.run('full disk ends it with one line', f.full_disk)
    f.seeder.stop()
    print(f'foreground: {f.passed} passed, {f.failed} failed')
    sys.exit(1 if f.failed else 0)


if __name__ == '__main__': main()
