"""What peers tell each other beside blocks, against real clients: peer exchange, bans, addresses.

    swarm_features.py [--slice] [--only TEXT]

Every case starts its own daemons in a network of its own and prints one line.
"""
import argparse, filecmp, os, signal, socket, struct, subprocess, sys, threading, time, traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Ccbt, Libtorrent
from content import Torrent, single_file
from sandbox import address, until


class Bench:
    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-swarm-')
        self.source = self.folder / 'source'
        self.torrent = Torrent(single_file(self.source / 'single.bin', (8 << 20) + 4321), piece=128 << 10)
        self.file = self.torrent.write(self.folder / 'single.torrent')
        closed = Torrent(self.source / 'single.bin', piece=128 << 10)
        closed.info['private'] = 1  # BEP 27
        self.private = closed.write(self.folder / 'private.torrent')
        # Four files of which no two end with a piece.
        for i, size in enumerate((1_500_000, 2_000_001, 3_000_000, 77)): single_file(self.source / 'several' / f'{i}.bin', size, seed=10 + i)
        self.several = Torrent(self.source / 'several', piece=128 << 10)
        self.several_file = self.several.write(self.folder / 'several.torrent')
        self.passed = self.failed = self.n = 0

    def place(self, name):
        self.n += 1
        path = self.folder / f'{self.n:03}-{name}'
        path.mkdir()
        return path

    def case(self, name, body, long=False):
        if self.options.only and self.options.only not in name: return
        if long and self.options.slice: return
        begin, started, why = time.monotonic(), [], ''
        try: body(self, lambda c: (started.append(c), c.start())[1])
        except Exception as error:
            why = f'{type(error).__name__}: {error}'.splitlines()[0][:300]
            if os.environ.get('CCBT_TEST_TRACE'): traceback.print_exc()
            for c in started: why += f'\n      {c.name}: {c.tail(6)}'
        for c in started: c.stop()
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}{name:52}{time.monotonic() - begin:6.1f} s  {why}', flush=True)

    # Parts of cases.

    def ccbt(self, start, n, **options): return start(Ccbt(self.place('ccbt'), address(n), **options))
    def lt(self, start, n, **options): return start(Libtorrent(self.place('lt'), address(n), **options))


def seeded(us, file, source):
    us.add(file, source, seed=True)
    until(lambda: us.stat()['complete'], 30, what=f'{us.name} to check its data')


SLOW = {'upload_rate_limit': 20_000, 'download_rate_limit': 20_000}


def exchange_told(b, start):
    """A (ccbt, seed) knows B and C; they hear of each other through A alone."""
    a, first, second = b.ccbt(start, 1), b.lt(start, 2, **SLOW), b.lt(start, 3, **SLOW)
    seeded(a, b.file, b.source)
    for c in (first, second):
        c.call('add', torrent=str(b.file), folder=str(b.place('down')), pex=True)
        c.dial(a.ip, a.port)
    until(lambda: any(p['ip'] == first.ip and p['pex'] for p in second.peers()) or any(p['ip'] == second.ip and p['pex'] for p in first.peers()),
          40, 0.2, 'the two to hear of each other')


def exchange_heard(b, start):
    """A (libtorrent, seed) knows B; ccbt hears of B through A."""
    a, first, us = b.lt(start, 2, **SLOW), b.lt(start, 3, **SLOW), b.ccbt(start, 1)
    a.call('add', torrent=str(b.file), folder=str(b.source), pex=True)
    first.call('add', torrent=str(b.file), folder=str(b.place('down')), pex=True)
    until(lambda: a.stat()['complete'], 30, what='libtorrent to check')
    first.dial(a.ip, a.port)
    until(lambda: a.stat()['peers'], 20, what='the two to meet')
    us.add(b.file, b.place('down'))
    us.dial(a.ip, a.port)
    until(lambda: any(p['source'] == 'pex' and p['endpoint'].startswith(first.ip + ':') for p in us.btbt('peers', us.hash)), 130, 0.3, 'ccbt to hear of B')


