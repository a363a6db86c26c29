// One torrent looked at closely: overview with the piece map, files, trackers, peers, speed.

import { get, native, poll, post } from './api.js'
import { el, openDialog, openMenu, setText, toast } from './dom.js'
import * as format from './format.js'
import { drawLines, drawPieces } from './plot.js'
import { History } from './store.js'
import { t } from './text.js'

export const priorityNames = { 0: 'Skip', 1: 'Normal', 6: 'High', 7: 'Maximum' }

/** How much the file `name` is wanted; `change` hears of another choice. */
export function prioritySelect(value, name, change, offered = Object.keys(priorityNames)) {
  const node = el('select', { 'aria-label': `${t('Priority')}: ${name}`, onchange: () => change(node.value) }, offered.map((n) => el('option', { value: n }, t(priorityNames[n]))))
  node.value = String(value)
  return node
}

const trackerStates = ['Disabled', 'Not contacted yet', 'Working', 'Updating', 'Not working', 'Error', 'Unreachable']

export class Details {
  constructor(store, actions, onClose) {
    this.store = store
    this.actions = actions
    this.onClose = onClose
    this.hash = null
    this.histories = new Map()
    this.title = el('span', { class: 'title' })
    this.panel = el('div', { class: 'panel', role: 'tabpanel', tabIndex: 0 })
    this.views = { overview: ['Overview', Overview], files: ['Files', Files], trackers: ['Trackers', Trackers], peers: ['Peers', Peers], speed: ['Speed', Speed] }
    this.buttons = Object.entries(this.views).map(([key, [name]]) => el('button', { type: 'button', role: 'tab', 'data-tab': key, onclick: () => this.show(key) }, t(name)))
    this.node = el('section', { class: 'details hidden', 'aria-label': t('Details') },
      el('div', { class: 'tabs', role: 'tablist', onkeydown: (e) => this.key(e) }, this.buttons, this.title, el('button', { type: 'button', class: 'plain', 'aria-label': t('Close'), onclick: () => this.close() }, '✕')),
      this.panel)
  }

  key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key]
    const at = this.buttons.indexOf(document.activeElement)
    if (!step || at < 0) return
    const next = this.buttons[(at + step + this.buttons.length) % this.buttons.length]
    next.focus()
    next.click()
  }

  open(hash) {
    if (this.hash !== hash || this.node.classList.contains('hidden')) {
      this.hash = hash
      this.node.classList.remove('hidden')
      this.show(this.tab ?? 'overview')
    }
  }
  close() {
    this.view?.stop()
    this.view = null
    this.hash = null
    this.node.classList.add('hidden')
    this.onClose()
  }
  show(tab) {
    this.view?.stop()
    this.tab = tab
    for (const b of this.buttons) b.setAttribute('aria-selected', String(b.dataset.tab === tab))
    this.panel.replaceChildren()
    this.view = new this.views[tab][1](this)
    this.update()
  }
  torrent() { return this.store.torrents.get(this.hash) }

  /** With each delta of the store. */
  update() {
    if (!this.hash) return
    const torrent = this.torrent()
    if (!torrent) return this.close()
    setText(this.title, torrent.name)
    let history = this.histories.get(this.hash)
    if (!history) {
      // The plots of the last few torrents that were looked at are kept.
      if (this.histories.size > 20) this.histories.delete(this.histories.keys().next().value)
      history = new History()
      this.histories.set(this.hash, history)
    }
    history.add({ at: Date.now(), down: torrent.dlspeed, up: torrent.upspeed, seeds: torrent.num_seeds, peers: torrent.num_leechs })
    this.view?.update?.(torrent)
  }
}

class Overview {
  constructor(details) {
    this.canvas = el('canvas', { class: 'pieces', role: 'img', 'aria-label': t('Pieces') })
    this.facts = el('dl', { class: 'facts' })
    this.values = new Map()
    details.panel.append(this.canvas, this.facts)
    this.poller = poll(async () => {
      const hash = details.hash
      const [properties, states] = await Promise.all([get('torrents/properties', { hash }), get('torrents/pieceStates', { hash })])
      if (details.hash !== hash) return
      this.states = Array.isArray(states) ? states : []
      drawPieces(this.canvas, this.states)
      this.canvas.setAttribute('aria-label', `${t('Pieces')}: ${this.states.filter((x) => x === 2).length} / ${this.states.length}`)
      this.fill(properties, details.torrent())
    }, () => 2000)
    this.resized = new ResizeObserver(() => drawPieces(this.canvas, this.states ?? []))
    this.resized.observe(this.canvas)
  }
  fill(p, x) {
    if (!x) return
    const rows = {
      State: format.stateName(x.state), Progress: format.percent(x.progress), Size: format.bytes(x.total_size), Wanted: format.bytes(x.size),
      Downloaded: `${format.bytes(p.total_downloaded)} (${format.bytes(p.total_downloaded_session)})`, Uploaded: `${format.bytes(p.total_uploaded)} (${format.bytes(p.total_uploaded_session)})`,
      'Fetched again': format.bytes(p.total_wasted), Ratio: format.ratio(p.share_ratio), ETA: format.duration(x.eta), Availability: x.availability >= 0 ? x.availability.toFixed(2) : '',
      Pieces: `${p.pieces_have} / ${Math.max(0, p.pieces_num)} × ${format.bytes(p.piece_size)}`, Connections: String(p.nb_connections), 'Time active': format.duration(p.time_elapsed),
      'Seeding time': format.duration(p.seeding_time), Added: format.moment(p.addition_date), Completed: format.moment(p.completion_date), 'Save to': x.save_path,
      Category: x.category, Tags: x.tags, 'Info-hash v1': x.infohash_v1, 'Info-hash v2': x.infohash_v2, 'Created by': p.created_by, Created: format.moment(p.creation_date), Comment: p.comment,
      Private: x.private ? t('yes') : t('no'),
    }
    for (const [name, value] of Object.entries(rows)) {
      let node = this.values.get(name)
      if (!node) {
        node = el('dd')
        this.values.set(name, node)
        this.facts.append(el('div', { class: name.startsWith('Info-hash') || name === 'Save to' || name === 'Comment' ? 'wide' : '' }, el('dt', {}, t(name)), node))
      }
      setText(node, value ?? '')
    }
  }
  stop() { this.poller.stop(); this.resized.disconnect() }
}

