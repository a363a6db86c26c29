"""ccbt through real proxies: microsocks, dante (SOCKS5) and tinyproxy (HTTP CONNECT).

    proxies.py [--slice] [--mib N] [--only TEXT]

Each proxy calls from an address of its own, so that who is called sees whether it was called through the proxy. Peers
and trackers are reached through each; wrong passwords, refusals and proxies that are down let nothing past.
"""
import argparse, http.client, http.server, os, shutil, signal, socket, subprocess, sys, threading, time, traceback
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Ccbt, Libtorrent
from content import Torrent, single_file
from sandbox import Tracker, address, until

PROXY, OUTSIDE = 30, 29  # where proxies listen, where they call from


class Proxy:
    """One proxy program."""

    def __init__(self, folder, program, port, user='', password=''):
        self.name, self.port, self.ip, self.home = program, port, address(PROXY), folder
        folder.mkdir(parents=True)
        outside = address(OUTSIDE)
        if program == 'microsocks':
            argv = ['microsocks', '-i', self.ip, '-p', str(port), '-b', outside] + (['-u', user, '-P', password] if user else [])
        elif program == 'danted':
            (folder / 'conf').write_text(f'''logoutput: stderr
internal: {self.ip} port = {port}
external: {outside}
clientmethod: none
socksmethod: {'username' if user else 'none'}
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
''')
            argv = ['danted', '-f', str(folder / 'conf')]
            if user: argv = self.with_account(user, password) + argv
        else:
            (folder / 'conf').write_text(f'Port {port}\nListen {self.ip}\nBind {outside}\nTimeout 600\nMaxClients 100\n' + (f'BasicAuth {user} {password}\n' if user else ''))
            argv = ['tinyproxy', '-d', '-c', str(folder / 'conf')]
        self.log = open(folder / 'log', 'ab')
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True)
        until(lambda: socket.create_connection((self.ip, port), 1).close() or True, 10, what=program)

    def with_account(self, user, password):
        """dante knows the users of the system: it gets one more, in a mount namespace of its own."""
        hashed = subprocess.run(['openssl', 'passwd', '-6', password], check=True, capture_output=True, text=True).stdout.strip()
        (self.home / 'passwd').write_text(Path('/etc/passwd').read_text() + f'{user}:x:54321:65534::/nonexistent:/usr/sbin/nologin\n')
        (self.home / 'shadow').write_text(f'{user}:{hashed}:19000:0:99999:7:::\n')
        binds = ' && '.join(f'mount --bind {self.home / name} /etc/{name}' for name in ('passwd', 'shadow'))
        return ['unshare', '-m', 'sh', '-c', f'{binds} && exec "$@"', 'sh']

    def stop(self, timeout=5):
        try: os.killpg(self.proc.pid, signal.SIGKILL)
        except ProcessLookupError: pass
        self.proc.wait()

    def tail(self, lines=3): return ' | '.join((self.home / 'log').read_text(errors='replace').splitlines()[-lines:])


def through(kind, port, user='', password='', peers=True, trackers=True, **more):
    return {'proxy__enable_proxy': True, 'proxy__proxy_type': kind, 'proxy__proxy_host': address(PROXY), 'proxy__proxy_port': port,
            'proxy__proxy_username': user, 'proxy__proxy_password': password, 'proxy__proxy_for_peers': peers,
            'proxy__proxy_for_trackers': trackers, **more}


class Bench:
    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-proxies-')
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
        for c in reversed(started): c.stop()
        if not why:
            for c in started: shutil.rmtree(c.home, ignore_errors=True)
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}{label:78}{time.monotonic() - begin:6.1f} s  {why or said}', flush=True)


