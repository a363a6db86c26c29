"""The DHT against other clients, in a private network where nobody has a tracker.

    dht.py [--slice] [--only TEXT]

Some libtorrent nodes and one ccbt make up the DHT. Magnet links are downloaded by the DHT alone in both directions,
items of BEP 44 go both ways, samples of BEP 51 and filters of BEP 33 come back; then what hostile nodes send: forged
answers, oversized and malformed datagrams, tokens from another address, floods. transmission, qbittorrent and aria2
find our seed when they are told of our node.
"""
import argparse, os, random, shutil, socket, subprocess, sys, time, traceback
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Ccbt, Client, Libtorrent
from content import Torrent, bencode, single_file
from sandbox import BIN, address, until
from version2 import make

# The key pair of BEP 44's test vectors; libtorrent takes the expanded private key.
EXPANDED = 'e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74db7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d'
PUBLIC = '77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548'
LIBTORRENT = {'enable_dht': True, 'dht_bootstrap_nodes': '', 'dht_restrict_routing_ips': False, 'dht_restrict_search_ips': False,
              'dht_ignore_dark_internet': False, 'dht_upload_rate_limit': 1000000, 'dht_block_ratelimit': 10000,
              'dht_announce_interval': 60, 'alert_mask': 0x7FFFFFFF, 'alert_queue_size': 100000}


def decode(data, at=0):
    """Bencode to Python; bytes stay bytes."""
    c = data[at:at + 1]
    if c == b'i':
        end = data.index(b'e', at)
        return int(data[at + 1:end]), end + 1
    if c in (b'l', b'd'):
        at, items = at + 1, []
        while data[at:at + 1] != b'e':
            x, at = decode(data, at)
            items.append(x)
        return (items if c == b'l' else dict(zip(items[::2], items[1::2]))), at + 1
    colon = data.index(b':', at)
    n = int(data[at:colon])
    return data[colon + 1:colon + 1 + n], colon + 1 + n


class Raw:
    """A node made of one socket, which says whatever the test wants."""

    def __init__(self, ip):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ip, 0))
        self.socket.settimeout(2)
        self.id, self.more = random.Random(ip).randbytes(20), {}

    def send(self, data, to): self.socket.sendto(data, to)
    def read(self):
        data, who = self.socket.recvfrom(65536)
        return decode(data)[0], who, data

    def ask(self, to, method, t=b'zz', **arguments):
        """The answer to a query; queries that come meanwhile are left."""
        self.send(bencode({'t': t, 'y': 'q', 'q': method, 'a': {'id': self.id, **arguments}} | self.more), to)
        end = time.monotonic() + 3
        while time.monotonic() < end:
            try: m, who, _ = self.read()
            except TimeoutError: return None
            if who == to and m.get(b't') == t and m[b'y'] in (b'r', b'e'): return m
        return None


class Bench:
    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-dht-')
        self.passed = self.failed = 0
        self.source = self.folder / 'source'
        self.torrents = {}

    def torrent(self, name, mib=2, seed=1):
        """A file of its own, its torrent without any tracker, and the magnet link."""
        t = Torrent(single_file(self.source / f'{name}.bin', (mib << 20) + 777, seed=seed), piece=64 << 10)
        path = self.folder / f'{name}.torrent'
        t.write(path)
        return t, path, f'magnet:?xt=urn:btih:{t.hash}&dn={name}'

    def case(self, name, body):
        if self.options.only and self.options.only not in name: return
        begin, why = time.monotonic(), ''
        try: body()
        except Exception as error:
            why = f'{type(error).__name__}: {error}'.splitlines()[0][:300]
            if os.environ.get('CCBT_TEST_TRACE'): traceback.print_exc()
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}{name:58}{time.monotonic() - begin:6.1f} s  {why}', flush=True)


def check(condition, what):
    if not condition: raise AssertionError(what)


def ccbt(bench, n, **options):
    c = Ccbt(bench.folder / f'ccbt{n}', address(n), **({'discovery__enable_dht': True, 'discovery__dht_bootstrap_nodes': []} | options))
    return c.start()