class Files {
  constructor(details) {
    this.body = el('tbody')
    this.rows = new Map()
    // For a player: it gets addresses with a token, since it has no login. Which files it can play is the server's to say.
    this.playable = null
    this.playlist = el('a', { class: 'hidden', href: `/api/v1/torrents/${details.hash}/playlist.m3u8` }, t('Playlist for a player'))
    details.panel.append(el('div', { class: 'choices' }, this.playlist), el('div', { class: 'scroll' }, el('table', { class: 'plain' },
      el('thead', {}, el('tr', {}, el('th', {}, t('Name')), el('th', { class: 'number' }, t('Size')), el('th', { class: 'number' }, t('Progress')), el('th', {}, t('Priority')))), this.body)))
    this.poller = poll(async () => {
      const hash = details.hash, files = await get('torrents/files', { hash })
      if (details.hash !== hash) return
      // A page of rows at a time would hide what one looks for; the table is long and plain instead, 5,000 rows at most.
      for (const file of files.slice(0, 5000)) this.fill(details, file)
      if (files.length && !this.playable) this.playable = new Set((await native('GET', `torrents/${hash}/files`)).files.filter((f) => f.isPlayable).map((f) => f.index))
      this.playlist.classList.toggle('hidden', !files.some((f) => f.priority && this.playable.has(f.index)))
      if (files.length > 5000 && !this.note) this.body.after(this.note = el('caption', {}, `${files.length} ${t('files; the first 5,000 are shown')}`))
    }, () => 2500)
  }
  fill(details, file) {
    let row = this.rows.get(file.index)
    if (!row) {
      row = { progress: el('td', { class: 'number' }) }
      row.priority = prioritySelect(file.priority, file.name, async (priority) => {
        try { await post('torrents/filePrio', { hash: details.hash, id: file.index, priority }) } catch (error) { toast(error.message, true) }
        details.store.refresh()
        this.poller.now()
      })
      this.rows.set(file.index, row)
      row.link = el('a', { href: `/api/v1/torrents/${details.hash}/files/${file.index}`, target: '_blank', rel: 'noopener', title: t('Play or save; what is missing is fetched first') }, file.name)
      this.body.append(el('tr', {}, el('td', { class: 'wrap' }, row.link), el('td', { class: 'number' }, format.bytes(file.size)), row.progress, el('td', {}, row.priority)))
    }
    setText(row.progress, format.percent(file.progress))
    // Not while it is being chosen.
    if (document.activeElement !== row.priority) row.priority.value = String(file.priority)
  }
  stop() { this.poller.stop() }
}

class Trackers {
  constructor(details) {
    this.details = details
    this.body = el('tbody')
    const add = async () => {
      const urls = await details.actions.ask('Add trackers', 'URLs, one a line', '', { multiline: true })
      if (!urls?.trim()) return
      try { await post('torrents/addTrackers', { hash: details.hash, urls: urls.trim() }) } catch (error) { toast(error.message, true) }
      this.poller.now()
    }
    details.panel.append(el('div', { class: 'choices' }, el('button', { type: 'button', onclick: add }, t('Add trackers…')), el('button', { type: 'button', onclick: () => details.actions.run('reannounce') }, t('Reannounce'))),
      el('div', { class: 'scroll' }, el('table', { class: 'plain' }, el('thead', {}, el('tr', {}, ['Tier', 'URL', 'Status', 'Seeds', 'Peers', 'Downloads', 'Message', ''].map((h) => el('th', {}, t(h))))), this.body)))
    this.poller = poll(async () => {
      const hash = details.hash, rows = await get('torrents/trackers', { hash })
      if (details.hash !== hash) return
      const shown = (n) => (n >= 0 ? String(n) : '')
      this.body.replaceChildren(...rows.map((r) => el('tr', {}, el('td', {}, r.tier >= 0 ? String(r.tier) : ''), el('td', { class: 'wrap' }, r.url), el('td', { class: r.status === 2 ? 'good' : r.status === 4 ? 'bad' : '' }, t(trackerStates[r.status] ?? '')),
        el('td', {}, shown(r.num_seeds)), el('td', {}, shown(r.num_leeches)), el('td', {}, shown(r.num_downloaded)), el('td', { class: 'wrap' }, r.msg),
        el('td', {}, r.tier >= 0 ? el('button', { type: 'button', class: 'plain danger', 'aria-label': `${t('Remove')} ${r.url}`, onclick: () => this.remove(r.url) }, '✕') : ''))))
    }, () => 3000)
  }
  async remove(url) {
    try { await post('torrents/removeTrackers', { hash: this.details.hash, urls: url }) } catch (error) { toast(error.message, true) }
    this.poller.now()
  }
  stop() { this.poller.stop() }
}