def exchange_private(b, start):
    """A private torrent: neither offered nor answered."""
    a, first, second = b.ccbt(start, 1), b.lt(start, 2, **SLOW), b.lt(start, 3, **SLOW)
    seeded(a, b.private, b.source)
    for c in (first, second):
        c.call('add', torrent=str(b.private), folder=str(b.place('down')), pex=True)
        c.dial(a.ip, a.port)
    until(lambda: a.stat()['peers'] == 2, 20, what='both to meet ccbt')
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if any(p['ip'] == second.ip for p in first.peers()) or any(p['ip'] == first.ip for p in second.peers()):
            raise AssertionError('they heard of each other')
        time.sleep(0.3)


def exchange_off(b, start):
    """discovery.enable_pex = false: A tells nobody."""
    a, first, second = b.ccbt(start, 1, discovery__enable_pex=False), b.lt(start, 2, **SLOW), b.lt(start, 3, **SLOW)
    seeded(a, b.file, b.source)
    for c in (first, second):
        c.call('add', torrent=str(b.file), folder=str(b.place('down')), pex=True)
        c.dial(a.ip, a.port)
    until(lambda: a.stat()['peers'] == 2, 20, what='both to meet ccbt')
    time.sleep(12)
    if any(p['ip'] == second.ip for p in first.peers()): raise AssertionError('they heard of each other')