def status(c): return c.btbt('dht', 'status')
def nodes(c): return sum(f['nodes'] for f in status(c)['families'])
def same(a, b): return Path(a).read_bytes() == Path(b).read_bytes()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--only', default='')
    options = parser.parse_args()
    sandbox.enter()
    bench = Bench(options)
    others = [Libtorrent(bench.folder / f'lt{n}', address(n), **LIBTORRENT).start() for n in range(2, 6 if options.slice else 10)]
    first = others[0]
    for o in others[1:]: o.call('node', ip=first.ip, port=first.port)
    for o in others: first.call('node', ip=o.ip, port=o.port)
    ours = ccbt(bench, 1, discovery__dht_bootstrap_nodes=[f'{first.ip}:{first.port}'])
    where = (ours.ip, ours.port)

    def bootstraps():
        until(lambda: nodes(ours) >= len(others), 30, 0.2, 'ccbt to know every node')
        until(lambda: all(o.call('live') >= 2 for o in others), 30, 0.2, 'libtorrent to know nodes')
    bench.case('bootstrap from a configured node', bootstraps)

    t1, file1, magnet1 = bench.torrent('from-libtorrent', seed=1)
    t2, file2, magnet2 = bench.torrent('from-ccbt', seed=2)

    def from_libtorrent():
        others[1].add(file1, bench.source)
        down = bench.folder / 'down1'
        down.mkdir()
        ours.add(magnet1, down)
        until(lambda: ours.stat()['complete'], 60, 0.2, 'the magnet to be complete')
        check(same(down / t1.name, t1.source), 'other bytes')
    bench.case('ccbt: magnet by DHT alone from libtorrent', from_libtorrent)

    def from_ccbt():
        ours.add(file2, bench.source)
        until(lambda: ours.stat()['complete'], 30, 0.2, 'ccbt to check its data')
        down = bench.folder / 'down2'
        down.mkdir()
        n = 0
        others[2].call('magnet_add', link=magnet2, folder=str(down))
        until(lambda: others[2].stat(n)['complete'], 90, 0.2, 'libtorrent to be complete')
        check(same(down / t2.name, t2.source), 'other bytes')
    bench.case('libtorrent: magnet by DHT alone from ccbt', from_ccbt)

    def looked_up():
        a = ours.btbt('dht', 'lookup', t1.hash)
        check(f'{others[1].ip}:{others[1].port}' in a['peers'], f'peers {a["peers"]}')
        check(a['seeds'] >= 1, f'BEP 33 says {a["seeds"]} seeds, {a["downloaders"]} downloaders')
    bench.case('dht lookup finds the seed, BEP 33 filters count it', looked_up)

    def sampled():
        s = others[3].call('sample', ip=ours.ip, port=ours.port)
        held = status(ours)['storedTorrents']
        check(s['num'] == held and len(s['samples']) == min(held, 20), f'{s}, held {held}')
    bench.case('BEP 51: libtorrent samples our info-hashes', sampled)

    def item_ours():
        a = ours.btbt('dht', 'put', 'written by ccbt')
        check(a['stored'] >= 3, f'stored at {a["stored"]}')
        check(others[3].call('get', target=a['target']) == 'written by ccbt', 'another value')
    bench.case('BEP 44: immutable item of ccbt read by libtorrent', item_ours)

    def item_theirs():
        a = others[1].call('put', text='written by libtorrent')
        check(a['stored'] >= 3, f'stored at {a["stored"]}')
        got = ours.btbt('dht', 'get', a['target'])
        check(bytes.fromhex(got['value']) == b'21:written by libtorrent', got)
    bench.case('BEP 44: immutable item of libtorrent read by ccbt', item_theirs)

    def mutable_ours():
        key = bench.folder / 'key'
        for n, text in enumerate(['first', 'second'], 1):
            out = subprocess.run([str(BIN / 'btbt'), '--state-dir', str(ours.home), 'dht', 'put', text, '--key', str(key), '--salt', 'news'],
                                 capture_output=True, text=True, timeout=90)
            check(out.returncode == 0, out.stderr)
            public = out.stdout.strip()
            got = others[3].call('get', target=public, salt='news')
            check(got == text, f'{got!r} for {text!r}')
            check(ours.btbt('dht', 'get', public, '--salt', 'news')['sequence'] == n, 'sequence')
        check(oct(key.stat().st_mode & 0o777) == '0o600', 'the key file is for its owner alone')
    bench.case('BEP 44: mutable item of ccbt, salted, replaced, read by libtorrent', mutable_ours)

    def mutable_theirs():
        a = others[1].call('put', text='signed by libtorrent', key=EXPANDED, public=PUBLIC, salt='s')
        check(a['stored'] >= 3, f'stored at {a["stored"]}')
        got = ours.btbt('dht', 'get', PUBLIC, '--salt', 's')
        check(bytes.fromhex(got['value']) == b'20:signed by libtorrent' and got['publicKey'] == PUBLIC, got)
    bench.case('BEP 44: mutable item of libtorrent read by ccbt', mutable_theirs)

    bench.case('BEP 44: CAS mismatch is refused with 301', lambda: cas(ours, where))
    bench.case('BEP 46: item of another publisher held by libtorrent, its torrent added', lambda: follows(bench, others))
    # Looks at items and announces of libtorrent's take their time.
    if not options.slice:
        bench.case('BEP 46: a newer item adds the next version beside the old', lambda: next_version(bench, others))
        bench.case('BEP 46: dht put --torrent, read by libtorrent, ccbt MAGNET downloads it', lambda: published(bench, ours, others))
        bench.case('hybrid: ccbt has the v2 hash alone and finds the seed of libtorrent', lambda: hybrid(bench, ours, first, True))
    bench.case('BEP 45: asked at either of two addresses, it answers from there', lambda: addresses(bench))
    bench.case('hybrid: libtorrent has the v2 hash alone and finds our seed', lambda: hybrid(bench, ours, first, False))
    bench.case('private torrent is neither looked up nor announced', lambda: private(bench, ours, others))
    bench.case('hostile: token replayed from another address', lambda: replay(where))
    bench.case('hostile: forged answers and queries change no table', lambda: forged(ours, where))
    bench.case('hostile: oversized and malformed datagrams', lambda: malformed(ours, where))
    bench.case('hostile: a flood is answered at a bounded rate', lambda: flood(ours, where))
    bench.case('PORT message: a client without bootstrap learns nodes from a peer', lambda: by_port(bench, first))
    bench.case('torrent nodes: a client without bootstrap starts from the torrent', lambda: by_nodes(bench, first))
    bench.case('restart: the routing table comes back from the state directory', lambda: again(bench, ours, others))
    bench.case('ccbt MAGNET in the foreground by DHT alone', lambda: foreground(bench, first, magnet1, t1, False))
    bench.case('ccbt --no-dht: no node, no download', lambda: foreground(bench, first, magnet1, t1, True))
    bench.case('discovery.enable_dht = false binds no port and answers nothing', lambda: switched_off(bench))
    if not options.slice:
        # Late: its second half needs two minutes.
        for one in (TransmissionDHT, Aria2DHT):
            if shutil.which(one.program): bench.case(f'{one.name}: magnet by DHT alone through our node', lambda one=one: foreign(bench, one, ours, t2, magnet2))
            else: print(f'skipped {one.name}: not installed', flush=True)
    for c in [ours] + others: c.stop()
    print(f'{bench.passed} passed, {bench.failed} failed')
    sys.exit(bench.failed > 0)


