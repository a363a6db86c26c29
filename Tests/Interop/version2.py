"""BitTorrent v2 and hybrid torrents (BEP 52, BEP 47) between ccbt and real clients.

    version2.py [--slice] [--only TEXT] [--mib N]

Content: several files, among them empty ones, single bytes, sizes around the block and the piece. Torrents are made by
libtorrent. Both ways, by .torrent and by magnet link; corrupt senders, swarms whose halves know different info-hashes,
symbolic links and attributes, trackers asked under both hashes. Everything downloaded is compared byte by byte.
"""
import argparse, hashlib, os, random, shutil, socket, stat, struct, sys, threading, time, traceback, warnings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from content import DEAD_TRACKER
from clients import Ccbt, Client, Libtorrent, OTHERS
from pathlib import Path
from sandbox import Tracker, address, until

import libtorrent as lt

# Its older calls are the ones that other versions have too.
warnings.simplefilter('ignore', DeprecationWarning)


def corpus(folder, mib):
    """Files whose ends fall before, on and behind the ends of blocks and pieces of 32 KiB."""
    rng = random.Random(52)
    sizes = {'empty': 0, 'one': 1, 'block less': 16383, 'block': 16384, 'block more': 16385, 'piece less': 32767, 'piece': 32768,
             'piece more': 32769, 'sub/three pieces': 3 * 32768, 'sub/five and a bit': 5 * 32768 + 4711, 'sub/zeros': 200_000,
             'sub/deep/empty too': 0, 'large.bin': (mib << 20) + 12345, 'ünï 日本': 70_000}
    for name, size in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size) if 'zeros' in name else rng.randbytes(size))
    # BEP 52: equal files have equal roots, and one piece layer stands for both.
    shutil.copy(folder / 'sub/three pieces', folder / 'twin')
    return folder


def files(folder):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob('*')) if p.is_file()}


def make(source, kind, piece, path, layers=True, trackers=(), attributes=False):
    """(.torrent, magnet link, both hashes) as libtorrent makes them."""
    flags = lt.create_torrent.v2_only if kind == 'v2' else 0
    if attributes: flags |= lt.create_torrent.symlinks
    store = lt.file_storage()
    lt.add_files(store, str(source), lambda path: True, flags)
    maker = lt.create_torrent(store, piece, flags)
    for url in trackers: maker.add_tracker(url)
    lt.set_piece_hashes(maker, str(source.parent))
    tree = maker.generate()
    info = lt.torrent_info(tree)
    magnet = lt.make_magnet_uri(info)
    if not layers: tree.pop(b'piece layers')
    path.write_bytes(lt.bencode(tree))
    hashes = info.info_hashes()
    return path, magnet, str(hashes.v1) if hashes.has_v1() else None, str(hashes.v2)


class Magnets(Libtorrent):
    """Libtorrent that takes a link as well as a file."""
    def add(self, source, folder, seed=False):
        if str(source).startswith('magnet:'): self.call('link', link=str(source), folder=str(folder))
        else: super().add(source, folder)


