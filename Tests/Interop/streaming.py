"""Cases of api.py: files of torrents as bytes, complete ones and while they are fetched. Python's http.client, curl, and a seeder (libtorrent) of a known rate."""
import http.client, json, os, shutil, socket, subprocess, threading, time, urllib.parse

from clients import Libtorrent
from content import Torrent, single_file
from sandbox import address, until

SIZE = (24 << 20) + 12345


def same(got, wanted, what=''):
    assert got == wanted, f'{what}: {got!r}, not {wanted!r}'


class Source:
    """`show/`: a film, a page, a drawing, a name that is hard to quote."""
    HARD = 'q"u\'o;te é %41.mkv'

    def __init__(self, api):
        self.folder = api.folder / 'source' / 'show'
        self.folder.mkdir(parents=True, exist_ok=True)
        single_file(self.folder / 'film.mp4', SIZE, seed=9)
        (self.folder / 'page.html').write_text('<script>window.stolen=1</script>' * 50)
        (self.folder / 'drawing.svg').write_text('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')
        (self.folder / self.HARD).write_bytes(bytes(range(250)) * 16)
        (self.folder / 'empty.mp3').write_bytes(b'')
        self.torrent = Torrent(self.folder, piece=128 << 10)
        self.files = sorted(p for p in self.folder.rglob('*') if p.is_file())
        self.film = (self.folder / 'film.mp4').read_bytes()

    def index(self, name): return [p.name for p in self.files].index(name)


class Player:
    """One request at a time, and a connection that can be looked at and let go."""

    def __init__(self, api, path, headers=None, cookie=None, method='GET'):
        self.link = http.client.HTTPConnection(api.ip, api.web, timeout=60)
        self.link.request(method, path, headers={**({'Cookie': cookie} if cookie else {}), **(headers or {})})
        self.sock = self.link.sock
        self.answer = self.link.getresponse()
        self.status, self.headers = self.answer.status, self.answer.headers

    def read(self, n=None): return self.answer.read(n) if n else self.answer.read()
    def close(self):
        self.answer.close()
        self.link.close()


def add(api, source, complete, **more):
    h = api.logged()
    from api import multipart
    if complete:
        shutil.rmtree(api.down / 'show', ignore_errors=True)
        shutil.copytree(source.folder, api.down / 'show')
    body, kind = multipart([('savepath', str(api.down)), *more.items()], [('torrents', 'show.torrent', api.file(source.torrent).read_bytes())])
    same(h.request('POST', '/api/v2/torrents/add', body, {'Content-Type': kind}).text, 'Ok.')
    return h


def info(h, source): return h.get(f'torrents/info?hashes={source.torrent.hash}').json()[0]


def in_one_life(case):
    """No case may cost the worker its life: the supervisor would start another, and clients would ask again."""
    def body(api, *more):
        pid = api.daemon.workers()['api:0']['pid']
        case(api, *more)
        same(api.daemon.workers()['api:0']['pid'], pid, "the API worker's process")
    return body