class Liar:
    """A seed of its own address whose blocks are noise."""

    def __init__(self, torrent, ip, pieces):
        self.name, self.torrent, self.pieces = 'liar', torrent, pieces
        self.listener = socket.create_server((ip, 0))
        self.ip, self.port, self.served, self.open = ip, self.listener.getsockname()[1], 0, True
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while self.open:
            try: link, _ = self.listener.accept()
            except OSError: return
            threading.Thread(target=self.talk, args=(link,), daemon=True).start()

    def talk(self, link):
        try:
            read = link.makefile('rb').read
            if len(read(68)) < 68: return
            link.sendall(b'\x13BitTorrent protocol' + bytes(8) + bytes.fromhex(self.torrent.hash) + b'-XX0000-' + os.urandom(12))
            bits = bytearray((self.pieces + 7) // 8)
            for i in range(self.pieces): bits[i // 8] |= 0x80 >> i % 8
            link.sendall(struct.pack('>IB', len(bits) + 1, 5) + bits + struct.pack('>IB', 1, 1))
            while True:
                head = read(4)
                if len(head) < 4: return
                body = read(struct.unpack('>I', head)[0])
                if body[:1] == b'\x06':
                    piece, begin, length = struct.unpack('>III', body[1:])
                    link.sendall(struct.pack('>IBII', length + 9, 7, piece, begin) + os.urandom(length))
                    self.served += 1
        except OSError: pass

    def stop(self):
        self.open = False
        self.listener.close()


def corrupt_is_banned(b, start):
    """A peer that sends noise is banned by name, over a restart of every worker, and can be forgiven."""
    us, liar = b.ccbt(start, 1), Liar(b.torrent, address(5), b.torrent.pieces)
    try:
        us.add(b.file, b.place('down'))
        us.dial(liar.ip, liar.port)
        ban = until(lambda: us.btbt('bans'), 30, what='the ban')[0]
        if ban['address'] != liar.ip or ban['reason'] not in ('corrupt_piece', 'corrupt_block'): raise AssertionError(f'banned: {ban}')
        if not 86000 < ban['until'] - ban['since'] <= 86400: raise AssertionError(f'for how long: {ban}')
        for worker in ('session', 'peer'): us.btbt('workers', 'restart', worker)
        time.sleep(1.5)
        us.stop()
        us.start(keep=True)
        if [x['address'] for x in us.btbt('bans')] != [liar.ip]: raise AssertionError('the ban is gone')
        served = liar.served
        us.dial(liar.ip, liar.port)
        time.sleep(3)
        if liar.served != served: raise AssertionError('a banned peer was asked')
        us.btbt('bans', 'lift', liar.ip)
        if us.btbt('bans'): raise AssertionError('the ban was not lifted')
        us.dial(liar.ip, liar.port)
        until(lambda: liar.served > served, 20, what='the forgiven peer to be asked')
    finally: liar.stop()


def corrupt_among_honest(b, start):
    """Beside honest peers the liar is found and the download is right."""
    us, honest, liar = b.ccbt(start, 1), b.lt(start, 2, upload_rate_limit=4 << 20), Liar(b.torrent, address(5), b.torrent.pieces)
    try:
        honest.add(b.file, b.source, seed=True)
        until(lambda: honest.stat()['complete'], 30, what='libtorrent to check')
        down = b.place('down')
        us.add(b.file, down)
        us.dial(liar.ip, liar.port)
        us.dial(honest.ip, honest.port)
        until(lambda: us.stat()['complete'], 60, what='ccbt to complete')
        wrong = b.torrent.difference(down, True)
        if wrong: raise AssertionError(wrong)
        if honest.ip in [x['address'] for x in us.btbt('bans')]: raise AssertionError('an honest peer is banned')
    finally: liar.stop()


def address_by_vote(b, start):
    """libtorrent says where it sees us (yourip)."""
    us, it = b.ccbt(start, 1), b.lt(start, 2)
    seeded(us, b.file, b.source)
    it.add(b.file, b.place('down'))
    it.dial(us.ip, us.port)
    until(lambda: us.btbt('daemon', 'status')['externalAddresses'] == [us.ip], 20, what='the address')


def same(b, folder, *files):
    """Exactly these of the several files stand there, and are right."""
    stands = sorted(p.name for p in (folder / 'several').iterdir())
    if stands != [f'{i}.bin' for i in files]: raise AssertionError(f'{stands} stand there')
    for i in files:
        if not filecmp.cmp(b.source / 'several' / f'{i}.bin', folder / 'several' / f'{i}.bin', shallow=False): raise AssertionError(f'{i}.bin differs')


def several_from_libtorrent(b, start):
    it = b.lt(start, 2)
    it.add(b.several_file, b.source)
    until(lambda: it.stat()['complete'], 30, what='libtorrent to check')
    return it


def files_chosen(b, start):
    """One file of four; the rest later, after a restart."""
    us, it, down = b.ccbt(start, 1), several_from_libtorrent(b, start), b.place('down')
    us.add(b.several_file, down, False, '--only', '1')
    us.dial(it.ip, it.port)
    until(lambda: us.stat()['complete'], 30, what='the file')
    t = us.torrent()
    if t['progress'] != 1 or t['wanted'] != 2_000_001 or t['wantedDone'] != 2_000_001: raise AssertionError(f'shown as {t}')
    if t['downloaded'] > 2_000_001 + 3 * (128 << 10): raise AssertionError(f'{t["downloaded"]} bytes fetched')
    same(b, down, 1)
    parts = [p for p in down.iterdir() if p.name.endswith('.parts')]
    if len(parts) != 1 or parts[0].stat().st_blocks * 512 > 512 << 10: raise AssertionError(f'the part-file: {parts}')
    if [f['priority'] for f in us.btbt('files', us.hash)] != ['skip', 'normal', 'skip', 'skip']: raise AssertionError('priorities are not shown')
    us.stop()
    us.start(keep=True)
    until(lambda: us.stat()['complete'], 20, what='the file to be known again')
    us.btbt('files', 'priority', us.hash, '0', '2-3', 'normal')
    us.dial(it.ip, it.port)
    until(lambda: us.torrent()['wanted'] == b.several.size and us.stat()['complete'], 40, what='the rest')
    if us.torrent()['downloaded'] > b.several.size + (64 << 10): raise AssertionError(f'fetched again: {us.torrent()["downloaded"]} bytes of {b.several.size}')
    same(b, down, 0, 1, 2, 3)


def files_with_everything(b, start):
    """Incomplete folder, suffix, rename, kill -9, move, recheck: the chosen file ends up right under its new name, the others nowhere."""
    away, down, other = b.place('away'), b.place('down'), b.place('other')
    us, it = b.ccbt(start, 1, disk__incomplete_dir=str(away), disk__incomplete_suffix='.part'), several_from_libtorrent(b, start)
    us.add(b.several_file, down, False, '--only', '2', '--paused')
    until(lambda: us.torrent()['state'] == 'paused' and us.torrent()['savePath'] == str(away), 20, what='the way into the incomplete folder')
    us.btbt('rename', 'file', us.hash, 'several/2.bin', 'several/film.bin')
    us.btbt('limits', 'show', us.hash, '--down', '1M')
    us.btbt('resume', us.hash)
    us.dial(it.ip, it.port)
    until(lambda: us.torrent()['piecesHave'] >= 6, 30, 0.05, 'the first pieces')
    os.kill(us.workers()['disk:0']['pid'], signal.SIGKILL)
    until(lambda: us.torrent()['piecesHave'] >= 8, 40, 0.05, 'more after the disk worker died')
    os.killpg(us.proc.pid, signal.SIGKILL)
    us.proc.wait()
    names = lambda folder: sorted(str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file() and not p.name.endswith('.parts'))
    if names(away) != ['several/film.bin.part'] or names(down): raise AssertionError(f'{names(away)}, {names(down)}')
    us.start(keep=True)
    us.btbt('limits', 'show', us.hash, '--down', '0')
    us.dial(it.ip, it.port)
    until(lambda: us.stat()['complete'] and names(down) == ['several/film.bin'], 40, what='the file in its place')
    until(lambda: not [p for p in away.rglob('*') if p.is_file()], 20, what='the part-file to follow')
    us.btbt('move', us.hash, other)
    until(lambda: names(other) == ['several/film.bin'] and us.stat()['complete'], 30, what='the move')
    us.btbt('recheck', us.hash)
    until(lambda: us.torrent()['state'] == 'checking' or us.stat()['complete'], 20, 0.02, 'the recheck')
    until(lambda: us.stat()['complete'], 30, what='the recheck to find it all')
    if not filecmp.cmp(b.source / 'several' / '2.bin', other / 'several' / 'film.bin', shallow=False): raise AssertionError('the file differs')
    us.btbt('files', 'priority', us.hash, '0-1', '3', 'normal')
    us.dial(it.ip, it.port)
    until(lambda: us.torrent()['wanted'] == b.several.size and us.stat()['complete'], 60, what='the rest')
    for mine, theirs in (('0.bin', '0.bin'), ('1.bin', '1.bin'), ('2.bin', 'film.bin'), ('3.bin', '3.bin')):
        if not filecmp.cmp(b.source / 'several' / mine, other / 'several' / theirs, shallow=False): raise AssertionError(f'{theirs} differs')
    until(lambda: not list(other.glob('.*.parts')), 20, what='the part-file to go')
    us.btbt('remove', us.hash, '--with-data')
    until(lambda: not list(other.iterdir()), 20, what='everything to be deleted')


def files_partial_seed(b, start):
    """ccbt with one file seeds it to libtorrent, which wants that one; pieces of its ends come out of the part-file."""
    us, it, down, their = b.ccbt(start, 1), several_from_libtorrent(b, start), b.place('down'), b.place('down')
    us.add(b.several_file, down, False, '--priority', '0=skip', '--priority', '2-3=skip')
    us.dial(it.ip, it.port)
    until(lambda: us.stat()['complete'], 30, what='the file')
    it.stop()
    other = b.lt(start, 3)
    other.call('add', torrent=str(b.several_file), folder=str(their), priorities=[0, 4, 0, 0])
    other.dial(us.ip, us.port)
    until(lambda: other.call('stat')['done'] == other.call('stat')['size'] > 0, 30, what='libtorrent to get the file')
    until(lambda: (their / 'several' / '1.bin').exists() and filecmp.cmp(b.source / 'several' / '1.bin', their / 'several' / '1.bin', shallow=False), 10, 0.2, 'it to be right')


def files_by_magnet(b, start):
    """BEP 53: `so` in a magnet link."""
    us, it, down = b.ccbt(start, 1), several_from_libtorrent(b, start), b.place('down')
    us.add(f'magnet:?xt=urn:btih:{b.several.hash}&so=1,3&x.pe={it.ip}:{it.port}', down)
    until(lambda: us.stat()['complete'], 40, what='the files')
    same(b, down, 1, 3)


def files_in_the_foreground(b, start):
    """ccbt --files."""
    it, down = several_from_libtorrent(b, start), b.place('down')
    r = subprocess.run([str(sandbox.BIN / 'ccbt'), str(b.several_file), '-o', str(down), '--files', '0,3', '--no-pex', '--listen', f'{address(1)}:6801',
                        '--peer', f'{it.ip}:{it.port}'], capture_output=True, text=True, timeout=60)
    if r.returncode: raise AssertionError(r.stderr[-300:])
    same(b, down, 0, 3)


def playback(b, start):
    """The pieces at the position come first."""
    us, it, down = b.ccbt(start, 1), b.lt(start, 2, upload_rate_limit=1 << 20), b.place('down')
    it.add(b.file, b.source)
    until(lambda: it.stat()['complete'], 30, what='libtorrent to check')
    us.add(b.file, down, False, '--paused')
    us.btbt('resume', us.hash)
    us.btbt('stream-position', us.hash, '0', str(6 << 20))
    us.dial(it.ip, it.port)
    until(lambda: us.torrent()['piecesHave'] >= 6, 30, 0.05, 'the first pieces')
    with open(down / 'single.bin', 'rb') as f:
        f.seek(6 << 20)
        got = f.read(256 << 10)
    with open(b.source / 'single.bin', 'rb') as f:
        f.seek(6 << 20)
        if got != f.read(256 << 10): raise AssertionError('what is played is not there')


def super_seed_of_ours(b, start):
    """BEP 16: ccbt super-seeds to two libtorrents, which exchange what each was shown; little more than one copy leaves the seed."""
    us, places = b.ccbt(start, 1), []
    us.add(b.file, b.source, True, '--paused')
    until(lambda: us.torrent()['state'] == 'completed', 30, what='ccbt to check its data')
    us.btbt('set', us.hash, '--super-seed', 'on')
    us.btbt('resume', us.hash)
    until(lambda: us.stat()['complete'] and us.torrent()['superSeeding'], 20, what='super-seeding')
    theirs = [b.lt(start, n) for n in (2, 3)]
    for it in theirs:
        places.append(b.place('down'))
        it.call('add', torrent=str(b.file), folder=str(places[-1]))
    theirs[0].dial(theirs[1].ip, theirs[1].port)
    for it in theirs: it.dial(us.ip, us.port)
    until(lambda: all(any(p['ip'] == us.ip for p in it.peers()) for it in theirs), 20, 0.02, 'both to meet ccbt')
    if any(p['seed'] for it in theirs for p in it.peers() if p['ip'] == us.ip and not it.stat()['complete']): raise AssertionError('it looks like a seed')
    for it, down in zip(theirs, places):
        until(lambda: it.stat()['complete'], 90, what='libtorrent to complete')
        if b.torrent.difference(down): raise AssertionError(b.torrent.difference(down))
    copies = us.stat()['up'] / b.torrent.size
    if copies > 1.7: raise AssertionError(f'{copies:.2f} copies left the seed')


def super_seed(b, start):
    """libtorrent super-seeds to two ccbt, which fetch from each other what each was shown."""
    seed, places = b.lt(start, 2), []
    seed.call('add', torrent=str(b.file), folder=str(b.source), super_seeding=True)
    until(lambda: seed.stat()['complete'], 30, what='libtorrent to check')
    ours = [b.ccbt(start, n) for n in (1, 5)]
    for us in ours:
        places.append(b.place('down'))
        us.add(b.file, places[-1])
        us.dial(seed.ip, seed.port)
    ours[0].dial(ours[1].ip, ours[1].port)
    for us, down in zip(ours, places):
        until(lambda: us.stat()['complete'], 60, what='ccbt to complete')
        if b.torrent.difference(down): raise AssertionError(b.torrent.difference(down))


CASES = [
    ('files: one of four, the rest after a restart', files_chosen, False),
    ('files: rename, kill -9, move, recheck, the rest', files_with_everything, False),
    ('files: a partial seed serves libtorrent', files_partial_seed, False),
    ('files: so= in a magnet link', files_by_magnet, False),
    ('files: ccbt --files', files_in_the_foreground, True),
    ('stream: the position comes first', playback, True),
    ('super-seeding: ccbt to two libtorrents', super_seed_of_ours, False),
    ('super-seeding: libtorrent to two ccbt', super_seed, True),
    ('exchange: ccbt tells libtorrent of libtorrent', exchange_told, False),
    ('exchange: libtorrent tells ccbt of libtorrent', exchange_heard, True),
    ('exchange: nothing in a private torrent', exchange_private, True),
    ('exchange: nothing when it is switched off', exchange_off, True),
    ('bans: noise is banned, over restarts', corrupt_is_banned, False),
    ('bans: a liar among honest peers', corrupt_among_honest, False),
    ('address: by the word of libtorrent', address_by_vote, False),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--only', help='cases whose name contains this')
    options = parser.parse_args()
    sandbox.enter()
    bench = Bench(options)
    for name, body, long in CASES: bench.case(name, body, long)
    print(f'swarm: {bench.passed} passed, {bench.failed} failed')
    sys.exit(1 if bench.failed else 0)


if __name__ == '__main__': main()
