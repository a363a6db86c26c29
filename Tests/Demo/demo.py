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


def show(*arguments, **more):
    """Runs one of our programs in sight, as a user would type it."""
    words = [str(a) for a in arguments]
    line = ' '.join(w if ' ' not in w else f"'{w}'" for w in words)
    print(f'\033[2m$ {line}\033[0m' if COLOUR else f'$ {line}', flush=True)
    return subprocess.run([str(BIN / words[0])] + words[1:], check=True, **more)


def quiet(*arguments):
    words = [str(a) for a in arguments]
    return subprocess.run([str(BIN / words[0])] + words[1:], check=True, capture_output=True, text=True).stdout


def collect(target, size):
    """About `size` bytes of real files: large libraries, small documents, deep folders."""
    count = total = 0
    for part in ('/usr/share', '/usr/lib', '/usr/bin', '/usr/include'):
        room = total + (size - total) // 2 if part != '/usr/include' else size
        for folder, folders, names in os.walk(part):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                try: length = path.lstat().st_size
                except OSError: continue
                if path.is_symlink() or not path.is_file() or length > size // 4 or total + length > room: continue
                copy = target / path.relative_to('/usr')
                try:
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, copy)
                except (OSError, UnicodeEncodeError): continue
                count, total = count + 1, total + length
            if total >= room: break
    return count, total


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
    parser.add_argument('--rate', type=int, default=60, help='upload limit of the seeder, so that there is something to see; 0: none')
    parser.add_argument('--keep', action='store_true', help='leave the files for a look')
    options = parser.parse_args()
    # Short paths: control sockets stand in the state folders.
    work = Path(tempfile.mkdtemp(prefix='ccbt-demo-'))
    seeder, torrent = work / 'seeder', work / 'demo.torrent'
    try:
        say('Real files of this machine')
        count, total = collect(work / 'source' / 'demo', options.mib << 20)
        print(f'{count} files, {total / (1 << 20):.0f} MiB, from /usr into {work}/source/demo')

        say('A torrent of them')
        show('btbt', 'create', work / 'source' / 'demo', '-o', torrent)
        facts = json.loads(quiet('ccbt', 'info', torrent, '--json'))
        print(f'info-hash {facts["infoHashV1"]}, {facts["pieceCount"]} pieces of {facts["pieceLength"] >> 10} KiB, {facts["fileCount"]} files')

        say('A daemon that seeds it')
        port = free_port()
        config = work / 'seeder.toml'
        config.write_text(f'[limits]\nglobal_up_kib = {options.rate << 10}\n')
        show('btbt', '--state-dir', seeder, 'daemon', 'start', '--config', config, '--listen', f'127.0.0.1:{port}')
        show('btbt', '--state-dir', seeder, 'add', torrent, '--save', work / 'source')
        end = time.monotonic() + 120
        while (t := json.loads(quiet('btbt', '--state-dir', seeder, '--json', 'list'))[0])['state'] != 'seeding':
            if time.monotonic() > end or t['state'] == 'error': raise RuntimeError(f'the seeder is {t["state"]}: {t.get("error")}')
            time.sleep(0.05)
        show('btbt', '--state-dir', seeder, 'list')

        say('Downloaded by ccbt, through a supervisor and four workers of its own'
            + (f' (the seeder is limited to {options.rate} MiB/s to have something to see)' if options.rate else ''))
        tables = []
        state = work / 'download' / '.ccbt' / facts['infoHashV1']
        looker = threading.Thread(target=watch_workers, args=(state, tables), daemon=True)
        looker.start()
        show('ccbt', torrent, '-o', work / 'download', '--peer', f'127.0.0.1:{port}', '--listen', f'127.0.0.1:{free_port()}')
        if tables: print('\nits processes in the middle of it:\n' + tables[0], end='')

        say('Verified by tools that know nothing of BitTorrent')
        subprocess.run(['diff', '-r', str(work / 'source' / 'demo'), str(work / 'download' / 'demo')], check=True)
        sums = [subprocess.run(['bash', '-c', 'cd "$0" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum', str(work / where / 'demo')],
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
        if (seeder / 'control.sock').exists(): subprocess.run([str(BIN / 'btbt'), '--state-dir', str(seeder), 'daemon', 'stop'], capture_output=True)
        if not options.keep: shutil.rmtree(work, ignore_errors=True)


if __name__ == '__main__': main()