def download(bench, label, proxy, settings, seen_from, lt=None):
    """ccbt fetches from libtorrent; `seen_from`: the address that libtorrent must be called from, None: not at all."""
    def body(started):
        it = Libtorrent(bench.place('lt'), address(2), **({'in_enc_policy': 0, 'out_enc_policy': 0, 'allowed_enc_level': 2} if lt else {}))
        if proxy: started.append(Proxy(bench.place('proxy'), *proxy))
        us, down = Ccbt(bench.place('ccbt'), address(1), **settings), bench.place('down')
        for c in (it, us): started.append(c); c.start()
        down.mkdir()
        it.add(bench.file, bench.source)
        until(lambda: it.stat()['complete'], 60, what='libtorrent to check')
        us.add(bench.file, down)
        callers, end = set(), time.monotonic() + (8 if seen_from is None else 60)
        us.dial(it.ip, it.port)
        while time.monotonic() < end:
            callers |= {p['ip'] for p in it.peers()}
            if us.stat()['complete']: break
        if seen_from is None:
            if callers or us.stat()['done']: raise AssertionError(f'called from {callers}, {us.stat()["done"]} bytes')
            return 'nothing got through'
        until(lambda: us.stat()['complete'], 5, what='the download')
        if (wrong := bench.torrent.difference(down)): raise AssertionError(wrong)
        if callers != {seen_from}: raise AssertionError(f'called from {callers}, not {seen_from}')
        return f'identical, called from {seen_from}'
    bench.run(label, body)


def announcers(tracker, torrent):
    """The addresses that a tracker knows for the torrent, asked as somebody else."""
    quoted = ''.join('%' + torrent.hash[i:i + 2] for i in range(0, 40, 2))
    link = http.client.HTTPConnection(tracker.address, tracker.port, timeout=5, source_address=(address(12), 0))
    link.request('GET', f'/announce?info_hash={quoted}&peer_id=-XX0000-bbbbbbbbbbbb&port=9&uploaded=0&downloaded=0&left=1&compact=1')
    body = link.getresponse().read()
    at = body.index(b'5:peers') + 7
    length = int(body[at:body.index(b':', at)])
    raw = body[body.index(b':', at) + 1:][:length]
    return {socket.inet_ntoa(raw[i:i + 4]) for i in range(0, length, 6)} - {address(12)}


def announce(bench, label, proxy, settings, seen_from, way='http'):
    def body(started):
        tracker = Tracker(bench.folder / 'tracker', [bench.torrent.hash])
        try:
            if proxy: started.append(Proxy(bench.place('proxy'), *proxy))
            us = Ccbt(bench.place('ccbt'), address(1), **settings)
            started.append(us)
            us.start()
            us.add(bench.torrent.write(bench.folder / 'tracked.torrent', announce=tracker.announce(way)), bench.source)
            end, known = time.monotonic() + (8 if seen_from is None else 30), set()
            while time.monotonic() < end and not known:
                known = announcers(tracker, bench.torrent)
                time.sleep(0.2)
        finally: tracker.stop()
        if known != ({seen_from} if seen_from else set()): raise AssertionError(f'announced from {known}, not {seen_from}')
        return f'announced from {seen_from}' if seen_from else 'not announced'
    bench.run(label, body)


class Files(http.server.BaseHTTPRequestHandler):
    """One file in ranges; keeps who asked."""
    def do_GET(self):
        data = self.server.content
        first, last = (self.headers['Range'] or 'bytes=0-%d' % (len(data) - 1))[6:].split('-')
        part = data[int(first):int(last) + 1]
        self.server.callers.add(self.client_address[0])
        self.send_response(206)
        self.send_header('Content-Length', str(len(part)))
        self.send_header('Content-Range', f'bytes {first}-{last}/{len(data)}')
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_): pass


