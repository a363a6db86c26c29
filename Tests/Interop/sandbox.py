"""A private world for real programs: own network, own process ids, own temporary folder.

`enter()` starts the script again inside fresh network and PID namespaces, so that ports never clash, nothing can
reach another host, and the kernel kills every process that was started when the script ends. One interface carries
the addresses 10.77.0.1 to .30: Transmission refuses peers in 127/8 that a tracker named. The tracker lives one
namespace further, at 10.77.0.100, so that it sees the address from which a client really comes.

Where namespaces are refused, 127.0.0.x is used and what needs more is reported as skipped.
"""
import atexit, http.client, os, re, shutil, signal, socket, subprocess, sys, tempfile, time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get('CCBT_BIN', ROOT / '.build' / 'release')).resolve()
INSIDE = 'CCBT_TEST_NAMESPACE'
TRACKER_ADDRESS = '10.77.0.100'


def enter():
    """Re-executes the script inside namespaces; returns in the inner process."""
    if os.environ.get(INSIDE): return prepare_network()
    base = ['unshare', '-n'] if os.geteuid() == 0 else ['unshare', '-Urn']
    for more in (['-p', '-f', '--kill-child', '--mount-proc'], []):
        if subprocess.run(base + more + ['true'], capture_output=True).returncode == 0:
            os.environ[INSIDE] = 'net'
            os.execvp(base[0], base + more + [sys.executable] + sys.argv)
    os.environ[INSIDE] = 'none'


def isolated(): return os.environ.get(INSIDE) == 'net'


def address(n):
    """The n-th client's own address."""
    return f'10.77.0.{n}' if isolated() else f'127.0.0.{n}'


def prepare_network():
    # As the first process of a PID namespace, signals without a handler are ignored.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not isolated(): return
    ip = lambda line: subprocess.run(['ip'] + line.split(), check=True)
    ip('link set lo up')
    far = subprocess.Popen(['unshare', '-n', 'sleep', 'infinity'])
    atexit.register(far.kill)
    mine = os.readlink('/proc/self/ns/net')
    until(lambda: os.readlink(f'/proc/{far.pid}/ns/net') != mine, 5, what='the tracker namespace')
    ip('link add near type veth peer name far')
    ip(f'link set far netns {far.pid}')
    for n in range(1, 31): ip(f'addr add 10.77.0.{n}/24 dev near')
    ip('link set near up')
    for line in (f'addr add {TRACKER_ADDRESS}/24 dev far', 'link set far up', 'link set lo up'):
        subprocess.run(['nsenter', '-t', str(far.pid), '-n', 'ip'] + line.split(), check=True)
    os.environ['CCBT_TEST_TRACKER_NS'] = str(far.pid)


def namespace():
    process = subprocess.Popen(['unshare', '-n', 'sleep', 'infinity'])
    atexit.register(process.kill)
    mine = os.readlink('/proc/self/ns/net')
    until(lambda: os.readlink(f'/proc/{process.pid}/ns/net') != mine, 10, what='a namespace')
    return process.pid


def inside(pid, *argv, **more):
    subprocess.run(['nsenter', '-t', str(pid), '-n', *argv], check=True, capture_output=True, text=True, **more)


class Place:
    """A machine of its own at 11.22.n.2; this namespace is the network between them, with the interface `outside` towards it."""

    def __init__(self, n):
        self.box = self.machine = namespace()
        self.inner = self.outer = f'11.22.{n}.2'
        self.outside = f'w{n}'
        subprocess.run(['sysctl', '-qw', 'net.ipv4.ip_forward=1'], check=True)
        for line in (f'link add w{n} type veth peer name wan netns {self.box}', f'addr add 11.22.{n}.1/24 dev w{n}', f'link set w{n} up'):
            subprocess.run(['ip', *line.split()], check=True)
        for line in (f'addr add {self.outer}/24 dev wan', 'link set lo up', 'link set wan up', f'route add default via 11.22.{n}.1'):
            inside(self.box, 'ip', *line.split())

    def holds(self, client):
        client.before = ['nsenter', '-t', str(self.machine), '-n']
        client.outer = self.outer
        return client


def until(test, timeout=30, every=0.02, what='condition'):
    """Polls until `test` gives something true; connection errors count as not yet."""
    end = time.monotonic() + timeout
    while True:
        try:
            if (r := test()): return r
        except (OSError, http.client.HTTPException, KeyError, IndexError): pass
        if time.monotonic() > end: raise TimeoutError(f'timed out after {timeout:.0f} s: {what}')
        time.sleep(every)


def scratch(prefix, parent=None):
    """A temporary folder, removed at exit. CCBT_TEST_TMP names another place for it (a real disk)."""
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent or os.environ.get('CCBT_TEST_TMP')))
    path.chmod(0o755)  # the tracker reads its whitelist as nobody
    if not os.environ.get('CCBT_TEST_KEEP'): atexit.register(shutil.rmtree, path, True)
    return path


def alive(pid):
    """False for a zombie as well: as PID 1 of the namespace we inherit orphans and do not reap them."""
    try: return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError: return False


def children(pid):
    """Live descendants of a process."""
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        try:
            for task in os.listdir(f'/proc/{p}/task'):
                kids = [int(k) for k in Path(f'/proc/{p}/task/{task}/children').read_text().split()]
                todo += kids
                out += [k for k in kids if alive(k)]
        except OSError: pass
    return out


class Tracker:
    """opentracker over HTTP and UDP, for the info-hashes given."""

    def __init__(self, folder, hashes):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'whitelist').write_text(''.join(h + '\n' for h in hashes))
        self.address = TRACKER_ADDRESS if isolated() else '127.0.0.100'
        self.port = 6969
        where = ['nsenter', '-t', os.environ['CCBT_TEST_TRACKER_NS'], '-n'] if isolated() else []
        self.log = open(folder / 'log', 'ab')
        self.proc = subprocess.Popen(
            where + ['opentracker', '-i', self.address, '-p', str(self.port), '-P', str(self.port),
                     '-d', str(folder), '-w', 'whitelist'],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        atexit.register(self.proc.kill)
        until(lambda: socket.create_connection((self.address, self.port), 1).close() or True, 10, what='opentracker')

    def announce(self, way):
        return {'http': f'http://{self.address}:{self.port}/announce',
                'udp': f'udp://{self.address}:{self.port}/announce'}[way]

    def knows(self, torrent):
        """True once somebody has announced itself for the info-hash (a scrape, BEP 48)."""
        quoted = ''.join('%' + torrent[i:i + 2] for i in range(0, 40, 2))
        link = http.client.HTTPConnection(self.address, self.port, timeout=5)
        link.request('GET', f'/scrape?info_hash={quoted}')
        return re.search(rb'8:completei([1-9]\d*)e|10:incompletei([1-9]\d*)e', link.getresponse().read()) is not None

    def stop(self):
        self.proc.kill()
        self.proc.wait()
