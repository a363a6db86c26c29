"""What peers tell each other beside blocks, against real clients: peer exchange, bans, addresses.

    swarm_features.py [--slice] [--only TEXT]

Every case starts its own daemons in a network of its own and prints one line.
"""
import argparse, os, socket, struct, sys, threading, time, traceback

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


CASES = [
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