def web_seed(bench, label, proxy, settings, seen_from):
    """ccbt fetches from a web seed; `seen_from`: the address from which the server must be asked, None: not at all."""
    def body(started):
        server = http.server.ThreadingHTTPServer((address(8), 7003), Files)
        server.content, server.callers = bench.torrent.source.read_bytes(), set()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            if proxy: started.append(Proxy(bench.place('proxy'), *proxy))
            us, down = Ccbt(bench.place('ccbt'), address(1), **settings), bench.place('down')
            started.append(us)
            us.start()
            down.mkdir()
            us.add(bench.torrent.write(bench.folder / 'seeded.torrent', **{'url-list': f'http://{address(8)}:7003/content.bin'}), down)
            if seen_from is None:
                time.sleep(8)
                if server.callers or us.stat()['done']: raise AssertionError(f'asked from {server.callers}')
                return 'not asked'
            until(lambda: us.stat()['complete'], 60, what='the download')
            if (wrong := bench.torrent.difference(down)): raise AssertionError(wrong)
            if server.callers != {seen_from}: raise AssertionError(f'asked from {server.callers}, not {seen_from}')
            return f'identical, asked from {seen_from}'
        finally:
            server.shutdown()
            server.server_close()
    bench.run(label, body)


class Lists(http.server.BaseHTTPRequestHandler):
    """A filter list, behind one redirect; keeps who asked."""
    def do_GET(self):
        self.server.callers.add(self.client_address[0])
        moved = self.path == '/moved'
        self.send_response(302 if moved else 200)
        if moved: self.send_header('Location', '/list')
        body = b'not this' if moved else f'{address(77)}\n'.encode()
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_): pass


def filter_list(bench, label, proxy, settings, seen_from):
    """ccbt fetches an IP filter by address; `seen_from`: the address from which the server must be asked, None: not at all."""
    def body(started):
        server = http.server.ThreadingHTTPServer((address(8), 7006), Lists)
        server.callers = set()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            if proxy: started.append(Proxy(bench.place('proxy'), *proxy))
            us = Ccbt(bench.place('ccbt'), address(1), **settings, security__ip_filter__enable_ip_filter=True,
                      security__ip_filter__filter_urls=[f'http://{address(8)}:7006/moved'])
            started.append(us)
            us.start()
            if seen_from is None:
                until(lambda: any('not fetched yet' not in (l.get('error') or 'not fetched yet') for l in us.btbt('filter')['lists']), 30, what='the failure')
                if server.callers: raise AssertionError(f'asked from {server.callers}')
                return 'not asked'
            until(lambda: us.btbt('filter')['ranges'] == 1, 30, what='the list')
            if server.callers != {seen_from}: raise AssertionError(f'asked from {server.callers}, not {seen_from}')
            return f'one range, asked from {seen_from}'
        finally:
            server.shutdown()
            server.server_close()
    bench.run(label, body)


DHT_LIBTORRENT = {'enable_dht': True, 'dht_bootstrap_nodes': '', 'dht_restrict_routing_ips': False, 'dht_restrict_search_ips': False,
                  'dht_ignore_dark_internet': False, 'dht_announce_interval': 60, 'alert_mask': 0x7FFFFFFF, 'alert_queue_size': 100000}


class Node:
    """A DHT node that knows nobody, and who asked it."""

    def __init__(self, ip):
        self.socket, self.askers, self.running = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), set(), True
        self.socket.bind((ip, 0))
        self.socket.settimeout(0.2)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while self.running:
            try: data, who = self.socket.recvfrom(2048)
            except TimeoutError: continue
            at = data.find(b'1:t4:')
            if at < 0: continue
            self.askers.add(who[0])
            self.socket.sendto(b'd1:rd2:id20:' + b'named by a name only' + b'5:nodes0:e1:t4:' + data[at + 5:at + 9] + b'1:y1:re', who)

    def stop(self):
        self.running = False
        self.thread.join()
        self.socket.close()


class Capture:
    """Every datagram in this network that has our address, as the kernel sees it (AF_PACKET), until `stop`."""

    def __init__(self, ours):
        self.ours, self.seen, self.running = socket.inet_aton(ours), set(), True
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.socket.settimeout(0.2)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while self.running:
            try: packet = self.socket.recv(65536)
            except TimeoutError: continue
            if packet[0] >> 4 != 4 or packet[9] != 17: continue
            source, to, head = packet[12:16], packet[16:20], 4 * (packet[0] & 15)
            if self.ours in (source, to): self.seen.add((socket.inet_ntoa(source), socket.inet_ntoa(to), int.from_bytes(packet[head + 2:head + 4])))

    def stop(self):
        self.running = False
        self.thread.join()
        self.socket.close()
        return self.seen


