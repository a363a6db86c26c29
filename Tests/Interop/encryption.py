"""Message stream encryption against other clients, through real sockets and real files.

    encryption.py [--slice] [--mib N] [--clients NAME …] [--only TEXT] [--rates N]

For each client and pair of modes: ccbt downloads and seeds, each side dials, and the connection is encrypted as both
allow (E the whole stream by RC4, e its handshake only, - nothing), seen in `btbt peers`; what is downloaded is compared
byte by byte. Where the modes exclude each other nothing may flow. Then strangers, plain callers of a daemon that wants
encryption, and callers who say nothing. At the end MiB/s and CPU-s/GiB between two ccbt, plain and encrypted.
"""
import argparse, os, random, shutil, socket, sys, time, traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Aria2, Ccbt, Libtorrent, Qbittorrent, Rtorrent, Transmission
from content import Torrent, single_file
from sandbox import address, children, until

GREETING = b'\x13BitTorrent protocol'
MODES = {m: {'security__encryption_mode': m} for m in ('disabled', 'allowed', 'preferred', 'required')}
RC4 = {'security__encryption_allowed_ciphers': 'rc4'}
PLAINTEXT = {'security__encryption_allowed_ciphers': 'plaintext'}
PREFER = {'security__encryption_prefer_rc4': True}


def lt(policy, level='both', prefer=False):
    policies, levels = {'forced': 0, 'enabled': 1, 'disabled': 2}, {'plaintext': 1, 'rc4': 2, 'both': 3}
    return {'in_enc_policy': policies[policy], 'out_enc_policy': policies[policy], 'allowed_enc_level': levels[level], 'prefer_rc4': prefer}


# Client, its options, ours, what the connection must be (None: no connection), who dials ('us', 'them'), and whether the slice has it.
# Who dials offers, who accepts chooses: ours takes plain text unless told otherwise.
CASES = [
    ('libtorrent', 'forced rc4', lt('forced', 'rc4'), 'required', MODES['required'], 'E', 'us them', True),
    ('libtorrent', 'forced both', lt('forced', 'both', True), 'required, rc4', MODES['required'] | RC4, 'E', 'us them', False),
    ('libtorrent', 'forced both', lt('forced'), 'required, prefer rc4', MODES['required'] | PREFER, 'E', 'them', False),
    ('libtorrent', 'forced both', lt('forced'), 'required', MODES['required'], 'e', 'us them', False),
    ('libtorrent', 'forced plaintext', lt('forced', 'plaintext'), 'required, plaintext', MODES['required'] | PLAINTEXT, 'e', 'us them', True),
    ('libtorrent', 'forced rc4', lt('forced', 'rc4'), 'allowed', MODES['allowed'], 'E', 'us them', True),
    ('libtorrent', 'enabled', lt('enabled'), 'preferred', MODES['preferred'], 'e', 'us', False),
    ('libtorrent', 'enabled', lt('enabled'), 'allowed', MODES['allowed'], '-', 'us', False),
    ('libtorrent', 'disabled', lt('disabled'), 'preferred', MODES['preferred'], '-', 'us them', True),
    ('libtorrent', 'disabled', lt('disabled'), 'allowed', MODES['allowed'], '-', 'us them', False),
    ('libtorrent', 'enabled', lt('enabled'), 'disabled', MODES['disabled'], '-', 'us them', False),
    ('libtorrent', 'disabled', lt('disabled'), 'required', MODES['required'], None, 'us them', True),
    ('libtorrent', 'forced', lt('forced'), 'disabled', MODES['disabled'], None, 'us them', True),
    ('libtorrent', 'forced plaintext', lt('forced', 'plaintext'), 'required, rc4', MODES['required'] | RC4, None, 'us them', False),
    ('libtorrent', 'forced rc4', lt('forced', 'rc4'), 'required, plaintext', MODES['required'] | PLAINTEXT, None, 'us them', False),
    ('transmission', 'required', {'encryption': 2}, 'required, rc4', MODES['required'] | RC4, 'E', 'us', True),
    ('transmission', 'required', {'encryption': 2}, 'allowed', MODES['allowed'], 'Ee', 'us', False),
    ('transmission', 'preferred', {'encryption': 1}, 'preferred', MODES['preferred'], 'Ee', 'us', False),
    ('transmission', 'required', {'encryption': 2}, 'disabled', MODES['disabled'], None, 'us', False),
    ('qbittorrent', 'required', {'encryption': 1}, 'required', MODES['required'], 'Ee', 'them', False),
    ('qbittorrent', 'required', {'encryption': 1}, 'allowed', MODES['allowed'], 'Ee', 'them', True),
    ('qbittorrent', 'disabled', {'encryption': 2}, 'preferred', MODES['preferred'], '-', 'them', False),
    ('qbittorrent', 'disabled', {'encryption': 2}, 'required', MODES['required'], None, 'them', False),
    ('rtorrent', 'require,require_RC4', {'encryption': 'allow_incoming,require,require_RC4'}, 'required', MODES['required'], 'E', 'us', False),
    ('rtorrent', 'require,require_RC4', {'encryption': 'allow_incoming,require,require_RC4'}, 'allowed', MODES['allowed'], 'E', 'us', True),
    ('rtorrent', 'allow_incoming', {'encryption': 'allow_incoming'}, 'preferred', MODES['preferred'], 'Ee', 'us', False),
    ('rtorrent', 'none', {'encryption': 'none'}, 'preferred', MODES['preferred'], '-', 'us', False),
    ('rtorrent', 'none', {'encryption': 'none'}, 'required', MODES['required'], None, 'us', False),
    ('aria2', 'required arc4', {'crypto': 'arc4'}, 'required', MODES['required'], 'E', 'us', True),
    ('aria2', 'required arc4', {'crypto': 'arc4'}, 'allowed', MODES['allowed'], 'E', 'us', False),
    ('aria2', 'required plain', {'crypto': 'plain'}, 'required, plaintext', MODES['required'] | PLAINTEXT, 'e', 'us', False),
    ('aria2', 'required arc4', {'crypto': 'arc4'}, 'disabled', MODES['disabled'], None, 'us', False),
]
OTHERS = {c.name: c for c in (Libtorrent, Transmission, Qbittorrent, Rtorrent, Aria2)}