# MARK: cases that need more room

def cas(ours, where):
    key = Path(ours.home) / 'cas.key'
    run = lambda *more: subprocess.run([str(BIN / 'btbt'), '--state-dir', str(ours.home), '--json', 'dht', 'put', *more, '--key', str(key)],
                                       capture_output=True, text=True, timeout=90)
    check(run('one', '--seq', '5').returncode == 0, 'the first put')
    r = run('two', '--seq', '6', '--cas', '4')
    check(r.returncode == 1 and '301' in r.stderr, f'{r.returncode} {r.stdout} {r.stderr}')
    check(run('two', '--seq', '6', '--cas', '5').returncode == 0, 'the right number')
    r = run('three', '--seq', '5')
    check(r.returncode == 1 and '302' in r.stderr, f'{r.returncode} {r.stdout} {r.stderr}')


def addresses(bench):
    """All addresses of this network are the machine's; a socket for all of them answers from the one that was asked."""
    for n, every in ((18, '0.0.0.0'), (19, '[::]')):
        c = ccbt_at(bench, every, n)
        try:
            asker = Raw(address(29))
            answers = {ip: asker.ask((ip, c.port), 'ping') for ip in (address(11), address(12))}
            check(all(a and a[b'y'] == b'r' for a in answers.values()), f'{every}: {answers}')
            ids = {a[b'r'][b'id'] for a in answers.values()}
            check(len(ids) == 1, 'one socket, two ids')
            families = status(c)['families']
            check(len({f['nodeID'] for f in families}) == len(families) == (1 if n == 18 else 2), families)
            check(all(f['nodes'] == 0 for f in families), 'it knows a node that only asked')
        finally: c.stop()


