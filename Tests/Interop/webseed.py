"""Web seeds (BEP 19, 17): ccbt downloads from nginx, and from servers that misbehave; libtorrent beside it.

    webseed.py [--slice] [--mib N] [--only TEXT]
"""
import argparse, http.server, os, shutil, subprocess, sys, threading, time, traceback, urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Ccbt, Libtorrent
from content import Torrent, bencode, many_files, single_file
from sandbox import address, until

SERVER = 9


class Nginx:
    def __init__(self, folder, root, port):
        self.url = f'http://{address(SERVER)}:{port}/'
        folder.mkdir()
        (folder / 'conf').write_text(f'''
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{ access_log {folder}/access.log; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder}; sendfile on; keepalive_requests 100000;
  server {{ listen {address(SERVER)}:{port}; root {root};
    location /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}
    location /loop/ {{ return 302 $request_uri; }} }} }}
''')
        self.folder = folder
        self.proc = subprocess.Popen([shutil.which('nginx') or '/usr/sbin/nginx', '-c', str(folder / 'conf'), '-p', str(folder), '-e', str(folder / 'early.log')],
                                     stdout=subprocess.DEVNULL, stderr=open(folder / 'out', 'wb'))
        import socket
        until(lambda: socket.create_connection((address(SERVER), port), 1).close() or True, 10, what='nginx')

    def log(self): return (self.folder / 'access.log').read_text().splitlines()
    def stop(self): self.proc.kill(); self.proc.wait()


class Bad(http.server.ThreadingHTTPServer):
    """Answers range requests with what `way` says; BEP 17 requests by the torrent's bytes."""
    daemon_threads = True

    def __init__(self, port, data, piece=0):
        self.way, self.asked, self.data, self.piece = 'corrupt', 0, data, piece
        super().__init__((address(SERVER), port), BadAnswer)
        self.url = f'http://{address(SERVER)}:{port}/file'
        threading.Thread(target=self.serve_forever, daemon=True).start()


