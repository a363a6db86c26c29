"""Holepunch (BEP 55): two peers, each behind a router of its own, brought together by a third one that both reach.

    holepunch.py [--slice] [--only TEXT]

Each router is a network namespace that translates addresses (nftables masquerade) and lets in answers only: what comes
unasked is dropped, TCP and datagrams alike. So the two can meet only when both send at one time, and over uTP only.
The content goes over that connection: the third one has next to none of it. Without --slice the rig itself is tried with
libtorrent alone, too.
"""
import argparse, os, shutil, subprocess, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Ccbt, Libtorrent
from encryption import Bench
from sandbox import Place, inside, namespace, until

RULES = '''
table ip router {
  chain out { type nat hook postrouting priority 100; oifname "wan" masquerade; }
  chain through { type filter hook forward priority 0; iifname "wan" ct state new drop; }
  chain in { type filter hook input priority 0; iifname "wan" drop; }
}
'''
# A client that dials by uTP alone: libtorrent as the third one knows a peer only by the address that it comes from.
OURS = {'network__enable_tcp': False}
# Asking for help begins when a dial has failed: sooner than after the 10 s of the defaults.
QUICK = {'limits__global_down_kib': 2048, 'network__connection_timeout': 5}
LT = {'enable_outgoing_utp': True, 'enable_incoming_utp': True, 'enable_outgoing_tcp': False, 'enable_incoming_tcp': False}


class Home(Place):
    """A network of one machine, 192.168.n.10+n, behind a router at 11.22.n.2."""

    def __init__(self, n):
        super().__init__(n)
        self.machine, self.inner = namespace(), f'192.168.{n}.{10 + n}'
        for line in (f'link add lan type veth peer name eth netns {self.machine}', f'addr add 192.168.{n}.1/24 dev lan', 'link set lan up'):
            inside(self.box, 'ip', *line.split())
        for line in (f'addr add {self.inner}/24 dev eth', 'link set lo up', 'link set eth up', f'route add default via 192.168.{n}.1'):
            inside(self.machine, 'ip', *line.split())
        inside(self.box, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
        inside(self.box, 'nft', '-f', '-', input=RULES)


def peers(client):
    """Addresses of its peers, with what kind of connection it is (of ours)."""
    if isinstance(client, Ccbt): return {p['endpoint']: p['flags'] for p in client.btbt('peers', 'list', client.hash)}
    return {f'{p["ip"]}:{p["port"]}': p['flags'] for p in client.peers() if p['handshaken']}


def meetings(bench):
    numbers = iter(range(1, 100))

    def case(label, initiator, relay, target):
        def body(started):
            # New routers each time: one that remembers the last meeting lets the next one in without.
            here, there, between = Home(next(numbers)), Home(next(numbers)), Place(next(numbers))
            a, middle, b = here.holds(initiator('initiator', here)), between.holds(relay('relay', between)), there.holds(target('target', there))
            bench.start(started, a, middle, b)
            down, idle = bench.place('down'), bench.place('idle')
            for path in (down, idle): path.mkdir()
            # The target must not dial of itself at the same time: it learns of the other one by the third one's word only.
            put = lambda c, folder: c.add(bench.file, folder, **({'pex': c is not b} if isinstance(c, Libtorrent) else {}))
            put(b, bench.source)
            until(lambda: b.alive() and b.stat()['complete'], 60, 0.05, 'the target to check its data')
            put(middle, idle)
            put(a, down)
            # Who dials may meet a port that is not open yet.
            def reach(c):
                c.dial(middle.outer, middle.port)
                try: return until(lambda: f'{middle.outer}:{middle.port}' in peers(c), 5, 0.1)
                except TimeoutError: return False
            for c in (b, a): until(lambda: reach(c), 60, 0.1, f'{c.name} to reach the third one')
            # libtorrent tries addresses that it has from the third one, and asks for help with those.
            if isinstance(a, Ccbt): a.dial(b.outer, b.port)
            direct = until(lambda: peers(a).get(f'{b.outer}:{b.port}'), 90, 0.1, 'a direct connection')
            if 'utp' not in direct: raise AssertionError(f'the connection is {direct}')
            until(lambda: a.stat()['complete'], 90, 0.1, 'the download')
            if (wrong := bench.torrent.difference(down)): raise AssertionError(wrong)
            if (has := middle.stat()['done']) > 1 << 20: raise AssertionError(f'the third one has {has} bytes')
            return 'met, identical'
        bench.run(label, body)

    # Slow enough that the connection is seen before both are seeds and part.
    libtorrent = lambda name, at: Libtorrent(bench.place(name), at.inner, **LT, download_rate_limit=2 << 20)
    ours = lambda name, at: Ccbt(bench.place(name), at.inner, **OURS, **QUICK, discovery__enable_pex=False)
    # TCP is tried first, as by any user.
    both = lambda name, at: Ccbt(bench.place(name), at.inner, **QUICK, discovery__enable_pex=False)
    # The third one has nothing and takes next to nothing: it only knows both.
    lt_middle = lambda name, at: Libtorrent(bench.place(name), at.inner, enable_outgoing_utp=True, enable_incoming_utp=True, download_rate_limit=1024)
    our_middle = lambda name, at: Ccbt(bench.place(name), at.inner, limits__global_down_kib=1)
    case('holepunch: ccbt asks libtorrent, which brings it to ccbt', ours, lt_middle, ours)
    case('holepunch: ccbt asks ccbt, which brings it to libtorrent', both, our_middle, libtorrent)
    if not bench.options.slice:
        case('holepunch: the rig, libtorrent alone', libtorrent, lt_middle, libtorrent)
        case('holepunch: libtorrent asks ccbt, which brings it to ccbt', libtorrent, our_middle, both)
        case('holepunch: libtorrent asks libtorrent, which brings it to ccbt', libtorrent, lt_middle, ours)
        case('holepunch: ccbt asks libtorrent, which brings it to libtorrent', ours, lt_middle, libtorrent)
        case('holepunch: ccbt asks ccbt, which brings it to ccbt', both, our_middle, both)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--mib', type=int, default=4)
    parser.add_argument('--only', help='rows whose text contains this')
    options = parser.parse_args()
    sandbox.enter()
    if not sandbox.isolated() or not shutil.which('nft'): return print('skipped: needs network namespaces and nft\nholepunch: 0 passed, 0 failed')
    bench = Bench(options)
    meetings(bench)
    print(f'holepunch: {bench.passed} passed, {bench.failed} failed')
    sys.exit(1 if bench.failed else 0)


if __name__ == '__main__': main()