def ccbt_at(bench, ip, n):
    c = Ccbt(bench.folder / f'ccbt{n}', address(n), discovery__enable_dht=True, discovery__dht_bootstrap_nodes=[])
    c.ip = ip
    return c.start()


class Publisher:
    """Signs items with openssl and puts them with a socket of its own: nothing of it is ours or libtorrent's."""

    def __init__(self, folder, ip):
        self.pem, self.raw = folder / 'publisher.pem', Raw(ip)
        # It answers nothing (BEP 43): in a table it would cost each lookup six seconds.
        self.raw.more = {'ro': 1}
        run = lambda *a, **k: subprocess.run(['openssl', *map(str, a)], check=True, capture_output=True, **k).stdout
        self.run = run
        if not self.pem.exists(): run('genpkey', '-algorithm', 'ed25519', '-out', self.pem)
        self.public = run('pkey', '-in', self.pem, '-pubout', '-outform', 'DER')[-32:]

    def put(self, nodes, hash, seq, salt=b''):
        """The number of nodes that took it."""
        import hashlib
        value = {'ih': bytes.fromhex(hash)}
        message = (b'4:salt%d:%s' % (len(salt), salt) if salt else b'') + b'3:seqi%de1:v' % seq + bencode(value)
        text = self.pem.with_suffix('.text')
        text.write_bytes(message)
        sig = self.run('pkeyutl', '-sign', '-inkey', self.pem, '-rawin', '-in', text)
        target, taken = hashlib.sha1(self.public + salt).digest(), 0
        for o in nodes:
            token = (self.raw.ask((o.ip, o.port), 'get', target=target) or {}).get(b'r', {}).get(b'token')
            if not token: continue
            a = self.raw.ask((o.ip, o.port), 'put', v=value, k=self.public, seq=seq, sig=sig, token=token, **({'salt': salt} if salt else {}))
            taken += bool(a and a[b'y'] == b'r')
        return taken


def link(publisher, salt=b''): return f'magnet:?xs=urn:btpk:{publisher.public.hex()}' + (f'&s={salt.hex()}' if salt else '')


def version(bench, n):
    """Torrents that have the name and nothing else in common."""
    t = Torrent(single_file(bench.source / f'edition{n}' / 'edition.bin', 700_000 + n, seed=460 + n), piece=64 << 10)
    path = bench.folder / f'edition{n}.torrent'
    t.write(path)
    return t, path


def follows(bench, others):
    bench.publisher, salt = Publisher(bench.folder, address(28)), b'editions'
    t, path = version(bench, 1)
    others[1].add(path, bench.source / 'edition1')
    check(bench.publisher.put(others, t.hash, 3, salt) >= 3, 'libtorrent did not take the item')
    # Read-only, so that no table keeps it when it is gone: each dead node costs a lookup six seconds.
    c = bench.follower = ccbt(bench, 13, discovery__dht_bootstrap_nodes=[f'{others[0].ip}:{others[0].port}'], discovery__dht_follow_interval=5, discovery__dht_readonly_mode=True)
    down = bench.folder / 'editions'
    down.mkdir()
    c.add(link(bench.publisher, salt), down, False, '--category', 'follow', '--tag', 'dht')
    check(c.hash == t.hash, f'{c.hash} for {t.hash}')
    # That seeds are found by the DHT is shown above; a seed that announces late would cost a minute here.
    c.dial(others[1].ip, others[1].port)
    until(lambda: c.stat()['complete'], 60, 0.2, 'the first version')
    check(same(down / t.name, t.source), 'other bytes')
    f = c.btbt('show', t.hash)['follows']
    check(f['sequence'] == 3 and f['link'] == link(bench.publisher, salt) and not f.get('replacedBy'), f)
    # Added once more it is the same torrent.
    check(c.btbt('add', link(bench.publisher, salt), '--save', down)[0]['hash'] == t.hash, 'another torrent')