class BadAnswer(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        s = self.server
        s.asked += 1
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        if 'piece' in query:
            first, last = map(int, query['ranges'][0].split('-'))
            first, last = first + int(query['piece'][0]) * s.piece, last + int(query['piece'][0]) * s.piece
            return self.answer(200, s.data[first:last + 1])
        first, last = map(int, self.headers['Range'].split('=')[1].split('-'))
        body = bytearray(s.data[first:last + 1])
        if s.way == 'corrupt': body[len(body) // 2] ^= 0xff
        if s.way == 'short': body = body[:-1]
        if s.way == 'long': body += b'x'
        if s.way == 'ignores ranges': return self.answer(200, s.data)
        if s.way in ('404', '416'): return self.answer(int(s.way), b'no')
        if s.way == '503' and s.asked <= 2: return self.answer(503, b'later')
        self.answer(206, bytes(body))

    def answer(self, status, body):
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        try: self.wfile.write(body)
        except OSError: self.close_connection = True

    def log_message(self, *_): pass


class Bench:
    def __init__(self, options):
        self.options, self.folder = options, sandbox.scratch('ccbt-webseed-')
        self.source = self.folder / 'source'
        self.single = Torrent(single_file(self.source / 'single file.bin', (options.mib << 20) + 777), piece=256 << 10)
        self.many = Torrent(many_files(self.source / 'many files', 200, 16 << 20), piece=64 << 10)
        self.nginx = Nginx(self.folder / 'nginx', self.source, 8081)
        self.n = self.passed = self.failed = 0

    def place(self, name):
        self.n += 1
        return self.folder / f'{self.n:03}-{name}'

    def torrent(self, torrent, *urls, hoffman=()):
        path = self.place('with.torrent')
        torrent.write(path, **({'url-list': list(urls)} if urls else {}), **({'httpseeds': list(hoffman)} if hoffman else {}))
        return path

    def run(self, case, body):
        if self.options.only and self.options.only not in case: return
        started, why, more, begin = [], '', '', time.monotonic()
        try: more = body(self, started) or ''
        except Exception as error:
            if os.environ.get('CCBT_TEST_TRACE'): traceback.print_exc()
            why = f'{type(error).__name__}: {error}'[:400] + ''.join(f'\n      {c.name}: {c.tail(6)}' for c in started)
        for c in started: c.stop()
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}web seed {case:40}{time.monotonic() - begin:6.1f} s  {why or more}', flush=True)

    def ccbt(self, started, **options):
        us = Ccbt(self.place('ccbt'), address(1), **options)
        started.append(us)
        return us.start()

    def download(self, us, torrent, file, timeout=90):
        down, begin = self.place('down'), time.monotonic()
        us.add(file, down)
        until(lambda: us.stat()['complete'], timeout, 0.05, 'ccbt to complete')
        seconds = time.monotonic() - begin
        until(lambda: not torrent.difference(down), 10, 0.2, torrent.difference(down) or 'the files')
        return seconds


def single(bench, started):
    us = bench.ccbt(started)
    file = bench.torrent(bench.single, bench.nginx.url)
    seconds = bench.download(us, bench.single, file)
    requests = len(bench.nginx.log())
    assert us.btbt('show', us.hash)['webSeeds'] == [bench.nginx.url]
    other, down = Libtorrent(bench.place('lt'), address(2)), bench.place('down')
    started.append(other)
    down.mkdir()
    other.start()
    begin = time.monotonic()
    other.add(file, down)
    until(lambda: other.stat()['complete'], 120, 0.05, 'libtorrent to complete')
    theirs = time.monotonic() - begin
    mib = bench.single.size / (1 << 20)
    return f'{mib / seconds:.0f} MiB/s with {requests} requests; libtorrent {mib / theirs:.0f} MiB/s with {len(bench.nginx.log()) - requests}'


def many(bench, started): bench.download(bench.ccbt(started), bench.many, bench.torrent(bench.many, bench.nginx.url))
def redirected(bench, started): bench.download(bench.ccbt(started), bench.single, bench.torrent(bench.single, bench.nginx.url + 'moved/'))


def shown(bench, started):
    """A web seed is one of the peers, and a limit holds for it."""
    us = bench.ccbt(started, limits__global_down_kib=2048)
    us.add(bench.torrent(bench.single, bench.nginx.url), bench.place('down'))
    until(lambda: us.stat()['done'] > 0, 30, what='the first piece')
    peer = next(p for p in us.btbt('peers', us.hash) if p['source'] == 'web_seed')
    assert peer['client'].startswith('web seed http://') and 'seed' in peer['flags'], peer
    begin, before = time.monotonic(), us.torrent()['downloaded']
    time.sleep(8)
    rate = (us.torrent()['downloaded'] - before) / (time.monotonic() - begin) / 1024
    assert abs(rate / 2048 - 1) < 0.05, f'{rate:.0f} KiB/s where 2048 were set'
    return f'{rate:.0f} KiB/s of 2048'


def with_peers(bench, started):
    """Half from a slow libtorrent seed, the rest from nginx."""
    us, seed = bench.ccbt(started), Libtorrent(bench.place('seed'), address(3), upload_rate_limit=4 << 20)
    started.append(seed)
    seed.start()
    file = bench.torrent(bench.single, bench.nginx.url)
    seed.add(file, bench.source)
    until(lambda: seed.stat()['complete'], 60, what='the seeder to check')
    us.btbt('limits', 'set', '--down', '12M')
    down = bench.place('down')
    us.add(file, down)
    us.dial(seed.ip, seed.port)
    until(lambda: us.stat()['complete'], 120, 0.1, 'ccbt to complete')
    assert not bench.single.difference(down) and seed.stat()['up'] > 1 << 20, seed.stat()


def hoffman(bench, started):
    data = (bench.source / 'single file.bin').read_bytes()
    server = Bad(8083, data, 256 << 10)
    bench.download(bench.ccbt(started), bench.single, bench.torrent(bench.single, hoffman=[server.url]))
    server.shutdown()


def bad(way, gone):
    def body(bench, started):
        """The bad server is left, or tried again; the good one brings the rest."""
        data = (bench.source / 'single file.bin').read_bytes()
        server = Bad(8084 + len(way) * 7 % 50, data)
        server.way = way
        us = bench.ccbt(started, limits__global_down_kib=16 << 10)
        # Alone where it is to be tried again, else beside one that works.
        bench.download(us, bench.single, bench.torrent(bench.single, server.url, *([bench.nginx.url] if gone else [])))
        asked = server.asked
        server.shutdown()
        assert asked > 0, 'never asked'
        if gone: assert asked <= 10, f'asked {asked} times'
        else: assert asked > 2, f'asked {asked} times only'
        return f'asked {asked} times'
    return body


def forbidden(bench, started):
    """A torrent's URL does not lead to this machine's own services, and a redirect circle ends."""
    asked = []

    class Own(http.server.BaseHTTPRequestHandler):
        def do_GET(self): asked.append(self.path); self.send_error(404)
        def log_message(self, *_): pass
    own = http.server.ThreadingHTTPServer(('127.0.0.1', 8085), Own)
    threading.Thread(target=own.serve_forever, daemon=True).start()
    us = bench.ccbt(started)
    bench.download(us, bench.single, bench.torrent(bench.single, 'http://127.0.0.1:8085/x', bench.nginx.url + 'loop/', bench.nginx.url))
    own.shutdown()
    assert not asked, asked


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--mib', type=int)
    parser.add_argument('--only')
    options = parser.parse_args()
    options.mib = options.mib or (48 if options.slice else 256)
    if not (shutil.which('nginx') or os.path.exists('/usr/sbin/nginx')):
        print('skipped  nginx is not installed')
        print('0 passed, 0 failed')
        return
    sandbox.enter()
    if not sandbox.isolated():
        print('skipped  no namespace: web seeds on loopback addresses are refused')
        print('0 passed, 0 failed')
        return
    bench = Bench(options)
    cases = [('from nginx, one file', single), ('from nginx, 200 files', many), ('behind redirects', redirected), ('shown and limited', shown),
             ('beside a peer', with_peers), ('BEP 17', hoffman), ('that corrupts', bad('corrupt', True)), ('that sends too little', bad('short', True)),
             ('that sends too much', bad('long', True)), ('without ranges', bad('ignores ranges', True)), ('404', bad('404', True)), ('416', bad('416', True)),
             ('503 twice', bad('503', False)), ('on loopback', forbidden)]
    for case, body in cases: bench.run(case, body)
    bench.nginx.stop()
    print(f'{bench.passed} passed, {bench.failed} failed')
    sys.exit(bench.failed > 0)


if __name__ == '__main__': main()
