// The page: log in, frame, and which of its pages is shown.

import { Actions } from './actions.js'
import { addDialog } from './add.js'
import { LoginNeeded, get, post, whenLoginNeeded } from './api.js'
import { Details } from './details.js'
import { el, openDialog, openMenu, setText, toast } from './dom.js'
import { Filters } from './filters.js'
import * as format from './format.js'
import { LogPage } from './log.js'
import { drawLines } from './plot.js'
import { RSSPage } from './rss.js'
import { SettingsPage } from './settings.js'
import { Store } from './store.js'
import { TorrentTable } from './table.js'
import { language, languages, setLanguage, t } from './text.js'
import { WorkersPage } from './workers.js'

const app = document.getElementById('app')
document.documentElement.lang = language()
document.documentElement.dataset.theme = localStorage.getItem('theme') ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')

let frame = null

whenLoginNeeded(() => {
  frame?.stop()
  frame = null
  login()
})

function login(text = '') {
  const user = el('input', { id: 'user', name: 'username', autocomplete: 'username', required: true }), password = el('input', { id: 'password', name: 'password', type: 'password', autocomplete: 'current-password', required: true })
  const message = el('p', { class: 'bad', role: 'alert' }, text)
  app.replaceChildren(el('main', { class: 'login' }, el('form', { onsubmit: async (event) => {
    event.preventDefault()
    try {
      const answer = await post('auth/login', { username: user.value, password: password.value })
      if (answer !== 'Ok.') throw new Error(t('Wrong user name or password.'))
      start()
    } catch (error) {
      setText(message, error.message)
      password.value = ''
      password.focus()
    }
  } }, el('h1', {}, 'ccbt'), el('label', { htmlFor: 'user' }, t('User name')), user, el('label', { htmlFor: 'password' }, t('Password')), password, message, el('button', { class: 'primary', type: 'submit' }, t('Log in')))))
  user.focus()
}

async function start() {
  try { await get('app/version') } catch (error) {
    if (error instanceof LoginNeeded) return
    app.replaceChildren(el('p', { class: 'offline' }, t('The server cannot be reached. Trying again…')))
    return setTimeout(start, 2000)
  }
  frame?.stop()
  frame = new Frame()
}

class Frame {
  constructor() {
    this.store = new Store()
    this.actions = new Actions(this.store, () => this.table.chosen())
    this.table = new TorrentTable(this.store, {
      open: (hash) => this.details.open(hash), menu: (x, y) => openMenu(x, y, this.actions.entries(), this.table.node), remove: () => this.actions.remove(),
      selected: () => this.selected(),
    })
    this.details = new Details(this.store, this.actions, () => this.table.node.focus())
    this.filters = new Filters(this.store, this.actions, () => this.table.setFilter(this.filters.test()))
    this.rates = el('div', { class: 'rates' }, el('span', { class: 'down' }), el('span', { class: 'up' }))
    this.offline = el('div', { class: 'offline hidden', role: 'alert' }, t('The server cannot be reached. Trying again…'))
    this.plot = el('canvas', { role: 'img', 'aria-label': t('Rates over ten minutes') })
    this.space = el('span')
    this.totals = el('span', { class: 'wide-only' })
    this.alternative = el('button', { type: 'button', class: 'plain alternative', 'aria-label': t('Alternative speed limits'), title: t('Alternative speed limits'), onclick: () => this.toggleLimits() }, 'ALT')
    this.main = el('main', { class: 'main', id: 'main' })
    this.nav = el('nav', { 'aria-label': t('Pages') }, Object.entries({ torrents: 'Torrents', workers: 'Workers', rss: 'RSS', log: 'Log', settings: 'Settings' }).map(([key, name]) =>
      el('button', { type: 'button', 'data-page': key, onclick: () => { location.hash = key } }, t(name))))
    this.node = el('div', { class: 'frame' },
      el('header', { class: 'top' }, el('a', { class: 'skip', href: '#main', onclick: (e) => { e.preventDefault(); this.table.node.focus() } }, t('To the torrents')), el('span', { class: 'brand' }, 'ccbt'), this.nav, el('span', { class: 'grow' }), this.rates, this.alternative,
        el('button', { type: 'button', class: 'plain', 'aria-label': t('More'), onclick: (e) => this.more(e) }, '☰')),
      this.filters.node, el('div', { class: 'main' }, this.offline, this.main), el('footer', { class: 'foot' }, this.plot, this.totals, this.space))
    this.tools = this.makeTools()
    app.replaceChildren(this.node)
    this.onHash = () => this.show(location.hash.slice(1))
    this.onKey = (event) => this.key(event)
    addEventListener('hashchange', this.onHash)
    addEventListener('keydown', this.onKey)
    this.acceptDrops()
    this.onHash()
    this.store.subscribe(() => this.update())
    this.store.start(this.table.sort)
    this.selected()
  }

  makeTools() {
    const button = (text, action, style = '') => el('button', { type: 'button', class: style, onclick: action }, t(text))
    this.forSelection = [button('Start', () => this.actions.run('start')), button('Stop', () => this.actions.run('stop')), button('Recheck', () => this.actions.run('recheck'), 'wide-only'), button('Remove…', () => this.actions.remove(), 'danger')]
    this.search = el('input', { type: 'search', placeholder: t('Search'), 'aria-label': t('Search'), oninput: () => this.table.setSearch(this.search.value) })
    this.count = el('span', { class: 'quiet', role: 'status' })
    return el('div', { class: 'tools', role: 'toolbar', 'aria-label': t('Actions') }, button('Add', () => addDialog(this.store), 'primary'), this.forSelection,
      el('button', { type: 'button', class: 'narrow-only', onclick: () => this.node.classList.toggle('filters') }, t('Filters')),
      el('select', { class: 'narrow-only', 'aria-label': t('Sort by'), onchange: (e) => this.table.sortBy(e.target.value) }, [['added_on', 'Added'], ['name', 'Name'], ['progress', 'Progress'], ['dlspeed', 'Down'], ['upspeed', 'Up'], ['size', 'Size']].map(([key, name]) => el('option', { value: key, selected: key === this.table.sort.key }, t(name)))),
      this.search, this.count)
  }

