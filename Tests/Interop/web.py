"""The web page in a real browser (headless Chromium through Playwright), against a running daemon and a libtorrent seeder.

    web.py [--only TEXT] [--shots DIR]      DIR keeps a screenshot of each case

No case may leave an error on the browser's console or ask another host for anything.
"""
import argparse, os, sys, time, urllib.parse
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sandbox
from api import PASSWORD, USER, stored_hash
from clients import Ccbt, Libtorrent
from content import Torrent, bencode, many_files, single_file
from sandbox import address, until
from session import Web as FeedServer

HOSTILE = '<img src=x onerror="window.stolen=1"><b>name</b>'


class Web:
    def __init__(self, browser, only, shots):
        self.only, self.shots, self.passed, self.failed = only or '', shots, 0, 0
        self.folder = sandbox.scratch('ccbt-web-')
        self.down = self.folder / 'down'
        self.down.mkdir()
        self.ip, self.port = address(1), 18080
        self.base = f'http://{self.ip}:{self.port}/'
        state = self.folder / 'state'
        (state / 'api').mkdir(parents=True, mode=0o700)
        state.chmod(0o700)
        (state / 'api' / 'password').write_text(stored_hash(PASSWORD))
        self.daemon = Ccbt(state, self.ip, api__enable=True, api__listen=[f'{self.ip}:{self.port}'], disk__download_dir=str(self.down), rss__allow_local=True).start()
        self.single = Torrent(single_file(self.folder / 'source' / 'single.bin', (24 << 20) + 77), piece=256 << 10)
        self.many = Torrent(many_files(self.folder / 'source' / 'many files', 24, 2 << 20), piece=32 << 10)
        self.seeder = Libtorrent(self.folder / 'seeder', address(2)).start()
        for i, size in enumerate((900_001, 1_200_000, 300_003)): single_file(self.folder / 'source' / 'three' / f'{i}.bin', size, seed=30 + i)
        self.three = Torrent(self.folder / 'source' / 'three', piece=64 << 10)
        for n, t in enumerate((self.single, self.many, self.three)):
            self.seeder.add(t.write(self.folder / f'{t.name}.torrent'), self.folder / 'source')
            until(lambda: self.seeder.stat(n)['complete'], 60)
        self.context = browser.new_context(viewport={'width': 1280, 'height': 800}, locale='en-US')
        self.page = self.context.new_page()
        self.noise, self.foreign = [], []
        # A refused login is an error to the browser's console, and part of a case.
        self.page.on('console', lambda m: self.noise.append(m.text) if m.type in ('error', 'warning') and 'auth/login' not in m.text and '403' not in m.text else None)
        self.page.on('pageerror', lambda e: self.noise.append(str(e)))
        self.page.on('request', lambda r: self.foreign.append(r.url) if urllib.parse.urlsplit(r.url).netloc not in ('', f'{self.ip}:{self.port}') else None)
        until(lambda: self.context.request.get(self.base + 'readyz').ok, 30, what='/readyz')

    def file(self, torrent): return str(self.folder / f'{torrent.name}.torrent')
    def row(self, torrent): return self.page.locator(f'#row-{torrent.hash}')
    def dial(self, torrent): self.daemon.btbt('peers', 'add', torrent.hash, f'{self.seeder.ip}:{self.seeder.port}')
    def state(self, torrent): return self.row(torrent).locator('.c-state').inner_text()

    def run(self, name, body):
        if self.only not in name: return
        begin, why = time.monotonic(), ''
        try:
            body()
            assert not self.noise, f'console: {self.noise}'
            assert not self.foreign, f'other hosts were asked: {self.foreign}'
        except Exception as error: why = f'{type(error).__name__}: {error}'[:700]
        if self.shots: self.page.screenshot(path=str(self.shots / f'{name.replace(" ", "-")}.png'))
        self.noise.clear()
        self.passed, self.failed = self.passed + (not why), self.failed + bool(why)
        print(f'{"ok" if not why else "FAILED":7}web {name:44}{time.monotonic() - begin:6.1f} s  {why}', flush=True)

    def login(self, password=PASSWORD):
        self.page.fill('#user', USER)
        self.page.fill('#password', password)
        self.page.click('button[type=submit]')

    def open_add(self):
        self.page.click('.tools button.primary')
        self.page.wait_for_selector('dialog[open]')

    def confirm(self): self.page.click('dialog[open] button[type=submit]:last-of-type')

    # -- cases --------------------------------------------------------------------------------------------------------

    def logs_in(self):
        self.page.goto(self.base)
        self.page.wait_for_selector('#user')
        self.login('wrong')
        self.page.wait_for_selector('.login .bad:not(:empty)')
        self.login()
        self.page.wait_for_selector('.grid')

    def adds_a_file(self):
        """What is in it is shown before it is added."""
        self.open_add()
        self.page.set_input_files('#add-files', self.file(self.many))
        self.page.wait_for_selector('.tree label')
        assert self.page.locator('.tree label').count() == self.many.count, self.page.locator('.tree label').count()
        self.confirm()
        self.row(self.many).wait_for()
        self.dial(self.many)
        until(lambda: self.row(self.many).locator('.c-progress').inner_text() == '100.0 %', 60, what='the end of the download')
        until(lambda: not self.many.difference(self.down), 20, what='the files on disk')

    def adds_a_magnet(self):
        self.open_add()
        self.page.fill('#add-links', f'magnet:?xt=urn:btih:{self.single.hash}')
        self.confirm()
        self.row(self.single).wait_for()
        self.dial(self.single)
        until(lambda: self.row(self.single).locator('.c-progress').inner_text() == '100.0 %', 60, what='the end of the download')
        until(lambda: not self.single.difference(self.down), 20, what='the file on disk')

    def chooses_files(self):
        """One of three files before the start; another in the details; the third is never made."""
        self.open_add()
        self.page.set_input_files('#add-files', self.file(self.three))
        self.page.wait_for_selector('.tree label')
        self.page.click('.tree button:has-text("No files")')
        self.confirm()
        self.page.wait_for_selector('.toast.error')
        for n in (0, 1): self.page.locator('.tree input[type=checkbox]').nth(n).check()
        self.page.locator('.tree select').nth(1).select_option('7')
        self.page.locator('.tree input[type=checkbox]').nth(0).uncheck()
        if self.shots: self.page.screenshot(path=str(self.shots / 'add-dialog.png'))
        self.confirm()
        self.row(self.three).wait_for()
        self.dial(self.three)
        until(lambda: self.row(self.three).locator('.c-progress').inner_text() == '100.0 %', 60, what='the one file')
        stands = lambda: sorted(p.name for p in (self.down / 'three').iterdir())
        assert stands() == ['1.bin'], stands()
        self.row(self.three).dblclick()
        self.page.click('[data-tab=files]')
        chosen = lambda: [self.page.locator('.panel select').nth(n).input_value() for n in range(self.page.locator('.panel select').count())]
        until(lambda: chosen() == ['0', '7', '0'], 10, what='the priorities')
        self.page.locator('.panel select').nth(2).select_option('6')
        self.dial(self.three)
        until(lambda: stands() == ['1.bin', '2.bin'], 60, what='the other file')
        if self.shots: self.page.screenshot(path=str(self.shots / 'files-tab.png'))
        same = lambda n: (self.down / 'three' / f'{n}.bin').read_bytes() == (self.folder / 'source' / 'three' / f'{n}.bin').read_bytes()
        until(lambda: same(2) and same(1), 60, what='their bytes')
        self.page.keyboard.press('Escape')
        # The next cases count two torrents.
        self.daemon.btbt('remove', self.three.hash, '--with-data')
        self.row(self.three).wait_for(state='detached')

    def stops_and_starts(self):
        self.row(self.single).click()
        self.page.click('.tools button:has-text("Stop")')
        until(lambda: self.state(self.single) == 'Completed', 20, what='the stop')
        self.page.click('.tools button:has-text("Start")')
        until(lambda: self.state(self.single) == 'Seeding', 20, what='the start')

    def filters_and_sorts(self):
        rows = lambda: self.page.locator('.row').count()
        assert rows() == 2, rows()
        self.page.fill('.tools input[type=search]', 'single')
        until(lambda: rows() == 1)
        self.page.fill('.tools input[type=search]', '')
        until(lambda: rows() == 2)
        self.page.click('.side .filter:has-text("Errors")')
        until(lambda: rows() == 0)
        self.page.click('.side .filter:has-text("All")')
        until(lambda: rows() == 2)
        first = lambda: self.page.locator('.row').filter(has=self.page.locator('.c-name')).evaluate_all('r => r.sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)[0].querySelector(".c-name").textContent')
        header = self.page.locator('.grid-head button').first
        header.click()
        name = first()
        header.click()
        until(lambda: first() != name, what='the other order')

    def shows_details(self):
        self.row(self.single).dblclick()
        self.page.wait_for_selector('.details:not(.hidden)')
        self.page.click('[data-tab=overview]')
        until(lambda: self.single.hash in self.page.locator('.facts').inner_text(), 10, what='the facts')
        painted = 'c => c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some((v) => v > 0)'
        until(lambda: self.page.locator('canvas.pieces').evaluate(painted), 10, what='the piece map')
        self.page.click('[data-tab=files]')
        until(lambda: 'single.bin' in self.page.locator('.panel').inner_text(), 10, what='the file list')
        # The playlist is offered for what the server calls playable.
        playlist = self.page.locator('.panel a[href$="/playlist.m3u8"]')
        assert not playlist.is_visible(), 'a playlist of no film'
        def film(route):
            answer = route.fetch()
            body = answer.json()
            assert [f['isPlayable'] for f in body['files']] == [False], body
            body['files'][0]['isPlayable'] = True
            route.fulfill(response=answer, json=body)
        self.page.route('**/api/v1/torrents/*/files', film)
        self.page.click('[data-tab=overview]')
        self.page.click('[data-tab=files]')
        until(playlist.is_visible, 10, what='the playlist')
        self.page.unroute('**/api/v1/torrents/*/files')
        self.page.click('[data-tab=peers]')
        # Two seeds do not stay connected: the table is there, whoever is in it.
        until(lambda: 'Client' in self.page.locator('.panel').inner_text(), 10, what='the table of peers')
        self.page.click('[data-tab=speed]')
        until(lambda: self.page.locator('canvas.plot').first.evaluate(painted), 10, what='the speed plot')
        self.page.keyboard.press('Escape')
        self.page.wait_for_selector('.details', state='hidden')

    def rechecks(self):
        self.row(self.single).click()
        self.page.click('.tools button:has-text("Recheck")')
        until(lambda: self.state(self.single) == 'Seeding' and self.row(self.single).locator('.c-progress').inner_text() == '100.0 %', 30, what='the recheck')

    def limits(self):
        self.row(self.single).click(button='right')
        self.page.click('.menu button:has-text("Up limit")')
        self.page.fill('#ask', '100')
        self.confirm()
        read = lambda: self.context.request.get(f'{self.base}api/v2/torrents/info?hashes={self.single.hash}').json()[0]['up_limit']
        until(lambda: read() == 100 << 10, 10, what='the limit')

    def worker_returns(self):
        """The peer worker dies while the page looks on."""
        self.page.click('nav button:has-text("Workers")')
        worker = self.page.locator('tr[data-worker="peer:0"]')
        worker.wait_for()
        before = worker.locator('td').nth(1).inner_text()
        os.kill(int(before), 9)
        until(lambda: worker.locator('td').nth(1).inner_text() not in ('', before) and worker.locator('td').nth(4).inner_text() == '1', 15, what='the new peer worker')
        worker.locator('button').click()
        self.confirm()
        until(lambda: worker.locator('td').nth(4).inner_text() == '2', 15, what='the restart by the button')
        self.page.click('nav button:has-text("Torrents")')
        until(lambda: self.state(self.single) == 'Seeding', 20, what='seeding after it')

    def settings(self):
        self.page.click('nav button:has-text("Settings")')
        self.page.fill('.page input[type=search]', 'max_active_downloading')
        field = self.page.locator('[id="option-queue.max_active_downloading"]')
        field.fill('7')
        field.press('Enter')
        self.page.wait_for_selector('.toast:has-text("max_active_downloading")')
        assert '7' in str(self.daemon.btbt('settings', 'show', 'queue.max_active_downloading')), 'the daemon has another value'
        self.page.click('.page button:has-text("Reset")')
        until(lambda: self.page.locator('.page button:has-text("Reset")').count() == 0, 10, what='the reset')
        self.page.click('nav button:has-text("Torrents")')

    def feeds(self):
        """A feed with a hostile title, a rule that is tried while it is written, an article that is added by hand."""
        server = FeedServer()
        torrent = server.put('/a.torrent', Path(self.file(self.single)).read_bytes())
        items = ''.join(f'<item><guid>{n}</guid><title>{title}</title><pubDate>0{n} Nov 2026 10:00:00 GMT</pubDate><link>{torrent}</link></item>'
                        for n, title in ((1, 'Show S01E01'), (2, '&lt;img src=x onerror="window.stolen=4"&gt;'), (3, 'Show S01E02')))
        url = server.put('/feed.xml', f'<?xml version="1.0"?><rss version="2.0"><channel><title>F</title>{items}</channel></rss>'.encode(), kind='application/rss+xml')
        page = self.page
        page.click('nav button:has-text("RSS")')
        page.wait_for_selector('.articles:has-text("No feeds yet.")')
        page.click('.page button:has-text("Add feed")')
        page.fill('#ask', url)
        self.confirm()
        page.click('.list button[data-path]')
        until(lambda: page.locator('.articles tr').count() == 3, 20, what='the articles')
        assert 'onerror' in page.locator('.articles').inner_text() and page.evaluate('window.stolen') is None, 'a title was run'
        assert page.locator('.articles tr strong').count() == 3, 'all unread'
        page.click('.page button:has-text("Add rule")')
        page.fill('#rule-name', 'shows')
        page.fill('#rule-must', 'show s01e0?')
        page.fill('#rule-category', 'series')
        page.uncheck('#rule-on')
        page.locator('dialog label', has_text='feed.xml').click()
        until(lambda: page.locator('.matches li').count() == 2, 10, what='the two matches')
        page.fill('#rule-not', 'E02')
        until(lambda: page.locator('.matches li').all_inner_texts() == ['Show S01E01'], 10, what='one match')
        if self.shots: page.screenshot(path=str(self.shots / 'rule.png'))
        self.confirm()
        page.wait_for_selector('.list button[data-rule=shows]')
        rule = self.daemon.btbt('rss', 'rules')[0]
        assert (rule['mustContain'], rule['mustNotContain'], rule['category'], rule['enabled'], rule['affectedFeeds']) == ('show s01e0?', 'E02', 'series', False, [url]), rule
        if self.shots: page.screenshot(path=str(self.shots / 'feeds-full.png'))
        page.click('.articles tr:has-text("Show S01E02") button')
        page.wait_for_selector('dialog #add-links')
        assert torrent in page.input_value('#add-links'), 'the address is in the dialog'
        page.keyboard.press('Escape')
        until(lambda: page.locator('.articles tr strong').count() == 2, 20, what='one article read')
        page.click('.articles button:has-text("Mark as read")')
        until(lambda: page.locator('.articles tr strong').count() == 0, 20, what='all read')
        page.click('.list button[data-rule=shows]')
        page.click('dialog button[value=remove]')
        page.wait_for_selector('.list button[data-rule=shows]', state='detached')
        page.click('.articles button:has-text("Remove")')
        page.click('dialog button[value=remove]')
        page.wait_for_selector('.articles:has-text("No feeds yet.")')
        page.click('nav button:has-text("Torrents")')

    def shows_the_log(self):
        self.page.click('nav button:has-text("Log")')
        self.page.wait_for_selector('.page tr:has-text("catalogue:")')
        self.page.select_option('.page select', 'critical')
        until(lambda: self.page.locator('.page tr:visible', has_text='catalogue:').count() == 0, 10, what='only what is critical')
        self.page.select_option('.page select', 'normal')
        self.page.wait_for_selector('.page tr:has-text("catalogue:")')
        self.page.click('nav button:has-text("Torrents")')

    def bans_a_peer(self):
        """The seeder, from the table of peers while it serves slowly. It stays out afterwards."""
        slow = Torrent(single_file(self.folder / 'source' / 'slow.bin', 16 << 20, seed=5), piece=256 << 10)
        # Loopback-like addresses are banned with their port, others without: a seeder of its own, so that the other is not hit.
        seeder = Libtorrent(self.folder / 'slow seeder', address(3)).start()
        seeder.add(slow.write(self.folder / 'slow.torrent'), self.folder / 'source')
        until(lambda: seeder.stat(0)['complete'], 60)
        seeder.set(upload_rate_limit=64 << 10)
        self.open_add()
        self.page.set_input_files('#add-files', str(self.folder / 'slow.torrent'))
        self.confirm()
        self.row(slow).wait_for()
        self.daemon.btbt('peers', 'add', slow.hash, f'{seeder.ip}:{seeder.port}')
        self.row(slow).dblclick()
        self.page.click('[data-tab=peers]')
        peer = self.page.locator(f'tr[data-peer="{seeder.ip}:{seeder.port}"]')
        peer.wait_for()
        if self.shots: self.page.screenshot(path=str(self.shots / 'peers.png'))
        # The rows are made anew every second and a half; a click is tried until it meets one that stays.
        until(lambda: peer.click(button='right', timeout=2000) or self.page.locator('.menu').count(), 20, what='the menu')
        self.page.click('.menu button:has-text("Ban")')
        self.page.click('dialog button[value=ban]')
        until(lambda: [b for b in self.daemon.btbt('bans') if b['address'] == seeder.ip and b['reason'] == 'by_user'], 20, what='the ban')
        until(lambda: peer.count() == 0, 30, what='the peer to go')
        self.page.keyboard.press('Escape')
        self.daemon.btbt('remove', slow.hash, '--with-data')
        self.row(slow).wait_for(state='detached')
        seeder.stop()

    def hostile_text(self):
        info = {'name': HOSTILE, 'piece length': 16384, 'pieces': bytes(20), 'length': 9}
        path = self.folder / 'hostile.torrent'
        path.write_bytes(bencode({'announce': 'http://127.0.0.1:9/<script>window.stolen=2</script>', 'comment': '<script>window.stolen=3</script>', 'info': info}))
        self.open_add()
        self.page.set_input_files('#add-files', str(path))
        self.confirm()
        row = self.page.locator('.row', has_text='onerror')
        row.wait_for()
        row.dblclick()
        self.page.click('[data-tab=overview]')
        until(lambda: '<script>' in self.page.locator('.facts').inner_text(), 10, what='the comment as text')
        self.page.click('[data-tab=trackers]')
        until(lambda: 'script' in self.page.locator('.panel').inner_text(), 10, what='the tracker as text')
        assert self.page.evaluate('window.stolen') is None, 'a name was run'
        assert self.page.locator('#app img').count() == 0, 'a name became an element'
        self.page.keyboard.press('Escape')

    def keyboard_only(self):
        self.page.keyboard.press('Escape')
        self.page.locator('.grid').focus()
        for key in ('Home', 'ArrowDown', 'Shift+ArrowDown'): self.page.keyboard.press(key)
        assert self.page.locator('.row[aria-selected=true]').count() == 2, 'Shift extends the selection'
        self.page.keyboard.press('Home')
        self.page.keyboard.press('Enter')
        self.page.wait_for_selector('.details:not(.hidden)')
        self.page.keyboard.press('Escape')
        self.page.keyboard.press('Shift+F10')
        self.page.wait_for_selector('.menu')
        self.page.keyboard.press('ArrowDown')
        self.page.keyboard.press('Escape')
        self.page.keyboard.press('/')
        assert self.page.evaluate('document.activeElement.type') == 'search'
        self.page.keyboard.press('Tab')
        self.page.locator('.grid').focus()
        self.page.keyboard.press('a')
        self.page.wait_for_selector('dialog[open]')
        self.page.keyboard.press('Escape')

    def phone(self):
        self.page.set_viewport_size({'width': 390, 'height': 780})
        self.page.wait_for_timeout(300)
        width = self.page.evaluate('document.documentElement.scrollWidth')
        assert width <= 390, f'{width} px wide'
        self.page.click('.tools button:has-text("Filters")')
        assert self.page.locator('.side').is_visible()
        self.page.click('.tools button:has-text("Filters")')
        self.row(self.single).dblclick()
        self.page.wait_for_selector('.details:not(.hidden)')
        if self.shots: self.page.screenshot(path=str(self.shots / 'phone-details.png'))
        self.page.keyboard.press('Escape')
        self.page.set_viewport_size({'width': 1280, 'height': 800})

    def spanish_and_dark(self):
        self.page.click('header button[aria-label="More"]')
        self.page.click('.menu button:has-text("Dark")')
        assert self.page.evaluate('document.documentElement.dataset.theme') == 'dark'
        if self.shots: self.page.screenshot(path=str(self.shots / 'dark.png'))
        self.page.click('header button[aria-label="More"]')
        self.page.click('.menu button:has-text("Español")')
        self.page.wait_for_selector('nav button:has-text("Ajustes")')
        self.page.click('header button[aria-label="Más"]')
        self.page.click('.menu button:has-text("English")')
        self.page.wait_for_selector('nav button:has-text("Settings")')
        self.page.wait_for_selector('.row')

    def removes(self):
        self.row(self.many).click()
        self.page.keyboard.press('Delete')
        self.page.check('#with-data')
        self.confirm()
        self.row(self.many).wait_for(state='detached')
        until(lambda: not (self.down / self.many.name).exists(), 20, what='the files to go')

    def logs_out(self):
        self.page.click('header button[aria-label="More"]')
        self.page.click('.menu button:has-text("Log out")')
        self.page.wait_for_selector('#user')
        self.page.reload()
        self.page.wait_for_selector('#user')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--only')
    parser.add_argument('--shots', type=Path)
    options = parser.parse_args()
    sandbox.enter()
    try: from playwright.sync_api import sync_playwright
    except ImportError: return print('skipped  web: playwright is not installed\n0 passed, 0 failed')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path='/usr/bin/chromium', args=['--no-sandbox', '--disable-gpu'])
        web = Web(browser, options.only, options.shots)
        web.page.set_default_timeout(15_000)
        for name in ('logs_in', 'adds_a_file', 'adds_a_magnet', 'chooses_files', 'stops_and_starts', 'filters_and_sorts', 'shows_details', 'rechecks', 'limits', 'worker_returns',
                     'settings', 'feeds', 'shows_the_log', 'bans_a_peer', 'hostile_text', 'keyboard_only', 'phone', 'spanish_and_dark', 'removes', 'logs_out'):
            web.run(name.replace('_', ' '), getattr(web, name))
        browser.close()
    web.daemon.stop()
    print(f'web: {web.passed} passed, {web.failed} failed')
    sys.exit(web.failed > 0)


if __name__ == '__main__': main()