def next_version(bench, others):
    c, salt, down = bench.follower, b'editions', bench.folder / 'editions'
    old, (t, path) = c.hash, version(bench, 2)
    # An older number changes nothing, whatever it names.
    bench.publisher.put(others, t.hash, 2, salt)
    others[2].add(path, bench.source / 'edition2')
    looked = c.btbt('show', old)['follows']['looked']
    until(lambda: c.btbt('show', old)['follows']['looked'] > looked, 60, 0.3, 'another look')
    check(len(c.btbt('list')) == 1, 'an old item was followed')
    check(bench.publisher.put(others, t.hash, 4, salt) >= 3, 'libtorrent did not take the newer item')
    until(lambda: any(r['hash'] == t.hash for r in c.btbt('list')), 60, 0.3, 'the new version to be added')
    c.hash = t.hash
    c.dial(others[2].ip, others[2].port)
    until(lambda: c.stat()['complete'], 60, 0.2, 'the new version')
    # Both write edition.bin: the newer has its number in the name.
    check(same(down / 'edition.4.bin', t.source), 'other bytes')
    rows = {r['hash']: r for r in c.btbt('list')}
    check(same(down / 'edition.bin', bench.source / 'edition1' / 'edition.bin') and rows[old]['state'] == 'seeding', 'the old version suffered')
    check(all(r['category'] == 'follow' and r['tags'] == ['dht'] and r['savePath'] == str(down) for r in rows.values()), rows)
    f, g = c.btbt('show', t.hash)['follows'], c.btbt('show', old)['follows']
    check(f['sequence'] == 4 and f['earlier'] == [old] and g['replacedBy'] == t.hash and g['sequence'] == 3, f'{f} {g}')
    if bench.options.slice: return c.stop()
    # Over a restart, and the setting for the version before.
    c.stop()
    c.start(keep=True)
    c.btbt('settings', 'set', 'discovery.dht_follow_old', 'remove')
    t3, path3 = version(bench, 3)
    others[3].add(path3, bench.source / 'edition3')
    check(bench.publisher.put(others, t3.hash, 5, salt) >= 3, 'libtorrent did not take the newest item')
    until(lambda: {r['hash'] for r in c.btbt('list')} == {old, t3.hash}, 60, 0.3, 'the newest in the place of the one before')
    c.hash = t3.hash
    c.dial(others[3].ip, others[3].port)
    until(lambda: c.stat()['complete'], 60, 0.2, 'the newest version')
    check(same(down / 'edition.4.bin', t.source), 'the data of the removed version is gone')
    # Removed by the user: followed no more.
    c.btbt('remove', t3.hash)
    until(lambda: len(c.btbt('list')) == 1, 20, 0.2, 'the removal')
    time.sleep(7)
    check(len(c.btbt('list')) == 1, 'what the user removed came back')
    c.stop()


