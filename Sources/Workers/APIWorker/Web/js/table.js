// The table of torrents: of 50,000 rows only those in view exist. Rows have one height and are placed by transform; a row's
// element is kept while the row stays in view, and a cell is written only when its text changed.

import { el, setText } from './dom.js'
import * as format from './format.js'
import { t } from './text.js'

const columns = [
  { key: 'name', title: 'Name', text: (x) => x.name },
  { key: 'size', title: 'Size', class: 'number', text: (x) => format.bytes(x.size) },
  { key: 'progress', title: 'Progress', meter: true },
  { key: 'state', title: 'State', text: (x) => format.stateName(x.state) },
  { key: 'dlspeed', title: 'Down', class: 'number down', text: (x) => format.rate(x.dlspeed) },
  { key: 'upspeed', title: 'Up', class: 'number up', text: (x) => format.rate(x.upspeed) },
  { key: 'eta', title: 'ETA', class: 'number', text: (x) => (x.progress < 1 ? format.duration(x.eta) : '') },
  { key: 'num_seeds', title: 'Seeds', class: 'number', text: (x) => `${x.num_seeds} (${Math.max(0, x.num_complete)})` },
  { key: 'num_leechs', title: 'Peers', class: 'number', text: (x) => `${x.num_leechs} (${Math.max(0, x.num_incomplete)})` },
  { key: 'ratio', title: 'Ratio', class: 'number', text: (x) => format.ratio(x.ratio) },
  { key: 'category', title: 'Category', text: (x) => x.category },
  { key: 'added_on', title: 'Added', text: (x) => format.moment(x.added_on) },
]

/** Pixels above and below the view in which rows are ready: a turn of the wheel; each row that is drawn anew costs layout. */
const beyond = 200

export class TorrentTable {
  /** `actions`: open(hash), menu(x, y), remove(), add(). */
  constructor(store, actions) {
    this.store = store
    this.actions = actions
    this.filter = () => true
    this.search = ''
    this.sort = JSON.parse(localStorage.getItem('sort') ?? '{"key":"added_on","reverse":true}')
    this.selected = new Set()
    this.order = []
    this.current = null
    this.anchor = null
    this.rows = new Map()
    this.head = el('div', { class: 'grid-head columns', role: 'row' }, columns.map((c) => el('button', {
      type: 'button', role: 'columnheader', tabIndex: -1, class: c.class?.includes('number') ? 'number' : '', onclick: () => this.sortBy(c.key),
    }, t(c.title))))
    this.body = el('div', { class: 'grid-body', role: 'rowgroup' })
    this.empty = el('div', { class: 'empty hidden' })
    this.node = el('div', {
      class: 'grid', role: 'grid', tabIndex: 0, 'aria-label': t('Torrents'), 'aria-multiselectable': 'true',
      onscroll: () => this.draw(), onkeydown: (e) => this.key(e), oncontextmenu: (e) => this.contextMenu(e),
    }, this.head, this.body, this.empty)
    new ResizeObserver(() => { this.height = 0; this.draw() }).observe(this.node)
    this.seenShape = -1
    this.showSort()
  }

  // MARK: what is shown

  setFilter(test) {
    this.filter = test
    this.arrange()
  }
  setSearch(text) {
    this.search = text.trim().toLowerCase()
    this.arrange()
  }
  sortBy(key) {
    this.sort = { key, reverse: this.sort.key === key ? !this.sort.reverse : !['name', 'category', 'state'].includes(key) }
    localStorage.setItem('sort', JSON.stringify(this.sort))
    this.showSort()
    this.arrange()
  }
  showSort() {
    columns.forEach((c, i) => {
      const isIt = c.key === this.sort.key
      this.head.children[i].setAttribute('aria-sort', isIt ? (this.sort.reverse ? 'descending' : 'ascending') : 'none')
      setText(this.head.children[i], t(c.title) + (isIt ? (this.sort.reverse ? ' ▾' : ' ▴') : ''))
    })
  }