class Liar(threading.Thread):
    """A seed that damages blocks. It speaks v2, has every piece, and sends one wrong byte in each block that `spoils` names."""

    def __init__(self, ip, port, info_hash, torrent, source, spoils, wrong_hashes=False):
        super().__init__(daemon=True)
        self.info_hash, self.spoils, self.wrong_hashes = info_hash, spoils, wrong_hashes
        info = lt.torrent_info(str(torrent))
        self.pieces, self.piece_length, self.store, self.source = info.num_pieces(), info.piece_length(), info.files(), source
        self.sent, self.spoilt, self.closed, self.hash_requests = 0, 0, 0, 0
        self.listener = socket.create_server((ip, port), reuse_port=True)
        self.start()

    def run(self):
        while True:
            try: link, _ = self.listener.accept()
            except OSError: return
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def bytes(self, piece, begin, length):
        out, at = b'', piece * self.piece_length + begin
        for i in range(self.store.num_files()):
            offset = at + len(out) - self.store.file_offset(i)
            n = min(length - len(out), self.store.file_size(i) - offset)
            if offset < 0 or n <= 0: continue
            if self.store.file_flags(i) & lt.file_storage.flag_pad_file: out += bytes(n)
            else:
                with open(self.source.parent / self.store.file_path(i), 'rb') as f:
                    f.seek(offset)
                    out += f.read(n)
        return out

    def serve(self, link):
        def exactly(n):
            data = b''
            while len(data) < n:
                more = link.recv(n - len(data))
                if not more: raise EOFError
                data += more
            return data
        try:
            exactly(68)
            link.sendall(b'\x13BitTorrent protocol' + bytes(7) + b'\x14' + bytes.fromhex(self.info_hash)[:20] + b'-XX0001-' + os.urandom(12))
            link.sendall(struct.pack('>IB', 1, 14) + struct.pack('>IB', 1, 1))
            while True:
                size = struct.unpack('>I', exactly(4))[0]
                if not size: continue
                message = exactly(size)
                if message[0] == 6:
                    piece, begin, length = struct.unpack('>III', message[1:])
                    data = bytearray(self.bytes(piece, begin, length))
                    self.sent += 1
                    if self.spoils(piece, begin):
                        data[len(data) // 2] ^= 1
                        self.spoilt += 1
                    link.sendall(struct.pack('>IBII', 9 + len(data), 7, piece, begin) + data)
                elif message[0] == 21:
                    self.hash_requests += 1
                    link.sendall(struct.pack('>IB', size, 23) + message[1:])
        except (EOFError, OSError): self.closed += 1
        finally: link.close()

    def stop(self): self.listener.close()


class Bench:
    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-version2-')
        self.source = corpus(self.folder / 'source' / 'content', options.mib)
        self.want = files(self.source)
        self.passed, self.failed, self.n = 0, 0, 0
        self.torrents = {}
        for kind in ('v2', 'hybrid'):
            self.torrents[kind] = make(self.source, kind, 32768, self.folder / f'{kind}.torrent')

    def place(self, name):
        self.n += 1
        path = self.folder / f'{self.n:03}-{name}'
        return path

    def down(self):
        path = self.place('down')
        path.mkdir()
        return path

    def case(self, name, body):
        if self.options.only and self.options.only not in name: return
        begin, started, why = time.monotonic(), [], ''
        try: body(started)
        except Exception as error:
            why = f'{type(error).__name__}: {error}'.splitlines()[0][:400]
            if os.environ.get('CCBT_TEST_TRACE'): traceback.print_exc()
            for c in started:
                if isinstance(c, Client): why += f'\n      {c.name}: {c.tail(6)}'
        for c in started: c.stop()
        if why: self.failed += 1
        else: self.passed += 1
        print(f'{"ok" if not why else "FAILED":7}{name:62}{time.monotonic() - begin:6.1f} s  {why}', flush=True)

    def ours(self, started, n=1, **options):
        c = Ccbt(self.place('ccbt'), address(n), **options)
        started.append(c)
        return c.start()

    def other(self, started, n=2, cls=Magnets, **options):
        c = cls(self.place('other'), address(n), **options)
        started.append(c)
        return c.start()

    def same(self, folder, want=None):
        top = folder / 'content'
        got, want = files(top if top.is_dir() else folder), want or self.want
        if got == want: return ''
        wrong = [n for n in want if got.get(n) != want[n]] + [f'{n} is too many' for n in got if n not in want]
        return f'{len(wrong)} of {len(want)} files differ: {wrong[:3]}'

    def finish(self, leecher, down, meet=lambda: None, patience=60, want=None):
        def complete():
            meet()
            return leecher.alive() and leecher.stat()['complete']
        until(complete, patience, 0.1, f'{leecher.name} to complete')
        try: until(lambda: not self.same(down, want), 10, 0.25)
        except TimeoutError: raise AssertionError(self.same(down, want)) from None


def again(every, dial):
    """Calls `dial` now and each `every` seconds."""
    last = [0.0]
    def meet():
        if time.monotonic() - last[0] > every:
            last[0] = time.monotonic()
            dial()
    return meet


def pairs(b):
    for kind in ('v2', 'hybrid'):
        torrent, link, v1, v2 = b.torrents[kind]
        for way in ('file', 'magnet'):
            def download(started, source=torrent if way == 'file' else link):
                seed, us, down = b.other(started), b.ours(started), b.down()
                seed.add(torrent, b.source.parent)
                until(lambda: seed.stat()['complete'], 30, what='libtorrent to check')
                us.add(source, down)
                b.finish(us, down, again(3, lambda: us.dial(seed.ip, seed.port)))
            b.case(f'{kind} by {way}: ccbt downloads from libtorrent', download)

            def seed(started, source=torrent if way == 'file' else link):
                us, it, down = b.ours(started), b.other(started), b.down()
                us.add(torrent, b.source.parent)
                until(lambda: us.stat()['complete'], 30, what='ccbt to check')
                it.add(source, down)
                b.finish(it, down, again(3, lambda: us.dial(it.ip, it.port)))
            b.case(f'{kind} by {way}: ccbt seeds to libtorrent', seed)

        def both(started):
            one, two, down = b.ours(started), b.ours(started, 3), b.down()
            one.add(torrent, b.source.parent)
            until(lambda: one.stat()['complete'], 30, what='ccbt to check')
            two.add(link, down)
            b.finish(two, down, again(3, lambda: two.dial(one.ip, one.port)))
            details = two.btbt('show', two.hash)
            shown = details['summary']
            assert shown['hash'] == (v1 or v2[:40]) and shown['hashV2'] == v2, shown
            for name in {v1 or v2, v2, v2[:40], v2[:12]}: assert two.btbt('show', name)['summary']['hash'] == shown['hash'], name
            stored = lt.bdecode(Path(details['torrentFile']).read_bytes())
            assert stored[b'piece layers'] == lt.bdecode(torrent.read_bytes())[b'piece layers'], 'other piece layers are stored'
        b.case(f'{kind} by magnet: ccbt to ccbt, both hashes shown, layers stored', both)

        def bare(started):
            path = b.place('bare.torrent')
            make(b.source, kind, 32768, path, layers=False)
            seed, us, down = b.other(started), b.ours(started), b.down()
            seed.add(torrent, b.source.parent)
            until(lambda: seed.stat()['complete'], 30, what='libtorrent to check')
            us.add(path, down)
            b.finish(us, down, again(3, lambda: us.dial(seed.ip, seed.port)))
        b.case(f'{kind} by a file without piece layers: ccbt downloads', bare)

        def one_hash(started):
            """A link with only the v2 hash: a hybrid's v1 hash is learnt from the metadata."""
            us, seed, down = b.ours(started), b.other(started), b.down()
            seed.add(torrent, b.source.parent)
            until(lambda: seed.stat()['complete'], 30, what='libtorrent to check')
            us.add(f'magnet:?xt=urn:btmh:1220{v2}', down)
            us.dial(seed.ip, seed.port)
            until(lambda: us.btbt('show', v2)['summary']['hash'] == (v1 or v2[:40]), 30, what='the metadata')
            us.hash = v1 or v2[:40]
            b.finish(us, down, again(3, lambda: us.dial(seed.ip, seed.port)))
            us.stop()
            us.start(keep=True)
            until(lambda: us.stat()['complete'], 30, what='the torrent after a restart')
        b.case(f'{kind} by the v2 hash alone, and a restart', one_hash)

        def recheck(started):
            us, down = b.ours(started), b.down()
            shutil.copytree(b.source, down / 'content')
            with open(down / 'content/large.bin', 'r+b') as f:
                f.seek(100_000)
                f.write(b'wrong')
            us.add(torrent, down)
            until(lambda: us.stat()['done'] > 0 and us.torrent()['state'] == 'downloading', 30, what='the check')
            t = us.torrent()
            assert t['piecesHave'] == t['pieceCount'] - 1, t
            seed = b.other(started)
            seed.add(torrent, b.source.parent)
            b.finish(us, down, again(3, lambda: us.dial(seed.ip, seed.port)))
            moved = b.down()
            us.btbt('move', us.hash, moved)
            until(lambda: not b.same(moved), 30, what='the move')
            us.btbt('recheck', us.hash)
            until(lambda: us.stat()['complete'], 30, what='the recheck')
        b.case(f'{kind}: check finds one bad piece; repaired, moved, rechecked', recheck)


def qbittorrent(b):
    """Another program on another libtorrent (2.0); it must be the one that dials."""
    cls = OTHERS['qbittorrent']
    if not shutil.which(cls.program): return print('skipped  qbittorrent-nox is not installed')
    for kind in ('v2', 'hybrid'):
        torrent = b.torrents[kind][0]
        def download(started):
            seed, us, down = b.other(started, 6, cls), b.ours(started), b.down()
            seed.add(torrent, b.source.parent, seed=True)
            until(lambda: seed.stat()['complete'], 30, what='qbittorrent to check')
            us.add(torrent, down)
            b.finish(us, down, again(3, lambda: seed.dial(us.ip, us.port)))
        b.case(f'{kind} by file: ccbt downloads from qbittorrent', download)

        def seed(started):
            us, it, down = b.ours(started), b.other(started, 6, cls), b.down()
            us.add(torrent, b.source.parent)
            until(lambda: us.stat()['complete'], 30, what='ccbt to check')
            it.add(torrent, down)
            b.finish(it, down, again(3, lambda: it.dial(us.ip, us.port)))
        b.case(f'{kind} by file: ccbt seeds to qbittorrent', seed)


def v1_only(b):
    """A hybrid's swarm of three: a v1-only client, ccbt, and libtorrent that knows the v2 hash alone."""
    # One file: what neither knows of BEP 47 wants pad files on its disk.
    source = b.folder / 'alone' / 'content'
    source.parent.mkdir()
    source.write_bytes(random.Random(3).randbytes((b.options.mib << 20) + 777))
    torrent, link, v1, v2 = make(source, 'hybrid', 32768, b.folder / 'alone.torrent', trackers=[DEAD_TRACKER])
    # Transmission 3 and aria2 misread the info dictionary of a hybrid torrent.
    for name in ('rtorrent',):
        cls = OTHERS[name]
        if cls.program and not shutil.which(cls.program):
            print(f'skipped  {name} is not installed')
            continue
        def body(started, cls=cls):
            seed, us, it = b.other(started, 5, cls), b.ours(started), b.other(started)
            down, theirs = b.down(), b.down()
            seed.add(torrent, source.parent, seed=True)
            until(lambda: seed.alive() and seed.stat()['complete'], 60, what=f'{seed.name} to check')
            us.add(torrent, down)
            meet = again(3, lambda: us.dial(seed.ip, seed.port) if not seed.calls else seed.dial(us.ip, us.port))
            it.add(f'magnet:?xt=urn:btmh:1220{v2}', theirs)
            def both():
                meet()
                if us.stat()['peers'] < 2: us.dial(it.ip, it.port)
            b.finish(us, down, again(2, both), want=files(source.parent))
            b.finish(it, theirs, again(3, lambda: it.dial(us.ip, us.port)), want=files(source.parent))
        b.case(f'hybrid: from v1-only {name} through ccbt to libtorrent by the v2 hash', body)


def liars(b):
    for kind in ('v2', 'hybrid'):
        # 16 blocks a piece: a piece fetched again for one bad block would show.
        torrent, link, v1, v2 = make(b.source, kind, 256 << 10, b.folder / f'{kind}-large-pieces.torrent')
        def body(started):
            # The endgame asks for blocks twice on purpose: it would hide what this case counts.
            honest, down = b.other(started, upload_rate_limit=1 << 20), b.down()
            us = b.ours(started, strategy__endgame_duplicates=1)
            honest.add(torrent, b.source.parent)
            until(lambda: honest.stat()['complete'], 30, what='libtorrent to check')
            liar = Liar(address(7), 6999, v1 or v2, torrent, b.source, lambda piece, begin: begin == 0)
            us.add(torrent, down)
            us.dial(honest.ip, honest.port)
            until(lambda: us.stat()['peers'] == 1, 20, what='the honest peer')
            us.dial(liar.listener.getsockname()[0], 6999)
            try:
                until(lambda: liar.spoilt, 20, what='a bad block')
                b.finish(us, down, again(3, lambda: us.dial(honest.ip, honest.port)))
            finally: liar.stop()
            assert liar.closed, 'the liar was kept'
            twice = us.torrent()['downloadedAgain'] / 16384
            assert twice <= liar.spoilt + 4, f'{twice:.0f} blocks fetched again for {liar.spoilt} bad ones'
        b.case(f'{kind}: corrupt blocks are found out and fetched again, their pieces are not', body)


def links(b):
    for kind in ('v2', 'hybrid'):
        def body(started):
            root = b.place('links') / 'content'
            root.mkdir(parents=True)
            (root / 'run.sh').write_bytes(b'#!/bin/sh\n' * 4000)
            (root / 'run.sh').chmod(0o755)
            (root / 'data').mkdir()
            (root / 'data/file').write_bytes(os.urandom(50_000))
            (root / 'data/link').symlink_to('file')
            (root / 'up').symlink_to('data/file')
            path = b.place('links.torrent')
            make(root, kind, 32768, path, attributes=True)
            seed, us, down = b.other(started), b.ours(started), b.down()
            seed.add(path, root.parent)
            until(lambda: seed.stat()['complete'], 30, what='libtorrent to check')
            us.add(path, down)
            b.finish(us, down, again(3, lambda: us.dial(seed.ip, seed.port)), want=files(root))
            got = down / 'content'
            assert os.readlink(got / 'data/link') == 'file' and os.readlink(got / 'up') == 'data/file', 'links lead elsewhere'
            assert got.joinpath('run.sh').stat().st_mode & stat.S_IXUSR, 'not executable'
            assert not any('pad' in p.name for p in got.rglob('*')), 'pad files were written'
        b.case(f'{kind}: links and the executable bit, no pad files', body)


def trackers(b):
    if not shutil.which('opentracker'): return print('skipped  opentracker is not installed')
    for way in ('http', 'udp'):
        def body(started):
            torrent, link, v1, v2 = b.torrents['hybrid']
            tracker = Tracker(b.place('tracker'), [v1, v2[:40]])
            started.append(tracker)
            path = b.place('announced.torrent')
            make(b.source, 'hybrid', 32768, path, trackers=[tracker.announce(way)])
            us, it, down = b.ours(started), b.other(started), b.down()
            us.add(path, b.source.parent)
            until(lambda: tracker.knows(v1) and tracker.knows(v2[:40]), 30, what='announces under both hashes')
            # It asks for the v2 swarm only.
            it.add(f'magnet:?xt=urn:btmh:1220{v2}&tr={tracker.announce(way)}', down)
            b.finish(it, down)
        b.case(f'hybrid: announced under both hashes over {way}, found by the v2 one', body)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--mib', type=int)
    parser.add_argument('--only')
    options = parser.parse_args()
    options.mib = options.mib or (4 if options.slice else 256)
    sandbox.enter()
    b = Bench(options)
    for part in (pairs, qbittorrent, v1_only, liars, links, trackers): part(b)
    print(f'{b.passed} passed, {b.failed} failed')
    sys.exit(1 if b.failed else 0)


if __name__ == '__main__': main()