  show(name) {
    const pages = { workers: () => new WorkersPage(), rss: () => new RSSPage(this.store, this.actions), log: () => new LogPage(), settings: () => new SettingsPage() }
    if (!(name in pages)) name = 'torrents'
    this.page?.stop?.()
    this.page = null
    for (const b of this.nav.children) b.dataset.page === name ? b.setAttribute('aria-current', 'page') : b.removeAttribute('aria-current')
    if (name === 'torrents') {
      this.main.replaceChildren(this.tools, this.table.node, this.details.node)
      this.table.update()
    } else {
      this.page = pages[name]()
      this.main.replaceChildren(this.page.node)
    }
  }

  selected() {
    for (const b of this.forSelection) b.disabled = this.table.selected.size === 0
    if (this.table.selected.size === 1 && this.details.hash) this.details.open([...this.table.selected][0])
    this.counts()
  }
  counts() {
    setText(this.count, `${this.table.selected.size ? `${this.table.selected.size} / ` : ''}${this.table.order.length}`)
  }

  update() {
    const server = this.store.server
    setText(this.rates.firstChild, `↓ ${format.rate(server.dl_info_speed) || '0 B/s'}`)
    setText(this.rates.lastChild, `↑ ${format.rate(server.up_info_speed) || '0 B/s'}`)
    document.title = this.store.torrents.size ? `↓ ${format.rate(server.dl_info_speed) || '0'} ↑ ${format.rate(server.up_info_speed) || '0'} · ccbt` : 'ccbt'
    setText(this.space, server.free_space_on_disk > 0 ? `${format.bytes(server.free_space_on_disk)} ${t('free')}` : '')
    setText(this.totals, `↓ ${format.bytes(server.alltime_dl)} ↑ ${format.bytes(server.alltime_ul)} · ${server.total_peer_connections ?? 0} ${t('peers')}`)
    this.alternative.setAttribute('aria-pressed', String(Boolean(server.use_alt_speed_limits)))
    this.offline.classList.toggle('hidden', this.store.online)
    drawLines(this.plot, this.store.history.samples, [{ key: 'down', color: '--down' }, { key: 'up', color: '--up' }], { least: 4096 })
    this.filters.update()
    if (this.table.node.isConnected) this.table.update()
    this.details.update()
    this.counts()
  }

  key(event) {
    if (event.target.closest('input, textarea, select, dialog, .menu') || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === '/') { event.preventDefault(); this.search.focus() }
    else if (event.key === 'a') { event.preventDefault(); addDialog(this.store) }
    else if (event.key === 'Escape' && this.details.hash) this.details.close()
    else if (event.key === '?') this.help()
  }
  help() {
    const keys = [['a', 'Add torrents'], ['/', 'Search'], ['↑ ↓ PgUp PgDn Home End', 'Move in the table'], ['Shift', 'Extend the selection'], ['Space', 'Select or not'], ['Ctrl+A', 'Select all'], ['Enter', 'Details'], ['Esc', 'Close the details'], ['Shift+F10', 'Menu'], ['Delete', 'Remove']]
    openDialog(t('Keyboard'), el('table', { class: 'plain' }, el('tbody', {}, keys.map(([key, text]) => el('tr', {}, el('td', {}, key), el('td', {}, t(text)))))), [el('button', { class: 'primary', type: 'submit' }, t('Close'))])
  }

  more(event) {
    const place = event.target.getBoundingClientRect(), dark = document.documentElement.dataset.theme === 'dark'
    openMenu(place.right - 210, place.bottom, [
      [dark ? t('Light colours') : t('Dark colours'), () => {
        document.documentElement.dataset.theme = dark ? 'light' : 'dark'
        localStorage.setItem('theme', document.documentElement.dataset.theme)
        this.update()
      }],
      ...Object.entries(languages).filter(([code]) => code !== language()).map(([code, name]) => [name, () => { setLanguage(code); location.reload() }]),
      [t('Keyboard'), () => this.help()], null,
      [t('Log out'), async () => {
        try { await post('auth/logout') } catch (error) { if (!(error instanceof LoginNeeded)) toast(error.message, true) }
        this.stop()
        frame = null
        login()
      }],
    ], event.target)
  }
  async toggleLimits() {
    try { await post('transfer/toggleSpeedLimitsMode') } catch (error) { toast(error.message, true) }
    this.store.refresh()
  }

  acceptDrops() {
    this.node.addEventListener('dragover', (e) => { e.preventDefault(); this.table.node.classList.add('dropping') })
    this.node.addEventListener('dragleave', () => this.table.node.classList.remove('dropping'))
    this.node.addEventListener('drop', (e) => {
      e.preventDefault()
      this.table.node.classList.remove('dropping')
      const files = [...e.dataTransfer.files], text = e.dataTransfer.getData('text/plain')
      if (files.length || text) addDialog(this.store, { files, links: files.length ? '' : text })
    })
    this.node.addEventListener('paste', (e) => {
      const text = e.clipboardData?.getData('text/plain') ?? ''
      if (text.startsWith('magnet:') && !e.target.closest('input, textarea')) addDialog(this.store, { links: text })
    })
  }

  stop() {
    this.store.stop()
    this.page?.stop?.()
    this.details.view?.stop()
    removeEventListener('hashchange', this.onHash)
    removeEventListener('keydown', this.onKey)
  }
}

start()
