"""The HTTP APIs of the running daemon, driven by unmodified clients and by the request sequences of programs.

    api.py [--slice] [--only TEXT]

qbittorrent-api and transmission-rpc from PyPI and Debian's transmission-remote where a client speaks, plain HTTP where the bytes themselves are the point. What each program sends
and reads is taken from its public sources. Every case prints one line.
"""
import argparse, base64, traceback, hashlib, http.client, json, os, shutil, signal, subprocess, sys, threading, time, urllib.parse
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox, streaming
from clients import Ccbt, Libtorrent
from content import Torrent, many_files, single_file
from sandbox import address, until
from session import Web

USER, PASSWORD = 'admin', 'correct-horse'


def stored_hash(password):
    """A line of the state directory's api/password, made without our own code."""
    salt = os.urandom(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, n=16384, r=8, p=1, dklen=32)
    return f'scrypt:16384:8:1:{base64.b64encode(salt).decode()}:{base64.b64encode(digest).decode()}\n'


def multipart(fields, files):
    mark = 'b' + os.urandom(8).hex()
    out = b''
    for name, value in fields: out += f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for name, filename, data in files:
        out += f'--{mark}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: application/x-bittorrent\r\n\r\n'.encode() + data + b'\r\n'
    return out + f'--{mark}--\r\n'.encode(), f'multipart/form-data; boundary={mark}'


class Http:
    """One program's connection: remembers the session cookie as programs do."""

    def __init__(self, host, port): self.host, self.port, self.cookie = host, port, None

    def request(self, method, path, body=None, headers=None, cookie=True):
        link = http.client.HTTPConnection(self.host, self.port, timeout=30)
        head = dict(headers or {})
        if isinstance(body, dict):
            body, head['Content-Type'] = urllib.parse.urlencode(body), 'application/x-www-form-urlencoded'
        if cookie and self.cookie: head['Cookie'] = self.cookie
        link.request(method, path, body, head)
        answer = link.getresponse()
        data = answer.read()
        link.close()
        self.status, self.headers, self.text = answer.status, answer.headers, data.decode(errors='replace')
        return self

    def get(self, path, **more): return self.request('GET', '/api/v2/' + path, **more)
    def post(self, path, body=None, **more): return self.request('POST', '/api/v2/' + path, body if body is not None else {}, **more)
    def json(self): return json.loads(self.text)

    def login(self, user=USER, password=PASSWORD):
        self.post('auth/login', {'username': user, 'password': password})
        if (c := self.headers.get('Set-Cookie')): self.cookie = c.split(';')[0]
        return self


def same(got, wanted, what=''):
    assert got == wanted, f'{what}: {got!r}, not {wanted!r}'