class Bench:
    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-encryption-')
        self.torrent = Torrent(single_file(self.folder / 'source' / 'content.bin', (options.mib << 20) + 4321), piece=256 << 10)
        self.file, self.source = self.torrent.write(self.folder / 'content.torrent'), self.folder / 'source'
        self.n = self.passed = self.failed = 0

    def place(self, name):
        self.n += 1
        return self.folder / f'{self.n:03}-{name}'

    def run(self, label, body):
        if self.options.only and self.options.only not in label: return
        begin, started, why, said = time.monotonic(), [], '', ''
        try: said = body(started) or ''
        except Exception as error:
            why = f'{type(error).__name__}: {error}'.splitlines()[0][:300]
            if os.environ.get('CCBT_TEST_TRACE'): traceback.print_exc()
            for c in started: why += f'\n      {c.name}: {c.tail(6)}'
        for c in started: c.stop()
        if not why:
            for c in started: shutil.rmtree(c.home, ignore_errors=True)
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}{label:78}{time.monotonic() - begin:6.1f} s  {why or said}', flush=True)

    def start(self, started, *clients):
        for c in clients: started.append(c); c.start()

    def add(self, seeder, leecher):
        down = self.place('down')
        down.mkdir()
        seeder.add(self.file, self.source, seed=True)
        until(lambda: seeder.alive() and seeder.stat()['complete'], 60, 0.05, f'{seeder.name} to check its data')
        leecher.add(self.file, down)
        return down


def encryption(us):
    """E, e or - of each peer of our torrent."""
    return [('E' if 'rc4' in p['flags'] else 'e' if 'encrypted_handshake' in p['flags'] else '-')
            for p in us.btbt('peers', 'list', us.hash)]