@in_one_life
def ranges(api):
    s = Source(api)
    h = add(api, s, True)
    until(lambda: info(h, s)['progress'] == 1 and info(h, s)['state'] in ('stalledUP', 'uploading'), 60, what='the check')
    base = f'/api/v1/torrents/{s.torrent.hash}/files/'
    path = base + str(s.index('film.mp4'))

    def ask(range=None, method='GET', path=path, **headers):
        return Player(api, path, {**({'Range': range} if range else {}), **headers}, h.cookie, method)

    whole = ask()
    same((whole.status, whole.headers['Content-Length'], whole.headers['Accept-Ranges'], whole.headers['Content-Type']), (200, str(SIZE), 'bytes', 'video/mp4'))
    same(whole.headers['X-Content-Type-Options'], 'nosniff')
    assert 'sandbox' in whole.headers['Content-Security-Policy'] and "default-src 'none'" in whole.headers['Content-Security-Policy']
    assert whole.headers['Content-Disposition'].startswith('inline; filename="film.mp4"'), whole.headers['Content-Disposition']
    assert whole.read() == s.film, 'the whole file differs'
    tag = whole.headers['ETag']
    for text, first, last in (('bytes=0-0', 0, 0), ('bytes=1000000-1999999', 1000000, 1999999), ('bytes=-500', SIZE - 500, SIZE - 1), (f'bytes={SIZE - 10}-', SIZE - 10, SIZE - 1),
                              (f'bytes={SIZE - 3}-{SIZE + 3}', SIZE - 3, SIZE - 1), (f'bytes=-{SIZE * 2}', 0, SIZE - 1)):
        p = ask(text)
        same((p.status, p.headers['Content-Range'], p.headers['Content-Length']), (206, f'bytes {first}-{last}/{SIZE}', str(last - first + 1)), text)
        assert p.read() == s.film[first:last + 1], text
    for text in (f'bytes={SIZE}-', 'bytes=-0'):
        p = ask(text)
        same((p.status, p.headers['Content-Range']), (416, f'bytes */{SIZE}'), text)
    for text in ('bytes=0-1,5-6', 'bytes=5-4', 'lines=0-1'):
        p = ask(text, 'HEAD')
        same((p.status, p.headers['Content-Length']), (200, str(SIZE)), text)
    p = ask('bytes=0-9', 'HEAD')
    same((p.status, p.headers['Content-Length'], p.read()), (206, '10', b''))
    same(ask('bytes=0-9', **{'If-Range': tag}).read(), s.film[:10])
    same(ask('bytes=0-9', 'HEAD', **{'If-Range': '"another"'}).status, 200, 'another If-Range')
    same(ask(**{'If-None-Match': f'"x", {tag}'}).status, 304)
    # What could be a page is only ever saved.
    for name in ('page.html', 'drawing.svg'):
        p = ask(path=base + str(s.index(name)))
        same((p.status, p.headers['Content-Type']), (200, 'application/octet-stream'), name)
        assert p.headers['Content-Disposition'].startswith('attachment; '), p.headers['Content-Disposition']
        same(p.read(), (s.folder / name).read_bytes(), name)
    p = ask(path=base + str(s.index(s.HARD)))
    same(p.headers['Content-Disposition'], f'inline; filename="q_u_o_te _ _41.mkv"; filename*=UTF-8\'\'{urllib.parse.quote(s.HARD, safe="-._~")}')
    same(p.read(), (s.folder / s.HARD).read_bytes())
    p = ask(path=base + str(s.index('empty.mp3')))
    same((p.status, p.headers['Content-Length'], p.read()), (200, '0', b''), 'an empty file')
    same(ask('bytes=0-', path=base + str(s.index('empty.mp3'))).status, 416, 'a range of nothing')
    for bad in ('99', '-1', 'x', '0/../../../etc/passwd', '%2e%2e%2fpasswd', ''): assert ask(path=base + bad).status in (200, 404, 405) and (bad == '' or ask(path=base + bad).status == 404), bad
    # curl, in pieces, put together again.
    out = api.folder / 'curl.out'
    out.unlink(missing_ok=True)
    for first in range(0, SIZE, 7 << 20):
        part = subprocess.run(['curl', '-sf', '-b', h.cookie, '-r', f'{first}-{first + (7 << 20) - 1}', f'http://{api.ip}:{api.web}{path}'], capture_output=True, timeout=60, check=True).stdout
        with open(out, 'ab') as f: f.write(part)
    assert out.read_bytes() == s.film, "curl's pieces differ"
    os.truncate(out, 20_000_000)
    subprocess.run(['curl', '-sf', '-b', h.cookie, '-C', '-', '-o', str(out), f'http://{api.ip}:{api.web}{path}'], timeout=60, check=True)
    assert out.read_bytes() == s.film, 'what curl went on with differs'
    # Without a login, and with a playlist's token.
    same(Player(api, path).status, 401, 'without a login')
    p = ask(path=f'/api/v1/torrents/{s.torrent.hash}/playlist.m3u8')
    lines = p.read().decode().splitlines()
    same((p.status, lines[0], sum(x.startswith('#EXTINF') for x in lines), len(lines)), (200, '#EXTM3U', 3, 7))
    urls = [urllib.parse.urlsplit(x) for x in lines if x.startswith('http')]
    same({u.netloc for u in urls}, {f'{api.ip}:{api.web}'})
    film = [u for u in urls if u.path == path][0]
    same(Player(api, f'{film.path}?{film.query}', {'Range': 'bytes=5-9'}).read(), s.film[5:10], 'with the token')
    same(Player(api, f'{film.path}?{film.query}x').status, 401, 'a token that was changed')
    same(Player(api, f'/api/v1/torrents/{s.torrent.hash}?{film.query}').status, 401, 'the token elsewhere')
    same(Player(api, f'/api/v1/torrents/{s.torrent.hash}/files?{film.query}').status, 401, 'the token for the list of files')
    # What the page and the playlist go by.
    listed = h.request('GET', f'/api/v1/torrents/{s.torrent.hash}/files').json()['files']
    same({f['path'].split('/')[-1]: (f['mediaType'], f['isPlayable']) for f in listed}, {
        'film.mp4': ('video/mp4', True), 'page.html': ('application/octet-stream', False), 'drawing.svg': ('application/octet-stream', False),
        s.HARD: ('video/x-matroska', True), 'empty.mp3': ('audio/mpeg', True)})
    # What somebody took away is said before the answer begins.
    def refused(range, status, words, method='GET'):
        begin = time.monotonic()
        p = ask(range, method)
        same((p.status, p.headers['Content-Type']), (status, 'application/json'), range)
        if method == 'GET': assert words in json.loads(p.read())['error']['message'], range
        took = time.monotonic() - begin
        assert took < 20, f'{took:.1f} s until the refusal'
    os.truncate(api.down / 'show' / 'film.mp4', SIZE - 1)
    for method in ('GET', 'HEAD'): refused(None, 409, 'cut short', method)
    refused('bytes=-500', 409, 'cut short')
    same(ask('bytes=5-9').read(), s.film[5:10], 'what is left of it')
    (api.down / 'show' / 'film.mp4').unlink()
    for method in ('GET', 'HEAD'): refused('bytes=5-9', 404, 'not on the disk', method)
    (api.down / 'show' / 'film.mp4').write_bytes(s.film)
    same(ask('bytes=5-9').read(), s.film[5:10], 'a file that was put back')
    # A link in the file's place leads nowhere.
    (api.down / 'show' / 'film.mp4').unlink()
    (api.down / 'show' / 'film.mp4').symlink_to('/etc/passwd')
    p = ask('bytes=0-9')
    assert p.status == 409 and b'root' not in p.read(), p.status


