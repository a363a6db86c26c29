"""uTP (BEP 29) against other clients, through real sockets and real files.

    utp.py [--slice] [--mib N] [--only TEXT] [--rates N]

ccbt downloads and seeds over uTP alone, plain and encrypted, where packets are lost, and from peers that TCP does not
reach; the connection's kind is read from `btbt peers`, and what is downloaded is compared byte by byte. Then a
thin link: uTP beside a TCP flow, printed as shares. At the end MiB/s and CPU-s/GiB on loopback beside libtorrent's own uTP in the same run.
"""
import argparse, ctypes, os, shutil, socket, struct, subprocess, sys, threading, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Ccbt, Libtorrent, Qbittorrent, Transmission
from content import Torrent, single_file
from encryption import MODES, RC4, Bench, cpu
from sandbox import Place, address, until

ONLY = {'network__enable_tcp': False}
LT = {'enable_outgoing_utp': True, 'enable_incoming_utp': True, 'enable_outgoing_tcp': False, 'enable_incoming_tcp': False}
LT_FORCED = {'in_enc_policy': 0, 'out_enc_policy': 0, 'allowed_enc_level': 2}


def nft(*rules):
    """Rules for what comes in; none: no rules."""
    run = lambda *a: subprocess.run(['nft', *a], check=True, capture_output=True)
    subprocess.run(['nft', 'delete', 'table', 'inet', 'ccbt'], capture_output=True)
    if not rules: return
    run('add', 'table', 'inet', 'ccbt')
    run('add', 'chain', 'inet', 'ccbt', 'i', '{ type filter hook input priority 0; }')
    for rule in rules: run('add', 'rule', 'inet', 'ccbt', 'i', *rule.split())


def flags(us): return [set(p['flags']) for p in us.btbt('peers', 'list', us.hash)]


def transfer(bench, seeder, leecher, us, dialler, called, patience=90, every=3, what={'utp'}, torrent=None):
    """Moves the content; each connection that `us` sees must have the flags."""
    down, seen, next_call = bench.add(seeder, leecher), [], 0
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if time.monotonic() >= next_call and not us.stat()['peers']:
            dialler.dial(called.ip, called.port)
            next_call = time.monotonic() + every
        seen += flags(us)
        if leecher.alive() and leecher.stat()['complete']: break
    else: raise TimeoutError(f'{leecher.name} has {leecher.stat()}, connections were {seen[-3:]}')
    until(lambda: not bench.torrent.difference(down, leecher.empty_files), 10, 0.25, bench.torrent.difference(down, leecher.empty_files))
    if not seen or not all(what <= s for s in seen): raise AssertionError(f'the connection was {seen[:3]}')
    shutil.rmtree(down)
    return 'identical'