def case(bench, name, theirs, options, ours, settings, expected, dialler, we_seed):
    def body(started):
        us, it = Ccbt(bench.place('ccbt'), address(1), **settings), OTHERS[name](bench.place(name), address(2), **options)
        bench.start(started, us, it)
        seeder, leecher = (us, it) if we_seed else (it, us)
        down, seen, next_call = bench.add(seeder, leecher), set(), 0
        end = time.monotonic() + (6 if expected is None else 60)
        while time.monotonic() < end:
            if time.monotonic() >= next_call and (expected is None or not us.stat()['peers']):
                (us.dial(it.ip, it.port) if dialler == 'us' else it.dial(us.ip, us.port))
                next_call = time.monotonic() + 3
            for _ in range(4): seen |= set(encryption(us))
            if leecher.alive() and leecher.stat()['complete']: break
        if expected is None:
            if seen or leecher.stat()['done']: raise AssertionError(f'a connection {seen}, {leecher.stat()["done"]} bytes, though the modes exclude each other')
            return 'refused'
        until(lambda: not bench.torrent.difference(down, leecher.empty_files), 10, 0.25, bench.torrent.difference(down, leecher.empty_files))
        if not seen or not seen <= set(expected): raise AssertionError(f'the connection was {seen}, not {expected}')
        return f'{"".join(sorted(seen))} identical'
    way = 'we dial' if dialler == 'us' else 'it dials'
    bench.run(f'{name} ({theirs}) {"downloads from" if we_seed else "seeds to"} ccbt ({ours}), {way}', body)


def probes(bench):
    def plain_caller(started):
        us = Ccbt(bench.place('ccbt'), address(1), **MODES['required'])
        bench.start(started, us)
        us.add(bench.file, bench.source)
        with socket.create_connection((us.ip, us.port), 5) as s:
            s.sendall(GREETING + bytes(8) + bytes.fromhex(bench.torrent.hash) + b'-XX0000-aaaaaaaaaaaa')
            s.settimeout(12)
            heard = s.recv(100)
        if heard: raise AssertionError(f'it answered {heard[:20]!r}')
    bench.run('a plain caller of a daemon that requires encryption is hung up on', plain_caller)

    def listener(settings, wanted):
        def body(started):
            us = Ccbt(bench.place('ccbt'), address(1), **settings)
            bench.start(started, us)
            firsts = []
            with socket.create_server((address(9), 6899)) as server:
                server.settimeout(20)
                us.add(bench.file, bench.place('down'))
                for n in range(len(wanted)):
                    us.dial(address(9), 6899)
                    link, _ = server.accept()
                    link.settimeout(10)
                    firsts.append(link.recv(20) == GREETING)
                    link.close()
            if firsts != wanted: raise AssertionError(f'plain first bytes: {firsts}, not {wanted}')
        return body
    bench.run('required: who hangs up is never greeted in plain', listener(MODES['required'], [False, False, False]))
    bench.run('preferred: who hangs up is tried encrypted, then plain', listener(MODES['preferred'], [False, True]))
    bench.run('allowed: who hangs up is tried plain, then encrypted', listener(MODES['allowed'], [True, False]))
    bench.run('disabled: who hangs up is tried plain only', listener(MODES['disabled'], [True, True]))

    def strangers(started):
        us, rng = Ccbt(bench.place('ccbt'), address(1), **MODES['allowed']), random.Random(1)
        bench.start(started, us)
        us.add(bench.file, bench.source)
        links, begin = [], time.monotonic()
        for what in (b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc' + rng.randbytes(503), rng.randbytes(5000),
                     bytes(96), b'\xff' * 96, rng.randbytes(95), GREETING[:19]):
            links.append(socket.create_connection((us.ip, us.port), 5))
            links[-1].settimeout(15)
            links[-1].sendall(what)
        for s in links:
            try:
                while s.recv(4096): pass
            except ConnectionResetError: pass
            s.close()
        slowest = time.monotonic() - begin
        if slowest > 12: raise AssertionError(f'hung up after {slowest:.1f} s')
        return f'after {slowest:.1f} s at most'
    bench.run('HTTP, TLS, noise, weak keys and half handshakes are hung up on', strangers)

    def flood(first):
        def body(started):
            us, it = Ccbt(bench.place('ccbt'), address(1), **MODES['allowed']), Libtorrent(bench.place('lt'), address(2), **lt('forced', 'rc4'))
            bench.start(started, us, it)
            down, links = bench.add(us, it), []
            for n in range(200):
                s = socket.create_connection((us.ip, us.port), 5, source_address=(address(8), 0))
                if first: s.sendall(first())
                links.append(s)
            time.sleep(0.5)
            def is_open(s):
                s.setblocking(False)
                try:
                    while (b := s.recv(4096)): pass
                    return False
                except BlockingIOError: return True
                except OSError: return False
            held = sum(map(is_open, links))
            it.dial(us.ip, us.port)
            until(lambda: it.stat()['complete'], 60, 0.05, 'a download during the flood')
            for s in links: s.close()
            if held > 20: raise AssertionError(f'{held} of 200 silent connections are held')
            return f'{held} of 200 held; another address downloads meanwhile'
        return body
    if sandbox.isolated():
        rng = random.Random(2)
        bench.run('200 callers of one address that say nothing', flood(None))
        bench.run('200 callers of one address that begin an encrypted handshake', flood(lambda: rng.randbytes(200)))
    else: print('skipped  floods: every address is the loopback here')