class Peers {
  constructor(details) {
    this.body = el('tbody')
    this.peers = new Map()
    this.rid = 0
    const add = async () => {
      const text = await details.actions.ask('Add peers', 'IP:port, one a line', '', { multiline: true })
      if (!text?.trim()) return
      try { await post('torrents/addPeers', { hashes: details.hash, peers: text.trim().split(/\s+/).join('|') }) } catch (error) { toast(error.message, true) }
    }
    details.panel.append(el('div', { class: 'choices' }, el('button', { type: 'button', onclick: add }, t('Add peers…'))),
      el('div', { class: 'scroll' }, el('table', { class: 'plain' }, el('thead', {}, el('tr', {}, ['Address', 'Client', 'Connection', 'Flags', 'Progress', 'Down', 'Up', 'Downloaded', 'Uploaded'].map((h) => el('th', {}, t(h))))), this.body)))
    this.poller = poll(async () => {
      const hash = details.hash, delta = await get('sync/torrentPeers', { hash, rid: this.rid })
      if (details.hash !== hash) return
      this.rid = delta.rid
      if (delta.full_update) this.peers.clear()
      for (const [key, change] of Object.entries(delta.peers ?? {})) this.peers.set(key, { ...this.peers.get(key), ...change })
      for (const key of delta.peers_removed ?? []) this.peers.delete(key)
      const rows = [...this.peers].sort(([, a], [, b]) => b.dl_speed + b.up_speed - a.dl_speed - a.up_speed).slice(0, 1000)
      this.body.replaceChildren(...rows.map(([key, p]) => el('tr', { tabIndex: 0, 'data-peer': key, oncontextmenu: (e) => this.menu(e, key), onkeydown: (e) => { if (e.key === 'ContextMenu' || (e.key === 'F10' && e.shiftKey)) this.menu(e, key) } }, el('td', {}, key), el('td', { class: 'wrap' }, p.client), el('td', {}, p.connection), el('td', { title: p.flags_desc ?? '' }, p.flags),
        el('td', { class: 'number' }, format.percent(p.progress)), el('td', { class: 'number down' }, format.rate(p.dl_speed)), el('td', { class: 'number up' }, format.rate(p.up_speed)), el('td', { class: 'number' }, format.bytes(p.downloaded)), el('td', { class: 'number' }, format.bytes(p.uploaded)))))
    }, () => 1500)
  }
  menu(event, key) {
    event.preventDefault()
    event.stopPropagation()
    const place = event.currentTarget.getBoundingClientRect()
    openMenu(event.clientX || place.left + 40, event.clientY || place.bottom, [[t('Ban…'), () => this.ban(key), 'danger']])
  }
  async ban(key) {
    const answer = await openDialog(t('Ban'), el('p', {}, `${key}: ${t('no connection to it or from it any more, in any torrent.')}`), [
      el('button', { type: 'button', onclick: (e) => e.target.closest('dialog').close('') }, t('Cancel')), el('button', { class: 'danger', type: 'submit', value: 'ban' }, t('Ban'))])
    if (answer !== 'ban') return
    try { await post('transfer/banPeers', { peers: key }) } catch (error) { toast(error.message, true) }
    this.poller.now()
  }
  stop() { this.poller.stop() }
}

class Speed {
  constructor(details) {
    this.details = details
    this.rates = el('canvas', { class: 'plot', role: 'img', 'aria-label': t('Rates over ten minutes') })
    this.people = el('canvas', { class: 'plot', role: 'img', 'aria-label': t('Peers over ten minutes') })
    details.panel.append(el('div', { class: 'plots' }, this.rates, this.people))
  }
  update() {
    const samples = this.details.histories.get(this.details.hash).samples
    drawLines(this.rates, samples, [{ key: 'down', color: '--down', label: 'Down' }, { key: 'up', color: '--up', label: 'Up' }], { axis: (v) => `${format.bytes(v)}/s`, least: 4096 })
    drawLines(this.people, samples, [{ key: 'seeds', color: '--good', label: 'Seeds' }, { key: 'peers', color: '--warn', label: 'Peers' }], { axis: (v) => String(v), least: 4 })
  }
  stop() {}
}
