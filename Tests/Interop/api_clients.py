"""Programs of others, unmodified, each in an environment of its own, against the HTTP APIs of the running daemon.

    api_clients.py [--slice] [--only TEXT] [--screens DIR]

tewi, stig, aiobtclientapi, qbit-manage, FlexGet and prometheus-qbittorrent-exporter as PyPI has them, in .venv-clients (make setup-clients).
The full-screen ones run under tmux; what they show is read as text, and kept in DIR. What a program says it did is checked in the daemon.
"""
import argparse, http.client, json, os, shutil, subprocess, sys, time, traceback
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from api import PASSWORD, USER, Http, multipart, stored_hash
from clients import Ccbt
from content import Torrent, many_files, single_file
from sandbox import address, until

ROOT = Path(__file__).resolve().parents[2]
VENVS = Path(os.environ.get('CCBT_CLIENT_VENVS', ROOT / '.venv-clients'))
WIDTH, HEIGHT = 150, 42


def same(got, wanted, what=''):
    assert got == wanted, f'{what}: {got!r}, not {wanted!r}'


class Screen:
    """A program on a terminal of tmux."""
    count = 0

    def __init__(self, clients, *command):
        Screen.count += 1
        self.clients, self.tmux = clients, ['tmux', '-L', f'ccbt-{os.getpid()}-{Screen.count}', '-f', '/dev/null']
        subprocess.run([*self.tmux, 'new-session', '-d', '-x', str(WIDTH), '-y', str(HEIGHT), *map(str, command)], check=True, env=clients.environment(), cwd=clients.home)
        subprocess.run([*self.tmux, 'set', '-g', 'remain-on-exit', 'on'], check=True)

    def text(self): return subprocess.run([*self.tmux, 'capture-pane', '-p'], capture_output=True, text=True).stdout
    def keys(self, *keys, literal=False):
        subprocess.run([*self.tmux, 'send-keys', *(['-l'] if literal else []), *keys], check=True)
    def shows(self, *words, timeout=30):
        """Waits until all the words are on the screen."""
        try: until(lambda: all(w in self.text() for w in words), timeout, 0.1, what=f'{words} on the screen')
        except TimeoutError as error: raise AssertionError(f'{error}\n{self.text()}') from None
    def keep(self, name):
        if self.clients.screens: (self.clients.screens / f'{name}.txt').write_text(self.text())
    def close(self):
        # In a finally clause: what was to be seen when something was not.
        if sys.exc_info()[0]: self.keep(f'failed-{Screen.count}')
        subprocess.run([*self.tmux, 'kill-server'], stderr=subprocess.DEVNULL)