def pairs(bench):
    def case(label, make, ours, who_dials, we_seed, what={'utp'}, rules=(), patience=90):
        def body(started):
            us, it = Ccbt(bench.place('ccbt'), address(1), **ours), make(bench.place('other'), address(2))
            bench.start(started, us, it)
            if rules: nft(*rules)
            try:
                return transfer(bench, *((us, it) if we_seed else (it, us)), us, *((us, it) if who_dials == 'we' else (it, us)), patience=patience, what=what)
            finally:
                if rules: nft()
        bench.run(label, body)

    libtorrent = lambda home, ip: Libtorrent(home, ip, **LT)
    forced = lambda home, ip: Libtorrent(home, ip, **LT, **LT_FORCED)
    both = lambda home, ip: Libtorrent(home, ip, enable_incoming_utp=True, enable_outgoing_utp=True)
    case('libtorrent seeds to ccbt over uTP, we dial', libtorrent, ONLY, 'we', False)
    case('libtorrent downloads from ccbt over uTP, it dials', libtorrent, ONLY, 'it', True)
    case('libtorrent downloads from ccbt over uTP, encrypted by RC4', forced, ONLY | MODES['required'] | RC4, 'it', True, {'utp', 'rc4'})
    if not bench.options.slice:
        case('libtorrent seeds to ccbt over uTP, it dials', libtorrent, ONLY, 'it', False)
        case('libtorrent downloads from ccbt over uTP, we dial', libtorrent, ONLY, 'we', True)
        case('libtorrent seeds to ccbt over uTP, encrypted by RC4', forced, ONLY | MODES['required'] | RC4, 'we', False, {'utp', 'rc4'})
        case('libtorrent with both is reached by TCP first', both, {}, 'we', False, set())
    if shutil.which('transmission-daemon'):
        transmission = lambda home, ip: Transmission(home, ip, utp=True)
        case('transmission seeds to ccbt over uTP, we dial', transmission, ONLY, 'we', False)
        if not bench.options.slice: case('transmission downloads from ccbt over uTP, we dial', transmission, ONLY, 'we', True)
    if shutil.which('qbittorrent-nox'):
        qbittorrent = lambda home, ip: Qbittorrent(home, ip, protocol='UTP')
        case('qbittorrent downloads from ccbt over uTP, it dials', qbittorrent, ONLY, 'it', True)
        if not bench.options.slice: case('qbittorrent seeds to ccbt over uTP, it dials', qbittorrent, ONLY, 'it', False)
    ours = lambda home, ip: Ccbt(home, ip, **ONLY)
    case('ccbt seeds to ccbt over uTP', ours, ONLY, 'we', False)
    if sandbox.isolated() and shutil.which('nft'):
        loss = lambda percent: [f'udp dport 6800-6830 numgen random mod 100 lt {percent} drop']
        case('libtorrent seeds to ccbt over uTP, 2 % of the packets lost', libtorrent, ONLY, 'we', False, rules=loss(2), patience=180)
        case('libtorrent downloads from ccbt over uTP, 2 % of the packets lost', libtorrent, ONLY, 'it', True, rules=loss(2), patience=180)
        if not bench.options.slice: case('ccbt seeds to ccbt over uTP, 5 % of the packets lost', ours, ONLY, 'we', False, rules=loss(5), patience=180)
        # A box that answers nothing, and one that refuses.
        case('libtorrent behind a silent filter of TCP is reached by uTP', both, {}, 'we', False, rules=[f'ip daddr {address(2)} tcp dport 6802 drop'])
        case('ccbt behind a refusing filter of TCP is reached by uTP', lambda home, ip: Ccbt(home, ip), {}, 'we', False, rules=[f'ip daddr {address(2)} tcp dport 6802 reject with tcp reset'])
    else: print('skipped  packet loss: no nft in a namespace here')


class Cross:
    """A TCP flow through the same link: counts what arrives.

    It fills queues, as CUBIC and Reno do, whatever this machine's default is: BBR keeps them short itself, and what it
    gets beside any flow with a target of 100 ms is about BBR.
    """

    def __init__(self, sender, receiver):
        self.bytes, self.stopped, self.sender, self.receiver, self.listening = 0, False, sender, receiver, threading.Event()
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.write, daemon=True).start()

    @staticmethod
    def enter(place):
        """This thread's sockets are that machine's."""
        with open(f'/proc/{place.machine}/ns/net') as f:
            if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0): raise OSError(ctypes.get_errno(), 'setns')

    def read(self):
        self.enter(self.receiver)
        with socket.create_server((self.receiver.inner, 7999)) as server:
            self.listening.set()
            link, _ = server.accept()
        try:
            while (b := link.recv(1 << 16)): self.bytes += len(b)
        except ConnectionResetError: pass
        link.close()

    def write(self):
        self.enter(self.sender)
        block = bytes(1 << 16)
        with socket.socket() as out:
            try: out.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b'cubic')
            except OSError: out.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b'reno')
            self.listening.wait(20)
            out.connect((self.receiver.inner, 7999))
            while not self.stopped: out.sendall(block)
            # What waits in this machine's buffers need not arrive any more.
            out.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))

    def stop(self): self.stopped = True