def published(bench, ours, others):
    t, path = version(bench, 6)
    ours.add(path, bench.source / 'edition6')
    until(lambda: ours.stat()['complete'], 30, 0.2, 'ccbt to check its data')
    a = ours.btbt('dht', 'put', '--torrent', path, '--key', bench.folder / 'key46', '--salt', 'own', timeout=90)
    check(a['stored'] >= 3, a)
    public = a['link'].split('btpk:')[1].split('&')[0]
    got = others[0].call('get_torrent', public=public, salt='own')
    check(got['ih'] == t.hash, f'{got} for {t.hash}')
    down = bench.folder / 'fore46'
    down.mkdir()
    r = subprocess.run([str(BIN / 'ccbt'), a['link'], '-o', str(down), '--listen', f'{address(14)}:6899', '--no-lsd', '--peer', f'{ours.ip}:{ours.port}',
                        '--set', f'discovery.dht_bootstrap_nodes={others[0].ip}:{others[0].port}', '--set', 'discovery.dht_readonly_mode=true'],
                       capture_output=True, text=True, timeout=150)
    check(r.returncode == 0, f'exit {r.returncode}: {r.stderr[-300:]}')
    check(same(down / t.name, t.source), 'other bytes')
    # The publisher's own daemon follows what it seeds, and so keeps the item.
    check(ours.btbt('add', a['link'], '--save', bench.source)[0]['hash'] == t.hash, 'another torrent')
    check(ours.btbt('show', t.hash)['follows']['sequence'] == 1, 'it does not follow')


def hybrid(bench, ours, first, to_us):
    """A hybrid is announced under both its hashes; the v2 one is cut to 20 bytes (BEP 52)."""
    source = single_file(bench.source / f'hybrid {to_us}', 3 << 20, seed=31 + to_us)
    file, _, _, v2 = make(source, 'hybrid', 64 << 10, bench.folder / f'{source.name}.torrent')
    link, down = f'magnet:?xt=urn:btmh:1220{v2}', bench.folder / f'down {source.name}'
    down.mkdir()
    other = Libtorrent(bench.folder / f'lt {source.name}', address(17 + to_us), **LIBTORRENT).start()
    try:
        other.call('node', ip=first.ip, port=first.port)
        whole = lambda: ours.btbt('show', v2)['summary']['progress'] == 1
        if to_us: other.add(file, bench.source)
        else: ours.btbt('add', file, '--save', bench.source)
        until(lambda: other.stat()['complete'] if to_us else whole(), 30, 0.2, 'the seed to check its data')
        # Who looks before the announce has come looks again a minute later.
        until(lambda: (other if to_us else ours).port in [int(p.rsplit(':', 1)[1]) for p in ours.btbt('dht', 'lookup', v2[:40])['peers']], 60, 0.2, 'the announce')
        if to_us: ours.btbt('add', link, '--save', down)
        else: other.call('magnet_add', link=link, folder=str(down))
        until(lambda: whole() if to_us else other.stat()['complete'], 90, 0.2, 'the download')
        until(lambda: (down / source.name).exists() and same(down / source.name, source), 10, 0.2, 'the same bytes')
    finally: other.stop()


def private(bench, ours, others):
    t = Torrent(single_file(bench.source / 'private.bin', 300000, seed=5), piece=64 << 10)
    t.info['private'] = 1
    import hashlib
    path = bench.folder / 'private.torrent'
    path.write_bytes(bencode({'info': t.info}))
    h = hashlib.sha1(bencode(t.info)).hexdigest()
    before = status(ours)['torrents']
    ours.add(path, bench.source)
    until(lambda: ours.stat()['complete'], 30, 0.2, 'ccbt to check its data')
    time.sleep(2)
    check(status(ours)['torrents'] == before, 'it is among the announced')
    check(ours.btbt('dht', 'lookup', h)['peers'] == [], 'somebody announced it')


def replay(where):
    a, b = Raw(address(20)), Raw(address(21))
    h = b'H' * 20
    token = a.ask(where, 'get_peers', info_hash=h)[b'r'][b'token']
    check(b.ask(where, 'announce_peer', info_hash=h, port=5, token=token)[b'e'][0] == 203, 'a token of another address was taken')
    check(a.ask(where, 'announce_peer', info_hash=b'I' * 20, port=5, token=token)[b'e'][0] == 203, 'a token of another info-hash was taken')
    check(a.ask(where, 'announce_peer', info_hash=h, port=5, token=token)[b'y'] == b'r', 'the right one was refused')
    values = b.ask(where, 'get_peers', info_hash=h)[b'r'][b'values']
    check(values == [socket.inet_aton(address(20)) + b'\0\5'], values)