  update() {
    if (this.store.shape !== this.seenShape) this.arrange()
    else this.draw()
  }

  arrange() {
    this.seenShape = this.store.shape
    const key = this.sort.key === 'name' ? 'nameKey' : this.sort.key, sign = this.sort.reverse ? -1 : 1
    // Sorting 10,000 takes longer than a frame: while one filters or types, the order stays.
    const order = `${this.store.shape} ${key} ${sign}`
    if (order !== this.sortedFor) {
      this.sortedFor = order
      this.sorted = [...this.store.torrents.values()].sort((a, b) => {
        const p = a[key], q = b[key]
        if (p < q) return -sign
        if (p > q) return sign
        return a.hash < b.hash ? -1 : 1
      })
    }
    const shown = this.sorted.filter((x) => this.filter(x) && (!this.search || x.nameKey.includes(this.search) || x.hash.startsWith(this.search)))
    this.order = shown
    for (const hash of this.selected) if (!this.store.torrents.has(hash)) this.selected.delete(hash)
    if (this.current && !this.store.torrents.has(this.current)) this.current = null
    this.node.setAttribute('aria-rowcount', String(shown.length + 1))
    this.empty.classList.toggle('hidden', shown.length > 0)
    if (!shown.length) {
      setText(this.empty, this.store.torrents.size ? t('Nothing matches the filters.') : t('No torrents yet. Drop a .torrent file here, or press “a” to add one.'))
    }
    this.draw()
  }

  /** Kept until the table changes its size: asking for it makes the browser settle all styles. */
  rowHeight() { return (this.height ||= parseInt(getComputedStyle(document.documentElement).getPropertyValue('--row'), 10) || 30) }

  draw() {
    const height = this.rowHeight(), total = this.order.length * height
    if (total !== this.total) this.body.style.height = `${this.total = total}px`
    const top = Math.max(0, this.node.scrollTop - beyond), bottom = this.node.scrollTop + this.node.clientHeight + beyond
    const first = Math.max(0, Math.floor(top / height)), last = Math.min(this.order.length, Math.ceil(bottom / height))
    const wanted = new Set()
    for (let i = first; i < last; i++) wanted.add(this.order[i].hash)
    const free = []
    for (const [hash, row] of this.rows) if (!wanted.has(hash)) { free.push(row); this.rows.delete(hash) }
    for (let i = first; i < last; i++) {
      const torrent = this.order[i]
      let row = this.rows.get(torrent.hash)
      if (!row) {
        row = free.pop() ?? this.makeRow()
        row.node.dataset.hash = torrent.hash
        row.node.id = `row-${torrent.hash}`
        this.rows.set(torrent.hash, row)
      }
      this.fill(row, torrent, i, height)
    }
    for (const row of free) row.node.remove()
    this.node.setAttribute('aria-activedescendant', this.current && this.rows.has(this.current) ? `row-${this.current}` : '')
  }

  makeRow() {
    const cells = columns.map((c) => {
      const cell = el('div', { class: `c-${c.key} ${c.class ?? ''}`, role: 'gridcell' })
      cell.append(c.meter ? el('div', { class: 'meter' }, el('i'), el('b')) : document.createTextNode(''))
      return cell
    })
    const rates = el('div', { class: 'c-rates quiet', 'aria-hidden': 'true' })
    const node = el('div', { class: 'row columns', role: 'row', onclick: (e) => this.click(e, node.dataset.hash), ondblclick: () => this.actions.open(node.dataset.hash) }, cells, rates)
    this.body.append(node)
    // What the cells say is remembered: reading it from the document costs more than writing.
    return { node, cells, rates, place: -1, texts: [] }
  }