def sharing(bench):
    """20 Mbit/s with room for 400 ms: uTP has it alone, steps aside for TCP, and has it again."""
    if not sandbox.isolated(): return print('skipped  sharing a link: no namespace here')
    run = lambda line: subprocess.run(line.split(), check=True, capture_output=True)
    link, numbers = 20e6 / 8, iter(range(1, 100))

    def body(started, make, bars):
        # The link lies between the two machines: a queue of the sender's own would hold its TCP back before the link does.
        here, there, down = Place(next(numbers)), Place(next(numbers)), bench.place('down')
        a, b = (place.holds(make(bench.place('client'), place.inner)) for place in (here, there))
        big = Torrent(single_file(bench.folder / 'thin' / 'thin.bin', 192 << 20), piece=256 << 10)
        file = big.write(bench.folder / 'thin.torrent')
        bench.start(started, a, b)
        down.mkdir()
        a.add(file, big.source.parent)
        until(lambda: a.stat()['complete'], 60, 0.05, 'the seed to check')
        run(f'tc qdisc add dev {there.outside} root tbf rate 20mbit burst 16k latency 400ms')
        cross = None
        try:
            b.add(file, down)
            b.dial(a.ip, a.port)
            got = lambda: b.stat()['done']
            until(lambda: got() > 1 << 20, 30, 0.05, 'the first MiB')
            time.sleep(4)
            def rate(seconds):
                before, tcp, begin = got(), cross.bytes if cross else 0, time.monotonic()
                time.sleep(seconds)
                took = time.monotonic() - begin
                return (got() - before) / took / link, ((cross.bytes if cross else 0) - tcp) / took / link
            alone, _ = rate(8)
            cross = Cross(here, there)
            time.sleep(6)
            beside, tcp = rate(12)
            cross.stop()
            cross = None
            time.sleep(6)
            after, _ = rate(8)
            told = f'alone {alone:.0%} of the link; beside TCP {beside:.0%} against {tcp:.0%}; after it {after:.0%}'
            if bars and (alone < 0.6 or beside > 0.25 or tcp < 0.5 or after < 0.5): raise AssertionError(told)
            return told
        finally:
            if cross: cross.stop()
    bench.run('uTP steps aside for a TCP flow on a link of 20 Mbit/s', lambda s: body(s, lambda home, ip: Ccbt(home, ip, **ONLY), True))
    bench.run("libtorrent's uTP on the same link, for comparison", lambda s: body(s, lambda home, ip: Libtorrent(home, ip, **LT), False))


def rates(bench, mib):
    big = Torrent(single_file(bench.folder / 'big' / 'big.bin', mib << 20), piece=1 << 20)
    file = big.write(bench.folder / 'big.torrent')
    libtorrent, ours = lambda h, ip: Libtorrent(h, ip, **LT), lambda h, ip: Ccbt(h, ip, **ONLY)
    for label, make_seeder, make_leecher in (('libtorrent to libtorrent', libtorrent, libtorrent), ('ccbt to ccbt', ours, ours),
                                              ('libtorrent to ccbt', libtorrent, ours), ('ccbt to libtorrent', ours, libtorrent)):
        def body(started):
            a, b, down = make_seeder(bench.place('seeder'), address(1)), make_leecher(bench.place('leecher'), address(2)), bench.place('down')
            bench.start(started, a, b)
            down.mkdir()
            a.add(file, big.source.parent)
            until(lambda: a.stat()['complete'], 120, 0.05, 'the seed to check')
            b.add(file, down)
            before, begin = (cpu(a), cpu(b)), time.monotonic()
            b.dial(a.ip, a.port)
            until(lambda: b.stat()['complete'], 600, 0.1, 'the download')
            seconds, used = time.monotonic() - begin, (cpu(a) - before[0], cpu(b) - before[1])
            until(lambda: not big.difference(down), 10, 0.25, 'the content')
            shutil.rmtree(down)
            return f'{mib / seconds:.0f} MiB/s; CPU-s/GiB: seeding {used[0] * 1024 / mib:.2f}, downloading {used[1] * 1024 / mib:.2f}'
        bench.run(f'{mib} MiB over uTP on loopback, {label}', body)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--mib', type=int, help='size of the content (64; slice 16)')
    parser.add_argument('--only', help='rows whose text contains this')
    parser.add_argument('--rates', type=int, default=512, help='MiB for the rates; 0: leave them out')
    options = parser.parse_args()
    options.mib = options.mib or (16 if options.slice else 64)
    sandbox.enter()
    bench = Bench(options)
    pairs(bench)
    if not options.slice:
        sharing(bench)
        if options.rates: rates(bench, options.rates)
    print(f'utp: {bench.passed} passed, {bench.failed} failed')
    sys.exit(1 if bench.failed else 0)


if __name__ == '__main__': main()