def dht(bench):
    """A magnet by the DHT alone, through dante; one node is known by its address, one by a name that the proxy looks up. The
    proxy dies and comes back."""
    def body(started):
        named = Node('127.0.0.1')
        nodes = [Libtorrent(bench.place('lt'), address(n), **DHT_LIBTORRENT) for n in (2, 3, 4)]
        for c in nodes: started.append(c); c.start()
        for a in nodes:
            for b in nodes:
                if a is not b: a.call('node', ip=b.ip, port=b.port)
        proxy = Proxy(bench.place('proxy'), 'danted', 1080)
        us, down = Ccbt(bench.place('ccbt'), address(1), **through('socks5', 1080), discovery__enable_dht=True,
                        discovery__dht_bootstrap_nodes=[f'{nodes[0].ip}:{nodes[0].port}', f'localhost:{named.socket.getsockname()[1]}']), bench.place('down')
        started.append(us)
        down.mkdir()
        capture = Capture(us.ip)
        try:
            us.start()
            status = lambda: us.btbt('dht', 'status')
            until(lambda: status()['enabled'] and sum(f['nodes'] for f in status()['families']) >= 4, 60, what='nodes through the proxy, the named one too')
            if named.askers != {address(OUTSIDE)}: raise AssertionError(f'the named node was asked from {named.askers}')
            if not status()['readOnly']: raise AssertionError('it answers where nobody can ask')
            nodes[1].add(bench.file, bench.source)
            until(lambda: nodes[1].stat()['complete'], 60, what='libtorrent to check')
            found = lambda: f'{nodes[1].ip}:{nodes[1].port}' in us.btbt('dht', 'lookup', bench.torrent.hash)['peers']
            until(found, 60, 1, 'the seed in a lookup')
            us.add(f'magnet:?xt=urn:btih:{bench.torrent.hash}', down)
            until(lambda: us.stat()['complete'], 60, what='the magnet by the DHT through the proxy')
            if (wrong := bench.torrent.difference(down)): raise AssertionError(wrong)
            proxy.stop()
            until(lambda: not status()['enabled'] and 'proxy' in status()['refusal'], 30, what='the loss of the proxy to be told')
            time.sleep(3)
            started.append(Proxy(bench.place('proxy'), 'danted', 1080))
            until(lambda: status()['enabled'], 60, what='a new association')
            until(found, 60, 1, 'the seed in a lookup after the proxy came back')
        finally:
            seen = capture.stop()
            named.stop()
            if proxy.proc.poll() is None: proxy.stop()
        past = {row for row in seen if us.ip == row[0] and row[1] != address(PROXY) or us.ip == row[1] and row[0] != address(PROXY)}
        if past: raise AssertionError(f'past the proxy: {sorted(past)[:5]}')
        if not seen: raise AssertionError('the capture saw nothing')
        return 'found, lost and found again; every datagram to or from the proxy'
    bench.run('DHT through dante (SOCKS5, UDP ASSOCIATE), which dies and comes back', body)


class Refusing:
    """TCP to a peer's port is refused or, with `drop`, swallowed; datagrams pass."""

    def __init__(self, ip, port, drop=False): self.rule = f'ip daddr {ip} tcp dport {port} {"drop" if drop else "reject with tcp reset"}'

    def __enter__(self):
        for line in (['add', 'table', 'inet', 'ccbt'], ['add', 'chain', 'inet', 'ccbt', 'i', '{ type filter hook input priority 0; }'], ['add', 'rule', 'inet', 'ccbt', 'i', *self.rule.split()]):
            subprocess.run(['nft', *line], check=True, capture_output=True)

    def __exit__(self, *_): subprocess.run(['nft', 'delete', 'table', 'inet', 'ccbt'], capture_output=True)


