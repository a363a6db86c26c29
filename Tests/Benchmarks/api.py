"""What the HTTP API costs with a large catalogue: first full maindata, idle deltas, memory, a steady load, the page in Chromium.

    api.py [--torrents 10000] [--seconds 60] [--rate 500] [--only maindata,page,load] [--no-others]

The torrents are made here, one small file each, stopped, in one folder that is empty. qbittorrent-nox is measured in the same run
but for the load: with 10,000 torrents it answers one or two requests a second. Prints one line a figure; for ccbt with the bar beside it, and ends with 1 when one is missed.
At the end all of them as the table of RESULTS.md.
"""
import argparse, base64, http.client, json, os, statistics, sys, threading, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'Interop'))
import sandbox
from api import PASSWORD, USER, Http, multipart, stored_hash
from clients import Ccbt, Qbittorrent
from content import bencode
from sandbox import address, until


def torrents(count):
    for n in range(count):
        info = {'name': f'release {n:06} with a name of usual length 1080p', 'piece length': 1 << 18, 'length': (1 << 20) + 1 + n, 'pieces': os.urandom(100)}
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


class Report:
    """Figures as they come, whether each is within its bar, and those that have a `row` as a table in the end."""
    def __init__(self): self.missed, self.rows = 0, {}
    def line(self, name, text, value=None, bar=None, row=None, shown=None, unit=''):
        if row:
            cells = self.rows.setdefault(row, {})
            cells[name] = shown or f'{value:{".3g" if value < 100 else ".0f"}} {unit}'.strip()
            if bar is not None: cells['bar'] = f'{bar:g} {unit}'.strip()
        if bar is not None:
            self.missed += value >= bar
            text += f' (bar {bar:g}{"" if value < bar else ", MISSED"})'
        print(f'{name}: {text}', flush=True)

    def table(self):
        print('\n| | ccbt | bar | qbittorrent-nox |\n|---|---|---|---|')
        for row, cells in self.rows.items(): print(f'| {row} | {cells.get("ccbt", "")} | {"below " + cells["bar"] if "bar" in cells else ""} | {cells.get("qbittorrent-nox", "")} |')
        print(flush=True)


def maindata(name, host, port, login, report, bars):
    """Each first answer on a session of its own: what a page waits for when it opens."""
    full = []
    for _ in range(5):
        k = Kept(host, port, login())
        status, data, took = k.get('/api/v2/sync/maindata?rid=0')
        assert status == 200, status
        full.append(took)
    rid, idle, sizes = json.loads(data)['rid'], [], []
    for _ in range(200):
        status, data, took = k.get(f'/api/v2/sync/maindata?rid={rid}')
        rid = json.loads(data)['rid']
        idle.append(took)
        sizes.append(len(data))
        time.sleep(0.002)
    idle.sort()
    full_bar, idle_bar, size_bar = bars
    report.line(name, f'first full maindata {max(full):.0f} ms at most, median of 5 sessions {statistics.median(full):.0f} ms', max(full), full_bar,
                'first full sync/maindata of a session, median (highest) of 5', f'{statistics.median(full):.0f} ({max(full):.0f}) ms', 'ms')
    report.line(name, f'idle delta median {statistics.median(idle):.2f} ms, p99 {idle[-3]:.2f} ms', statistics.median(idle), idle_bar,
                'idle delta, median (p99) of 200', f'{statistics.median(idle):.2f} ({idle[-3]:.2f}) ms', 'ms')
    report.line(name, f'idle delta {statistics.median(sizes):.0f} bytes', statistics.median(sizes), size_bar, 'idle delta, size', unit='bytes')


class Transmission:
    """torrent-get as Transmission's clients send it."""
    def __init__(self, host, port):
        self.link = http.client.HTTPConnection(host, port, timeout=120)
        self.head = {'Authorization': 'Basic ' + base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode(), 'Content-Type': 'application/json'}
        self.send({})
        self.head['X-Transmission-Session-Id'] = self.headers['X-Transmission-Session-Id']
    def send(self, body):
        self.link.request('POST', '/transmission/rpc', json.dumps(body), self.head)
        r = self.link.getresponse()
        self.headers, data = r.headers, r.read()
        return r.status, data
    def get(self, ids):
        fields = ['id', 'hashString', 'name', 'status', 'totalSize', 'leftUntilDone', 'percentDone', 'rateDownload', 'rateUpload', 'eta', 'errorString', 'labels']
        status, data = self.send({'method': 'torrent-get', 'arguments': {'ids': ids, 'fields': fields}})
        return status if b'"result":"success"' in data else 0


