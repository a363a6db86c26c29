"""One adapter per BitTorrent client: start, add a torrent, name a peer, ask how far it is, stop.

Each listens on an address of its own and writes under its own folder. Encryption (unless an option says otherwise), uTP, DHT, PEX and local discovery
are off, so that a transfer happens by the way under test or not at all.
"""
import atexit, base64, http.client, json, os, re, signal, socket, subprocess, sys, threading, urllib.parse, xmlrpc.client
from pathlib import Path

from sandbox import BIN, until

HERE = Path(__file__).resolve().parent


class Client:
    name = 'client'
    can_dial = False  # can be told a peer's address
    program = None    # what must be installed
    module = None     # and what Python must find
    empty_files = True  # creates files of no bytes
    calls = False       # must be the one that dials
    before = []         # put before its command line: into another namespace

    def __init__(self, home, ip, **options):
        self.home, self.ip, self.options = Path(home), ip, options
        # No two have the same port: all their addresses are this machine's, and a client takes its own port there for itself.
        self.port = 6800 + int(ip.rsplit('.', 1)[1])
        self.api = 20000 + self.port
        self.proc = None

    def prepare(self): """Writes configuration under self.home."""
    def argv(self): raise NotImplementedError
    def ready(self): """True when it can be talked to."""; return True
    def add(self, torrent, folder, seed=False): """`folder` holds, or will hold, the torrent's content."""
    def dial(self, ip, port): raise NotImplementedError
    def stat(self): """{'done', 'size', 'complete', 'up', 'peers'} of the first torrent."""

    def start(self, keep=False):
        self.home.mkdir(parents=True, exist_ok=True)
        if not keep: self.prepare()
        self.log = open(self.home / 'log', 'ab')
        self.proc = self.spawn()
        until(lambda: self.alive() and self.ready(), 60, what=f'{self.name} to answer')
        return self

    def spawn(self):
        return subprocess.Popen(
            [*self.before, *map(str, self.argv())], cwd=self.home, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True, env=dict(os.environ, HOME=str(self.home)))

    def alive(self):
        if self.proc.poll() is not None: raise RuntimeError(f'{self.name} ended with {self.proc.returncode}: {self.tail()}')
        return True

    def stop(self, timeout=15):
        if self.proc is None or self.proc.poll() is not None: return
        self.proc.send_signal(signal.SIGTERM)
        try: self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.proc.pid, signal.SIGKILL)
            self.proc.wait()

    def tail(self, lines=3):
        try: return ' | '.join((self.home / 'log').read_text(errors='replace').splitlines()[-lines:])
        except OSError: return ''


CRASH = re.compile(r'\S+ (silent for \d+ ms, generation|ended, generation \d+: SIG(?!KILL|TERM)).*')


class Ccbt(Client):
    """Our daemon: ccbtd and its workers, driven by btbt."""
    name, can_dial = 'ccbt', True
    crashes = []  # of all daemons; None: the script makes workers crash

    def stop(self, timeout=15):
        super().stop(timeout)
        # A worker that crashed was started again, and the case passed or not: its crash is a failure by itself.
        if Ccbt.crashes is None or not (self.home / 'log').exists(): return
        for found in CRASH.finditer((self.home / 'log').read_text(errors='replace')):
            if (self.home, found.start()) in Ccbt.crashes: continue
            print(f'FAILED  a worker crashed: {found[0]}', flush=True)
            Ccbt.crashes.append((self.home, found.start()))

    def prepare(self):
        tables = {}
        # HTTP, the DHT, the local network and the router are for those who ask for them: several daemons share this network.
        off = {'api__enable': False, 'discovery__enable_dht': False, 'discovery__enable_lsd': False, 'nat__auto_map_ports': False}
        for key, value in {**off, **self.options}.items():
            section, name = key.rsplit('__', 1)
            tables.setdefault(section.replace('__', '.'), []).append(f'{name} = {json.dumps(value)}')
        (self.home / 'ccbt.toml').write_text('\n'.join(f'[{t}]\n' + '\n'.join(rows) for t, rows in tables.items()) + '\n')

    def argv(self):
        return [BIN / 'ccbtd', '--foreground', '--state-dir', self.home, '--config', self.home / 'ccbt.toml',
                '--listen', f'{self.ip}:{self.port}']

    def btbt(self, *arguments, timeout=60):
        r = subprocess.run([str(BIN / 'btbt'), '--state-dir', str(self.home), '--json', *map(str, arguments)],
                           capture_output=True, text=True, timeout=timeout)
        if r.returncode: raise OSError(f'btbt {arguments[0]}: {r.stderr.strip()[:300]}')
        return json.loads(r.stdout) if r.stdout.strip() else None

    def ready(self): self.version = self.btbt('daemon', 'status', timeout=10)['version']; return True
    def add(self, source, folder, seed=False, *more):
        self.hash = self.btbt('add', source, '--save', folder, *more)[0]['hash']
    def dial(self, ip, port): self.btbt('peers', 'add', self.hash, f'{ip}:{port}')
    def torrent(self): return next(t for t in self.btbt('list') if t['hash'] == self.hash)
    def stat(self):
        t = self.torrent()
        if t['state'] == 'error': raise RuntimeError(f'ccbt: {t.get("error")}')
        return {'done': t['done'], 'size': t['size'], 'complete': t['state'] in ('seeding', 'completed'),
                'up': t['uploaded'], 'peers': t['peers']}
    def watch(self): return Watch(self)
    def workers(self): return {w['name']: w for w in self.btbt('workers')}


