"""schemathesis (PyPI) against the OpenAPI document of /api/v1 of a running daemon with torrents in it.

    api_fuzz.py [--slice] [--examples N] [--seed N] [--only PATH]

Requests are made from the document, right ones and wrong ones; no answer may be a 5xx, differ from the document or take longer than 30 s, and every
process must be the same one afterwards. A key with all scopes is used, so that a changed password locks nobody out. The event stream never ends,
so it is not asked for.
"""
import argparse, json, os, shutil, subprocess, sys, time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from api import PASSWORD, Http, multipart, stored_hash
from api_clients import VENVS
from clients import Ccbt
from content import Torrent, many_files, single_file
from sandbox import address, until


# Where the meaning of a value goes beyond what a schema can say (is it a torrent, is there such an option, is the folder one of ours), 400 is an
# answer to what the schema admits. schemathesis takes names from answers into later requests: the key in use is not to be removed, and a worker that
# ends is to be one that failed.
LENIENT = ''.join(f'''
[[operations]]
include-name = "{name}"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "403", "404", "409"]
''' for name in ('POST /torrents', 'POST /torrents/bulk', 'POST /torrents/{hash}/peers', 'POST /torrents/{hash}/move', 'PATCH /torrents/{hash}', 'PATCH /torrents/{hash}/files', 'PATCH /settings', 'PUT /settings/{key}')) + '''
[[operations]]
include-name = "DELETE /keys/{name}"
parameters = { name = "nobody" }

[[operations]]
include-name = "POST /workers/{name}/restart"
parameters = { name = "nobody:0" }

'''


class Fuzz:
    def __init__(self, options):
        self.options, self.passed, self.failed = options, 0, 0
        self.folder = sandbox.scratch('ccbt-fuzz-')
        (self.folder / 'down').mkdir()
        self.ip, self.port = address(1), 18080
        self.daemon = Ccbt(self.folder / 'state', self.ip, api__enable=True, api__listen=[f'{self.ip}:{self.port}'], disk__download_dir=str(self.folder / 'down'))
        state = self.folder / 'state'
        (state / 'api').mkdir(parents=True, mode=0o700)
        state.chmod(0o700)
        (state / 'api' / 'password').write_text(stored_hash(PASSWORD))
        self.daemon.start()
        until(lambda: Http(self.ip, self.port).request('GET', '/readyz').status == 200, 30, what='/readyz')
        h = Http(self.ip, self.port).login()
        self.key = h.request('POST', '/api/v1/keys', json.dumps({'name': 'fuzz', 'scopes': ['read', 'write', 'admin']})).json()['key']
        self.torrents = [Torrent(single_file(self.folder / 'down' / 'single.bin', (1 << 20) + 77), piece=64 << 10), Torrent(many_files(self.folder / 'source' / 'many files', 20, 1 << 20), piece=32 << 10)]
        for t in self.torrents:
            body, kind = multipart([('stopped', 'true')], [('torrents', 'x.torrent', t.write(self.folder / f'{t.name}.torrent').read_bytes())])
            assert h.post('torrents/add', body, headers={'Content-Type': kind}).text == 'Ok.'
        until(lambda: {t['state'] for t in h.get('torrents/info').json()} <= {'stoppedDL', 'stoppedUP'}, 20, what='the torrents at rest')

    def get(self, path):
        h = Http(self.ip, self.port).request('GET', path, headers={'Authorization': f'Bearer {self.key}'})
        assert h.status == 200, (path, h.status, h.text)
        return h

    def processes(self): return {w['name']: w['pid'] for w in self.daemon.btbt('workers')}

    def run(self, name, configuration, *arguments):
        """One run of schemathesis; `configuration` is its file."""
        begin, why, before = time.monotonic(), '', self.processes()
        (self.folder / 'schemathesis.toml').write_text(configuration)
        command = [VENVS / 'schemathesis' / 'bin' / 'schemathesis', 'run', f'http://{self.ip}:{self.port}/api/v1/openapi.json', '-H', f'Authorization: Bearer {self.key}',
                   '--exclude-path', '/events', '--request-timeout', '30', '--max-examples', self.options.examples, '--seed', self.options.seed, '--no-color', '--warnings', 'off', '--continue-on-failure', *arguments]
        if self.options.only: command += ['--include-path-regex', self.options.only]
        r = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=self.folder, env=dict(os.environ, HOME=str(self.folder), NO_PROXY='*'))
        cases = next((l.strip() for l in r.stdout.splitlines() if 'generated' in l), '')
        try:
            assert r.returncode == 0, (r.stdout + r.stderr)[-12000:]
            assert self.processes() == before, f'{before} became {self.processes()}'
            assert self.get('/api/v1/status').json()['ready']
        except Exception as error: why = f'{type(error).__name__}: {error}'
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}fuzz {name:44}{time.monotonic() - begin:6.1f} s  {cases} {why}', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--slice', action='store_true', help='few examples')
    parser.add_argument('--examples', type=int)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--only', help='paths that match this')
    options = parser.parse_args()
    if options.examples is None: options.examples = 3 if options.slice else 100
    if not (VENVS / 'schemathesis' / 'installed').exists():
        print('skipped: no schemathesis (make setup-clients)\n0 passed, 0 failed')
        return
    sandbox.enter()
    fuzz = Fuzz(options)
    fuzz.run('openapi.json, any torrent', LENIENT)
    # The same with the hash of a torrent that is there, so that handlers are reached; removals are left out.
    fuzz.run('openapi.json, a torrent that is there', LENIENT + f'[parameters]\n"path.hash" = "{fuzz.torrents[1].hash}"\n', '--include-path-regex', 'hash', '--exclude-path-regex', 'index', '--exclude-method', 'DELETE')
    # The bytes of a file that is there: of one that nobody has the answer is a connection that ends, which schemathesis takes for a fault.
    fuzz.run('openapi.json, a file that is there', LENIENT + f'[parameters]\n"path.hash" = "{fuzz.torrents[0].hash}"\n"path.index" = "0"\n', '--include-path-regex', 'index')
    fuzz.daemon.stop()
    if fuzz.failed: print((fuzz.folder / 'state' / 'log').read_text(errors='replace')[-3000:])
    print(f'{fuzz.passed} passed, {fuzz.failed} failed')
    sys.exit(fuzz.failed > 0)


if __name__ == '__main__': main()