  fill(row, torrent, index, height) {
    if (row.place !== index * height) {
      row.place = index * height
      row.node.style.transform = `translateY(${row.place}px)`
      row.node.setAttribute('aria-rowindex', String(index + 2))
    }
    for (let i = 0; i < columns.length; i++) {
      const c = columns[i], text = c.meter ? format.percent(torrent.progress) : c.text(torrent)
      if (row.texts[i] === text) continue
      row.texts[i] = text
      const cell = row.cells[i]
      if (c.meter) {
        cell.firstChild.lastChild.textContent = text
        cell.firstChild.firstChild.style.width = `${torrent.progress * 100}%`
      } else {
        cell.firstChild.nodeValue = text
        if (c.key === 'name') cell.title = text
      }
    }
    row.cells[3].classList.toggle('bad', torrent.state === 'error' || torrent.state === 'missingFiles')
    setText(row.rates, [torrent.dlspeed > 0 ? `↓ ${format.rate(torrent.dlspeed)}` : '', torrent.upspeed > 0 ? `↑ ${format.rate(torrent.upspeed)}` : ''].join(' '))
    const isSelected = String(this.selected.has(torrent.hash))
    if (row.node.getAttribute('aria-selected') !== isSelected) row.node.setAttribute('aria-selected', isSelected)
    row.node.classList.toggle('current', torrent.hash === this.current)
  }

  // MARK: selection

  chosen() { return [...this.selected] }
  place(hash) { return this.order.findIndex((x) => x.hash === hash) }

  choose(hash, { extend = false, toggle = false } = {}) {
    if (extend && this.anchor) {
      const a = this.place(this.anchor), b = this.place(hash)
      if (!toggle) this.selected.clear()
      for (let i = Math.min(a, b); i <= Math.max(a, b); i++) if (i >= 0) this.selected.add(this.order[i].hash)
    } else if (toggle) {
      this.selected.has(hash) ? this.selected.delete(hash) : this.selected.add(hash)
      this.anchor = hash
    } else {
      this.selected = new Set([hash])
      this.anchor = hash
    }
    this.current = hash
    this.draw()
    this.actions.selected()
  }
  click(event, hash) {
    this.choose(hash, { extend: event.shiftKey, toggle: event.ctrlKey || event.metaKey })
    this.node.focus()
  }
  contextMenu(event) {
    event.preventDefault()
    const row = event.target.closest?.('.row')
    if (row && !this.selected.has(row.dataset.hash)) this.choose(row.dataset.hash)
    if (this.selected.size) this.actions.menu(event.clientX, event.clientY)
  }

  key(event) {
    if (event.target !== this.node || !this.order.length) return
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.rowHeight()) - 2), at = this.current ? this.place(this.current) : -1
    const steps = { ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.order.length - 1 }
    if (event.key in steps) {
      const to = Math.max(0, Math.min(this.order.length - 1, steps[event.key]))
      this.reveal(to)
      if (event.ctrlKey) { this.current = this.order[to].hash; this.draw() } else this.choose(this.order[to].hash, { extend: event.shiftKey })
    } else if (event.key === ' ' && this.current) this.choose(this.current, { toggle: true })
    else if (event.key === 'a' && (event.ctrlKey || event.metaKey)) {
      this.selected = new Set(this.order.map((x) => x.hash))
      this.draw()
      this.actions.selected()
    } else if (event.key === 'Enter' && this.current) this.actions.open(this.current)
    else if (event.key === 'Delete' && this.selected.size) this.actions.remove()
    else if ((event.key === 'ContextMenu' || (event.key === 'F10' && event.shiftKey)) && this.current) {
      const place = this.rows.get(this.current)?.node.getBoundingClientRect() ?? this.node.getBoundingClientRect()
      this.actions.menu(place.left + 40, place.bottom)
    } else return
    event.preventDefault()
  }
  reveal(index) {
    const height = this.rowHeight(), top = index * height, headHeight = this.head.offsetHeight
    if (top < this.node.scrollTop) this.node.scrollTop = top
    else if (top + height + headHeight > this.node.scrollTop + this.node.clientHeight) this.node.scrollTop = top + height + headHeight - this.node.clientHeight
  }
}