def load(name, host, port, login, hashes, options, report):
    """A steady rate over 16 clients, each with its own session; the time counts from when a request was due, so that a stall shows."""
    times, errors, lock = {}, [0], threading.Lock()
    total = options.rate * options.seconds
    counter = iter(range(total))
    mix = ['maindata delta', 'maindata delta', 'maindata delta', 'info of one', 'info, first 20 by time', 'info, first 20 by name', 'transfer/info', 'properties']
    mix += ['torrent-get of one', 'torrent-get recently-active']
    clients = [(Kept(host, port, login()), Transmission(host, port)) for _ in range(16)]
    for k, _ in clients: k.rid = json.loads(k.get('/api/v2/sync/maindata?rid=0')[1])['rid']
    # What was added counts as recently active for a minute: the load is that of a daemon at rest, with the bytes that this means.
    until(lambda: len(clients[0][1].send({'method': 'torrent-get', 'arguments': {'ids': 'recently-active', 'fields': ['id']}})[1]) < 1000, 180, 2, what='no torrent active of late')
    begin = time.perf_counter() + 0.2

    def ask(what, k, t, n):
        match what:
            case 'maindata delta':
                status, data, _ = k.get(f'/api/v2/sync/maindata?rid={k.rid}')
                if status == 200: k.rid = json.loads(data)['rid']
                return status
            case 'info of one': return k.get(f'/api/v2/torrents/info?hashes={hashes[n % len(hashes)]}')[0]
            case 'info, first 20 by time': return k.get('/api/v2/torrents/info?limit=20&sort=added_on&reverse=true')[0]
            case 'info, first 20 by name': return k.get('/api/v2/torrents/info?limit=20&sort=name')[0]
            case 'transfer/info': return k.get('/api/v2/transfer/info')[0]
            case 'properties': return k.get(f'/api/v2/torrents/properties?hash={hashes[n % len(hashes)]}')[0]
            case 'torrent-get of one': return t.get([hashes[n % len(hashes)]])
            case 'torrent-get recently-active': return t.get('recently-active')

    def work(k, t):
        mine = {}
        while True:
            with lock: n = next(counter, None)
            if n is None: break
            due = begin + n / options.rate
            if (wait := due - time.perf_counter()) > 0: time.sleep(wait)
            what = mix[n % len(mix)]
            try: status = ask(what, k, t, n)
            except (OSError, http.client.HTTPException, ValueError) as error: status = f'{type(error).__name__}: {error}'
            mine.setdefault(what, []).append((time.perf_counter() - due) * 1000)
            if status != 200:
                with lock: errors[0] += 1
                print(f'{name}: {what}: {status}', flush=True)
        with lock:
            for what, list in mine.items(): times.setdefault(what, []).extend(list)
    threads = [threading.Thread(target=work, args=pair) for pair in clients]
    for t in threads: t.start()
    for t in threads: t.join()
    took = time.perf_counter() - begin
    share = lambda list, p: sorted(list)[min(len(list) - 1, len(list) * p // 100)]
    every = [t for list in times.values() for t in list]
    report.line(name, f'load: {total} requests in {took:.1f} s, {total / took:.0f}/s: median {share(every, 50):.1f} ms, p99 {share(every, 99):.1f} ms, highest {max(every):.0f} ms',
                row=f'{options.rate} requests/s for {options.seconds} s: reached, median, p99', shown=f'{total / took:.0f}/s, {share(every, 50):.1f} ms, {share(every, 99):.0f} ms')
    for what in dict.fromkeys(mix): report.line(name, f'load: {what}: median {share(times[what], 50):.1f} ms, p99 {share(times[what], 99):.1f} ms')
    report.line(name, f'load: {errors[0]} errors', errors[0], 1, 'errors among them')


def page(base, count, report):
    """The page in Chromium: from the request to the first rows, and tasks of the main thread while it is scrolled and filtered."""
    from playwright.sync_api import sync_playwright
    observe = """() => { window.long = []; new PerformanceObserver(l => { for (const e of l.getEntries()) window.long.push(Math.round(e.duration)); }).observe({type: 'longtask', buffered: false}); }"""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path='/usr/bin/chromium', args=['--no-sandbox'])
        context = browser.new_context(viewport={'width': 1280, 'height': 800}, locale='en-US')
        context.request.post(base + 'api/v2/auth/login', form={'username': USER, 'password': PASSWORD})
        took = []
        for _ in range(3):
            tab = context.new_page()
            begin = time.perf_counter()
            tab.goto(base, wait_until='commit')
            tab.wait_for_selector('[id^="row-"]')
            took.append((time.perf_counter() - begin) * 1000)
            if len(took) < 3: tab.close()
        report.line('ccbt', f'page: first rows of {count} after {statistics.median(took):.0f} ms (median of 3, highest {max(took):.0f} ms)', statistics.median(took), 1000, 'page: first rows in Chromium, median of 3', unit='ms')
        tab.wait_for_timeout(3000)
        tab.evaluate(observe)
        box = tab.locator('[id^="row-"]').first.bounding_box()
        tab.mouse.move(box['x'] + 200, box['y'] + 100)
        first = tab.locator('[id^="row-"]').first.get_attribute('id')
        for step in [1500] * 50:
            tab.mouse.wheel(0, step)
            tab.wait_for_timeout(30)
        assert tab.locator(f'#{first}').count() == 0, 'it has scrolled'
        for step in [-4000] * 10:
            tab.mouse.wheel(0, step)
            tab.wait_for_timeout(30)
        assert tab.evaluate('document.querySelector(".grid").scrollHeight') > count * 20, 'a row for each'
        scrolled = tab.evaluate('window.long.splice(0)')
        search = tab.locator('input[type=search]').first
        for text in ('release 0012', '1080p', 'no such name', ''):
            search.fill('')
            search.type(text, delay=60)
            tab.wait_for_timeout(400)
        for n in (3, 4, 1, 7, 0):
            tab.locator('aside.side button.filter').nth(n).click()
            tab.wait_for_timeout(300)
        filtered = tab.evaluate('window.long.splice(0)')
        for n in (0, 0, 1, 3):
            tab.locator('[role=columnheader]').nth(n).click()
            tab.wait_for_timeout(300)
        sorted_by = tab.evaluate('window.long.splice(0)')
        for what, tasks in (('scrolling', scrolled), ('filtering', filtered), ('sorting', sorted_by)):
            report.line('ccbt', f'page: {what}: {len(tasks)} tasks over 50 ms, longest {max(tasks, default=0)} ms', max(tasks, default=0), 51,
                        f'page: longest task while {what}', f'{max(tasks)} ms, {len(tasks)} over 50' if tasks else 'none over 50 ms', 'ms')
        browser.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--torrents', type=int, default=10_000)
    parser.add_argument('--seconds', type=int, default=60)
    parser.add_argument('--rate', type=int, default=500)
    parser.add_argument('--only', default='maindata,page,load')
    parser.add_argument('--no-others', action='store_true')
    options = parser.parse_args()
    sandbox.enter()
    parts, report = options.only.split(','), Report()
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
    login = lambda: Http(ip, port).login().cookie

    def settled(host, port, cookie):
        """All are listed, none is still being looked at; their hashes."""
        k = Kept(host, port, cookie)
        def rows():
            list = json.loads(k.get('/api/v2/torrents/info')[1])
            return len(list) == options.torrents and not any(t['state'].startswith('checking') for t in list) and [t['hash'] for t in list]
        return until(rows, 300, 1, what=f'{options.torrents} torrents at rest')

    took = fill(ip, port, login(), files)
    report.line('ccbt', f'{options.torrents} torrents added in {took:.0f} s', took, row=f'{options.torrents} .torrent files added, 100 a request', unit='s')
    hashes = settled(ip, port, login())
    pid = daemon.workers()['api:0']['pid']
    if 'maindata' in parts: maindata('ccbt', ip, port, login, report, (300, 2, 1024))
    if 'page' in parts: page(f'http://{ip}:{port}/', options.torrents, report)
    if 'load' in parts: load('ccbt', ip, port, login, hashes, options, report)
    assert daemon.workers()['api:0']['pid'] == pid, 'the API worker has restarted'
    report.line('ccbt', f'API worker {resident(pid):.0f} MiB', resident(pid), 200, 'memory: API worker; the whole of the other', unit='MiB')
    daemon.stop()
    if not options.no_others:
        other = Qbittorrent(folder / 'qbittorrent', address(2)).start()
        # It lets loopback in, and begins a session of its own with each request that names none.
        login = lambda: Http('127.0.0.1', other.api).get('app/version').headers['Set-Cookie'].split(';')[0]
        report.line('qbittorrent-nox', f'{options.torrents} torrents added in {fill("127.0.0.1", other.api, None, files):.0f} s')
        # It takes them in one after another after it has answered: what is there after two minutes is what is measured.
        count, end = -1, time.monotonic() + 120
        while time.monotonic() < end:
            before, count = count, len(json.loads(Kept('127.0.0.1', other.api, None).get('/api/v2/torrents/info')[1]))
            if count in (before, options.torrents): break
            time.sleep(10)
        report.line('qbittorrent-nox', f'{count} torrents loaded after {time.monotonic() - end + 120:.0f} s')
        if 'maindata' in parts: maindata('qbittorrent-nox', '127.0.0.1', other.api, login, report, (None, None, None))
        report.line('qbittorrent-nox', f'the whole process {resident(other.proc.pid):.0f} MiB', resident(other.proc.pid), row='memory: API worker; the whole of the other', unit='MiB')
        other.stop()
    report.table()
    print(f'{report.missed} bars missed')
    sys.exit(report.missed > 0)


if __name__ == '__main__': main()
