"""Port mapping at a router: miniupnpd in a network namespace of its own, and a router made of one socket.

    nat.py [--slice] [--only TEXT]

ccbt stands behind the router (10.77.0.100), the world (11.22.33.1) before it. Mappings are looked up in the router's
nftables rules, and used: a connection from the world reaches ccbt.
"""
import argparse, atexit, os, re, shutil, socket, struct, subprocess, sys, time, traceback
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Ccbt
from sandbox import address, until

ROUTER, OUTSIDE, WORLD = '10.77.0.100', '11.22.33.44', '11.22.33.1'
RULES = '''
table inet filter {
  chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
  chain prerouting_miniupnpd { }
  chain postrouting { type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd; }
  chain postrouting_miniupnpd { }
}
'''


def check(condition, what):
    if not condition: raise AssertionError(what)


def inside(pid, *argv, **more): return subprocess.run(['nsenter', '-t', str(pid), '-n', *map(str, argv)], capture_output=True, text=True, **more)


class Router:
    """miniupnpd between the namespaces `far` (the router's) and `world`."""

    def __init__(self, folder):
        self.folder, self.pid, self.proc = folder, int(os.environ['CCBT_TEST_TRACKER_NS']), None
        folder.mkdir(parents=True)
        world = subprocess.Popen(['unshare', '-n', 'sleep', 'infinity'])
        atexit.register(world.kill)
        self.world = world.pid
        mine = os.readlink('/proc/self/ns/net')
        until(lambda: os.readlink(f'/proc/{world.pid}/ns/net') != mine, 5, what='the namespace of the world')
        for line in ('link add wan type veth peer name host', f'link set host netns {world.pid}', f'addr add {OUTSIDE}/24 dev wan', 'link set wan up'):
            r = inside(self.pid, 'ip', *line.split())
            check(r.returncode == 0, r.stderr)
        for line in (f'addr add {WORLD}/24 dev host', 'link set host up', 'link set lo up'): inside(world.pid, 'ip', *line.split())
        inside(self.pid, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
        r = inside(self.pid, 'nft', '-f', '-', input=RULES)
        check(r.returncode == 0, r.stderr)
        subprocess.run(['ip', 'route', 'add', 'default', 'via', ROUTER], check=True)

    def start(self, pmp, upnp):
        config = self.folder / 'miniupnpd.conf'
        yes = lambda b: 'yes' if b else 'no'
        config.write_text(f'''ext_ifname=wan
listening_ip=far
http_port=5000
enable_natpmp={yes(pmp)}
enable_upnp={yes(upnp)}
min_lifetime=120
max_lifetime=86400
secure_mode=yes
notify_interval=900
uuid=11111111-2222-3333-4444-555555555555
upnp_table_name=filter
upnp_nat_table_name=filter
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
lease_file={self.folder}/leases
allow 1024-65535 10.77.0.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
''')
        self.log = open(self.folder / 'log', 'ab')
        self.proc = subprocess.Popen(['nsenter', '-t', str(self.pid), '-n', 'miniupnpd', '-d', '-f', str(config), '-P', str(self.folder / 'pid')],
                                     stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        atexit.register(self.proc.kill)
        ports = [p for p, on in (('5351', pmp), ('5000', upnp)) if on]
        listening = lambda: (lines := inside(self.pid, 'ss', '-lntuH').stdout) and all(re.search(rf':{p}\b', lines) for p in ports)
        until(lambda: self.proc.poll() is not None or listening(), 20, 0.05, 'miniupnpd to listen')
        check(self.proc.poll() is None, 'miniupnpd: ' + ' | '.join((self.folder / 'log').read_text(errors='replace').splitlines()[-3:]))
        return self

    def stop(self):
        if self.proc and self.proc.poll() is None:
            self.proc.terminate()
            self.proc.wait(10)
        (self.folder / 'leases').unlink(missing_ok=True)
        for chain in ('miniupnpd', 'prerouting_miniupnpd', 'postrouting_miniupnpd'): inside(self.pid, 'nft', 'flush', 'chain', 'inet', 'filter', chain)

    def rules(self):
        """(protocol, outside port) → (address, inside port) of the mappings in force."""
        text = inside(self.pid, 'nft', 'list', 'chain', 'inet', 'filter', 'prerouting_miniupnpd').stdout
        out = {}
        for line in text.splitlines():
            # nft has no word for the byte of the header that miniupnpd compares.
            line = line.replace('@nh,72,8 0x6 ', 'tcp ').replace('@nh,72,8 0x11 ', 'udp ')
            proto, port, to = re.search(r'\b(tcp|udp)\b', line), re.search(r'dport (\d+)', line), re.search(r'dnat ip to ([\d.]+):(\d+)', line)
            if proto and port and to: out[proto[1], int(port[1])] = (to[1], int(to[2]))
        return out

    def reaches(self, port):
        """Whether a connection from the world to the outside port is accepted."""
        code = f'import socket; socket.create_connection(("{OUTSIDE}", {port}), 3).close(); print("in")'
        return 'in' in inside(self.world, sys.executable, '-c', code, timeout=15).stdout


PMP = '''
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.77.0.100", 5351))
lies = sys.argv[1] == "lies"
log = open(sys.argv[2], "a", buffering=1)
while True:
    data, who = s.recvfrom(2048)
    print(data.hex(), file=log)
    if lies:
        # Too short, of another request, of another version, with a port of 0: nothing of this is an answer.
        for a in (b"", b"\\0", data, b"\\2\\x81" + bytes(20), struct.pack(">BBHIHHI", 0, 130, 0, 9, 1, 2, 3), bytes(1100)): s.sendto(a, who)
        continue
    if data[0] == 2: s.sendto(struct.pack(">BBHI", 0, 129, 1, 9), who)
    elif data == b"\\0\\0": s.sendto(struct.pack(">BBHI4s", 0, 128, 0, 9, socket.inet_aton("11.22.33.44")), who)
    else:
        _, op, _, inner, outer, life = struct.unpack(">BBHHHI", data)
        s.sendto(struct.pack(">BBHIHHI", 0, 128 + op, 0, 9, inner, outer + 1000 if life else 0, life), who)
'''


class Bench:
    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-nat-')
        self.n = 1
        self.passed = self.failed = 0

    def ccbt(self, n=None, **options):
        self.n += 1
        ip = address(n or self.n)
        return Ccbt(self.folder / f'ccbt{self.n}', ip, **({'nat__auto_map_ports': True, 'nat__nat_discovery_interval': 10, 'discovery__enable_dht': True,
                                                                      'discovery__dht_bootstrap_nodes': []} | options)).start()

    def case(self, name, body):
        if self.options.only and self.options.only not in name: return
        begin, why, started = time.monotonic(), '', []
        try: body(started)
        except Exception as error:
            why = f'{type(error).__name__}: {error}'.splitlines()[0][:300]
            if os.environ.get('CCBT_TEST_TRACE'): traceback.print_exc()
        for c in started: c.stop()
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}{name:50}{time.monotonic() - begin:6.1f} s  {why}', flush=True)


def status(c): return c.btbt('nat', 'status')


def mapped(c, router, method, seconds=20):
    """Until everything is mapped by that method, the router's rules say so, and the world comes in."""
    until(lambda: status(c).get('method') == method, seconds, 0.2, f'mappings by {method}: {status(c)}')
    s = status(c)
    check({m['transport'] for m in s['mappings']} == {'tcp', 'udp'} and all(m.get('externalPort') for m in s['mappings']), s)
    check(s['external'] == OUTSIDE and s['gateway'] == ROUTER, s)
    if router is None: return s
    rules = router.rules()
    for m in s['mappings']:
        check(rules.get((m['transport'], m['externalPort'])) == (c.ip, c.port), f'{m} in {rules}')
    check(router.reaches(next(m['externalPort'] for m in s['mappings'] if m['transport'] == 'tcp')), 'a connection from the world does not come in')
    return s


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--only', default='')
    options = parser.parse_args()
    sandbox.enter()
    if not sandbox.isolated() or not shutil.which('miniupnpd') or not shutil.which('nft'):
        print('skipped: needs a network namespace, miniupnpd and nft\n0 passed, 0 failed')
        return
    bench = Bench(options)
    router = Router(bench.folder / 'router')

    def with_router(pmp, upnp, body):
        def run(started):
            router.start(pmp, upnp)
            try: body(started)
            finally: router.stop()
        return run

    def pcp(started):
        started.append(bench.ccbt())
        mapped(started[0], router, 'PCP')
    bench.case('PCP maps TCP and UDP', with_router(True, False, pcp))

    def ends(started):
        c = bench.ccbt()
        started.append(c)
        mapped(c, router, 'PCP')
        c.stop()
        until(lambda: not router.rules(), 5, 0.1, f'no rules: {router.rules()}')
    bench.case('mappings end with the daemon', with_router(True, False, ends))

    # A UPnP request comes from the address that the kernel chooses, and the router maps to who asks only: the first address.
    def upnp(started):
        c = bench.ccbt(1)
        started.append(c)
        mapped(c, router, 'UPnP', 40)
        c.stop()
        until(lambda: not router.rules(), 10, 0.1, f'no rules: {router.rules()}')
    bench.case('UPnP alone, until the daemon ends', with_router(False, True, upnp))

    def taken(started):
        c = bench.ccbt(1, nat__enable_nat_pmp=False)
        started.append(c)
        c.stop()
        # Another machine behind the router has the port outside.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((address(29), 0))
            s.settimeout(5)
            for op in (1, 2):
                s.sendto(struct.pack('>BBHHHI', 0, op, 0, c.port, c.port, 3600), (ROUTER, 5351))
                check(struct.unpack('>BBHIHHI', s.recv(100))[2::3] == (0, c.port), 'the router does not give the port')
        c.start(keep=True)
        s = mapped(c, router, 'UPnP', 40)
        check(all(m['externalPort'] == c.port + 1 for m in s['mappings']), s)
    bench.case('UPnP: a port that is taken outside', with_router(True, True, taken))

    def fake(kind):
        log = bench.folder / f'pmp-{kind}'
        p = subprocess.Popen(['nsenter', '-t', str(router.pid), '-n', sys.executable, '-c', PMP, kind, str(log)])
        atexit.register(p.kill)
        until(log.exists, 20, 0.05, 'the router of one socket')
        return p, log

    def natpmp(started):
        p, log = fake('plain')
        try:
            c = bench.ccbt()
            started.append(c)
            s = mapped(c, None, 'NAT-PMP')
            check(all(m['externalPort'] == c.port + 1000 for m in s['mappings']), s)
            check(log.read_text().startswith('02'), 'PCP was not tried first')
            c.stop()
            until(lambda: any(len(line) == 24 and line.endswith('00000000') for line in log.read_text().split()), 5, 0.1, 'the end of the mappings')
        finally: p.kill()
    bench.case('NAT-PMP where PCP is refused', natpmp)

    def hostile(started):
        p, _ = fake('lies')
        try:
            c = bench.ccbt(nat__enable_upnp=False)
            started.append(c)
            s = until(lambda: (s := status(c)).get('failure', '').startswith('NAT-PMP') and s, 40, 0.5, 'the end of all tries')
            check('method' not in s and all('externalPort' not in m for m in s['mappings']), s)
            check(c.workers()['discovery:0']['restarts'] == 0, 'the worker was restarted')
        finally: p.kill()
    bench.case('hostile: a router that answers nonsense', hostile)

    def off(started):
        c = bench.ccbt(nat__auto_map_ports=False)
        started.append(c)
        time.sleep(2)
        check(not status(c)['enabled'] and not router.rules(), status(c))
    bench.case('nat.auto_map_ports = false maps nothing', with_router(True, True, off))

    def lost(started):
        c = bench.ccbt(nat__port_mapping_lease_time=120)
        started.append(c)
        mapped(c, router, 'PCP')
        for chain in ('miniupnpd', 'prerouting_miniupnpd', 'postrouting_miniupnpd'): inside(router.pid, 'nft', 'flush', 'chain', 'inet', 'filter', chain)
        router.stop()
        router.start(True, False)
        check(not router.rules(), 'the rules are still there')
        until(lambda: len(router.rules()) == 2, 75, 0.5, 'the renewal at half of 120 s')
    if not options.slice: bench.case('a lost mapping comes back', with_router(True, False, lost))
    print(f'{bench.passed} passed, {bench.failed} failed')
    sys.exit(bench.failed > 0)


main()