@in_one_life
def while_downloading(api):
    """The middle of the film is there long before the rest; two readers at once; what is stopped says so."""
    s = Source(api)
    seeder = Libtorrent(api.folder / 'stream-seeder', address(2), upload_rate_limit=2 << 20).start()
    try:
        seeder.add(s.torrent.write(api.folder / 'show.torrent'), s.folder.parent)
        until(lambda: seeder.stat()['complete'], 60, what='libtorrent to check')
        h = add(api, s, False, stopped='true')
        until(lambda: info(h, s)['state'] == 'stoppedDL', 30, what='the torrent')
        path = f'/api/v1/torrents/{s.torrent.hash}/files/{s.index("film.mp4")}'
        p = Player(api, path, {'Range': 'bytes=0-9'}, h.cookie)
        assert p.status == 409 and b'paused' in p.read(), f'a stopped torrent: {p.status}'
        same(h.post('torrents/filePrio', {'hash': s.torrent.hash, 'id': s.index('film.mp4'), 'priority': 0}).status, 200)
        same(Player(api, path, {'Range': 'bytes=0-9'}, h.cookie).status, 409, 'a file that is not wanted')
        same(h.post('torrents/filePrio', {'hash': s.torrent.hash, 'id': s.index('film.mp4'), 'priority': 1}).status, 200)
        h.post('torrents/start', {'hashes': s.torrent.hash})
        until(lambda: info(h, s)['state'] in ('stalledDL', 'downloading'), 30, what='the start')
        middle = SIZE // 2
        player = Player(api, path, {'Range': f'bytes={middle}-'}, h.cookie)
        same((player.status, player.headers['Content-Range']), (206, f'bytes {middle}-{SIZE - 1}/{SIZE}'))
        begin = time.monotonic()
        h.post('torrents/addPeers', {'hashes': s.torrent.hash, 'peers': f'{seeder.ip}:{seeder.port}'})
        got = player.read(1 << 20)
        first, progress = time.monotonic() - begin, info(h, s)['progress']
        assert progress < 0.5, f'{progress:.0%} was there when the first MiB of the middle came'
        # The beginning beside it, as players do that look for an index at the end.
        head = Player(api, path, {'Range': f'bytes=0-{(2 << 20) - 1}'}, h.cookie)
        heads = []
        thread = threading.Thread(target=lambda: heads.append(head.read()))
        thread.start()
        got += player.read()
        assert got == s.film[middle:], 'the second half differs'
        thread.join(60)
        assert heads == [s.film[:2 << 20]], 'the beginning differs'
        until(lambda: info(h, s)['progress'] == 1, 90, what='the rest')
        whole = time.monotonic() - begin
        same(s.torrent.difference(api.down), '')
        print(f'        first MiB of the middle after {first:.1f} s with {progress:.0%} of the torrent, the whole after {whole:.1f} s', flush=True)
    finally: seeder.stop()