LT_UTP = {'enable_outgoing_utp': True, 'enable_incoming_utp': True}


def utp(bench, label, settings, credentials=(), drop=False, dies=False, up=False):
    """From or (`up`) to a libtorrent that only datagrams reach; all of them go through dante, both ways. With `dies` the proxy is killed amid
    the transfer and comes back."""
    def body(started):
        it = Libtorrent(bench.place('lt'), address(2), **LT_UTP, **({'upload_rate_limit': 1 << 20} if dies else {}))
        proxy = Proxy(bench.place('proxy'), 'danted', 1080, *credentials)
        started.append(proxy)
        us, down = Ccbt(bench.place('ccbt'), address(1), **settings), bench.place('down')
        for c in (it, us): started.append(c); c.start()
        down.mkdir()
        capture = Capture(us.ip)
        try:
            seed, leech = (us, it) if up else (it, us)
            seed.add(bench.file, bench.source)
            until(lambda: seed.stat()['complete'], 60, what='the seed to check')
            leech.add(bench.file, down)
            callers, flags, called, reborn = set(), set(), 0, None
            with Refusing(it.ip, it.port, drop):
                end = time.monotonic() + 120
                while not leech.stat()['complete']:
                    if time.monotonic() > end: raise TimeoutError(f'{leech.stat()}, called from {callers} by {flags}')
                    if not us.stat()['peers'] and time.monotonic() > called + 3:
                        called = time.monotonic()
                        us.dial(it.ip, it.port)
                    peers = it.peers()
                    callers |= {p['ip'] for p in peers}
                    flags |= {f for p in peers if p['handshaken'] for f in p['flags'] or ['tcp']}
                    if dies and not reborn and 0 < us.stat()['done']:
                        proxy.stop()
                        until(lambda: not us.stat()['peers'], 30, what='the connection to end with the proxy')
                        before = us.stat()['done']
                        reborn = Proxy(bench.place('proxy'), 'danted', 1080, *credentials)
                        started.append(reborn)
                        it.set(upload_rate_limit=0)
                    time.sleep(0.1)
            if (wrong := bench.torrent.difference(down)): raise AssertionError(wrong)
        finally: seen = capture.stop()
        if callers != {address(OUTSIDE)} or flags != {'utp'}: raise AssertionError(f'called from {callers} by {flags}')
        if dies and (not reborn or before >= us.stat()['size']): raise AssertionError('it was over before the proxy died')
        past = {row for row in seen if us.ip == row[0] and row[1] != address(PROXY) or us.ip == row[1] and row[0] != address(PROXY)}
        if past: raise AssertionError(f'past the proxy: {sorted(past)[:5]}')
        if not seen: raise AssertionError('the capture saw nothing')
        return f'identical over uTP from {address(OUTSIDE)}; every datagram to or from the proxy'
    bench.run(label, body)


def no_utp(bench):
    """An HTTP proxy takes no datagrams: a peer that only they reach is not reached, and the log says once why."""
    def body(started):
        it = Libtorrent(bench.place('lt'), address(2), **LT_UTP)
        started.append(Proxy(bench.place('proxy'), 'tinyproxy', 8888))
        us, down = Ccbt(bench.place('ccbt'), address(1), **through('http', 8888)), bench.place('down')
        for c in (it, us): started.append(c); c.start()
        down.mkdir()
        it.add(bench.file, bench.source)
        until(lambda: it.stat()['complete'], 60, what='libtorrent to check')
        us.add(bench.file, down)
        capture = Capture(us.ip)
        with Refusing(it.ip, it.port):
            us.dial(it.ip, it.port)
            time.sleep(6)
            stat, seen = us.stat(), capture.stop()
        if seen or stat['done']: raise AssertionError(f'{seen}, {stat}')
        said = sum('uTP is not dialled' in line for line in us.tail(1000).split(' | '))
        if said != 1: raise AssertionError(f'said {said} times')
        return 'not one datagram, and one line in the log'
    bench.run('uTP peer with an http proxy is not dialled', body)