class Clients:
    def __init__(self, only, screens):
        self.only, self.screens = only or '', screens
        self.passed = self.failed = 0
        self.folder = sandbox.scratch('ccbt-clients-')
        self.home, self.down = self.folder / 'home', self.folder / 'down'
        for f in (self.home, self.down): f.mkdir()
        self.ip, self.port = address(1), 18080
        self.daemon = Ccbt(self.folder / 'state', self.ip, api__enable=True, api__listen=[f'{self.ip}:{self.port}'], disk__download_dir=str(self.down))
        state = self.folder / 'state'
        (state / 'api').mkdir(parents=True, mode=0o700)
        state.chmod(0o700)
        (state / 'api' / 'password').write_text(stored_hash(PASSWORD))
        self.daemon.start()
        until(lambda: Http(self.ip, self.port).request('GET', '/readyz').status == 200, 30, what='/readyz')
        self.h = Http(self.ip, self.port).login()
        self.single = Torrent(single_file(self.folder / 'source' / 'single.bin', (1 << 20) + 77), piece=64 << 10)
        self.many = Torrent(many_files(self.folder / 'source' / 'many files', 20, 1 << 20), piece=32 << 10)

    def environment(self): return dict(os.environ, HOME=str(self.home), TERM='xterm-256color', LANG='C.UTF-8', NO_PROXY='*', PYTHONUNBUFFERED='1', XDG_CONFIG_HOME=str(self.home / '.config'), XDG_CACHE_HOME=str(self.home / '.cache'), XDG_DATA_HOME=str(self.home / '.local'))
    def tool(self, venv, name): return VENVS / venv / 'bin' / name
    def file(self, torrent): return torrent.write(self.folder / f'{torrent.name}.torrent')
    def rows(self): return {t['name']: t for t in self.h.get('torrents/info').json()}
    def row(self, torrent): return self.rows().get(torrent.name, {})
    def state(self, torrent): return self.row(torrent).get('state')

    def add(self, torrent, complete=False, **fields):
        """Over the API, as another program would have; `complete`: its data are there."""
        if complete:
            folder = self.down / fields.get('category', '')
            folder.mkdir(exist_ok=True)
            copy = folder / torrent.name
            if torrent.is_folder: shutil.copytree(torrent.source, copy, dirs_exist_ok=True)
            else: shutil.copy(torrent.source, copy)
        body, kind = multipart([('stopped', 'false' if complete else 'true'), *fields.items()], [('torrents', 'x.torrent', self.file(torrent).read_bytes())])
        same(self.h.post('torrents/add', body, headers={'Content-Type': kind}).text, 'Ok.')
        until(lambda: self.state(torrent) in (('stalledUP', 'uploading') if complete else ('stoppedDL',)), 30, what=f'{torrent.name} at rest: {self.state(torrent)}')

    def call(self, venv, name, *arguments, timeout=120, **more):
        r = subprocess.run([str(self.tool(venv, name)), *map(str, arguments)], capture_output=True, text=True, timeout=timeout, env=self.environment(), cwd=self.home, **more)
        return r.returncode, r.stdout + r.stderr

    def run(self, name, body):
        if self.only not in name: return
        begin, why = time.monotonic(), ''
        try: body()
        except Exception as error: why = f'{type(error).__name__} at line {traceback.extract_tb(error.__traceback__)[1].lineno}: {error}'
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}client {name:56}{time.monotonic() - begin:6.1f} s  {why}', flush=True)
        self.h.post('torrents/delete', {'hashes': 'all', 'deleteFiles': 'true'})
        until(lambda: not self.rows(), 20, what='an empty list')
        for f in self.down.iterdir(): shutil.rmtree(f) if f.is_dir() else f.unlink()

    # -- libraries ---------------------------------------------------------------------------------------------------

    def library(self, name):
        """aiobtclientapi: one interface over both protocols."""
        script = '''
import asyncio, sys, aiobtclientapi
name, url, user, password, single, many, hash = sys.argv[1:]
async def main():
    c = aiobtclientapi.api(name, url=url, username=user, password=password)
    async with c:
        assert await c.add(single, stopped=True) == hash
        # Version 5.1 answers 200 and "Fails." to a duplicate, which this library takes for added; 409 came with 5.2.
        try: again = await c.add(single, stopped=True)
        except aiobtclientapi.TorrentAlreadyAdded: again = 'told'
        assert again == ('told' if name == 'transmission' else hash), again
        await c.add(many, stopped=True)
        assert len(await c.get_infohashes()) == 2
        await c.verify(hash)
        [progress async for progress in c.verify_wait(hash)]
        await c.start(hash)
        await c.stop(hash)
        for t in await c.get_torrents(): print(t.infohash if hasattr(t, 'infohash') else t)
        try: await c.stop('f' * 40)
        except aiobtclientapi.StopTorrentError: pass
        else: raise AssertionError('an unknown torrent was stopped')
asyncio.run(main())
'''
        url = f'http://{self.ip}:{self.port}' + ('/transmission/rpc' if name == 'transmission' else '')
        code, out = self.call('aiobtclientapi', 'python', '-c', script, name, url, USER, PASSWORD, self.file(self.single), self.file(self.many), self.single.hash)
        same(code, 0, out)
        same(sorted(out.split()), sorted([self.single.hash, self.many.hash]))
        same(set(self.rows()), {self.single.name, self.many.name})
        until(lambda: self.state(self.single) == 'stoppedDL', 10, what='stopped')

    # -- programs without a screen -----------------------------------------------------------------------------------

    def exporter(self):
        self.add(self.single, complete=True, category='films', tags='a,b')
        self.add(self.many)
        port = 18091
        environment = {**self.environment(), 'QBITTORRENT_HOST': self.ip, 'QBITTORRENT_PORT': str(self.port), 'QBITTORRENT_USER': USER, 'QBITTORRENT_PASS': PASSWORD,
                       'EXPORTER_ADDRESS': self.ip, 'EXPORTER_PORT': str(port), 'EXPORT_METRICS_BY_TORRENT': 'True', 'EXPORT_METRICS_BY_TAG': 'True'}
        log = open(self.home / 'exporter.log', 'w')
        process = subprocess.Popen([str(self.tool('exporter', 'qbittorrent-exporter'))], env=environment, cwd=self.home, stdout=log, stderr=log)
        try:
            def metrics():
                link = http.client.HTTPConnection(self.ip, port, timeout=10)
                link.request('GET', '/metrics')
                return link.getresponse().read().decode()
            text = until(metrics, 30, what='the exporter')
            for wanted in ('qbittorrent_up{', 'version="v5.1.4"} 1.0', 'category="films"', f'qbittorrent_torrent_size{{category="films",name="{self.single.name}"'):
                assert wanted in text, f'{wanted} is not in\n' + '\n'.join(l for l in text.splitlines() if 'qbittorrent' in l and '#' not in l)[:3000]
            counts = {l.split('"')[-2]: float(l.rsplit(' ', 1)[1]) for l in text.splitlines() if l.startswith('qbittorrent_torrents_count{category="films"')}
            same({state: n for state, n in counts.items() if n}, {'stalledUP': 1.0}, 'torrents by state')
            same('ERROR' in (self.home / 'exporter.log').read_text(), False, (self.home / 'exporter.log').read_text())
        finally:
            process.terminate()
            process.wait(20)

    def qbit_manage(self):
        """Categories by folder, tags by tracker, share limits, orphaned files: a whole run, then what it left in the daemon."""
        self.add(self.single, complete=True)
        self.add(self.many, complete=True)
        orphan = self.down / 'left behind.bin'
        orphan.write_bytes(b'x' * 100)
        os.utime(orphan, (time.time() - 86400, time.time() - 86400))
        config = self.home / 'qbm'
        config.mkdir()
        (config / 'config.yml').write_text(f'''
commands: {{dry_run: False, recheck: True, cat_update: True, tag_update: True, rem_unregistered: True, tag_tracker_error: True, rem_orphaned: True, tag_nohardlinks: False, share_limits: True, skip_qb_version_check: False, skip_cleanup: False}}
qbt: {{host: "http://{self.ip}:{self.port}", user: {USER}, pass: {PASSWORD}}}
settings: {{force_auto_tmm: False, tracker_error_tag: issue, nohardlinks_tag: noHL, share_limits_tag: ~share, share_limits_min_seeding_time_tag: MinSeed, share_limits_min_num_seeds_tag: MinSeeds, share_limits_last_active_tag: LastActive, cat_filter_completed: True, share_limits_filter_completed: True, tag_nohardlinks_filter_completed: True, cat_update_all: True, disable_qbt_default_share_limits: True, tag_stalled_torrents: True}}
directory: {{root_dir: "{self.down}", remote_dir: "{self.down}", recycle_bin: "{self.home}/bin", orphaned_dir: "{self.home}/orphans"}}
cat: {{everything: "{self.down}"}}
tracker: {{"127.0.0.1": {{tag: dead}}, other: {{tag: rest}}}}
recyclebin: {{enabled: True, empty_after_x_days: 60, save_torrents: False, split_by_category: False}}
orphaned: {{empty_after_x_days: 60, exclude_patterns: [], max_orphaned_files_to_delete: 50, min_file_age_minutes: 0}}
share_limits:
  all: {{priority: 1, max_ratio: 3.5, max_seeding_time: 6000, cleanup: False, limit_upload_speed: 500}}
''')
        code, out = self.call('qbit-manage', 'qbit-manage', '--run', '--web-server=False', '--config-dir', config, timeout=180)
        logs = list(self.home.rglob('qbit_manage*.log'))
        out += logs[0].read_text() if logs else ''
        same(code, 0, out[-3000:])
        assert 'Qbt Connection Successful' in out and 'Traceback' not in out and 'CRITICAL' not in out, out[-3000:]
        for torrent in (self.single, self.many):
            row = self.row(torrent)
            same(row['category'], 'everything', out[-3000:])
            assert 'dead' in row['tags'].split(', '), row['tags']
            same((row['ratio_limit'], row['seeding_time_limit'], row['up_limit']), (3.5, 6000, 500 * 1024))
        assert not orphan.exists(), 'the file that belongs to no torrent has gone'
        assert (self.down / self.single.name).exists()

    def flexget(self):
        """A task that accepts entries: files and a magnet, with category, tags, limits and a path."""
        (self.home / 'watch').mkdir()
        for t in (self.single, self.many): shutil.copy(self.file(t), self.home / 'watch')
        there = self.down / 'flexget'
        (self.home / 'flexget.yml').write_text(f'''
tasks:
  files:
    filesystem: {{path: "{self.home}/watch", regexp: '.*\\.torrent$'}}
    accept_all: yes
    qbittorrent: {{host: "{self.ip}", port: {self.port}, username: {USER}, password: {PASSWORD}, path: "{there}", label: films, tags: [a, b], add_paused: yes, maxupspeed: 50, maxdownspeed: 70, ratio_limit: 2.5, seeding_time_limit: 10 hours}}
  magnet:
    mock: [{{title: by magnet, url: "magnet:?xt=urn:btih:{'ab' * 20}&dn=by%20magnet"}}]
    accept_all: yes
    qbittorrent: {{host: "{self.ip}", port: {self.port}, username: {USER}, password: {PASSWORD}, label: links}}
''')
        code, out = self.call('flexget', 'flexget', '-c', self.home / 'flexget.yml', '--loglevel', 'VERBOSE', 'execute', '--now', '--task', 'files', timeout=180)
        same(code, 0, out[-3000:])
        same(set(self.rows()), {self.single.name, self.many.name}, out[-3000:])
        row = self.row(self.single)
        same((row['category'], row['tags'], row['save_path'], row['up_limit'], row['dl_limit'], row['ratio_limit'], row['seeding_time_limit']), ('films', 'a, b', str(there), 50 * 1024, 70 * 1024, 2.5, 600))
        until(lambda: self.state(self.single) == 'stoppedDL', 10, what='added stopped')
        code, out = self.call('flexget', 'flexget', '-c', self.home / 'flexget.yml', 'execute', '--now', '--task', 'magnet', timeout=180)
        same((code, self.rows().get('by magnet', {}).get('category')), (0, 'links'), out[-3000:])

    def stig_commands(self):
        """stig's command line: add, list, start, stop, verify, limit, label, rename, trackers, files, remove."""
        options = ['--norcfile', 'set', 'connect.url', f'http://{USER}:{PASSWORD}@{self.ip}:{self.port}/transmission/rpc', ';']

        def stig(*words):
            code, out = self.call('stig', 'stig', '-T', *options, *words)
            same(code, 0, f'{words}: {out}')
            return out
        stig('add', '--stopped', self.file(self.single))
        stig('add', '--stopped', self.file(self.many))
        until(lambda: {self.state(self.single), self.state(self.many)} == {'stoppedDL'}, 10, what='both stopped')
        out = stig('ls', '--columns', 'name,size,status')
        assert self.single.name in out and self.many.name in out, out
        assert self.single.hash in stig('details', 'name=single.bin'), 'details'
        stig('start', 'name=single.bin')
        until(lambda: self.state(self.single) in ('stalledDL', 'downloading'), 10, what='started')
        stig('announce', 'name=single.bin')
        stig('stop', 'name=single.bin')
        until(lambda: self.state(self.single) == 'stoppedDL', 10, what='stopped')
        stig('verify', 'name=single.bin')
        stig('ratelimit', 'up', '50kB', 'name=single.bin')
        until(lambda: self.row(self.single)['up_limit'] == 50_000, 10, what='its limit')
        stig('ratelimit', 'down', '1MB', 'global')
        until(lambda: abs(self.h.get('transfer/info').json()['dl_rate_limit'] - 1_000_000) < 1024, 10, what='the global limit')
        stig('ratelimit', 'down', 'off', 'global')
        assert '127.0.0.1' in stig('trackerlist', 'name=single.bin'), 'trackers'
        assert 'bin' in stig('filelist', f'name={self.many.name}'), 'files'
        stig('tracker', 'add', 'name=single.bin', 'http://127.0.0.1:9/second/announce')
        until(lambda: self.row(self.single)['trackers_count'] == 2, 10, what='the second tracker')
        stig('label', 'films,other', 'name=single.bin')
        until(lambda: 'films' in (self.row(self.single)['tags'] + self.row(self.single)['category']), 10, what='labels')
        assert self.single.name in stig('ls', 'label=films'), 'by label'
        stig('move', 'name=single.bin', self.down / 'elsewhere')
        until(lambda: self.row(self.single)['save_path'] == str(self.down / 'elsewhere'), 20, what='the new folder')
        stig('rename', 'name=single.bin', 'renamed.bin')
        until(lambda: 'renamed.bin' in self.rows(), 10, what='the new name')
        stig('remove', '--delete-files', '--force', 'all')
        until(lambda: not self.rows(), 10, what='removed')

    # -- programs with a screen --------------------------------------------------------------------------------------

    def stig_screen(self):
        self.add(self.single, complete=True)
        self.add(self.many)
        rc = self.home / 'stigrc'
        rc.write_text(f'set connect.url http://{USER}:{PASSWORD}@{self.ip}:{self.port}/transmission/rpc\nset tui.poll 0.5\n')
        screen = Screen(self, self.tool('stig', 'stig'), '--rcfile', rc)
        try:
            # It opens with what is active or incomplete.
            screen.shows(self.many.name)
            screen.keys('M-2')
            screen.shows(self.single.name, self.many.name)
            screen.keep('stig-list')
            def command(text):
                screen.keys(':')
                time.sleep(1)
                screen.keys(text, literal=True)
                screen.shows(text)
                screen.keys('Enter')
            command('stop name=single.bin')
            until(lambda: self.state(self.single) == 'stoppedUP', 15, what='stopped from the screen')
            command('start name=single.bin')
            until(lambda: self.state(self.single) in ('stalledUP', 'uploading'), 15, what='started from the screen')
            command('tab details name=single.bin')
            screen.shows(self.single.hash)
            screen.keep('stig-details')
        finally: screen.close()

    def tewi(self, protocol):
        """Lists, shows details, stops and starts by key, labels, removes with data."""
        common = ['--client-type', protocol, '--host', self.ip, '--port', self.port, '--username', USER, '--password', PASSWORD]
        code, out = self.call('tewi', 'tewi', *common, '-a', self.file(self.single))
        same(code, 0, out)
        until(lambda: self.state(self.single) in ('stalledDL', 'downloading'), 15, what='added')
        self.h.post('torrents/delete', {'hashes': 'all', 'deleteFiles': 'true'})
        until(lambda: not self.rows(), 10, what='an empty list')
        self.add(self.single, complete=True)
        screen = Screen(self, self.tool('tewi', 'tewi'), *common, '--refresh-interval', '1', '--view-mode', 'card')
        try:
            screen.shows(self.single.name, timeout=60)
            screen.keep(f'tewi-{protocol}-list')
            screen.keys('j')
            screen.keys('Space')
            until(lambda: self.state(self.single) == 'stoppedUP', 20, what='stopped by key')
            # The key does the other thing only once its own list has followed.
            screen.shows('stopped  0 peers')
            screen.keys('Space')
            until(lambda: self.state(self.single) in ('stalledUP', 'uploading'), 20, what='started by key')
            screen.shows('seeding  0 peers')
            screen.keys('L')
            screen.shows('label', timeout=10)
            screen.keys('films', literal=True)
            screen.keys('Enter')
            until(lambda: 'films' in self.row(self.single)['tags'], 20, what='the label')
            screen.keys('Enter')
            screen.shows(self.single.hash)
            screen.keep(f'tewi-{protocol}-details')
            screen.keys('2')
            screen.shows('single.bin')
            screen.keys('x')
            screen.keys('S')
            screen.shows('tatistics')
            screen.keep(f'tewi-{protocol}-statistics')
            screen.keys('x')
            screen.keys('P')
            time.sleep(1)
            screen.keep(f'tewi-{protocol}-preferences')
            screen.keys('x')
            screen.keys('R')
            screen.shows('emov')
            screen.keys('y')
            until(lambda: not self.rows(), 20, what='removed')
            assert not (self.down / self.single.name).exists(), 'its data too'
        finally: screen.close()

    def cases(self):
        yield 'aiobtclientapi, qBittorrent', lambda: self.library('qbittorrent')
        yield 'aiobtclientapi, Transmission', lambda: self.library('transmission')
        yield 'prometheus-qbittorrent-exporter', self.exporter
        yield 'qbit-manage: categories, tags, limits, orphans', self.qbit_manage
        yield 'FlexGet: qbittorrent plugin', self.flexget
        yield 'stig: commands', self.stig_commands
        if shutil.which('tmux'):
            yield 'stig: on the screen', self.stig_screen
            yield 'tewi, qBittorrent: on the screen', lambda: self.tewi('qbittorrent')
            yield 'tewi, Transmission: on the screen', lambda: self.tewi('transmission')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--slice', action='store_true', help='the quick ones')
    parser.add_argument('--only')
    parser.add_argument('--screens', type=Path)
    options = parser.parse_args()
    if options.screens: options.screens.mkdir(parents=True, exist_ok=True)
    if not all((VENVS / v / 'installed').exists() for v in ('aiobtclientapi', 'exporter')):
        print('skipped: the clients are not installed (make setup-clients)\n0 passed, 0 failed')
        return
    sandbox.enter()
    clients = Clients(options.only, options.screens and options.screens.resolve())
    for name, body in clients.cases():
        if not options.slice or name.startswith(('aiobtclientapi', 'prometheus')): clients.run(name, body)
    clients.daemon.stop()
    if clients.failed: print((clients.folder / 'state' / 'log').read_text(errors='replace')[-3000:])
    print(f'{clients.passed} passed, {clients.failed} failed')
    sys.exit(clients.failed > 0)


if __name__ == '__main__': main()