@atexit.register
def fail_by_crashes():
    if not Ccbt.crashes: return
    sys.stdout.flush()  # what ends by _exit does not
    os._exit(1)


class Watch:
    """The last line of `btbt --json watch` for each torrent, kept by a thread."""

    def __init__(self, daemon, interval=0.025):
        self.last = {}
        self.proc = subprocess.Popen(
            [str(BIN / 'btbt'), '--state-dir', str(daemon.home), '--json', 'watch', '--interval', str(interval)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.proc.stdout:
            t = json.loads(line)
            if 'removed' in t: self.last.pop(t['removed'], None)
            else: self.last[t['hash']] = t

    def done(self, torrent): return self.last.get(torrent, {}).get('done', 0)
    def state(self, torrent): return self.last.get(torrent, {}).get('state', '')
    def stop(self):
        self.proc.kill()
        self.proc.wait()


class Libtorrent(Client):
    """A Python process with libtorrent from PyPI, which takes JSON lines."""
    name, can_dial = 'libtorrent', True

    def argv(self):
        return [sys.executable, HERE / 'libtorrent_peer.py',
                json.dumps({'listen': f'{self.ip}:{self.port}', 'settings': self.options})]

    def spawn(self):
        return subprocess.Popen([*self.before, *map(str, self.argv())], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=self.log, text=True, start_new_session=True)

    def call(self, do, **arguments):
        self.proc.stdin.write(json.dumps({'do': do, **arguments}) + '\n')
        self.proc.stdin.flush()
        answer = json.loads(self.proc.stdout.readline() or '{"error": "it ended"}')
        if 'error' in answer: raise RuntimeError(f'{self.name}: {do}: {answer["error"]}')
        return answer['ok']

    def ready(self): self.version = self.call('version'); return True
    def add(self, torrent, folder, seed=False, **more): self.call('add', torrent=str(torrent), folder=str(folder), **more)
    def dial(self, ip, port): self.call('dial', ip=ip, port=port)
    def stat(self, n=0): return self.call('stat', n=n)
    def peers(self, n=0): return self.call('peers', n=n)
    def set(self, **settings): self.call('set', settings=settings)


class Rqbit(Libtorrent):
    """A Python process with librqbit from PyPI, likewise. It listens on every address, takes no peer's and knows no encryption."""
    name, can_dial, module = 'rqbit', False, 'pyrqbit'

    def argv(self): return [sys.executable, HERE / 'rqbit_peer.py', json.dumps({'folder': str(self.home / 'down'), 'port': self.port})]
    def stat(self): return self.call('stat')


class Transmission(Client):
    name, program, empty_files = 'transmission', 'transmission-daemon', False

    def prepare(self):
        (self.home / 'settings.json').write_text(json.dumps({
            'bind-address-ipv4': self.ip, 'bind-address-ipv6': '::1', 'peer-port': self.port, 'rpc-port': self.api,
            'rpc-bind-address': '127.0.0.1', 'rpc-authentication-required': False, 'rpc-whitelist-enabled': False,
            'rpc-host-whitelist-enabled': False, 'dht-enabled': False, 'lpd-enabled': False, 'pex-enabled': False,
            'utp-enabled': self.options.get('utp', False), 'port-forwarding-enabled': False, 'encryption': self.options.get('encryption', 0), 'queue-stalled-enabled': False,
            'download-queue-enabled': False, 'seed-queue-enabled': False, 'upload-slots-per-torrent': 50,
            'preallocation': 1, 'rename-partial-files': False, 'ratio-limit-enabled': False,
            'idle-seeding-limit-enabled': False, 'message-level': 2}))

    def argv(self): return ['transmission-daemon', '-f', '-g', self.home]

    def rpc(self, method, **arguments):
        session = ''
        for _ in range(2):
            link = http.client.HTTPConnection('127.0.0.1', self.api, timeout=60)
            link.request('POST', '/transmission/rpc', json.dumps({'method': method, 'arguments': arguments}),
                         {'X-Transmission-Session-Id': session})
            r = link.getresponse()
            body = r.read()
            if r.status == 409: session = r.getheader('X-Transmission-Session-Id'); continue
            answer = json.loads(body)
            if answer['result'] != 'success': raise RuntimeError(f'transmission: {method}: {answer["result"]}')
            return answer['arguments']

    def ready(self): self.version = self.rpc('session-get', fields=['version'])['version']; return True
    def add(self, torrent, folder, seed=False):
        content = base64.b64encode(Path(torrent).read_bytes()).decode()
        self.rpc('torrent-add', **{'metainfo': content, 'download-dir': str(folder), 'paused': False})
    def stat(self):
        fields = ['haveValid', 'sizeWhenDone', 'leftUntilDone', 'status', 'uploadedEver', 'peersConnected']
        t = self.rpc('torrent-get', fields=fields)['torrents'][0]
        return {'done': t['sizeWhenDone'] - t['leftUntilDone'], 'size': t['sizeWhenDone'],
                'complete': t['haveValid'] == t['sizeWhenDone'] > 0 and t['status'] in (0, 5, 6),
                'up': t['uploadedEver'], 'peers': t['peersConnected']}


class Qbittorrent(Client):
    # It binds each listening address to the address's interface, and what this machine sends to itself comes over lo,
    # so that nobody here can call it: it is told to call.
    calls = True
    name, can_dial, program = 'qbittorrent', True, 'qbittorrent-nox'

    def prepare(self):
        folder = self.home / 'qBittorrent' / 'config'
        folder.mkdir(parents=True)
        (folder / 'qBittorrent.conf').write_text(f'''[LegalNotice]
Accepted=true
[BitTorrent]
Session\\BTProtocol={self.options.get('protocol', 'TCP')}
Session\\Port={self.port}
Session\\DHTEnabled=false
Session\\LSDEnabled=false
Session\\PeXEnabled=false
Session\\Encryption={self.options.get('encryption', 2)}
Session\\QueueingSystemEnabled=false
Session\\RefreshInterval=100
[Network]
PortForwardingEnabled=false
[Preferences]
WebUI\\Address=127.0.0.1
WebUI\\Port={self.api}
WebUI\\UseUPnP=false
WebUI\\LocalHostAuth=false
WebUI\\HostHeaderValidation=false
WebUI\\CSRFProtection=false
''')

    def argv(self): return ['qbittorrent-nox', f'--profile={self.home}', f'--webui-port={self.api}']

    def web(self, path, form=None, torrent=None):
        link = http.client.HTTPConnection('127.0.0.1', self.api, timeout=60)
        head, body = {}, None
        if torrent:
            part = lambda h, v: b'--edge\r\nContent-Disposition: form-data; ' + h.encode() + b'\r\n\r\n' + v + b'\r\n'
            body = b''.join(part(f'name="{k}"', str(v).encode()) for k, v in form.items())
            body += part('name="torrents"; filename="t.torrent"\r\nContent-Type: application/x-bittorrent', Path(torrent).read_bytes())
            body += b'--edge--\r\n'
            head['Content-Type'] = 'multipart/form-data; boundary=edge'
        elif form is not None:
            body, head['Content-Type'] = urllib.parse.urlencode(form), 'application/x-www-form-urlencoded'
        link.request('GET' if body is None else 'POST', '/api/v2/' + path, body, head)
        r = link.getresponse()
        out = r.read()
        if r.status != 200: raise OSError(f'qbittorrent: {path}: {r.status} {out[:100]}')
        return out

    def ready(self):
        self.version = self.web('app/version').decode()
        self.web('app/setPreferences', {'json': json.dumps({
            'max_connec': -1, 'max_connec_per_torrent': -1, 'max_uploads': -1, 'max_uploads_per_torrent': -1,
            'enable_multi_connections_from_same_ip': True, 'upnp': False, 'auto_tmm_enabled': False})})
        return True
    def add(self, torrent, folder, seed=False):
        self.web('torrents/add', {'savepath': folder, 'paused': 'false', 'contentLayout': 'Original', 'autoTMM': 'false'}, torrent)
        until(lambda: self.info(), what='qbittorrent to list the torrent')
    def info(self): return json.loads(self.web('torrents/info'))
    def dial(self, ip, port): self.web('torrents/addPeers', {'hashes': self.info()[0]['hash'], 'peers': f'{ip}:{port}'})
    def stat(self):
        t = self.info()[0]
        return {'done': t['completed'], 'size': t['size'], 'complete': t['state'] in ('uploading', 'stalledUP', 'forcedUP'),
                'up': t['uploaded'], 'peers': t['num_leechs'] + t['num_seeds']}


class Rtorrent(Client):
    name, program = 'rtorrent', 'rtorrent'

    def prepare(self):
        (self.home / 'session').mkdir()
        (self.home / 'rc').write_text(f'''
system.daemon.set = true
network.scgi.open_local = {self.home}/scgi
session.path.set = {self.home}/session
directory.default.set = {self.home}
network.bind_address.set = {self.ip}
network.port_range.set = {self.port}-{self.port}
network.port_random.set = no
protocol.encryption.set = {self.options.get('encryption', 'none')}
protocol.pex.set = no
dht.mode.set = disable
trackers.use_udp.set = yes
pieces.hash.on_completion.set = no
network.xmlrpc.size_limit.set = 16777215
''')

    def argv(self): return ['rtorrent', '-n', '-o', f'import={self.home}/rc']

    def rpc(self, method, *arguments):
        body = xmlrpc.client.dumps(arguments, method).encode()
        head = f'CONTENT_LENGTH\0{len(body)}\0SCGI\x001\0'.encode()
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            s.connect(str(self.home / 'scgi'))
            s.sendall(b'%d:%s,%s' % (len(head), head, body))
            out = b''
            while (b := s.recv(1 << 20)): out += b
        return xmlrpc.client.loads(out.split(b'\r\n\r\n', 1)[1])[0][0]

    def ready(self): self.version = self.rpc('system.client_version'); return True
    def add(self, torrent, folder, seed=False): self.rpc('load.start', '', str(torrent), f'd.directory.set="{folder}"')
    def stat(self):
        t = self.rpc('d.multicall2', '', 'main', 'd.completed_bytes=', 'd.size_bytes=', 'd.complete=', 'd.hashing=',
                     'd.up.total=', 'd.peers_connected=')[0]
        return {'done': t[0], 'size': t[1], 'complete': bool(t[2]) and not t[3], 'up': t[4], 'peers': t[5]}


class Aria2(Client):
    name, program = 'aria2', 'aria2c'

    def argv(self):
        options = {
            'enable-rpc': 'true', 'rpc-listen-port': self.api, 'rpc-max-request-size': '64M', 'listen-port': self.port,
            'interface': self.ip, 'dir': self.home, 'enable-dht6': 'false',
            # Its UDP trackers share the DHT's socket, and are there only with it. Nothing can be reached by it here.
            'enable-dht': 'true', 'dht-listen-port': self.port, 'dht-file-path': self.home / 'dht.dat',
            'bt-enable-lpd': 'false', 'enable-peer-exchange': 'false', 'disable-ipv6': 'true',
            'bt-require-crypto': 'true' if 'crypto' in self.options else 'false', 'bt-min-crypto-level': self.options.get('crypto', 'plain'), 'bt-max-peers': '0', 'seed-ratio': '0.0',
            'file-allocation': 'none', 'bt-max-open-files': '500', 'no-conf': 'true', 'console-log-level': 'warn',
            'check-certificate': 'false', 'allow-overwrite': 'true'}
        return ['aria2c'] + [f'--{k}={v}' for k, v in options.items()]

    def rpc(self, method, *parameters):
        link = http.client.HTTPConnection('127.0.0.1', self.api, timeout=60)
        link.request('POST', '/jsonrpc', json.dumps({'jsonrpc': '2.0', 'id': '1', 'method': 'aria2.' + method, 'params': parameters}),
                     {'Content-Type': 'application/json'})
        answer = json.loads(link.getresponse().read())
        if 'error' in answer: raise RuntimeError(f'aria2: {answer["error"]}')
        return answer['result']

    def ready(self): self.version = self.rpc('getVersion')['version']; return True
    def add(self, torrent, folder, seed=False):
        options = {'dir': str(folder), **({'check-integrity': 'true'} if seed else {})}
        self.gid = self.rpc('addTorrent', base64.b64encode(Path(torrent).read_bytes()).decode(), [], options)
    def stat(self):
        t = self.rpc('tellStatus', self.gid)
        if t['status'] == 'error': raise RuntimeError(f'aria2: {t.get("errorMessage")}')
        done, size = int(t['completedLength']), int(t['totalLength'])
        checking = 'verifiedLength' in t or 'verifyIntegrityPending' in t
        return {'done': done, 'size': size, 'complete': done == size > 0 and not checking, 'up': int(t['uploadLength']),
                'peers': int(t['connections'])}


OTHERS = {c.name: c for c in (Libtorrent, Transmission, Qbittorrent, Aria2, Rtorrent, Rqbit)}