def leaks(bench):
    """With a proxy that is down: sockets where peers and trackers would be hear nothing."""
    def body(started):
        peer, tracker = socket.create_server((address(9), 6899)), socket.create_server((address(10), 7000))
        datagrams, utp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind((address(10), 7001))
        utp.bind((address(9), 6899))
        seed, node = socket.create_server((address(8), 7004)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        node.bind((address(8), 7005))
        us = Ccbt(bench.place('ccbt'), address(1), **through('socks5', 1099), discovery__enable_dht=True, discovery__dht_bootstrap_nodes=[f'{address(8)}:7005'])
        started.append(us)
        us.start()
        for n, url in enumerate((f'http://{address(10)}:7000/announce', f'udp://{address(10)}:7001/announce')):
            torrent = Torrent(single_file(bench.folder / f'leak{n}' / f'leak{n}.bin', 1 << 20, seed=50 + n), piece=64 << 10)
            down = bench.place('down')
            down.mkdir()
            us.add(torrent.write(bench.folder / f'leak{n}.torrent', announce=url, **{'url-list': f'http://{address(8)}:7004/leak.bin', 'nodes': [[address(8), 7005]]}), down)
            us.dial(address(9), 6899)
        time.sleep(8)
        dht = us.btbt('dht', 'status')
        if dht['enabled'] or f'{address(PROXY)}:1099' not in dht['refusal']: raise AssertionError(dht)
        heard = []
        for name, s in (('a peer', peer), ('a peer by UDP', utp), ('an http tracker', tracker), ('a udp tracker', datagrams), ('a web seed', seed), ('a DHT node', node)):
            s.setblocking(False)
            try: heard.append((name, s.accept()[1] if s.type == socket.SOCK_STREAM else s.recvfrom(2048)[1]))
            except BlockingIOError: pass
            s.close()
        if heard: raise AssertionError(f'past the proxy: {heard}')
        return 'not one packet to the peer, the trackers, the web seed or the DHT in 8 s'
    bench.run('proxy down: nothing is dialled directly', body)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--mib', type=int, help='size of the content (64; slice 16)')
    parser.add_argument('--only', help='rows whose text contains this')
    options = parser.parse_args()
    options.mib = options.mib or (16 if options.slice else 64)
    missing = [p for p in ('microsocks', 'danted', 'tinyproxy') if not shutil.which(p, path=os.environ['PATH'] + ':/usr/sbin')]
    if missing:
        print(f'skipped  {", ".join(missing)} not installed')
        print('proxies: 0 passed, 0 failed')
        return
    os.environ['PATH'] += ':/usr/sbin'
    sandbox.enter()
    if not sandbox.isolated():
        print('skipped  there is no namespace: every address is the loopback here')
        print('proxies: 0 passed, 0 failed')
        return
    bench, outside, ours = Bench(options), address(OUTSIDE), address(1)
    download(bench, 'peer through microsocks (SOCKS5)', ('microsocks', 1080), through('socks5', 1080), outside)
    download(bench, 'peer through microsocks with user and password', ('microsocks', 1080, 'usr', 'pw'), through('socks5', 1080, 'usr', 'pw'), outside)
    download(bench, 'peer through microsocks, wrong password', ('microsocks', 1080, 'usr', 'pw'), through('socks5', 1080, 'usr', 'no'), None)
    download(bench, 'peer through dante (SOCKS5)', ('danted', 1080), through('socks5', 1080), outside)
    download(bench, 'peer through tinyproxy (HTTP CONNECT)', ('tinyproxy', 8888), through('http', 8888), outside)
    download(bench, 'peer through tinyproxy with user and password', ('tinyproxy', 8888, 'usr', 'pw'), through('http', 8888, 'usr', 'pw'), outside)
    if not options.slice:
        download(bench, 'peer through tinyproxy, wrong password', ('tinyproxy', 8888, 'usr', 'pw'), through('http', 8888, 'usr', 'no'), None)
        download(bench, 'peer through a SOCKS5 proxy that speaks HTTP', ('tinyproxy', 8888), through('socks5', 8888), None)
        download(bench, 'peer past the proxy when proxy_for_peers is off', ('microsocks', 1080), through('socks5', 1080, peers=False), ours)
    download(bench, 'encrypted peer (RC4) through dante', ('danted', 1080), through('socks5', 1080, security__encryption_mode='required'), outside, lt='rc4')
    download(bench, 'peer on the bypass list', ('microsocks', 1080), through('socks5', 1080, proxy__proxy_bypass_list=[f'{address(2)}/32']), ours)
    if not options.slice: download(bench, 'peer while the proxy is down', None, through('socks5', 1080), None)
    announce(bench, 'http tracker through microsocks (SOCKS5)', ('microsocks', 1080), through('socks5', 1080), outside)
    announce(bench, 'http tracker through tinyproxy (HTTP) with user and password', ('tinyproxy', 8888, 'usr', 'pw'), through('http', 8888, 'usr', 'pw'), outside)
    if not options.slice: announce(bench, 'http tracker while the proxy is down', None, through('socks5', 1080), None)
    announce(bench, 'udp tracker through dante (SOCKS5, UDP ASSOCIATE)', ('danted', 1080), through('socks5', 1080), outside, 'udp')
    announce(bench, 'udp tracker with an http proxy is not asked', ('tinyproxy', 8888), through('http', 8888), None, 'udp')
    if not options.slice: announce(bench, 'udp tracker through microsocks, which has no UDP, is not asked', ('microsocks', 1080), through('socks5', 1080), None, 'udp')
    if not options.slice: announce(bench, 'http tracker past the proxy when proxy_for_trackers is off', ('microsocks', 1080), through('socks5', 1080, trackers=False), ours)
    web_seed(bench, 'web seed through microsocks (SOCKS5)', ('microsocks', 1080), through('socks5', 1080), outside)
    web_seed(bench, 'web seed through tinyproxy (HTTP)', ('tinyproxy', 8888), through('http', 8888), outside)
    if not options.slice:
        web_seed(bench, 'web seed while the proxy is down', None, through('socks5', 1080), None)
        web_seed(bench, 'web seed past the proxy when proxy_for_webseeds is off', ('microsocks', 1080), through('socks5', 1080, proxy__proxy_for_webseeds=False), ours)
    filter_list(bench, 'filter list through microsocks (SOCKS5), redirected', ('microsocks', 1080), through('socks5', 1080), outside)
    filter_list(bench, 'filter list through tinyproxy (HTTP)', ('tinyproxy', 8888), through('http', 8888), outside)
    filter_list(bench, 'filter list while the proxy is down', None, through('socks5', 1080), None)
    if not options.slice:
        filter_list(bench, 'filter list on the bypass list', ('microsocks', 1080), through('socks5', 1080, proxy__proxy_bypass_list=[f'{address(8)}/32']), ours)
    socks = through('socks5', 1080)
    utp(bench, 'uTP peer through dante (SOCKS5, UDP ASSOCIATE), TCP refused', socks)
    utp(bench, 'uTP peer through dante, which dies and comes back', {**socks, 'network__enable_tcp': False}, dies=True)
    utp(bench, 'uTP peer through dante with user and password', through('socks5', 1080, 'ccbtusr', 'pw'), ('ccbtusr', 'pw'))
    if not options.slice:
        utp(bench, 'uTP peer through dante, TCP swallowed', socks, drop=True)
        utp(bench, 'uTP peer through dante downloads from us', {**socks, 'network__enable_tcp': False}, up=True)
        no_utp(bench)
        download(bench, 'peer through microsocks, which has no UDP, without TCP', ('microsocks', 1080), {**socks, 'network__enable_tcp': False}, outside)
    dht(bench)
    leaks(bench)
    print(f'proxies: {bench.passed} passed, {bench.failed} failed')
    sys.exit(1 if bench.failed else 0)


if __name__ == '__main__': main()
