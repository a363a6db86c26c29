"""The main job, end to end, to look at: real files of this machine become a torrent, one daemon seeds it, `ccbt` downloads
it through its own worker processes over loopback, and independent tools verify the copy. Everything is removed afterwards.

    demo.py [--mib N] [--rate MIB_PER_SECOND] [--keep]
"""
import argparse, json, os, shutil, socket, subprocess, sys, tempfile, threading, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get('CCBT_BIN', ROOT / '.build' / 'release')).resolve()
COLOUR = sys.stdout.isatty() and not os.environ.get('NO_COLOR')


def say(text): print(f'\n\033[1;36m── {text}\033[0m' if COLOUR else f'\n── {text}', flush=True)


def show(*arguments):
    """Runs one of our programs in sight, as a user would type it in the demo's folder."""
    words = [str(a) for a in arguments]
    line = ' '.join(w if ' ' not in w else f"'{w}'" for w in words)
    print(f'\033[2m$ {line}\033[0m' if COLOUR else f'$ {line}', flush=True)
    subprocess.run([str(BIN / words[0])] + words[1:], check=True)


def quiet(*arguments):
    words = [str(a) for a in arguments]
    return subprocess.run([str(BIN / words[0])] + words[1:], check=True, capture_output=True, text=True).stdout


def collect(target, size):
    """About `size` bytes of real files: documents and headers, programs and libraries; at most 1,000 of each part."""
    count = total = 0
    parts = ('/usr/share/doc', '/usr/include', '/usr/bin', '/usr/lib')
    for n, part in enumerate(parts):
        room, taken = total + (size - total) // (len(parts) - n), 0
        for folder, folders, names in os.walk(part):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                try: length = path.lstat().st_size
                except OSError: continue
                if path.is_symlink() or not path.is_file() or length > size // 8 or total + length > room: continue
                copy = target / path.relative_to('/usr')
                try:
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, copy)
                except (OSError, UnicodeEncodeError): continue
                count, taken, total = count + 1, taken + 1, total + length
                if taken == 1000: break
            if total >= room or taken == 1000: break
    return count, total


class Line:
    """A line of limited speed between the downloader and the seeder: a relay on a port of its own."""

    def __init__(self, port, rate):
        self.target, self.rate = port, rate
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(('127.0.0.1', self.target))
            for a, b in ((near, far), (far, near)): threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, source, sink):
        begin, passed = time.monotonic(), 0
        try:
            while data := source.recv(256 << 10):
                sink.sendall(data)
                passed += len(data)
                if self.rate: time.sleep(max(0, passed / self.rate - (time.monotonic() - begin)))
        except OSError: pass  # one of them hung up
        for s in (source, sink):
            try: s.shutdown(socket.SHUT_RDWR)
            except OSError: pass  # it was shut already


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def watch_workers(state, out):
    """The downloading daemon's worker table, as it is in the middle of the download."""
    for _ in range(600):
        try:
            torrents = json.loads(quiet('btbt', '--state-dir', state, '--json', 'list'))
            if torrents and torrents[0]['progress'] > 0.4:
                out.append(quiet('btbt', '--state-dir', state, 'workers'))
                return
        except (subprocess.CalledProcessError, OSError, ValueError): pass
        time.sleep(0.05)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--mib', type=int, default=300)
    parser.add_argument('--rate', type=int, default=60, help='of the line between the two, so that there is something to see; 0: no limit')
    parser.add_argument('--keep', action='store_true', help='leave the files for a look')
    options = parser.parse_args()
    # Short paths: control sockets stand in the state folders.
    work = Path(tempfile.mkdtemp(prefix='ccbt-demo-'))
    os.chdir(work)
    seeder, torrent, source, download = map(Path, ('seeder', 'demo.torrent', 'source', 'download'))
    try:
        say('Real files of this machine')
        count, total = collect(source / 'demo', options.mib << 20)
        print(f'{count} files, {total / (1 << 20):.0f} MiB, from /usr, in {work}/source')

        say('A torrent of them')
        show('btbt', 'create', source / 'demo', '-o', torrent)
        facts = json.loads(quiet('ccbt', 'info', torrent, '--json'))
        print(f'info-hash {facts["infoHashV1"]}, {facts["pieceCount"]} pieces of {facts["pieceLength"] >> 10} KiB, {facts["fileCount"]} files')

        say('A daemon that seeds it')
        port = free_port()
        show('btbt', '--state-dir', seeder, 'daemon', 'start', '--listen', f'127.0.0.1:{port}')
        show('btbt', '--state-dir', seeder, 'add', torrent, '--save', source)
        end = time.monotonic() + 120
        while (t := json.loads(quiet('btbt', '--state-dir', seeder, '--json', 'list'))[0])['state'] != 'seeding':
            if time.monotonic() > end or t['state'] == 'error': raise RuntimeError(f'the seeder is {t["state"]}: {t.get("error")}')
            time.sleep(0.05)
        show('btbt', '--state-dir', seeder, 'list')

        say('Downloaded by ccbt, through a supervisor and four workers of its own'
            + (f', over a line of {options.rate} MiB/s, to have something to see' if options.rate else ''))
        line = Line(port, options.rate << 20)
        tables = []
        state = download / '.ccbt' / facts['infoHashV1']
        looker = threading.Thread(target=watch_workers, args=(state, tables), daemon=True)
        looker.start()
        show('ccbt', torrent, '-o', download, '--peer', f'127.0.0.1:{line.port}', '--listen', f'127.0.0.1:{free_port()}')
        if tables: print('\nits processes in the middle of it:\n' + tables[0], end='')

        say('Verified by tools that know nothing of BitTorrent')
        subprocess.run(['diff', '-r', str(source / 'demo'), str(download / 'demo')], check=True)
        sums = [subprocess.run(['bash', '-c', 'cd "$0" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum', where + '/demo'],
                               check=True, capture_output=True, text=True).stdout.split()[0] for where in ('source', 'download')]
        if sums[0] != sums[1]: raise RuntimeError(f'the copies differ: {sums}')
        print(f'{count} files are byte-identical; sha256 of all their sums: {sums[0][:32]}…')

        say("The seeding daemon's processes")
        show('btbt', '--state-dir', seeder, 'workers')
        show('btbt', '--state-dir', seeder, 'daemon', 'status')
        show('btbt', '--state-dir', seeder, 'daemon', 'stop')
        print('\ndemo: all steps passed')
    except (subprocess.CalledProcessError, RuntimeError) as error:
        print(f'\ndemo: FAILED: {error}', file=sys.stderr)
        for log in (seeder / 'log', ):
            if log.exists(): print(log.read_text(errors='replace')[-2000:], file=sys.stderr)
        sys.exit(1)
    finally:
        if (seeder / 'control.sock').exists(): subprocess.run([str(BIN / 'btbt'), '--state-dir', str(seeder), 'daemon', 'stop'], capture_output=True)  # after a failure
        os.chdir('/')
        if not options.keep: shutil.rmtree(work, ignore_errors=True)


if __name__ == '__main__': main()
