"""What a session adds to a transfer, driven by btbt and the control socket against a libtorrent seeder: categories, tags,
limits, the queue, names, trackers, watch folders, programs, feeds. Kills the daemon in between: what was said stays said.

    session.py [--slice] [--only WORDS]
"""
import argparse, base64, hashlib, http.server, json, os, signal, socket, stat, sys, threading, time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from clients import Ccbt, Libtorrent
from content import Torrent, bencode, many_files, single_file
from sandbox import address, until


class Web:
    """Serves a dictionary of path → (type, bytes, headers)."""

    def __init__(self):
        pages = self.pages = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                kind, body, headers = pages.get(self.path, ('text/plain', None, {}))
                self.send_response(404 if body is None else 302 if 'Location' in headers else 200)
                for k, v in headers.items(): self.send_header(k, v)
                self.send_header('Content-Type', kind)
                self.send_header('Content-Length', str(len(body or b'')))
                self.end_headers()
                self.wfile.write(body or b'')

            def log_message(self, *_): pass

        self.server = http.server.ThreadingHTTPServer((address(9), 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.root = f'http://{address(9)}:{self.server.server_port}'

    def put(self, path, body, kind='application/x-bittorrent', **headers):
        self.pages[path] = (kind, body, headers)
        return self.root + path


class Session:
    def __init__(self):
        self.folder = sandbox.scratch('ccbt-session-')
        self.source = self.folder / 'source'
        self.torrents = {
            'single': Torrent(single_file(self.source / 'single.bin', (3 << 20) + 99), piece=64 << 10),
            'many': Torrent(many_files(self.source / 'many files', 40, 2 << 20), piece=32 << 10),
            'slow': Torrent(single_file(self.source / 'slow.bin', 24 << 20, seed=3), piece=256 << 10),
        }
        self.seeder = Libtorrent(self.folder / 'seeder', address(2)).start()
        self.file = {}
        for n, (name, t) in enumerate(self.torrents.items()):
            self.file[name] = t.write(self.folder / f'{name}.torrent')
            self.seeder.add(self.file[name], self.source)
            until(lambda: self.seeder.stat(n)['complete'], 60)
        self.web = Web()
        self.daemon = Ccbt(self.folder / 'daemon', address(1), rss__allow_local=True, rss__refresh_interval=60).start()
        self.btbt = self.daemon.btbt
        self.passed = self.failed = self.n = 0

    # -- helpers ------------------------------------------------------------------------------------------------------

    def down(self):
        self.n += 1
        path = self.folder / f'down{self.n}'
        path.mkdir()
        return path

    def peer(self): return ['--peer', f'{self.seeder.ip}:{self.seeder.port}']
    def all(self): return {t['hash']: t for t in self.btbt('list')}
    def get(self, name): return self.all()[self.torrents[name].hash]

    def add(self, name, *arguments): return self.btbt('add', self.file[name], *arguments, *self.peer())[0]['hash']

    def whole(self, name, timeout=60):
        until(lambda: self.get(name)['progress'] == 1 and not self.get(name)['moving'] and self.get(name)['state'] in ('seeding', 'completed'), timeout, what=f'{name} to be whole')

    def clear(self):
        for h in self.all(): self.btbt('remove', h, '--with-data')
        for key in ('disk.incomplete_dir', 'disk.incomplete_suffix', 'queue.max_active_downloading', 'seeding.max_ratio', 'add.content_layout', 'disk.download_dir', 'hooks.on_add', 'hooks.on_finish'):
            self.btbt('settings', 'unset', key)
        self.seeder.set(upload_rate_limit=0)

    def call(self, method, **params):
        """One line over the control socket, as another front end would."""
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(self.daemon.home / 'control.sock'))
        s.sendall(json.dumps({'id': 1, 'method': method, 'params': params}).encode() + b'\n')
        line = s.makefile().readline()
        s.close()
        answer = json.loads(line)
        if 'error' in answer: raise OSError(answer['error']['code'] + ': ' + answer['error']['message'])
        return answer['result']

    def refused(self, word, *arguments):
        try: self.btbt(*arguments)
        except OSError as error:
            assert word in str(error), f'{error} says nothing of "{word}"'
            return
        raise AssertionError(f'{arguments} was not refused')

    def kill(self):
        """The whole daemon at once, as by the power button; then again."""
        os.kill(self.daemon.proc.pid, signal.SIGKILL)
        self.daemon.proc.wait()
        until(lambda: not self.workers_left(), 15, what='the workers to end')
        self.daemon.start(keep=True)

    def workers_left(self):
        mine = str(self.daemon.home)
        out = []
        for p in Path('/proc').iterdir():
            if p.name.isdigit():
                try:
                    if 'ccbt-' in (p / 'comm').read_text() and sandbox.alive(int(p.name)): out.append(p.name)
                except OSError: pass
        return out

    def run(self, name, body):
        begin, why = time.monotonic(), ''
        try: body()
        except Exception as error: why = f'{type(error).__name__}: {error}'[:500]
        try: self.clear()
        except Exception as error: why = why or f'afterwards: {error}'[:300]
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}session {name:52}{time.monotonic() - begin:6.1f} s  {why}', flush=True)

    # -- cases --------------------------------------------------------------------------------------------------------

    def categories(self):
        a, b = self.down(), self.down()
        self.btbt('category', 'create', 'linux', '--save', a)
        self.refused('already', 'category', 'create', 'linux')
        self.add('many', '--category', 'linux', '--auto')
        self.whole('many')
        assert self.torrents['many'].difference(a) == ''
        self.btbt('category', 'edit', 'linux', '--save', b)
        until(lambda: self.get('many')['savePath'] == str(b) and not self.get('many')['moving'], 30, what='the data to follow')
        self.whole('many')
        assert self.torrents['many'].difference(b) == '' and not (a / 'many files').exists()
        assert self.btbt('category') == [{'name': 'linux', 'savePath': str(b)}]
        self.btbt('category', 'remove', 'linux')
        assert self.get('many')['category'] == '' and self.get('many')['savePath'] == str(b)
        self.refused('no category', 'set', self.torrents['many'].hash, '--category', 'linux')

    def words(self):
        h = self.add('single', '--save', self.down(), '--tag', 'keep', '--tag', 'b', '--name', 'A <b>name</b>')
        self.whole('single')
        self.btbt('set', h, '--comment', 'a note', '--add-tag', 'c', '--remove-tag', 'b', '--ratio', 3, '--seeding-time', 90, '--limit-action', 'remove')
        self.btbt('tag', 'create', 'later')
        before = self.get('single')
        self.kill()
        until(lambda: self.get('single')['state'] == 'seeding', 30, what='seeding again')
        after = self.get('single')
        for key in ('name', 'comment', 'tags', 'ratioLimit', 'seedingTimeLimit', 'limitAction', 'addedAt', 'completedAt', 'downloaded', 'savePath'):
            assert before[key] == after[key], f'{key}: {before[key]} became {after[key]}'
        assert after['name'] == 'A <b>name</b>' and after['tags'] == ['c', 'keep'] and after['ratioLimit'] == 3
        assert after['timeActive'] >= before['timeActive'] and after['maxRatio'] == 3 and after['maxSeedingTime'] == 90
        assert self.btbt('tag') == ['b', 'c', 'keep', 'later']
        self.btbt('tag', 'delete', 'b', 'c', 'keep', 'later')
        assert self.get('single')['tags'] == []

    def limits(self):
        h = self.add('single', '--save', self.down())
        self.whole('single')
        self.btbt('set', h, '--ratio', 0)
        until(lambda: self.get('single')['state'] == 'completed', 20, what='the ratio to stop it')
        self.btbt('set', h, '--ratio', -1)
        self.btbt('settings', 'set', 'seeding.max_ratio', '0')
        self.btbt('resume', h)
        time.sleep(2.5)
        assert self.get('single')['state'] == 'seeding', 'its own -1 stands before the setting'
        path = Path(self.get('single')['contentPath'])
        self.btbt('set', h, '--ratio', -2, '--limit-action', 'remove_with_data')
        until(lambda: not self.all(), 20, what='the removal')
        until(lambda: not path.exists(), 10, what='the data to go')

    def queue(self):
        self.btbt('settings', 'set', 'queue.max_active_downloading', '1')
        hashes = []
        for n in range(3):
            t = Torrent(single_file(self.folder / 'q' / f'q{n}.bin', 100_000, seed=50 + n), piece=16 << 10)
            hashes += [self.btbt('add', t.write(self.folder / f'q{n}.torrent'), '--save', self.down())[0]['hash']]
        states = lambda: [self.all()[h]['state'] for h in hashes]
        until(lambda: states() == ['downloading', 'queued', 'queued'], 20, what=f'one to run: {states()}')
        self.btbt('queue', 'top', hashes[2])
        until(lambda: states() == ['queued', 'queued', 'downloading'], 10, what='the top one to run')
        assert [t['hash'] for t in self.btbt('queue')] == [hashes[2], hashes[0], hashes[1]]
        self.btbt('queue', 'up', hashes[1])
        self.btbt('set', hashes[1], '--force', 'on')
        until(lambda: states() == ['queued', 'downloading', 'downloading'], 10, what='the forced one to run beside it')
        self.kill()
        until(lambda: states() == ['queued', 'downloading', 'downloading'], 30, what='the same after a kill')
        assert [t['hash'] for t in self.btbt('queue')] == [hashes[2], hashes[1], hashes[0]]

    def incomplete(self):
        final, away = self.down(), self.down()
        self.btbt('settings', 'set', 'disk.incomplete_dir', away)
        self.btbt('settings', 'set', 'disk.incomplete_suffix', '.part')
        self.seeder.set(upload_rate_limit=6 << 20)
        self.add('slow', '--save', final)
        until(lambda: (away / 'slow.bin.part').exists() and self.get('slow')['progress'] > 0.1, 30, what='data in the incomplete folder')
        assert self.get('slow')['finalPath'] == str(final) and not (final / 'slow.bin').exists()
        self.kill()
        self.whole('slow')
        assert self.torrents['slow'].difference(final) == '' and not any(away.iterdir()), list(away.iterdir())
        assert self.get('slow')['savePath'] == str(final) and 'finalPath' not in self.get('slow')

    def renames(self):
        down = self.down()
        h = self.add('many', '--save', down)
        self.whole('many')
        files = [f['path'] for f in self.btbt('files', h)]
        first = files[0]
        self.btbt('rename', 'folder', h, 'many files', 'other name')
        assert not (down / 'many files').exists()
        old = first.replace('many files', 'other name', 1)
        self.btbt('rename', 'file', h, old, 'other name/new/file.bin')
        assert (down / 'other name/new/file.bin').exists() and not (down / old).exists()
        self.refused('two files', 'rename', 'file', h, files[1].replace('many files', 'other name', 1), 'other name/new/file.bin')
        for bad in ('../x', '/etc/x', 'a//b', 'other name/./x'): self.refused('path', 'rename', 'file', h, 'other name/new/file.bin', bad)
        self.refused('no file', 'rename', 'file', h, 'nothing', 'x')
        self.btbt('recheck', h)
        self.whole('many')
        self.kill()
        self.btbt('recheck', h)
        time.sleep(0.5)
        self.whole('many')
        assert 'other name/new/file.bin' in [f['path'] for f in self.btbt('files', h)]
        assert self.get('many')['contentPath'] == str(down / 'other name')
        self.btbt('remove', h, '--with-data')
        until(lambda: not any(down.iterdir()), 10, what='everything to be deleted under its new names')

    def layouts(self):
        flat, boxed = self.down(), self.down()
        a = self.add('many', '--save', flat, '--layout', 'no_subfolder')
        b = self.add('single', '--save', boxed, '--layout', 'subfolder')
        self.whole('many')
        self.whole('single')
        assert not (flat / 'many files').exists() and len(list(flat.iterdir())) == 13
        assert (boxed / 'single' / 'single.bin').stat().st_size == self.torrents['single'].size
        for h, name in ((a, 'many'), (b, 'single')):
            self.btbt('recheck', h)
            time.sleep(0.3)
            self.whole(name)
        self.refused('writes', 'add', self.copy('many', 'twin'), '--save', flat, '--layout', 'no_subfolder')

    def copy(self, name, as_name):
        """The same content under another info-hash."""
        t = self.torrents[name]
        path = self.folder / f'{as_name}.torrent'
        path.write_bytes(bencode({'announce': 'http://127.0.0.1:9/a', 'info': {**t.info, 'source': as_name}}))
        return path

    def trackers(self):
        h = self.add('single', '--save', self.down())
        urls = lambda: [(t['tier'], t['url']) for t in self.btbt('trackers', h)]
        self.btbt('tracker', 'add', h, f'{self.web.root}/announce', 'udp://127.0.0.1:9')
        assert [u for _, u in urls()][1:] == [f'{self.web.root}/announce', 'udp://127.0.0.1:9'], urls()
        self.btbt('tracker', 'edit', h, 'udp://127.0.0.1:9', 'udp://127.0.0.1:10')
        self.refused('no tracker', 'tracker', 'edit', h, 'udp://127.0.0.1:9', 'udp://127.0.0.1:11')
        self.refused('address', 'tracker', 'add', h, 'ftp://example.org/announce')
        until(lambda: [t for t in self.btbt('trackers', h) if t['url'].startswith(self.web.root) and 'HTTP 404' in t.get('message', '')], 20, what='the new tracker to be asked')
        self.web.put('/announce', bencode({'interval': 900, 'peers': b'', 'complete': 7, 'incomplete': 3}), kind='text/plain')
        self.btbt('tracker', 'replace', h, f'{self.web.root}/announce?key=2')
        self.web.put('/announce?key=2', b'', kind='text/plain')
        assert urls() == [(0, f'{self.web.root}/announce?key=2')]
        exported = self.folder / 'exported.torrent'
        self.btbt('export', h, exported)
        raw = exported.read_bytes()
        assert f'{self.web.root}/announce?key=2'.encode() in raw and b'x-ccbt' not in raw
        at = raw.index(b'4:info') + 6
        assert hashlib.sha1(raw[at:at + len(bencode(self.torrents['single'].info))]).hexdigest() == h
        self.btbt('tracker', 'remove', h, f'{self.web.root}/announce?key=2')
        assert urls() == []

    def pieces(self):
        h = self.add('single', '--save', self.down())
        self.whole('single')
        t = self.torrents['single']
        assert self.call('pieces.states', hash=h)['states'] == '2' * t.pieces
        hashes = self.call('pieces.hashes', hash=h)['hashes']
        assert ''.join(hashes) == t.info['pieces'].hex()

    def watching(self):
        drop, save = self.down(), self.down()
        self.btbt('watch-folder', 'set', drop, '--save', save, '--category', 'dropped', '--tag', 'w')
        (drop / 'half.torrent.tmp').write_bytes(self.file['single'].read_bytes())
        (drop / 'half.torrent.tmp').rename(drop / 'a.torrent')
        (drop / 'b.magnet').write_text(f'magnet:?xt=urn:btih:{self.torrents["many"].hash}&dn=many\n')
        (drop / 'c.torrent').write_bytes(b'no torrent')
        until(lambda: (drop / 'a.torrent.added').exists() and (drop / 'b.magnet.added').exists() and (drop / 'c.torrent.rejected').exists(), 20, what=f'{list(drop.iterdir())}')
        t = self.get('single')
        assert t['category'] == 'dropped' and t['tags'] == ['w'] and t['savePath'] == str(save)
        self.kill()
        (drop / 'd.torrent').write_bytes(self.file['single'].read_bytes())
        until(lambda: (drop / 'd.torrent.added').exists(), 20, what='the folder to be watched after a kill')
        self.btbt('watch-folder', 'remove', drop)
        assert self.btbt('watch-folder') == []
        self.btbt('category', 'remove', 'dropped')
        self.btbt('tag', 'delete', 'w')

    def programs(self):
        out, down = self.folder / 'hook output', self.down()
        program = self.folder / 'hook.sh'
        program.write_text(f'#!/bin/sh\nfor a in "$@"; do printf "%s\\n" "$a"; done >> "{out}"\n')
        program.chmod(0o755)
        self.btbt('settings', 'set', 'hooks.on_add', f'{program},add %N')
        self.btbt('settings', 'set', 'hooks.on_finish', f'{program},%N,%L,%F,%D,%C,%Z,%I,%K,%G')
        name = '$(touch /tmp/ccbt-owned); `id` & "x"'
        h = self.add('single', '--save', down, '--name', name, '--category', 'c', '--tag', 't')
        self.whole('single')
        t = self.torrents['single']
        expected = ['add ' + name, name, 'c', str(down / 'single.bin'), str(down), '1', str(t.size), h, h, 't']
        until(lambda: out.exists() and len(out.read_text().splitlines()) == len(expected), 15, what='the programs to run')
        assert out.read_text().splitlines() == expected, out.read_text()
        assert not Path('/tmp/ccbt-owned').exists()
        self.btbt('category', 'remove', 'c')
        self.btbt('tag', 'delete', 't')

    def feeds(self):
        down = self.down()
        link = self.web.put('/single.torrent', self.file['single'].read_bytes())
        items = ''.join(f'<item><title>{title}</title><guid>{n}</guid><enclosure url="{url}" type="application/x-bittorrent"/><pubDate>Tue, 14 Nov 2023 22:13:2{n} GMT</pubDate></item>'
                        for n, (title, url) in enumerate([('Show S01E02 1080p', link), ('Show S01E02 720p', self.web.root + '/none.torrent'), ('Other', link)]))
        feed = self.web.put('/feed.xml', f'<?xml version="1.0"?><rss version="2.0"><channel><title>The feed</title>{items}</channel></rss>'.encode(), kind='application/rss+xml')
        self.btbt('rss', 'folder', 'TV')
        self.btbt('rss', 'add', feed, '--path', 'TV\\shows')
        until(lambda: self.btbt('rss')['feeds'][0].get('fetchedAt'), 20, what='the feed')
        assert [a['title'] for a in self.btbt('rss', 'articles', 'TV\\shows')] == ['Other', 'Show S01E02 720p', 'Show S01E02 1080p']
        self.btbt('rss', 'rule', 'show', '--feed', feed, '--contain', 'show s01e0?', '--not-contain', '720p', '--episodes', '1x1-5;', '--smart', '--category', 'tv', '--save', down)
        until(lambda: self.torrents['single'].hash in self.all(), 20, what='the rule to take it')
        assert self.get('single')['category'] == 'tv' and self.get('single')['savePath'] == str(down)
        assert self.btbt('rss', 'matching', 'show') == [{'path': 'TV\\shows', 'articles': ['Show S01E02 1080p']}]
        self.kill()
        assert self.btbt('rss', 'rules')[0]['previouslyMatched'] == ['1x2']
        assert sorted(a['isRead'] for a in self.btbt('rss', 'articles', 'TV\\shows')) == [False, False, True]
        self.refused('regular expression', 'rss', 'rule', 'bad', '--contain', '(', '--regex')
        bad = self.web.put('/bad.xml', b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><html>&b;', kind='text/xml')
        self.btbt('rss', 'add', bad, '--path', 'bad')
        until(lambda: [f for f in self.btbt('rss')['feeds'] if f['path'] == 'bad' and f.get('error')], 20, what='the bad feed to be told')
        for path in ('bad', 'TV'): self.btbt('rss', 'remove', path)
        self.btbt('rss', 'rule-remove', 'show')
        assert self.btbt('rss') == {'feeds': [], 'folders': []}
        self.btbt('category', 'remove', 'tv')

    def addresses(self):
        link = self.web.put('/t.torrent', self.file['single'].read_bytes())
        hop = self.web.put('/hop', b'', Location='/t.torrent')
        assert self.btbt('add', hop, '--save', self.down())[0]['hash'] == self.torrents['single'].hash
        away = self.web.put('/magnet', b'', Location=f'magnet:?xt=urn:btih:{self.torrents["many"].hash}')
        assert self.btbt('add', away, '--save', self.down())[0]['hash'] == self.torrents['many'].hash
        self.refused('HTTP 404', 'add', self.web.root + '/nothing', '--save', self.down())
        self.btbt('settings', 'set', 'rss.allow_local', 'false')
        try: self.refused('may not be asked', 'add', link, '--save', self.down())
        finally: self.btbt('settings', 'unset', 'rss.allow_local')

    def stopping(self):
        magnet = f'magnet:?xt=urn:btih:{self.torrents["many"].hash}'
        self.btbt('add', magnet, '--save', self.down(), '--stop-condition', 'metadata_received', *self.peer())
        until(lambda: self.get('many')['hasMetadata'], 30, what='the metadata')
        time.sleep(1)
        t = self.get('many')
        assert t['state'] == 'paused' and t['done'] == 0, t['state']
        self.btbt('resume', t['hash'])
        self.whole('many')

    def exact(self):
        """No peer has the metadata: the addresses of the link do. The first one lies, the second is a page, the third is right."""
        from urllib.parse import quote
        lie = self.web.put('/lie.torrent', self.file['single'].read_bytes())
        page = self.web.put('/page', b'<html>', kind='text/html')
        right = self.web.put('/right.torrent', self.file['many'].read_bytes())
        magnet = f'magnet:?xt=urn:btih:{self.torrents["many"].hash}'
        for url in (lie, page, right): magnet += f'&xs={quote(url, safe="")}'
        self.btbt('add', magnet, '--save', self.down())
        until(lambda: self.get('many')['hasMetadata'], 30, what='the metadata')
        self.btbt('peers', 'add', self.torrents['many'].hash, f'{self.seeder.ip}:{self.seeder.port}')
        self.whole('many')
        # A torrent that nobody has. The address that was out of reach is asked again after a restart of everything.
        lone = Torrent(single_file(self.folder / 'lone' / 'lone.bin', 99999, seed=9), piece=32 << 10)
        late = self.web.root + '/late.torrent'
        self.btbt('add', f'magnet:?xt=urn:btih:{lone.hash}&xs={quote(late, safe="")}', '--save', self.down())
        time.sleep(1)
        assert not self.all()[lone.hash]['hasMetadata']
        self.web.put('/late.torrent', lone.write(self.folder / 'lone.torrent').read_bytes())
        self.kill()
        until(lambda: self.all()[lone.hash]['hasMetadata'], 30, what='the metadata after a restart')

    def numbers(self):
        before = self.btbt('stats')
        h = self.add('single', '--save', self.down())
        self.whole('single')
        self.btbt('remove', h, '--with-data')
        after = self.btbt('stats')
        assert after['downloadedEver'] - before['downloadedEver'] >= self.torrents['single'].size
        assert after['addedEver'] == before['addedEver'] + 1 and after['completedEver'] == before['completedEver'] + 1
        # Totals are stored with the counters, at most 10 s later.
        time.sleep(11)
        self.kill()
        assert self.btbt('stats')['downloadedEver'] == after['downloadedEver'], 'what was removed still counts'
        assert self.btbt('stats')['downloadedSession'] == 0
        lines = self.btbt('log')
        assert lines and all(b['id'] > a['id'] for a, b in zip(lines, lines[1:]))
        assert self.btbt('log', '--after', lines[-1]['id']) == []

    def changes(self):
        """A front end that follows changes: a snapshot, then only what moved."""
        h = self.add('single', '--save', self.down())
        self.whole('single')
        s = socket.socket(socket.AF_UNIX)
        s.connect(str(self.daemon.home / 'control.sock'))
        s.settimeout(5)
        s.sendall(b'{"id":7,"method":"watch","params":{"changes":true,"interval":0.1}}\n')
        lines = s.makefile()
        first = [json.loads(lines.readline()) for _ in range(3)]
        assert first[0].get('result') == {} and first[1]['torrent']['hash'] == h and first[2]['event'] == 'snapshot', first
        self.btbt('category', 'create', 'seen')
        self.btbt('set', h, '--category', 'seen')
        got = []
        while not any(g.get('torrent', {}).get('category') == 'seen' for g in got): got.append(json.loads(lines.readline()))
        assert any(g.get('event') == 'categories' for g in got), got
        self.btbt('category', 'remove', 'seen')
        while 'torrent' not in got[-1] or got[-1]['torrent']['category']: got.append(json.loads(lines.readline()))
        # Rates fade for some seconds; then nothing moves, and nothing is said.
        s.setblocking(False)
        end, quiet = time.monotonic() + 40, time.monotonic()
        while time.monotonic() - quiet < 2:
            assert time.monotonic() < end, 'it never falls silent'
            try:
                if s.recv(1 << 16): quiet = time.monotonic()
            except BlockingIOError: time.sleep(0.05)
        s.close()

    def waiting(self):
        for wait in (0, 0, 0.02, 0.1):
            os.kill(self.daemon.workers()['discovery:0']['pid'], signal.SIGKILL)
            time.sleep(wait)
            # An answer and not "the discovery worker is restarting", which raises: asked before its end is known, and after.
            self.btbt('nat', 'status')
        # It ends while it has the question: its successor is asked.
        os.kill(self.daemon.workers()['discovery:0']['pid'], signal.SIGSTOP)
        pid = self.daemon.workers()['discovery:0']['pid']
        threading.Timer(1, os.kill, (pid, signal.SIGKILL)).start()
        self.btbt('nat', 'status')

    def confinement(self):
        def filtered(daemon):
            status = {name: Path(f'/proc/{w["pid"]}/status').read_text() for name, w in daemon.workers().items()}
            return {name.split(':')[0]: 'Seccomp:\t2' in text for name, text in status.items() if not name.startswith('supervisor')}
        assert filtered(self.daemon) == {'session': False, 'peer': True, 'disk': True, 'discovery': True}, filtered(self.daemon)
        # Every case before this one ran confined; this one shows that the same works without.
        free = Ccbt(self.folder / 'unconfined', address(4), security__confine_workers=False).start()
        assert not any(filtered(free).values()), filtered(free)
        free.add(self.file['single'], self.down())
        free.dial(self.seeder.ip, self.seeder.port)
        until(lambda: free.stat()['complete'], 60)
        free.stop()


CASES = [
    ('categories move data under automatic management', 'categories', True), ('names, notes, tags and limits outlive a kill', 'words', True),
    ('share limits stop and remove', 'limits', True), ('the queue follows its order, forced torrents do not', 'queue', True),
    ('incomplete folder and suffix, killed on the way', 'incomplete', True), ('files and folders renamed, checked again', 'renames', True),
    ('content with and without a folder', 'layouts', True), ('trackers added, changed, replaced; export', 'trackers', True), ('states and hashes of pieces', 'pieces', True),
    ('watch folder takes torrents and magnets', 'watching', True), ('programs get arguments, not a shell', 'programs', True), ('feeds and rules', 'feeds', True),
    ('torrents by address, local ones refused', 'addresses', True), ('a magnet that stops at its metadata', 'stopping', True), ('metadata from the address in a magnet', 'exact', True), ('totals and log', 'numbers', False),
    ('changes only, after a snapshot', 'changes', True), ('workers confine themselves, unless told not to', 'confinement', True), ('requests wait for a worker that restarts', 'waiting', True),
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--slice', action='store_true', help='without the slowest case')
    parser.add_argument('--only', default='', help='cases whose name has these words')
    arguments = parser.parse_args()
    sandbox.enter()
    session = Session()
    for name, body, in_slice in CASES:
        if arguments.only in name and (in_slice or not arguments.slice): session.run(name, getattr(session, body))
    session.daemon.stop()
    print(f'{session.passed} passed, {session.failed} failed')
    sys.exit(session.failed > 0)


if __name__ == '__main__': main()