def cpu(daemon):
    """CPU seconds of a daemon and its workers so far."""
    total = 0
    for pid in [daemon.proc.pid, *children(daemon.proc.pid)]:
        with open(f'/proc/{pid}/stat') as f: total += sum(map(int, f.read().rsplit(')', 1)[1].split()[11:13]))
    return total / os.sysconf('SC_CLK_TCK')


def rates(bench, mib):
    big = Torrent(single_file(bench.folder / 'big' / 'big.bin', mib << 20), piece=1 << 20)
    file, rows = big.write(bench.folder / 'big.torrent'), []
    for label, settings, expected in (('plain', MODES['disabled'], '-'), ('encrypted handshake', MODES['required'] | PLAINTEXT, 'e'), ('RC4', MODES['required'] | RC4, 'E')):
        def body(started):
            a, b, down = Ccbt(bench.place('ccbt'), address(1), **settings), Ccbt(bench.place('ccbt'), address(2), **settings), bench.place('down')
            bench.start(started, a, b)
            down.mkdir()
            a.add(file, big.source.parent)
            until(lambda: a.stat()['complete'], 120, 0.05, 'the seed to check')
            b.add(file, down)
            before, begin, seen = (cpu(a), cpu(b)), time.monotonic(), set()
            b.dial(a.ip, a.port)
            def complete():
                seen.update(encryption(b))
                return b.stat()['complete']
            until(complete, 300, 0.1, 'the download')
            seconds, used = time.monotonic() - begin, (cpu(a) - before[0], cpu(b) - before[1])
            if (wrong := big.difference(down)): raise AssertionError(wrong)
            if seen != {expected}: raise AssertionError(f'the connection was {seen}')
            shutil.rmtree(down)
            return f'{mib / seconds:.0f} MiB/s; CPU-s/GiB: seeding {used[0] * 1024 / mib:.2f}, downloading {used[1] * 1024 / mib:.2f}'
        bench.run(f'{mib} MiB from ccbt to ccbt, {label}', body)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--mib', type=int, help='size of the content (64; slice 32)')
    parser.add_argument('--clients', nargs='+', choices=OTHERS, default=list(OTHERS))
    parser.add_argument('--only', help='rows whose text contains this')
    parser.add_argument('--rates', type=int, default=1024, help='MiB for the rates; 0: leave them out')
    options = parser.parse_args()
    options.mib = options.mib or (32 if options.slice else 64)
    sandbox.enter()
    bench = Bench(options)
    for n, (name, theirs, settings, ours, mine, expected, diallers, in_slice) in enumerate(CASES):
        if name not in options.clients or (options.slice and not in_slice): continue
        if OTHERS[name].program and not shutil.which(OTHERS[name].program):
            print(f'skipped  {name}: not installed'); continue
        for d, dialler in enumerate(diallers.split()):
            for we_seed in (False, True):
                # The slice has each case once, in turn with either side seeding and dialling.
                if options.slice and (we_seed != bool(n & 1) or d != (n >> 1) % len(diallers.split())): continue
                # One way is enough where nothing flows.
                if expected is None and we_seed and not options.slice: continue
                case(bench, name, theirs, settings, ours, mine, expected, dialler, we_seed)
    probes(bench)
    if options.rates and not options.slice: rates(bench, options.rates)
    print(f'encryption: {bench.passed} passed, {bench.failed} failed')
    sys.exit(1 if bench.failed else 0)


if __name__ == '__main__': main()