def patience(api, seconds):
    """api.stream_timeout; None: as it was. The worker reads it at its start."""
    before, h = api.daemon.workers()['api:0']['pid'], api.logged()
    same(h.request('PATCH', '/api/v1/settings', json.dumps({'api.stream_timeout': seconds}), {'Content-Type': 'application/json'}).status, 204)
    until(lambda: api.daemon.workers()['api:0']['pid'] not in (0, before) and api.daemon.workers()['api:0']['state'] == 'ready', 40, what='another API worker')
    until(lambda: api.http().request('GET', '/readyz').status == 200, 30, what='/readyz')


def ends(api):
    """The client goes, nothing comes, the reader takes nothing: each ends the stream."""
    s = Source(api)
    h = add(api, s, False)
    until(lambda: info(h, s)['state'] == 'stalledDL', 30, what='the torrent')
    path = f'/api/v1/torrents/{s.torrent.hash}/files/{s.index("film.mp4")}'
    leaves(api, path, h)
    patience(api, 4)
    try: runs_out(api, path, h, s)
    finally: patience(api, None)


def served(api, port):
    """Whether the worker still has the connection from our `port`."""
    for line in open('/proc/net/tcp').read().splitlines()[1:]:
        words = line.split()
        if words[1].endswith(f':{api.web:04X}') and words[2].endswith(f':{port:04X}') and words[3] in ('01', '08'): return True
    return False


@in_one_life
def leaves(api, path, h):
    """Long before the 60 s in which something might come."""
    gone = Player(api, path, cookie=h.cookie)
    same(gone.status, 200)
    port = gone.sock.getsockname()[1]
    assert served(api, port)
    gone.sock.shutdown(socket.SHUT_RDWR)
    gone.close()
    until(lambda: not served(api, port), 30, 0.05, 'the stream of a client that left to end')


@in_one_life
def runs_out(api, path, h, s):
    waiting = Player(api, path, cookie=h.cookie)
    try:
        got = waiting.read()
        raise AssertionError(f'{waiting.status}, {len(got)} bytes that nobody has')
    except (http.client.IncompleteRead, ConnectionResetError): pass
    same(h.post('torrents/delete', {'hashes': s.torrent.hash, 'deleteFiles': 'true'}).status, 200)
    until(lambda: h.get('torrents/info').json() == [], 30, what='the removal')
    h = add(api, s, True)
    until(lambda: info(h, s)['progress'] == 1, 60, what='the check')
    slow = Player(api, path, cookie=h.cookie)
    port = slow.sock.getsockname()[1]
    until(lambda: not served(api, port), 40, what='the stream that nobody reads to end')
    try:
        assert len(slow.read()) < SIZE
        raise AssertionError('the whole file was in buffers')
    except (http.client.IncompleteRead, ConnectionResetError): pass