class Api:
    def __init__(self, only):
        self.only = only or ''
        self.folder = sandbox.scratch('ccbt-api-')
        self.passed = self.failed = 0
        self.down = self.folder / 'down'
        self.down.mkdir()
        self.ip, self.web = address(1), 18080
        self.daemon = Ccbt(self.folder / 'state', self.ip, api__enable=True, api__listen=[f'{self.ip}:{self.web}'], disk__download_dir=str(self.down), rss__allow_local=True)
        self.state = self.folder / 'state'
        (self.state / 'api').mkdir(parents=True, mode=0o700)
        self.state.chmod(0o700)
        (self.state / 'api' / 'password').write_text(stored_hash(PASSWORD))
        self.daemon.start()
        until(lambda: self.http().request('GET', '/readyz').status == 200, 30, what='/readyz')
        self.single = Torrent(single_file(self.folder / 'source' / 'single.bin', (1 << 20) + 77), piece=64 << 10)
        self.many = Torrent(many_files(self.folder / 'source' / 'many files', 20, 1 << 20), piece=32 << 10)

    def http(self): return Http(self.ip, self.web)
    def logged(self): return self.http().login()

    def library(self):
        import qbittorrentapi
        return qbittorrentapi.Client(host=f'http://{self.ip}:{self.web}', username=USER, password=PASSWORD, RAISE_NOTIMPLEMENTEDERROR_FOR_UNIMPLEMENTED_API_ENDPOINTS=True)

    def file(self, torrent): return torrent.write(self.folder / f'{torrent.name}.torrent')
    def hash(self, torrent): return torrent.hash if hasattr(torrent, 'hash') else torrent.info_hash

    def run(self, name, body):
        if self.only not in name: return
        begin, why = time.monotonic(), ''
        try: body()
        except Exception as error: why = f'{type(error).__name__} at line {traceback.extract_tb(error.__traceback__)[1].lineno}: {error}'[:600]
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}api {name:52}{time.monotonic() - begin:6.1f} s  {why}', flush=True)
        try:
            h = self.logged()
            h.post('torrents/delete', {'hashes': 'all', 'deleteFiles': 'true'})
            until(lambda: h.get('torrents/info').json() == [], 15, what='an empty list')
        except Exception as error: print(f'        clearing: {error}', flush=True)

    # -- who may ask -------------------------------------------------------------------------------------------------

    def refusals(self):
        h = self.http()
        same(h.get('app/webapiVersion').status, 403, 'without a session')
        same(h.get('app/webapiVersion', headers={'Authorization': 'Basic Og=='}).status, 403, 'empty Basic')
        same(h.post('auth/login', {'username': USER, 'password': 'wrong'}).text, 'Fails.')
        same(h.headers.get('Set-Cookie'), None)
        same(h.login().text, 'Ok.')
        assert h.headers['Set-Cookie'].startswith('SID=') and 'HttpOnly' in h.headers['Set-Cookie'], h.headers['Set-Cookie']
        same((h.get('app/version').status, h.text), (200, 'v5.1.4'))
        same((h.get('app/webapiVersion').text, h.headers['Content-Type'].split(';')[0]), ('2.11.4', 'text/plain'))
        same(h.get('nonsense/action').status, 404)
        basic = base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()
        same(self.http().get('app/version', headers={'Authorization': f'Basic {basic}'}).status, 200, 'Basic')
        whole = h.cookie + '; HttpOnly; SameSite=Lax; path=/'
        same(self.http().get('app/version', headers={'Cookie': whole}).status, 200, 'the whole Set-Cookie replayed')
        same(h.post('auth/logout').status, 200)
        same(h.get('app/version').status, 403, 'after logout')

    def origins(self):
        h = self.logged()
        own = f'{self.ip}:{self.web}'
        same(h.get('app/version', headers={'Origin': f'http://{own}'}).status, 200)
        same(h.get('app/version', headers={'Referer': f'http://{own}/page'}).status, 200)
        same(h.get('app/version', headers={'Origin': 'http://evil.example'}).status, 401)
        same(h.get('app/version', headers={'Referer': f'http://evil.example/{own}'}).status, 401)
        same(h.get('app/version', headers={'Sec-Fetch-Site': 'cross-site'}).status, 401)
        for name in ('X-Frame-Options', 'X-Content-Type-Options', 'Content-Security-Policy', 'Referrer-Policy'): assert h.headers[name], name
        same(self.http().request('GET', '/../../etc/passwd').status in (400, 404), True, 'a path outside')
        same(self.http().request('GET', '/%2e%2e/%2e%2e/etc/passwd').status, 404)
        page = self.http().request('GET', '/')
        if page.headers['Content-Type'].startswith('text/html'):
            tag = page.headers['ETag']
            same(self.http().request('GET', '/', headers={'If-None-Match': tag}).status, 304)
            same(self.http().request('GET', '/style.css').headers['Content-Type'].split(';')[0], 'text/css')

    # -- adding and looking ------------------------------------------------------------------------------------------

    def adds(self):
        q = self.library()
        same(q.torrents_add(torrent_files=[str(self.file(self.single)), str(self.file(self.many))], is_stopped=True), 'Ok.')
        t = {x.name: x for x in q.torrents_info()}
        same(set(t), {self.single.name, self.many.name})
        one = t[self.single.name]
        same((one.size, one.total_size, one.save_path, one.progress, one.eta, one.completion_on), (self.single.size, self.single.size, str(self.down), 0, 8640000, -1))
        assert one.content_path == f'{self.down}/{self.single.name}' != one.save_path
        assert one.state in ('stoppedDL', 'checkingResumeData', 'checkingDL'), one.state
        same(q.torrents_add(torrent_files=str(self.file(self.single))), 'Fails.', 'the same again')
        same(q.torrents_count(), 2)
        files = q.torrents_files(t[self.many.name].hash)
        assert files[0].name.startswith(self.many.name + '/') and files[0].is_seed is False and 'is_seed' not in files[1], files[0]
        assert all(0 <= f.piece_range[0] <= f.piece_range[1] for f in files if f.size), 'piece ranges'
        same(sum(f.size for f in files), self.many.size)
        p = q.torrents_properties(one.hash)
        same((p.piece_size, p.pieces_num, p.save_path), (64 << 10, 17, str(self.down)))
        same([x.url for x in q.torrents_trackers(one.hash)][:3], ['** [DHT] **', '** [PeX] **', '** [LSD] **'])
        same(q.torrents_piece_states(one.hash), [0] * 17)
        same(len(q.torrents_info(torrent_hashes=[one.hash.upper(), 'f' * 40])), 1, 'upper case, and an unknown one')
        same(self.logged().get('torrents/properties?hash=' + 'f' * 40).status, 404)
        same(self.logged().get('torrents/info?sort=nonsense').status, 400)
        same([x.name for x in q.torrents_info(sort='name', reverse=True, limit=1)], [max(t, key=str.lower)])
        body, kind = multipart([('dummy', '')], [('torrents', 'x.torrent', b'no torrent at all')])
        same(self.logged().post('torrents/add', body, headers={'Content-Type': kind}).status, 415)
        same(self.logged().post('torrents/add').status, 400, 'nothing given')

    def magnets(self):
        q = self.library()
        link = 'magnet:?xt=urn:btih:' + 'ab' * 20 + '&dn=a%20name'
        same(q.torrents_add(urls=[link, 'cd' * 20]), 'Ok.')
        t = {x.hash: x for x in q.torrents_info()}
        same((t['ab' * 20].state, t['ab' * 20].has_metadata, t['ab' * 20].name), ('metaDL', False, 'a name'))
        same(q.torrents_files('ab' * 20), [])
        q.torrents_stop('ab' * 20)
        same(q.torrents_info(torrent_hashes='ab' * 20)[0].state, 'stoppedDL')

    def deltas(self):
        q = self.library()
        h = self.logged()
        full = h.get('sync/maindata?rid=0').json()
        assert full['full_update'] and full['torrents'] == {} and isinstance(full['server_state']['global_ratio'], str)
        q.torrents_add(torrent_files=str(self.file(self.single)), is_stopped=True)
        one = h.get(f'sync/maindata?rid={full["rid"]}').json()
        assert 'full_update' not in one, 'a delta'
        (hash, row), = one['torrents'].items()
        same(row['name'], self.single.name)
        assert 'hash' not in row
        again = h.get(f'sync/maindata?rid={full["rid"]}').json()
        same(set(again['torrents']), {hash}, 'an answer that was lost comes again')
        until(lambda: q.torrents_info()[0].state == 'stoppedDL', 10, what='stoppedDL')
        rid = again['rid']
        settled = h.get(f'sync/maindata?rid={rid}').json()
        idle = h.get(f'sync/maindata?rid={settled["rid"]}')
        same('torrents' in idle.json(), False, 'an idle delta')
        assert len(idle.text) < 1024, len(idle.text)
        q.torrents_delete(delete_files=True, torrent_hashes=hash)
        same(h.get(f'sync/maindata?rid={idle.json()["rid"]}').json()['torrents_removed'], [hash])
        assert h.post('sync/maindata', {'rid': 77777}).json()['full_update'], 'an unknown rid'

    def preferences(self):
        q = self.library()
        p = q.app_preferences()
        same((p.save_path, p.dht, p.max_ratio_act, p.queueing_enabled), (str(self.down), p.dht, 0, True))
        q.app_set_preferences({'queueing_enabled': False, 'max_active_downloads': 7, 'no_such_key': 1})
        until(lambda: (q.app_preferences().queueing_enabled, q.app_preferences().max_active_downloads) == (False, 7), 5, what='the new settings')
        q.app_set_preferences({'queueing_enabled': True, 'max_active_downloads': 0})
        same(q.app_default_save_path(), str(self.down))
        assert 'libtorrent' in q.app_build_info()

    def settings_both_ways(self):
        """Keys of qBittorrent's preferences: what was set is in force in the daemon and is read again."""
        q = self.library()
        def option(key): return self.daemon.btbt('settings', 'show', key)[0]['value']
        before = q.app_preferences()
        cases = [
            ({'limit_lan_peers': False}, {'limits.local_peers': 'exempt'}), ({'dont_count_slow_torrents': True, 'slow_torrent_inactive_timer': 90}, {'queue.ignore_slow_torrents': 'true', 'queue.slow_after': '90'}),
            ({'max_active_uploads': -1, 'max_active_downloads': 9}, {'queue.max_active_seeding': '0', 'queue.max_active_downloading': '9'}),
            ({'temp_path_enabled': True, 'temp_path': f'{self.folder}/tmp'}, {'disk.incomplete_dir': f'{self.folder}/tmp'}), ({'temp_path_enabled': False}, {'disk.incomplete_dir': ''}),
            ({'incomplete_files_ext': True}, {'disk.incomplete_suffix': '.part'}), ({'incomplete_files_ext': False}, {'disk.incomplete_suffix': ''}),
            ({'max_ratio_enabled': True, 'max_ratio': 2.5, 'max_ratio_act': 0}, {'seeding.max_ratio': '2.5'}), ({'max_ratio_enabled': False}, {'seeding.max_ratio': '-1'}),
            ({'scheduler_enabled': True, 'schedule_from_hour': 22, 'schedule_from_min': 30, 'schedule_to_hour': 6, 'schedule_to_min': 0, 'scheduler_days': 1},
             {'limits.alt_mode': 'schedule', 'limits.alt_schedule': 'mon+tue+wed+thu+fri 22:30-06:00'}),
            ({'scheduler_days': 9}, {'limits.alt_schedule': 'sun 22:30-06:00'}), ({'scheduler_enabled': False}, {'limits.alt_mode': 'off'}),
            ({'rss_refresh_interval': 45, 'rss_max_articles_per_feed': 33}, {'rss.refresh_interval': '2700', 'rss.max_articles': '33'}),
            ({'autorun_enabled': True, 'autorun_program': '/bin/echo "two words" %N'}, {'hooks.on_finish': '/bin/echo,two words,%N'}), ({'autorun_enabled': False}, {'hooks.on_finish': ''}),
            ({'ip_filter_enabled': True, 'banned_IPs': '192.0.2.1\n198.51.100.0/24'}, {'security.ip_filter.enable_ip_filter': 'true', 'security.ip_filter.ranges': '192.0.2.1,198.51.100.0/24'}),
            ({'ip_filter_enabled': False, 'banned_IPs': ''}, {'security.ip_filter.ranges': ''}), ({'add_stopped_enabled': True}, {'add.paused': 'true'}), ({'add_stopped_enabled': False}, {'add.paused': 'false'}),
        ]
        for change, wanted in cases:
            q.app_set_preferences(change)
            now = q.app_preferences()
            for key, value in change.items():
                if not (key == 'temp_path' or key == 'max_ratio' and not change['max_ratio_enabled']): same(now[key], value, key)
            for key, value in wanted.items(): same(option(key), value, key)
        h = self.logged()
        for bad in ({'encryption': 7}, {'proxy_type': 'SOCKS4'}, {'max_ratio': 'x', 'temp_path_enabled': True, 'temp_path': 'relative'}, {'autorun_enabled': True, 'autorun_program': 'open "quote'}):
            same(h.post('app/setPreferences', {'json': json.dumps(bad)}).status, 400, str(bad))
        same(option('disk.incomplete_dir'), '', 'all or nothing')
        # Watched folders are a list of their own.
        watched = self.folder / 'watched'
        watched.mkdir(exist_ok=True)
        q.app_set_preferences({'scan_dirs': {str(watched): 1}})
        same(dict(q.app_preferences().scan_dirs), {str(watched): 1})
        q.app_set_preferences({'scan_dirs': {str(watched): str(self.down)}})
        same(dict(q.app_preferences().scan_dirs), {str(watched): str(self.down)})
        q.app_set_preferences({'scan_dirs': {}})
        same(dict(q.app_preferences().scan_dirs), {})
        q.app_set_preferences({'max_active_downloads': -1, 'rss_refresh_interval': before.rss_refresh_interval, 'rss_max_articles_per_feed': before.rss_max_articles_per_feed, 'limit_lan_peers': True, 'dont_count_slow_torrents': False})

    def settings_that_restart(self):
        """Options that workers read at their start: they are restarted, sockets are bound anew, and the daemon's next start has them too."""
        q = self.library()
        q.torrents_add(torrent_files=str(self.file(self.single)), is_stopped=True)
        def pid(name): return self.daemon.workers()[name]['pid']
        def listening(port):
            import socket
            with socket.create_connection((self.ip, port), 2): return True
        peer, disk = pid('peer:0'), pid('disk:0')
        free = self.daemon.port + 900
        # ccbtd was told its address on the command line, which wins over the port; what is set is shown all the same.
        q.app_set_preferences({'dht': False, 'pex': False, 'encryption': 1, 'bittorrent_protocol': 1, 'max_connec_per_torrent': 77, 'proxy_type': 'SOCKS5', 'proxy_ip': '192.0.2.9', 'proxy_port': 1081, 'proxy_password': 'a secret', 'proxy_username': 'me'})
        p = q.app_preferences()
        same((p.dht, p.pex, p.encryption, p.bittorrent_protocol, p.max_connec_per_torrent), (False, False, 1, 1, 77))
        same((p.proxy_type, p.proxy_ip, p.proxy_port, p.proxy_username, p.proxy_password, p.proxy_auth_enabled), ('SOCKS5', '192.0.2.9', 1081, 'me', '', True))
        def restarted(name, before): until(lambda: self.daemon.workers()[name]['pid'] not in (0, before) and self.daemon.workers()[name]['state'] == 'ready', 40, what=f'another {name}')
        restarted('peer:0', peer)
        same(pid('disk:0'), disk, 'a worker that reads none of them goes on')
        for text in (self.http().login().request('GET', '/api/v1/settings').text, json.dumps(self.daemon.btbt('settings', 'show', 'proxy')), (self.state / 'log').read_text()):
            assert 'a secret' not in text, 'a secret is shown'
        same((self.state / 'settings').stat().st_mode & 0o777, 0o600, 'mode of the stored settings')
        # The API worker is restarted after the answer; its cookie stays good.
        h = self.logged()
        api = pid('api:0')
        same(h.post('app/setPreferences', {'json': json.dumps({'web_ui_max_auth_fail_count': 6})}).status, 200)
        restarted('api:0', api)
        until(lambda: h.get('app/preferences').json()['web_ui_max_auth_fail_count'] == 6, 30, what='the new value, with the same cookie')
        # Another address for the page, bound while everything runs.
        api = pid('api:0')
        same(h.post('app/setPreferences', {'json': json.dumps({'web_ui_port': self.web + 1})}).status, 200)
        other = Http(self.ip, self.web + 1)
        other.cookie = h.cookie
        restarted('api:0', api)
        until(lambda: other.get('app/version').status == 200, 30, what='the page at its new port')
        same(other.get('torrents/info').json()[0]['hash'], self.single.hash)
        api = pid('api:0')
        same(other.post('app/setPreferences', {'json': json.dumps({'web_ui_port': self.web})}).status, 200)
        restarted('api:0', api)
        until(lambda: h.get('app/version').status == 200, 30, what='the page at its old port')
        # The whole daemon, started again, has them.
        self.daemon.stop()
        self.daemon.start(keep=True)
        until(lambda: h.request('GET', '/readyz').status == 200, 30, what='/readyz')
        p = self.library().app_preferences()
        same((p.dht, p.encryption, p.bittorrent_protocol, p.proxy_type), (False, 1, 1, 'SOCKS5'))
        # Given back all at once: one restart of each worker that read any of them.
        before = {name: w['pid'] for name, w in self.daemon.workers().items()}
        keys = [o['key'] for o in self.daemon.btbt('settings') if o['isOverridden'] and o['needsRestart']]
        assert len(keys) >= 10, keys
        same(h.request('PATCH', '/api/v1/settings', json.dumps({k: None for k in keys})).status, 204)
        same((self.state / 'settings').read_text(), '', 'nothing is left')
        for name in ('peer:0', 'discovery:0', 'api:0'): restarted(name, before[name])
        until(lambda: h.request('GET', '/readyz').status == 200, 30, what='/readyz')
        until(lambda: h.get('app/preferences').json()['web_ui_max_auth_fail_count'] == 5, 30, what='the value of the configuration')

    # -- feeds, folders, search --------------------------------------------------------------------------------------

    def refused(self, kind, body):
        import qbittorrentapi
        try: body()
        except getattr(qbittorrentapi.exceptions, kind): return
        raise AssertionError(f'no {kind}')

    def feeds(self):
        q, web = self.library(), Web()
        item = lambda n, title, day: f'<item><guid>{n}</guid><title>{title}</title><pubDate>{day:02} Nov 2026 10:00:00 GMT</pubDate><enclosure type="application/x-bittorrent" url="{web.put(f"/{n}.torrent", self.file(self.single).read_bytes())}"/></item>'
        page = lambda *items: web.put('/feed.xml', f'<?xml version="1.0"?><rss version="2.0"><channel><title>The feed</title>{"".join(items)}</channel></rss>'.encode(), kind='application/rss+xml')
        url = page(item(1, 'Show S01E01 720p', 1), item(2, 'Other', 2))
        q.rss_add_folder('TV')
        q.rss_add_feed(url, 'TV\\shows')
        self.refused('Conflict409Error', lambda: q.rss_add_feed(url, 'again'))
        self.refused('Conflict409Error', lambda: q.rss_add_folder('TV'))
        self.refused('Conflict409Error', lambda: q.rss_add_feed(url + '?2', 'nowhere\\shows'))
        feed = lambda: q.rss_items(include_feed_data=True)['TV']['shows']
        until(lambda: len(feed().get('articles', [])) == 2, 30, what='the articles')
        same((feed().url, feed().title, feed().hasError), (url, 'The feed', False))
        same([a.title for a in feed().articles], ['Other', 'Show S01E01 720p'])
        same((feed().articles[0].date, feed().articles[0].isRead), ('02 Nov 2026 10:00:00 +0000', False))
        assert 'articles' not in q.rss_items()['TV']['shows'], 'without data'
        q.rss_mark_as_read('TV\\shows', feed().articles[0].id)
        until(lambda: [a.isRead for a in feed().articles] == [True, False], 10, what='one article read')
        self.refused('NotFound404Error', lambda: q.rss_mark_as_read('TV\\none'))
        # Rules: made, seen, tried, renamed, and one that adds what it takes.
        q.rss_set_rule('off', {'enabled': False, 'mustContain': 'show', 'affectedFeeds': [url], 'assignedCategory': 'series', 'torrentContentLayout': 'Subfolder', 'addPaused': True, 'no such key': 1})
        rule = q.rss_rules()['off']
        same((rule.enabled, rule.mustContain, list(rule.affectedFeeds), rule.assignedCategory, rule.torrentContentLayout, rule.addPaused, rule.lastMatch), (False, 'show', [url], 'series', 'Subfolder', True, ''))
        same((rule.torrentParams.category, rule.torrentParams.stopped), ('series', True))
        same(dict(q.rss_matching_articles('off')), {'shows': ['Show S01E01 720p']})
        same(dict(q.rss_matching_articles('no such rule')), {})
        h = self.logged()
        same(h.post('rss/matchingArticles', {'ruleName': 'new', 'ruleDef': json.dumps({'mustContain': 'other', 'affectedFeeds': [url]})}).json(), {'shows': ['Other']}, 'a rule that is not stored')
        same(h.post('rss/setRule', {'ruleName': 'bad', 'ruleDef': json.dumps({'mustContain': '(', 'useRegex': True})}).status, 400)
        same(h.post('rss/setRule', {'ruleName': 'bad', 'ruleDef': '[]'}).status, 400)
        q.rss_rename_rule('off', 'rule')
        same(list(q.rss_rules()), ['rule'])
        same(h.post('rss/cloneRule', {'sourceName': 'rule', 'cloneName': 'copy'}).status, 200)
        same(set(q.rss_rules()), {'rule', 'copy'})
        q.rss_remove_rule('copy')
        until(lambda: list(q.rss_rules()) == ['rule'], 10, what='the copy to go')
        q.rss_set_rule('rule', {**q.rss_rules()['rule'], 'enabled': True, 'torrentParams': {'category': 'series', 'tags': ['feed'], 'stopped': True, 'content_layout': 'Original'}})
        until(lambda: len(q.torrents_info()) == 1, 30, what='the torrent that the rule takes')
        one = q.torrents_info()[0]
        same((one.hash, one.category, one.tags), (self.single.hash, 'series', 'feed'))
        assert q.rss_rules()['rule'].lastMatch.startswith('01 Nov 2026'), q.rss_rules()['rule'].lastMatch
        # A new article by hand, another address, another place, and the end.
        page(item(3, 'Third', 3))
        q.rss_refresh_item('TV')
        until(lambda: feed().articles[0].title == 'Third', 30, what='the refresh')
        q.rss_set_feed_url(url + '?other', 'TV\\shows')
        until(lambda: feed().hasError, 30, what='the error of an address that is not there')
        q.rss_move_item('TV\\shows', 'moved')
        assert 'moved' in q.rss_items() and 'shows' not in q.rss_items()['TV'], q.rss_items()
        self.refused('Conflict409Error', lambda: q.rss_remove_item('nothing'))
        for path in ('moved', 'TV'): q.rss_remove_item(path)
        same(dict(q.rss_items()), {})
        q.rss_remove_rule('rule')

    def another_page(self):
        """A folder with a page that somebody else wrote: public for everyone, private after the login, nothing beside them."""
        page = self.folder / 'page'
        for folder, text in (('public', '<title>log in</title>'), ('private', '<title>inside</title>')):
            (page / folder).mkdir(parents=True, exist_ok=True)
            (page / folder / 'index.html').write_text(text)
            (page / folder / f'{folder}.js').write_text(f'// {folder}')
        (page / 'secret.txt').write_text('secret')
        (page / 'public' / 'out').symlink_to(self.folder / 'page' / 'secret.txt')
        q, h = self.library(), self.logged()
        api = self.daemon.workers()['api:0']['pid']
        def restarted(before): until(lambda: self.daemon.workers()['api:0']['pid'] not in (0, before) and self.daemon.workers()['api:0']['state'] == 'ready', 40, what='another API worker')
        q.app_set_preferences({'alternative_webui_enabled': True, 'alternative_webui_path': str(page)})
        restarted(api)
        try:
            until(lambda: h.get('app/preferences').json()['alternative_webui_enabled'] is True, 30, what='the other page')
            get = lambda path, who=None: (who or self.http()).request('GET', path)
            same(get('/').text, '<title>log in</title>', 'a stranger')
            same(get('/', h).text, '<title>inside</title>', 'after the login')
            same((get('/public.js', h).text, get('/private.js', h).text), ('// public', '// private'))
            same(get('/private.js').status, 404)
            for path in ('/out', '/../secret.txt', '/%2e%2e/secret.txt'): assert get(path, h).status in (400, 404), path
            assert "'unsafe-inline'" in get('/').headers['Content-Security-Policy'], 'pages for qBittorrent have inline styles'
            same(h.get('torrents/info').status, 200, 'the API beside it')
            same(self.http().get('torrents/info').status, 403)
        finally:
            api = self.daemon.workers()['api:0']['pid']
            self.daemon.btbt('settings', 'unset', 'api.alternative_ui')
            restarted(api)
        until(lambda: 'ccbt' in self.http().request('GET', '/').text, 30, what='the page of its own')

    def api_key(self):
        q, h = self.library(), self.logged()
        same(list(q.app_cookies()), [])
        q.app_set_cookies([])
        self.refused('InvalidRequest400Error', lambda: q.app_set_cookies([{'domain': 'example.org', 'path': '/', 'name': 'a', 'value': 'b', 'expirationDate': 1}]))
        key = h.post('app/rotateAPIKey').json()['apiKey']
        assert key.startswith('qbt_') and len(key) == 32, key
        bearer = {'Authorization': f'Bearer {key}'}
        same(self.http().get('app/version', headers=bearer).status, 200)
        other = h.post('app/rotateAPIKey').json()['apiKey']
        same(self.http().get('app/version', headers=bearer).status, 403, 'the key before')
        bearer = {'Authorization': f'Bearer {other}'}
        same(self.http().get('app/version', headers=bearer).status, 200)
        same(h.post('app/deleteAPIKey').status, 200)
        same(self.http().get('app/version', headers=bearer).status, 403)

    def no_search(self):
        q = self.library()
        same((list(q.search_plugins()), list(q.search_status())), ([], []))
        self.refused('Conflict409Error', lambda: q.search_start('debian', 'all', 'all'))
        for call in (q.search_stop, q.search_results, q.search_delete): self.refused('NotFound404Error', lambda: call(search_id=1))
        q.search_update_plugins()
        q.search_enable_plugin(plugins='x', enable=False)
        q.search_uninstall_plugin(names='x')
        self.refused('Conflict409Error', lambda: q.search_install_plugin(sources='http://10.77.0.9/x.py'))

    def folders(self):
        """Listings only of what the session uses; a torrent's folder for the time until it is complete."""
        q, h = self.library(), self.logged()
        (self.down / 'inner').mkdir(exist_ok=True)
        (self.down / 'a file').write_text('x')
        (self.down / 'out').symlink_to('/etc')
        same(sorted(q.app_get_directory_content(str(self.down))), [f'{self.down}/{n}' for n in ('a file', 'inner', 'out')])
        same(h.post('app/getDirectoryContent', {'dirPath': f'{self.down}/', 'mode': 'files'}).json(), [f'{self.down}/a file'])
        same(h.post('app/getDirectoryContent', {'dirPath': f'{self.down}', 'mode': 'dirs'}).json(), [f'{self.down}/inner', f'{self.down}/out'])
        for path in ('/etc', f'{self.down}/../..', f'{self.down}/out', f'{self.down}/none'): same(h.post('app/getDirectoryContent', {'dirPath': path}).status, 404, path)
        for body in ({}, {'dirPath': 'down'}, {'dirPath': str(self.down), 'mode': 'x'}): same(h.post('app/getDirectoryContent', body).status, 400, str(body))
        assert int(h.post('app/getFreeSpaceAtPath', {'path': str(self.down)}).text) > 0
        same(h.post('app/getFreeSpaceAtPath', {'path': '/proc'}).status, 404)
        for name in ('inner', ): (self.down / name).rmdir()
        for name in ('a file', 'out'): (self.down / name).unlink()
        # The folder for incomplete data: there and back, each time with what is there already.
        away = self.folder / 'incomplete'
        data = self.single.source.read_bytes()
        (self.down / self.single.name).write_bytes(data[:300 << 10] + bytes(len(data) - (300 << 10)))
        q.torrents_add(torrent_files=str(self.file(self.single)), is_stopped=True)
        info = lambda: q.torrents_info()[0]
        until(lambda: info().state == 'stoppedDL' and info().progress > 0, 30, what='the first look')
        q.torrents_set_download_path(str(away), self.single.hash)
        place = lambda: (info().state, info().save_path, info().download_path, info().content_path)
        until(lambda: place() == ('stoppedDL', str(self.down), str(away), f'{away}/{self.single.name}'), 30, what='the way into the folder')
        assert (away / self.single.name).exists() and not (self.down / self.single.name).exists()
        q.torrents_set_download_path('', self.single.hash)
        until(lambda: place() == ('stoppedDL', str(self.down), '', f'{self.down}/{self.single.name}'), 30, what='the way back')
        assert (self.down / self.single.name).exists()
        same(h.post('torrents/setDownloadPath', {'id': self.single.hash, 'path': 'relative'}).status, 400)
        assert info().progress > 0, 'what was there is still there'

    def makes_torrents(self):
        """Tasks in the background: three formats, a file and a folder, refused paths, deletion, seeding at once."""
        import libtorrent
        q, h = self.library(), self.logged()
        data = self.down / 'made here'
        many_files(data, 12, 3 << 20)
        def done(id):
            task = q.torrentcreator_status(task_id=id)[0]
            return task if task.status in ('Finished', 'Failed') else None
        for kind, has in (('v1', (True, False)), ('v2', (False, True)), (None, (True, True))):
            id = q.torrentcreator_add_task(source_path=str(data), torrent_file_path=str(self.down / f'{kind}.torrent'), format=kind, piece_size=65536, comment='--force and "quotes"', is_private=True,
                                           trackers=['http://192.0.2.1/announce', 'udp://192.0.2.2:80', '', 'http://192.0.2.3/announce'], url_seeds=['http://192.0.2.4/']).taskID
            task = until(lambda: done(id), 60, what='the end of a task')
            same((task.status, task.pieceSize, task.format, task.private), ('Finished', 65536, kind or 'hybrid', True))
            info = libtorrent.torrent_info(libtorrent.bdecode(q.torrentcreator_torrent_file(task_id=id)))
            same((info.info_hashes().has_v1(), info.info_hashes().has_v2(), info.name(), info.comment(), info.priv(), info.piece_length()), (*has, 'made here', '--force and "quotes"', True, 65536), kind)
            same([(x.url, x.tier) for x in info.trackers()], [('http://192.0.2.1/announce', 0), ('udp://192.0.2.2:80', 0), ('http://192.0.2.3/announce', 1)])
            same((self.down / f'{kind}.torrent').read_bytes(), bytes(q.torrentcreator_torrent_file(task_id=id)), 'the file that was asked for')
        same(len(q.torrentcreator_status()), 3)
        # What is there is not replaced; what is outside is not named.
        id = q.torrentcreator_add_task(source_path=str(data), torrent_file_path=str(self.down / 'v1.torrent'), format='v1').taskID
        task = until(lambda: done(id), 60, what='the end of a task')
        assert task.status == 'Failed' and 'exists' in task.errorMessage, task
        self.refused('Conflict409Error', lambda: q.torrentcreator_torrent_file(task_id=id))
        same(h.post('torrentcreator/addTask', {'sourcePath': '/etc'}).status, 404)
        same(h.post('torrentcreator/addTask', {'sourcePath': str(data), 'torrentFilePath': '/tmp/x.torrent'}).status, 409)
        same(h.post('torrentcreator/addTask').status, 400)
        id = q.torrentcreator_add_task(source_path=str(self.down / 'nothing')).taskID
        assert until(lambda: done(id), 60, what='the end of a task').status == 'Failed'
        for t in q.torrentcreator_status(): q.torrentcreator_delete_task(task_id=t.taskID)
        self.refused('NotFound404Error', lambda: q.torrentcreator_status(task_id=id))
        self.refused('NotFound404Error', lambda: q.torrentcreator_delete_task(task_id=id))
        # Without a place for it, it is seeded at once, from where it was made.
        id = q.torrentcreator_add_task(source_path=str(data), format='v1').taskID
        same(until(lambda: done(id), 60, what='the end of a task').status, 'Finished')
        until(lambda: q.torrents_info()[0].progress == 1, 30, what='the torrent, whole')
        row = q.torrents_info()[0]
        same((row.name, row.save_path, row.content_path), ('made here', str(self.down), str(data)))
        # One that runs is ended when it is deleted: a sparse file of 64 GiB takes minutes.
        big = self.down / 'big'
        with open(big, 'wb') as f: f.truncate(64 << 30)
        id = q.torrentcreator_add_task(source_path=str(big), format='v1', start_seeding=False).taskID
        until(lambda: q.torrentcreator_status(task_id=id)[0].status == 'Running', 30, what='it to run')
        waits = q.torrentcreator_add_task(source_path=str(data), format='v1', start_seeding=False).taskID
        same(q.torrentcreator_status(task_id=waits)[0].status, 'Queued', 'one at a time')
        q.torrentcreator_delete_task(task_id=id)
        same(until(lambda: done(waits), 60, what='the next').status, 'Finished')
        big.unlink()
        for name in ('v1', 'v2', 'None'): (self.down / f'{name}.torrent').unlink()
        q.torrentcreator_delete_task(task_id=waits)

    def mails(self):
        """Mail at the end of a download and the test letter, to a real SMTP server: plain, refused, and no login without TLS."""
        import email, email.policy
        from aiosmtpd.controller import Controller
        from aiosmtpd.smtp import SMTP, AuthResult
        letters, refuse = [], []

        class Handler:
            async def handle_DATA(self, server, session, envelope):
                if refuse: return refuse.pop()
                letters.append((envelope.mail_from, list(envelope.rcpt_tos), email.message_from_bytes(envelope.content, policy=email.policy.default), session.authenticated))
                return '250 taken'
        server = Controller(Handler(), hostname=address(9), port=2525)
        server.start()
        q, h = self.library(), self.logged()
        try:
            same(h.post('app/sendTestEmail').status, 409, 'no server is named')
            q.app_set_preferences({'mail_notification_enabled': True, 'mail_notification_smtp': f'{address(9)}:2525', 'mail_notification_sender': 'box@example.org', 'mail_notification_email': 'me@example.org, you@example.org'})
            p = q.app_preferences()
            same((p.mail_notification_enabled, p.mail_notification_email, p.mail_notification_auth_enabled), (True, 'me@example.org, you@example.org', False))
            q.app_send_test_email()
            same(len(letters), 1)
            sender, to, letter, _ = letters.pop()
            same((sender, to, letter['From'], letter['Subject']), ('box@example.org', ['me@example.org', 'you@example.org'], 'box@example.org', 'Test of the mail settings'))
            refuse.append('554 we do not want it')
            same(h.post('app/sendTestEmail').status, 409)
            assert '554' in h.text, h.text
            # A download that ends: one letter, its name as it is, whatever is in it.
            name = 'größe \u2192 =?x?= a very long name ' + 'x' * 80 + '.bin'
            t = Torrent(single_file(self.folder / 'source' / name, 1 << 20, seed=9), piece=64 << 10)
            seeder = Libtorrent(self.folder / 'mail seeder', address(4)).start()
            seeder.add(t.write(self.folder / 'mail.torrent'), self.folder / 'source')
            until(lambda: seeder.stat(0)['complete'], 60)
            q.torrents_add(torrent_files=str(self.folder / 'mail.torrent'))
            q.torrents_add_peers(f'{seeder.ip}:{seeder.port}', t.hash)
            until(lambda: q.torrents_info(torrent_hashes=t.hash)[0].progress == 1, 60, what='the download')
            until(lambda: letters, 30, what='its letter')
            letter = letters[0][2]
            same(letter['Subject'], f'{name} has finished downloading')
            assert name in letter.get_content() and t.hash in letter.get_content(), letter.get_content()
            q.torrents_stop(t.hash)
            q.torrents_start(t.hash)
            time.sleep(1)
            same(len(letters), 1, 'one letter')
            seeder.stop()
            # A login is not sent in the clear, and a certificate that nobody vouches for is not believed.
            q.app_set_preferences({'mail_notification_auth_enabled': True, 'mail_notification_username': 'box', 'mail_notification_password': 'hush hush'})
            same(h.post('app/sendTestEmail').status, 409, 'no STARTTLS, no password')
            same((q.app_preferences().mail_notification_username, q.app_preferences().mail_notification_password), ('box', ''))
            text = (self.state / 'log').read_text() + json.dumps(self.daemon.btbt('settings'))
            assert 'hush hush' not in text, 'a secret is shown'
        finally:
            server.stop()
            q.app_set_preferences({'mail_notification_enabled': False, 'mail_notification_smtp': '', 'mail_notification_auth_enabled': False})

    def banned_peers(self):
        q = self.library()
        q.transfer_ban_peers(['10.1.2.3:6881', '[2001:db8::7]:6881', 'nonsense'])
        rows = {r['address']: r for r in self.daemon.btbt('bans')}
        assert {'10.1.2.3', '2001:db8::/64'} <= set(rows), rows
        same(rows['10.1.2.3']['reason'], 'by_user')
        limits = self.logged().get('transfer/getSpeedLimits').json()
        same(set(limits), {'dl_limit', 'up_limit', 'alt_dl_limit', 'alt_up_limit'})
        self.logged().post('transfer/setSpeedLimits', {'alt_dl_limit': 4096})
        until(lambda: self.logged().get('transfer/getSpeedLimits').json()['alt_dl_limit'] == 4096, 10, what='the alternative limit')
        self.logged().post('transfer/setSpeedLimits', {'alt_dl_limit': 0})

    # -- programs ----------------------------------------------------------------------------------------------------

    def sonarr(self):
        """Test button, grab, poll, import decision, removal. Basic beside the cookie, booleans as .NET writes them."""
        basic = {'Authorization': 'Basic ' + base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}
        h = self.http()
        assert h.get('app/webapiVersion').status == 403
        same(h.login().text, 'Ok.')
        same(h.get('app/webapiVersion', headers=basic).text, '2.11.4')
        p = h.get('app/preferences', headers=basic).json()
        assert p['max_ratio_act'] not in (1, 3) or not p['max_ratio_enabled']
        for t in ('max_ratio_enabled', 'max_seeding_time_enabled', 'queueing_enabled', 'dht'): assert isinstance(p[t], bool), t
        (self.down / self.single.name).write_bytes(self.single.source.read_bytes())
        body, kind = multipart([('stopped', 'False'), ('paused', 'False'), ('root_folder', 'true')], [('torrents', 'a.torrent', self.file(self.single).read_bytes())])
        same(h.post('torrents/add', body, headers={'Content-Type': kind, **basic}).text, 'Ok.')
        hash = h.get('torrents/info').json()[0]['hash']
        begin = time.monotonic()
        same(h.get(f'torrents/properties?hash={hash}').status, 200, 'visible at once')
        assert time.monotonic() - begin < 1
        until(lambda: h.get('torrents/info').json()[0]['state'] in ('uploading', 'stalledUP'), 15, what='the data that is there to be found')
        t = h.get('torrents/info').json()[0]
        assert t['content_path'] != t['save_path'] and t['progress'] == 1 and t['completion_on'] > 0
        files = h.get(f'torrents/files?hash={hash}').json()
        same(files[0]['name'].split('/')[0], self.single.name)
        h.post('torrents/stop', {'hashes': hash})
        same(h.get('torrents/info').json()[0]['state'], 'stoppedUP')
        same(h.post('torrents/delete', {'hashes': hash}).status, 200, 'deleteFiles left out')
        assert (self.down / self.single.name).exists(), 'the data is kept'
        (self.down / self.single.name).unlink()

    def cross_seed(self):
        """Forms to every endpoint; an injection with skip_checking, one that is rechecked, the states in between."""
        h = self.logged()
        same(h.post('app/version').text, 'v5.1.4')
        assert isinstance(h.post('app/preferences').json()['resume_data_storage_type'], str)
        same(h.post('torrents/info', {'hashes': 'aa' * 20}).json(), [])
        (self.down / self.single.name).write_bytes(self.single.source.read_bytes())
        fields = [('savepath', self.down), ('downloadPath', self.down), ('autoTMM', 'false'), ('skip_checking', 'true'), ('stopped', 'false'), ('paused', 'false'), ('contentLayout', 'Original'), ('foo', 'bar')]
        body, kind = multipart(fields, [('torrents', 'x.torrent', self.file(self.single).read_bytes())])
        same(h.post('torrents/add', body, headers={'Content-Type': kind}).text, 'Ok.')
        info = lambda: h.post('torrents/info').json()[0]
        until(lambda: info()['state'] in ('stalledUP', 'uploading') and info()['progress'] == 1, 5, what='seeding without a check')
        hash = info()['hash']
        h.post('torrents/stop', {'hashes': hash})
        same(info()['state'], 'stoppedUP')
        h.post('torrents/recheck', {'hashes': hash})
        until(lambda: info()['state'] not in ('checkingUP', 'checkingDL', 'checkingResumeData'), 15, what='the end of the recheck')
        same(info()['state'], 'stoppedUP')
        h.post('torrents/start', {'hashes': hash})
        until(lambda: info()['state'] in ('stalledUP', 'uploading'), 5, what='seeding')

    def autobrr(self):
        """Push with both names of paused, then announce until a tracker works."""
        h = self.logged()
        same(h.get('transfer/info').json()['dl_info_speed'], 0)
        body, kind = multipart([('paused', 'true'), ('stopped', 'true'), ('upLimit', '1024')], [('torrents', 'x.torrent', self.file(self.many).read_bytes())])
        same(h.post('torrents/add', body, headers={'Content-Type': kind}).text, 'Ok.')
        assert h.headers['Content-Type'].startswith('text/plain')
        hash = h.get('torrents/info').json()[0]['hash']
        same(h.get('torrents/info?filter=stopped').json()[0]['hash'], hash)
        same(h.get('torrents/info?filter=paused').json()[0]['hash'], hash)
        same(h.get('torrents/info?filter=downloading').json()[0]['hash'], hash)
        h.post('torrents/resume', {'hashes': hash})
        until(lambda: h.get('torrents/info').json()[0]['state'] in ('stalledDL', 'downloading'), 10, what='running')
        same(h.post('torrents/reannounce', {'hashes': hash}).status, 200)
        rows = h.get(f'torrents/trackers?hash={hash}').json()
        assert all(isinstance(r['status'], int) for r in rows) and rows[0]['tier'] == -1

    def limits(self):
        q = self.library()
        q.torrents_add(torrent_files=str(self.file(self.many)), is_stopped=True, upload_limit=5000, download_limit=7000)
        hash = q.torrents_info()[0].hash
        same((q.torrents_info()[0].up_limit, q.torrents_info()[0].dl_limit), (5000, 7000), 'given when it was added')
        q.torrents_set_upload_limit(limit=0, torrent_hashes=hash)
        q.torrents_set_download_limit(limit=9000, torrent_hashes=hash)
        same((q.torrents_upload_limit(hash)[hash], q.torrents_download_limit(hash)[hash]), (0, 9000))
        q.transfer_set_download_limit(1 << 20)
        until(lambda: q.transfer_download_limit() == 1 << 20, 5, what='the global limit')
        same(q.transfer_info().dl_rate_limit, 1 << 20)
        q.transfer_set_download_limit(0)
        q.transfer_set_speed_limits_mode(True)
        until(lambda: q.transfer_speed_limits_mode() == '1', 5, what='the alternative limits')
        q.transfer_set_speed_limits_mode(False)

    def files(self):
        """Which files are wanted, through each of the three APIs: each sees what the others said."""
        import qbittorrentapi, transmission_rpc
        q, h = self.library(), self.logged()
        t = transmission_rpc.Client(host=self.ip, port=self.web, username=USER, password=PASSWORD)
        q.torrents_add(torrent_files=str(self.file(self.many)), is_stopped=True, is_first_last_piece_priority=True)
        hash = self.many.hash
        until(lambda: q.torrents_info()[0].state == 'stoppedDL', 20, what='the first look')
        same(q.torrents_info()[0].f_l_piece_prio, True, 'first and last pieces')
        files = q.torrents_files(hash)
        same({f.priority for f in files}, {1})
        q.torrents_file_priority(torrent_hash=hash, file_ids=[0, 2, 3], priority=0)
        q.torrents_file_priority(torrent_hash=hash, file_ids=[4], priority=7)
        numbers = lambda: [f.priority for f in q.torrents_files(hash)]
        same(numbers()[:6], [0, 1, 0, 0, 7, 1])
        wanted = self.many.size - sum(files[n].size for n in (0, 2, 3))
        until(lambda: q.torrents_info()[0].size == wanted, 20, what='the size of what is wanted')
        same((q.torrents_info()[0].total_size, q.torrents_info()[0].amount_left), (self.many.size, wanted))
        x = t.get_torrent(hash)
        same((x.size_when_done, x.left_until_done, x.total_size), (wanted, wanted, self.many.size))
        same([(f.selected, f.priority) for f in x.get_files()][:5], [(False, 0), (True, 0), (False, 0), (False, 0), (True, 1)])
        t.change_torrent(hash, files_wanted=[2], files_unwanted=[1], priority_low=[5], priority_high=[6])
        same(numbers()[:7], [0, 0, 1, 0, 7, 1, 6])
        same([f.priority for f in t.get_torrent(hash).get_files()][5:7], [-1, 1])
        own = lambda method, path, body=None: h.request(method, '/api/v1' + path, json.dumps(body) if body is not None else None)
        same(own('PATCH', f'/torrents/{hash}/files', {'files': ['0-3'], 'priority': 'normal'}).status, 204)
        same([f['priority'] for f in own('GET', f'/torrents/{hash}/files').json()['files']][:7], ['normal'] * 4 + ['maximum', 'low', 'high'])
        for bad in ({'files': ['99'], 'priority': 'skip'}, {'files': ['0'], 'priority': 'much'}, {'files': [], 'priority': 'skip'}, {'files': ['2-1'], 'priority': 'skip'}):
            same(own('PATCH', f'/torrents/{hash}/files', bad).status, 400, bad)
        for ids, priority, status in (('x', '1', 400), ('1', '3', 400), ('99', '1', 409), ('', '1', 400)):
            same(h.post('torrents/filePrio', {'hash': hash, 'id': ids, 'priority': priority}).status, status, (ids, priority))
        q.torrents_toggle_first_last_piece_priority(torrent_hashes=hash)
        q.torrents_set_super_seeding(enable=True, torrent_hashes=hash)
        q.torrents_set_share_limits(ratio_limit=1, torrent_hashes=hash, share_limit_action='EnableSuperSeeding')
        until(lambda: (q.torrents_info()[0].f_l_piece_prio, q.torrents_info()[0].super_seeding) == (False, True), 10, what='both')
        same(own('PATCH', f'/torrents/{hash}', {'superSeeding': False, 'sequential': True}).status, 204)
        until(lambda: (q.torrents_info()[0].seq_dl, q.torrents_info()[0].super_seeding) == (True, False), 10, what='both')
        # Chosen when they are added.
        q.torrents_delete(delete_files=True, torrent_hashes=hash)
        until(lambda: q.torrents_info() == [], 20, what='the removal')
        x = t.add_torrent(self.file(self.many).read_bytes(), paused=True, files_unwanted=[0, 2], priority_high=[1])
        same(numbers()[:4], [0, 6, 0, 1])
        q.torrents_delete(delete_files=True, torrent_hashes=hash)
        until(lambda: q.torrents_info() == [], 20, what='the removal')
        body = {'torrent': base64.b64encode(self.file(self.many).read_bytes()).decode(), 'paused': True, 'only': ['1-2'], 'priorities': ['2=high']}
        same(own('POST', '/torrents', body).status, 201)
        same(numbers()[:4], [0, 1, 6, 0])

    # -- Transmission ------------------------------------------------------------------------------------------------

    def transmission_library(self):
        import transmission_rpc
        t = transmission_rpc.Client(host=self.ip, port=self.web, username=USER, password=PASSWORD)
        same((t.get_session().version, t.get_session().rpc_version), ('4.0.6 (38c164933e)', 17))
        one = t.add_torrent(self.file(self.single).read_bytes(), paused=True, download_dir=str(self.down))
        same((one.name, one.hash_string), (self.single.name, self.single.hash))
        same(t.add_torrent(self.file(self.single).read_bytes()).hash_string, self.single.hash, 'a duplicate is told, not refused')
        many = t.add_torrent(self.file(self.many).read_bytes(), paused=True)
        rows = {x.name: x for x in t.get_torrents()}
        same(set(rows), {self.single.name, self.many.name})
        x = rows[self.single.name]
        same((x.total_size, x.download_dir, x.percent_done, x.rate_download), (self.single.size, str(self.down), 0, 0))
        until(lambda: t.get_torrent(x.id).status.value == 'stopped', 10, what='stopped')
        same(sum(f.size for f in t.get_torrent(many.id).get_files()), self.many.size)
        t.start_torrent(x.id)
        until(lambda: t.get_torrent(x.id).status.value == 'downloading', 10, what='downloading')
        t.stop_torrent(self.single.hash)
        until(lambda: t.get_torrent(x.id).status.value == 'stopped', 5, what='stopped again')
        t.verify_torrent(x.id)
        t.change_torrent(x.id, upload_limit=50, upload_limited=True)
        until(lambda: t.get_torrent(x.id).upload_limit == 50, 5, what='its limit')
        active, removed = t.get_recently_active_torrents()
        assert x.id in [a.id for a in active], 'recently active'
        assert t.session_stats().torrent_count == 2
        t.remove_torrent([x.id, many.id], delete_data=True)
        same(t.get_torrents(), [])
        t.set_session(download_queue_size=3, download_queue_enabled=True)
        until(lambda: t.get_session().download_queue_size == 3, 5, what='a setting')
        t.set_session(download_queue_enabled=False)

    def transmission_remote(self):
        run = lambda *a: subprocess.run(['transmission-remote', f'{self.ip}:{self.web}', '-n', f'{USER}:{PASSWORD}', *a], capture_output=True, text=True, timeout=30)
        r = run('--start-paused', '-a', str(self.file(self.single)))
        assert 'success' in r.stdout, r.stdout + r.stderr
        r = run('-l')
        assert self.single.name in r.stdout and 'Stopped' in r.stdout or 'Verif' in r.stdout, r.stdout + r.stderr
        for words in (['-i'], ['-f'], ['-ip'], ['-it'], ['-s'], ['-S'], ['-v'], ['--reannounce']):
            r = run('-t', 'all', *words)
            assert r.returncode == 0 and ('success' in r.stdout or self.single.name in r.stdout or 'NAME' in r.stdout or not r.stdout or 'Address' in r.stdout or 'Track' in r.stdout), (words, r.stdout, r.stderr)
        assert 'Session' in run('-st').stdout.title()
        assert 'success' in (r := run('-t', 'all', '-L', 'one,two')).stdout, r.stdout + r.stderr
        assert 'one' in (r := run('-t', 'all', '-i')).stdout and 'two' in r.stdout, r.stdout
        for words in (['-t', 'all', '-sr', '2.5'], ['-t', 'all', '-SR'], ['-c', str(self.folder / 'tr-half')], ['-C'], ['-gsr', '3'], ['-GSR'], ['-as'], ['-AS'], ['-d', '1000'], ['-D']):
            r = run(*words)
            assert r.returncode == 0 and 'success' in r.stdout, (words, r.stdout, r.stderr)
        r = run('-pt')
        assert 'no outside service' in r.stdout + r.stderr, r.stdout + r.stderr
        self.daemon.btbt('settings', 'unset', 'add.paused')
        assert 'success' in run('-t', 'all', '--remove-and-delete').stdout

    def transmission_rest(self):
        """Names, order, groups, labels, limits, trackers, blocklist, port, space, totals, settings."""
        import transmission_rpc
        t = transmission_rpc.Client(host=self.ip, port=self.web, username=USER, password=PASSWORD)
        web = Web()
        one = t.add_torrent(web.put('/a.torrent', self.file(self.single).read_bytes()), paused=True, labels=['alpha', 'beta'])
        many = t.add_torrent(self.file(self.many).read_bytes(), paused=True, peer_limit=55)
        same(one.hash_string, self.single.hash, 'added by its address')
        get = lambda x: t.get_torrent(x.id)
        until(lambda: get(one).status.value == get(many).status.value == 'stopped', 30, what='the first look')
        same(sorted(get(one).labels), ['alpha', 'beta'])
        same(get(many).fields['peer-limit'], 55)
        t.change_torrent(one.id, labels=['gamma'])
        same(get(one).labels, ['gamma'])
        # Names: a file in a folder, the folder itself.
        inner = get(many).get_files()[0].name
        t.rename_torrent_path(many.id, inner, 'renamed.bin')
        until(lambda: inner.rsplit('/', 1)[0] + '/renamed.bin' in [f.name for f in get(many).get_files()], 20, what='the new name of a file')
        t.rename_torrent_path(many.id, self.many.name, 'another name')
        until(lambda: all(f.name.startswith('another name/') for f in get(many).get_files()), 20, what='the new name of the folder')
        until(lambda: get(many).name == 'another name', 20, what='the new name of the torrent')
        # Order.
        place = lambda: (get(one).queue_position, get(many).queue_position)
        t.queue_top(many.id)
        until(lambda: place() == (1, 0), 20, what='the top')
        t.queue_down(many.id)
        until(lambda: place() == (0, 1), 20, what='one down')
        t.queue_up(many.id)
        until(lambda: place() == (1, 0), 20, what='one up')
        t.queue_bottom(many.id)
        until(lambda: place() == (0, 1), 20, what='the bottom')
        # Groups hold for their torrents; the session worker says so itself.
        t.set_group('slow', speed_limit_up_enabled=True, speed_limit_up=100, speed_limit_down_enabled=False)
        group = t.get_group('slow')
        same((group.name, group.speed_limit_up_enabled, group.speed_limit_up, group.speed_limit_down_enabled), ('slow', True, 100, False))
        t.change_torrent(one.id, group='slow')
        until(lambda: get(one).group == 'slow', 10, what='its group')
        same([(g['name'], g['torrents']) for g in self.daemon.btbt('limits')['groups']], [('slow', 1)])
        t.change_torrent(one.id, group='')
        # Own limits of seeding.
        t.change_torrent(one.id, seed_ratio_mode=1, seed_ratio_limit=1.5, seed_idle_mode=2)
        until(lambda: (get(one).seed_ratio_mode.value, get(one).seed_ratio_limit, get(one).seed_idle_mode.value) == (1, 1.5, 2), 10, what='its limits')
        t.change_torrent(one.id, seed_ratio_mode=0, seed_idle_mode=0)
        until(lambda: get(one).seed_ratio_mode.value == 0, 10, what='the session\'s limits')
        t.change_torrent(one.id, tracker_list=[['http://192.0.2.1/announce', 'udp://192.0.2.2:80'], ['http://192.0.2.3/announce']])
        until(lambda: [(x.announce, x.tier) for x in get(one).trackers] == [('http://192.0.2.1/announce', 0), ('udp://192.0.2.2:80', 0), ('http://192.0.2.3/announce', 1)], 10, what='its trackers')
        t.start_torrent_now(one.id)
        until(lambda: self.library().torrents_info(torrent_hashes=one.hash_string)[0].force_start, 10, what='start past the queue')
        # The session's own.
        s = t.get_session()
        cases = [
            dict(alt_speed_time_enabled=True, alt_speed_time_begin=22 * 60, alt_speed_time_end=6 * 60, alt_speed_time_day=65), dict(alt_speed_time_enabled=False), dict(alt_speed_enabled=True), dict(alt_speed_enabled=False),
            dict(seed_ratio_limited=True, seed_ratio_limit=2.5), dict(seed_ratio_limited=False), dict(idle_seeding_limit_enabled=True, idle_seeding_limit=30), dict(idle_seeding_limit_enabled=False),
            dict(incomplete_dir_enabled=True, incomplete_dir=str(self.folder / 'half')), dict(incomplete_dir_enabled=False), dict(start_added_torrents=False), dict(start_added_torrents=True),
            dict(speed_limit_down_enabled=True, speed_limit_down=500), dict(speed_limit_down_enabled=False), dict(rename_partial_files=True), dict(rename_partial_files=False),
            dict(queue_stalled_enabled=True, queue_stalled_minutes=5), dict(queue_stalled_enabled=False)]
        for change in cases:
            t.set_session(**change)
            now = t.get_session()
            for key, value in change.items(): same(getattr(now, key), value, key)
        until(lambda: self.daemon.btbt('limits')['alternativeSchedule'] == ['sat+sun 22:00-06:00'], 10, what='the schedule by days')
        # Blocklist: none, then one that is fetched.
        try: t.blocklist_update()
        except transmission_rpc.TransmissionError as error: assert 'blocklist' in str(error), error
        else: raise AssertionError('no blocklist is set')
        t.set_session(blocklist_enabled=True, blocklist_url=web.put('/list.txt', b'192.0.2.0/24\n198.51.100.7\n', kind='text/plain'))
        until(lambda: t.blocklist_update() == 2, 30, every=0.5, what='two ranges')
        same(t.get_session().blocklist_size, 2)
        t.set_session(blocklist_enabled=False, blocklist_url='')
        # What is not known is not claimed.
        try: t.port_test()
        except transmission_rpc.TransmissionError as error: assert 'no outside service' in str(error), error
        else: raise AssertionError('the port cannot be known to be open')
        assert t.free_space(str(self.down)) > 0
        try: t.free_space('/proc/self')
        except transmission_rpc.TransmissionError: pass
        else: raise AssertionError('a folder that the session does not use')
        stats = t.session_stats()
        same((stats.torrent_count, stats.cumulative_stats.files_added >= 2, stats.current_stats.session_count), (2, True, 1))

    def transmission_handshake(self):
        """Sonarr's GET, the order of the refusals, JSON-RPC 2.0 and the table form."""
        basic = {'Authorization': 'Basic ' + base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}
        h = self.http()
        path = '/transmission/rpc'
        same(h.request('GET', path).status, 401)
        same(h.headers['WWW-Authenticate'], 'Basic realm="Transmission"')
        same(h.request('GET', path, headers=basic).status, 409)
        head = {**basic, 'X-Transmission-Session-Id': h.headers['X-Transmission-Session-Id'], 'Content-Type': 'application/json'}
        same(h.request('GET', path, headers=head).status, 405)
        call = lambda body: h.request('POST', path, json.dumps(body), headers=head).json()
        same(call({'method': 'session-get', 'arguments': {'fields': ['version']}, 'tag': 39693}), {'result': 'success', 'arguments': {'version': '4.0.6 (38c164933e)'}, 'tag': 39693})
        same(call({'method': 'nonsense', 'tag': 1})['result'], 'method name not recognized')
        added = call({'jsonrpc': '2.0', 'method': 'torrent_add', 'params': {'metainfo': base64.b64encode(self.file(self.single).read_bytes()).decode(), 'paused': True, 'download_dir': str(self.down)}, 'id': 5})
        same((added['id'], added['result']['torrent_added']['hash_string']), (5, self.single.hash))
        table = call({'method': 'torrent-get', 'arguments': {'fields': ['hashString', 'no-such-field', 'name'], 'format': 'table'}})['arguments']['torrents']
        same(table, [['hashString', 'name'], [self.single.hash, self.single.name]])
        same(call({'jsonrpc': '2.0', 'method': 'no_such', 'id': 8})['error']['code'], -32601)
        same(call({'jsonrpc': '2.0', 'method': 'group_set', 'params': {}, 'id': 9})['error']['code'], -32602)
        same(h.request('POST', path, json.dumps({'jsonrpc': '2.0', 'method': 'session_get'}), headers=head).status, 204, 'a notification')
        same(call({'jsonrpc': '2.0', 'method': 'torrent_get', 'params': {'fields': ['percent_done', 'is_finished'], 'ids': [self.single.hash]}, 'id': 6})['result']['torrents'], [{'percent_done': 0, 'is_finished': False}])

    def native(self):
        h = self.logged()
        own = lambda method, path, body=None, **more: h.request(method, '/api/v1' + path, json.dumps(body) if body is not None else None, **more)
        same(self.http().request('GET', '/api/v1/torrents').status, 401)
        same(own('POST', '/torrents', {'torrent': base64.b64encode(self.file(self.single).read_bytes()).decode(), 'paused': True}).status, 201)
        same(h.headers['Location'], f'/api/v1/torrents/{self.single.hash}')
        same(own('POST', '/torrents', {'torrent': base64.b64encode(self.file(self.many).read_bytes()).decode(), 'paused': True}).status, 201)
        page = own('GET', '/torrents?sort=name&limit=1&search=single').json()
        same((page['total'], [t['name'] for t in page['torrents']]), (1, [self.single.name]))
        same(own('GET', '/torrents?limit=1&offset=1').json()['total'], 2)
        same(own('POST', '/torrents/bulk', {'hashes': [self.single.hash, 'f' * 40], 'action': 'resume'}).json()['done'], 1)
        assert 'f' * 40 in h.json()['failed']
        same(own('POST', f'/torrents/{self.single.hash}/pause').status, 204)
        same(own('GET', f'/torrents/{self.single.hash}/nonsense').status, 404)
        same(own('PUT', f'/torrents/{self.single.hash}').status, 405)
        same(own('POST', '/torrents', {'torrent': '!!'}).status, 400)
        same(own('POST', '/torrents', 7).status, 400)
        key = own('POST', '/keys', {'name': 'reader', 'scopes': ['read']}).json()['key']
        bearer = {'Authorization': f'Bearer {key}'}
        guest = self.http()
        same(guest.request('GET', '/api/v1/status', headers=bearer).status, 200)
        same(guest.request('POST', f'/api/v1/torrents/{self.single.hash}/pause', headers=bearer).status, 403, 'scope')
        same(guest.request('GET', '/api/v1/settings', headers=bearer).status, 403)
        same(guest.get('app/version', headers=bearer).status, 200, 'a key at the compatible API')
        same(guest.post('torrents/stop', {'hashes': 'all'}, headers=bearer).status, 403)
        until(lambda: 'ccbt_torrents{state="paused"} 2' in guest.request('GET', '/metrics', headers=bearer).text, 10, what='two paused torrents in the metrics')
        until(lambda: 'ccbt_worker_ready{worker="peer:0"} 1' in guest.request('GET', '/metrics', headers=bearer).text, 20, what='the table of workers')
        text = guest.request('GET', '/metrics', headers=bearer).text
        assert 'ccbt_worker_ready{worker="peer:0"} 1' in text, text[:600]
        (self.folder / 'metrics').write_text(text)
        check = subprocess.run(['promtool', 'check', 'metrics'], input=text, capture_output=True, text=True) if shutil.which('promtool') else None
        assert check is None or check.returncode == 0, check.stdout + check.stderr
        same(own('DELETE', '/keys/reader').status, 204)
        same(guest.request('GET', '/api/v1/status', headers=bearer).status, 401, 'an ended key')
        same(own('PATCH', '/settings', {'queue.max_active_downloading': 4}).status, 204)
        same(next(o['value'] for o in own('GET', '/settings').json()['options'] if o['key'] == 'queue.max_active_downloading'), '4')
        same(own('PATCH', '/settings', {'queue.max_active_downloading': None}).status, 204)
        same(own('PATCH', '/settings', {'no.such': '1'}).status, 400)
        names = {w['name'] for w in own('GET', '/workers').json()['workers']}
        assert {'session:0', 'peer:0', 'disk:0', 'api:0'} <= names, names
        before = self.daemon.workers()['discovery:0']['pid']
        same(own('POST', '/workers/discovery:0/restart').status, 202)
        until(lambda: self.daemon.workers()['discovery:0']['pid'] not in (0, before), 10, what='the restarted worker')
        assert own('GET', '/openapi.json').json()['paths']['/torrents']

    def events(self):
        h = self.logged()
        link = http.client.HTTPConnection(self.ip, self.web, timeout=10)
        link.request('GET', '/api/v1/events?types=torrents', headers={'Cookie': h.cookie})
        answer = link.getresponse()
        same(answer.headers['Content-Type'], 'text/event-stream')

        def event():
            out = {}
            while True:
                line = answer.readline().decode().rstrip('\n')
                if not line and out: return out
                if ': ' in line:
                    name, value = line.split(': ', 1)
                    out[name] = value
        first = event()
        assert json.loads(first['data'])['snapshot'] is True
        body, kind = multipart([('stopped', 'true')], [('torrents', 'x', self.file(self.single).read_bytes())])
        h.post('torrents/add', body, headers={'Content-Type': kind})
        second = event()
        same(json.loads(second['data'])['torrents'][0]['hash'], self.single.hash)
        link.close()
        link.request('GET', '/api/v1/events?types=torrents', headers={'Cookie': h.cookie, 'Last-Event-ID': first['id']})
        answer = link.getresponse()
        missed = json.loads(event()['data'])
        assert 'snapshot' not in missed and missed['torrents'][0]['hash'] == self.single.hash, missed
        link.close()

    # -- what dies ---------------------------------------------------------------------------------------------------

    def worker_killed(self):
        """kill -9 of the API worker while clients ask: the same cookies, nothing lost, back within a second."""
        q = self.library()
        q.torrents_add(torrent_files=str(self.file(self.single)), is_stopped=True)
        h = self.logged()
        cookie, answers, stop = h.cookie, [], threading.Event()

        def client():
            c = self.http()
            c.cookie = cookie
            while not stop.is_set():
                try: answers.append((time.monotonic(), c.get('torrents/info').status))
                except OSError: answers.append((time.monotonic(), 'reset'))
                time.sleep(0.05)
        threads = [threading.Thread(target=client) for _ in range(50)]
        for t in threads: t.start()
        time.sleep(0.7)
        pid = self.daemon.workers()['api:0']['pid']
        at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        time.sleep(3)
        stop.set()
        for t in threads: t.join()
        later = [s for when, s in answers if when > at + 1.5]
        first = min(when for when, s in answers if when > at + 0.01 and s == 200) - at
        assert later and set(later) == {200}, f'answers after 1.5 s: { {s: later.count(s) for s in set(later)} }'
        assert first < 1, f'{first:.2f} s until an answer'
        same(len(h.get('torrents/info').json()), 1, 'the table is back')
        assert self.daemon.workers()['api:0']['pid'] != pid

    def session_restart(self):
        """While the session worker restarts, reads are answered and writes wait."""
        q = self.library()
        q.torrents_add(torrent_files=str(self.file(self.single)), is_stopped=True)
        h = self.logged()
        pid = self.daemon.workers()['session:0']['pid']
        os.kill(pid, signal.SIGKILL)
        same(len(h.get('torrents/info').json()), 1, 'read')
        same(h.post('torrents/start', {'hashes': 'all'}).status, 200, 'write')
        until(lambda: h.request('GET', '/readyz').status == 200, 10, what='ready again')
        assert h.get('torrents/info').json()[0]['state'] not in ('stoppedDL',), h.text

    def web_seeds(self):
        """Added to a torrent that nobody has: it downloads; kept over a restart of the session worker; edited; removed."""
        from webseed import SERVER, Bad
        server = Bad(8084, self.single.source.read_bytes())
        server.way = 'right'
        q = self.library()
        same(q.torrents_add(torrent_files=str(self.file(self.single)), save_path=str(self.down)), 'Ok.')
        h = self.single.hash
        until(lambda: q.torrents_info(torrent_hashes=h)[0].state == 'stalledDL', 30, what='the torrent')
        q.torrents_add_webseeds(torrent_hash=h, urls=[server.url, 'http://127.0.0.1:9/none'])
        same({w.url for w in q.torrents_webseeds(torrent_hash=h)}, {server.url, 'http://127.0.0.1:9/none'})
        until(lambda: q.torrents_info(torrent_hashes=h)[0].progress == 1, 60, what='the download from the web seed')
        same(self.single.difference(self.down), '')
        q.torrents_edit_webseed(torrent_hash=h, orig_url='http://127.0.0.1:9/none', new_url='http://127.0.0.1:9/other')
        same({w.url for w in q.torrents_webseeds(torrent_hash=h)}, {server.url, 'http://127.0.0.1:9/other'})
        for code, call in ((409, lambda: q.torrents_edit_webseed(torrent_hash=h, orig_url='http://127.0.0.1:9/none', new_url='http://127.0.0.1:9/x')),
                           (400, lambda: q.torrents_add_webseeds(torrent_hash=h, urls='ftp://127.0.0.1/x')), (404, lambda: q.torrents_add_webseeds(torrent_hash='0' * 40, urls=server.url))):
            try: call(); raise AssertionError(f'{code} expected')
            except Exception as error: same(getattr(error, 'http_status_code', error), code)
        q.torrents_remove_webseeds(torrent_hash=h, urls=['http://127.0.0.1:9/other', 'http://127.0.0.1:9/not-there'])
        same([w.url for w in q.torrents_webseeds(torrent_hash=h)], [server.url])
        import libtorrent
        same([w['url'] for w in libtorrent.torrent_info(libtorrent.bdecode(q.torrents_export(torrent_hash=h))).web_seeds()], [server.url], 'the exported .torrent')
        # The info dictionary is still found in the file that was written anew: another client gets it by magnet.
        lt = Libtorrent(self.folder / 'magnet', address(2)).start()
        try:
            (self.folder / 'magnet-down').mkdir(exist_ok=True)
            lt.call('magnet_add', link=f'magnet:?xt=urn:btih:{h}', folder=str(self.folder / 'magnet-down'))
            lt.dial(self.daemon.ip, self.daemon.port)
            until(lambda: lt.stat()['complete'], 60, what='libtorrent by magnet')
        finally: lt.stop()
        server.shutdown()

    def bans(self):
        """Five wrong passwords and the address is refused, the right password included. Last: it lasts an hour."""
        h = self.http()
        for _ in range(5): same(h.post('auth/login', {'username': USER, 'password': 'guess'}).text, 'Fails.')
        same(h.login().status, 403)

    def cases(self, brief):
        yield 'login, cookies, Basic, 403 and 404', self.refusals
        yield 'Origin, Referer, headers, paths', self.origins
        yield 'qbittorrent-api: add files, look', self.adds
        yield 'qbittorrent-api: magnets', self.magnets
        yield 'sync/maindata deltas', self.deltas
        yield 'qbittorrent-api: preferences', self.preferences
        yield 'qbittorrent-api: settings both ways', self.settings_both_ways
        yield 'qbittorrent-api: settings that restart workers', self.settings_that_restart
        yield 'a page of somebody else\'s', self.another_page
        yield 'a key of qBittorrent\'s API', self.api_key
        yield 'qbittorrent-api: feeds and rules', self.feeds
        yield 'qbittorrent-api: search without plugins', self.no_search
        yield 'qbittorrent-api: folders, download path', self.folders
        yield 'qbittorrent-api: torrent creation', self.makes_torrents
        try:
            import aiosmtpd
            yield 'qbittorrent-api: mail to aiosmtpd', self.mails
        except ImportError: print('skipped api qbittorrent-api: mail to aiosmtpd: it is not installed', flush=True)
        yield 'qbittorrent-api: banned peers, all limits', self.banned_peers
        yield 'Sonarr: grab, import, remove', self.sonarr
        yield 'cross-seed: inject and recheck', self.cross_seed
        yield 'autobrr: push and reannounce', self.autobrr
        yield 'qbittorrent-api: limits', self.limits
        yield 'files and priorities through three APIs', self.files
        yield 'transmission-rpc: the whole client', self.transmission_library
        if shutil.which('transmission-remote'): yield 'transmission-remote: add, list, details, remove', self.transmission_remote
        yield 'transmission-rpc: names, order, groups, settings', self.transmission_rest
        yield 'Transmission: 409, JSON-RPC 2.0, tables', self.transmission_handshake
        yield 'native API, keys, metrics, workers', self.native
        yield 'native API: events and resume', self.events
        yield 'qbittorrent-api: web seeds', self.web_seeds
        yield 'streaming: ranges, types, tokens', lambda: streaming.ranges(self)
        yield 'streaming: plays while it downloads', lambda: streaming.while_downloading(self)
        yield 'streaming: ends', lambda: streaming.ends(self)
        yield 'kill -9 api worker under 50 clients', self.worker_killed
        yield 'kill -9 session worker: reads and writes', self.session_restart
        yield 'ban after failed logins', self.bans


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--slice', action='store_true')
    parser.add_argument('--only')
    options = parser.parse_args()
    sandbox.enter()
    api = Api(options.only)
    for name, body in api.cases(options.slice): api.run(name, body)
    api.daemon.stop()
    if api.failed: print((api.state / 'log').read_text(errors='replace')[-3000:])
    print(f'{api.passed} passed, {api.failed} failed')
    sys.exit(api.failed > 0)


if __name__ == '__main__': main()