def forged(ours, where):
    before = nodes(ours)
    liar = Raw(address(22))
    # Answers that nobody asked for, with guessed transactions, naming a hundred nodes each.
    row = b''.join(random.randbytes(20) + socket.inet_aton(f'66.1.{i}.1') + b'\x1a\xe1' for i in range(100))
    for i in range(2000):
        liar.send(bencode({'t': random.randbytes(4), 'y': 'r', 'r': {'id': liar.id, 'nodes': row[:26 * 16]}}), where)
    time.sleep(1)
    s = status(ours)
    check(sum(f['nodes'] for f in s['families']) == before, 'nodes came in')
    # Queries from one machine under five hundred ids, none of which answers our ping.
    for i in range(500):
        liar.send(bencode({'t': b'q', 'y': 'q', 'q': 'ping', 'a': {'id': random.randbytes(20)}}), where)
    time.sleep(8)
    check(nodes(ours) <= before, 'ids that never answered are in the table')


def malformed(ours, where):
    before = ours.workers()['discovery:0']['restarts']
    bad = Raw(address(23))
    rng = random.Random(4)
    good = bencode({'t': b'aa', 'y': 'q', 'q': 'get_peers', 'a': {'id': bad.id, 'info_hash': b'x' * 20}})
    for n in range(3000):
        match n % 5:
            case 0: data = b'd' + rng.randbytes(rng.randrange(1400))
            case 1: data = good[:rng.randrange(len(good))]
            case 2:
                b = bytearray(good)
                b[rng.randrange(1, len(b))] = rng.randrange(256)
                data = bytes(b)
            case 3: data = b'd' + b'1:a' * rng.randrange(400) + b'l' * rng.randrange(800)
            case _: data = bencode({'t': b'aa', 'y': 'q', 'q': 'ping', 'a': {'id': bad.id}, 'x': bytes(rng.randrange(60000))})
        bad.send(data, where)
        if n % 100 == 0: time.sleep(0.02)
    time.sleep(6)
    other = Raw(address(24))
    check(other.ask(where, 'ping')[b'y'] == b'r', 'no answer any more')
    check(other.ask(where, 'no_such_method')[b'e'][0] == 204, 'an unknown method')
    check(other.ask(where, 'find_node')[b'e'][0] == 203, 'a query without target')
    check(ours.workers()['discovery:0']['restarts'] == before, 'the worker was restarted')


def flood(ours, where):
    a = Raw(address(25))
    a.socket.settimeout(0.2)
    begin, answers = time.monotonic(), 0
    for n in range(5000): a.send(bencode({'t': b'f', 'y': 'q', 'q': 'ping', 'a': {'id': a.id}, 'ro': 1}), where)
    while True:
        try: answers += a.read()[0][b'y'] == b'r'
        except TimeoutError: break
    check(answers <= 200, f'{answers} answers to one source in {time.monotonic() - begin:.1f} s')
    check(Raw(address(26)).ask(where, 'ping') is not None, 'others are not answered')


def by_port(bench, first):
    """Neither knows a node; a shared torrent connects them, and the PORT message brings the DHT."""
    t, path, _ = bench.torrent('port', seed=7)
    c = ccbt(bench, 11)
    try:
        check(nodes(c) == 0, 'it knows nodes')
        first.add(path, bench.source)
        down = bench.folder / 'down-port'
        down.mkdir()
        c.add(path, down)
        c.dial(first.ip, first.port)
        until(lambda: nodes(c) >= 2, 30, 0.2, 'nodes from a peer')
    finally: c.stop()


def by_nodes(bench, first):
    t, path, _ = bench.torrent('nodes', seed=8)
    path.write_bytes(bencode({'info': t.info, 'nodes': [[first.ip, first.port]]}))
    c = ccbt(bench, 12)
    try:
        c.add(path, bench.source)
        until(lambda: nodes(c) >= 2, 30, 0.2, 'nodes from the torrent')
    finally: c.stop()


def again(bench, ours, others):
    # Each worker by itself, and the whole daemon.
    ours.btbt('workers', 'restart', 'discovery')
    until(lambda: ours.workers()['discovery:0']['generation'] >= 2 and nodes(ours) >= 3, 30, 0.2, 'nodes after the restart of the worker')
    mine = status(ours)['families'][0]['nodeID']
    ours.stop()
    (Path(ours.home) / 'ccbt.toml').write_text('[discovery]\ndht_bootstrap_nodes = []\nenable_lsd = false\n')
    ours.start(keep=True)
    until(lambda: nodes(ours) >= 3, 30, 0.2, 'nodes after the restart of the daemon')
    check(status(ours)['families'][0]['nodeID'] == mine, 'another id')


