"""What the HTTP API costs with a large catalogue: first full maindata, idle deltas, memory, a steady load.

    api.py [--torrents 10000] [--seconds 20] [--rate 500] [--no-others]

The torrents are made here, one small file each, stopped, in one folder that is empty. qbittorrent-nox is measured in the same run.
Prints one line a figure.
"""
import argparse, http.client, json, os, statistics, sys, threading, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'Interop'))
import sandbox
from api import PASSWORD, Http, multipart, stored_hash
from clients import Ccbt, Qbittorrent
from content import bencode
from sandbox import address, until


def torrents(count):
    for n in range(count):
        info = {'name': f'release {n:06} with a name of usual length 1080p', 'piece length': 1 << 18, 'length': (1 << 20) + n, 'pieces': os.urandom(100)}
        yield (f'{n}.torrent', bencode({'announce': f'http://127.0.0.1:9/{n % 40}/announce', 'info': info}))


def resident(pid): return next(int(l.split()[1]) for l in Path(f'/proc/{pid}/status').read_text().splitlines() if l.startswith('VmRSS')) / 1024


class Kept:
    """One kept connection, as pages and exporters have."""
    def __init__(self, host, port, cookie): self.link, self.head = http.client.HTTPConnection(host, port, timeout=120), {'Cookie': cookie} if cookie else {}
    def get(self, path):
        begin = time.perf_counter()
        self.link.request('GET', path, headers=self.head)
        r = self.link.getresponse()
        data = r.read()
        return r.status, data, (time.perf_counter() - begin) * 1000


def fill(host, port, cookie, files, streams=8):
    parts = [files[i:i + 100] for i in range(0, len(files), 100)]
    lock, failed = threading.Lock(), []

    def work():
        h = Http(host, port)
        h.cookie = cookie
        while True:
            with lock:
                if not parts: return
                part = parts.pop()
            body, kind = multipart([('stopped', 'true'), ('paused', 'true')], [('torrents', n, d) for n, d in part])
            if h.request('POST', '/api/v2/torrents/add', body, {'Content-Type': kind}).text != 'Ok.': failed.append(h.text)
    begin = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(streams)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert not failed, failed[0]
    return time.monotonic() - begin


def measure(name, host, port, cookie, count, pid, options):
    k = Kept(host, port, cookie)
    until(lambda: len(json.loads(k.get('/api/v2/torrents/info')[1])) == count, 180, 0.5, what=f'{count} torrents')
    time.sleep(3)
    full = []
    for _ in range(5):
        status, data, took = k.get('/api/v2/sync/maindata?rid=0')
        full.append(took)
    rid = json.loads(data)['rid']
    idle, sizes = [], []
    for _ in range(200):
        status, data, took = k.get(f'/api/v2/sync/maindata?rid={rid}')
        rid = json.loads(data)['rid']
        idle.append(took)
        sizes.append(len(data))
    print(f'{name}: first full maindata {full[0]:.0f} ms, median of 5 {statistics.median(full):.0f} ms', flush=True)
    print(f'{name}: idle delta median {statistics.median(idle):.2f} ms, p99 {sorted(idle)[-3]:.2f} ms, {statistics.median(sizes):.0f} bytes', flush=True)
    print(f'{name}: memory of the process that serves {resident(pid):.0f} MiB', flush=True)
    load(name, host, port, cookie, options)


def load(name, host, port, cookie, options):
    """A steady rate over 16 connections; the time counts from when a request was due, so that a stall shows."""
    times, errors, lock = [], [0], threading.Lock()
    begin = time.perf_counter() + 0.2
    total = options.rate * options.seconds
    counter = iter(range(total))
    paths = ['/api/v2/transfer/info', '/api/v2/torrents/info?limit=20&sort=added_on&reverse=true', '/api/v2/app/version']

    def work():
        k, mine = Kept(host, port, cookie), []
        while True:
            with lock: n = next(counter, None)
            if n is None: break
            due = begin + n / options.rate
            if (wait := due - time.perf_counter()) > 0: time.sleep(wait)
            try: status = k.get(paths[n % 3])[0]
            except OSError: status, k = 0, Kept(host, port, cookie)
            mine.append((time.perf_counter() - due) * 1000)
            if status != 200:
                with lock: errors[0] += 1
        with lock: times.extend(mine)
    threads = [threading.Thread(target=work) for _ in range(16)]
    for t in threads: t.start()
    for t in threads: t.join()
    times.sort()
    print(f'{name}: {options.rate} requests/s for {options.seconds} s: median {times[len(times) // 2]:.1f} ms, p99 {times[len(times) * 99 // 100]:.1f} ms, {errors[0]} errors', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--torrents', type=int, default=10_000)
    parser.add_argument('--seconds', type=int, default=20)
    parser.add_argument('--rate', type=int, default=500)
    parser.add_argument('--no-others', action='store_true')
    options = parser.parse_args()
    sandbox.enter()
    folder = sandbox.scratch('ccbt-api-bench-')
    files = list(torrents(options.torrents))
    (folder / 'down').mkdir()
    ip, port = address(1), 18080
    daemon = Ccbt(folder / 'state', ip, api__enable=True, api__listen=[f'{ip}:{port}'], disk__download_dir=str(folder / 'down'))
    (folder / 'state' / 'api').mkdir(parents=True, mode=0o700)
    (folder / 'state').chmod(0o700)
    (folder / 'state' / 'api' / 'password').write_text(stored_hash(PASSWORD))
    daemon.start()
    until(lambda: Http(ip, port).request('GET', '/readyz').status == 200, 30, what='/readyz')
    cookie = Http(ip, port).login().cookie
    print(f'ccbt: {options.torrents} torrents added in {fill(ip, port, cookie, files):.0f} s', flush=True)
    measure('ccbt', ip, port, cookie, options.torrents, daemon.workers()['api:0']['pid'], options)
    daemon.stop()
    if options.no_others: return
    other = Qbittorrent(folder / 'qbittorrent', address(2)).start()
    print(f'qbittorrent-nox: {options.torrents} torrents added in {fill("127.0.0.1", other.api, None, files):.0f} s', flush=True)
    measure('qbittorrent-nox', '127.0.0.1', other.api, None, options.torrents, other.proc.pid, options)
    other.stop()


if __name__ == '__main__': main()