def foreground(bench, first, magnet, t, off):
    down = bench.folder / ('fore-off' if off else 'fore')
    down.mkdir()
    # The seed knows where the one before was, and calls there.
    argv = [str(BIN / 'ccbt'), magnet, '-o', str(down), '--listen', f'{address(14)}:{6898 if off else 6899}', '--no-lsd', '--set', f'discovery.dht_bootstrap_nodes={first.ip}:{first.port}']
    if off: argv.append('--no-dht')
    p = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        if off:
            time.sleep(8)
            check(p.poll() is None and not (down / t.name).exists(), 'it found somebody')
        else:
            check(p.wait(60) == 0, f'exit {p.returncode}')
            check(same(down / t.name, t.source), 'other bytes')
    finally:
        if p.poll() is None:
            p.terminate()
            p.wait(15)


def switched_off(bench):
    c = ccbt(bench, 15, discovery__enable_dht=False)
    try:
        check(Raw(address(27)).ask((c.ip, c.port), 'ping') is None, 'something answers')
        check(not status(c)['enabled'], 'status says enabled')
        r = subprocess.run([str(BIN / 'btbt'), '--state-dir', str(c.home), 'dht', 'lookup', 'a' * 40], capture_output=True, text=True)
        check(r.returncode == 75 and 'enable_dht' in r.stderr, f'{r.returncode} {r.stderr}')
    finally: c.stop()


class TransmissionDHT(Client):
    """Takes bootstrap nodes from the file dht.bootstrap of its folder."""
    name, program = 'transmission', 'transmission-daemon'

    def prepare(self):
        import json
        (self.home / 'settings.json').write_text(json.dumps({
            'bind-address-ipv4': self.ip, 'peer-port': self.port, 'rpc-port': self.api, 'rpc-bind-address': '127.0.0.1',
            'rpc-authentication-required': False, 'rpc-whitelist-enabled': False, 'rpc-host-whitelist-enabled': False, 'dht-enabled': True,
            'lpd-enabled': False, 'pex-enabled': False, 'utp-enabled': False, 'port-forwarding-enabled': False, 'encryption': 0}))
        (self.home / 'dht.bootstrap').write_text(f'{self.options["node"][0]} {self.options["node"][1]}\n')
    def argv(self): return ['transmission-daemon', '-f', '-g', self.home]
    def magnet(self, link, folder):
        subprocess.run(['transmission-remote', f'127.0.0.1:{self.api}', '-a', link, '-w', str(folder)], check=True, capture_output=True, timeout=30)
    def ready(self):
        return subprocess.run(['transmission-remote', f'127.0.0.1:{self.api}', '-si'], capture_output=True, timeout=30).returncode == 0


class Aria2DHT(Client):
    name, program = 'aria2', 'aria2c'

    def prepare(self): self.link = None
    def argv(self):
        return ['aria2c', '--enable-dht=true', f'--dht-entry-point={self.options["node"][0]}:{self.options["node"][1]}', f'--dht-listen-port={self.port}',
                f'--dht-listen-addr={self.ip}', f'--interface={self.ip}', f'--listen-port={self.port}', f'--dht-file-path={self.home}/dht.dat', '--seed-time=0', '--bt-enable-lpd=false',
                '--enable-peer-exchange=false', '-d', str(self.options['folder']), self.options['link']]


def foreign(bench, kind, ours, t, magnet):
    down = bench.folder / f'down-{kind.name}'
    down.mkdir()
    c = kind(bench.folder / kind.name, address(16 if kind is Aria2DHT else 17), node=(ours.ip, ours.port), folder=down, link=magnet)
    try:
        c.start()
        if kind is TransmissionDHT: c.magnet(magnet, down)
        until(lambda: (down / t.name).exists() and same(down / t.name, t.source), 240, 0.5, f'{kind.name} to be complete')
    finally: c.stop()


main()
