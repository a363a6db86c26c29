// The side bar: state, category, tag and tracker, each with its count.

import { post } from './api.js'
import { el, openMenu, setText, toast } from './dom.js'
import { stateFilters } from './store.js'
import { t } from './text.js'

export class Filters {
  constructor(store, actions, onChange) {
    this.store = store
    this.actions = actions
    this.onChange = onChange
    this.chosen = { state: 'all', category: null, tag: null, tracker: null }
    this.buttons = new Map()
    this.groups = Object.fromEntries(['state', 'category', 'tag', 'tracker'].map((kind) => [kind, el('div')]))
    this.node = el('aside', { class: 'side', 'aria-label': t('Filters') },
      el('h3', {}, t('State')), this.groups.state,
      el('h3', {}, t('Category'), el('button', { type: 'button', 'aria-label': t('New category'), onclick: () => this.newCategory() }, '+')), this.groups.category,
      el('h3', {}, t('Tags')), this.groups.tag, el('h3', {}, t('Trackers')), this.groups.tracker)
    this.shape = -1
  }

  /** A test of one torrent for all that is chosen. */
  test() {
    const { state, category, tag, tracker } = this.chosen, isState = stateFilters[state][1]
    const hosts = tracker === null ? null : this.store.trackerHosts().get(tracker) ?? new Set()
    return (x) => isState(x) && (category === null || x.category === category) && (tag === null || (tag === '' ? !x.tagSet.length : x.tagSet.includes(tag))) && (hosts === null || hosts.has(x.hash))
  }

  pick(kind, value) {
    this.chosen[kind] = kind === 'state' ? value : this.chosen[kind] === value ? null : value
    this.show()
    this.onChange()
  }

  update() {
    if (this.store.shape === this.shape || this.store.isPartial) return
    // Counting 50,000 torrents takes some milliseconds: once in two seconds is often enough.
    const now = performance.now()
    if (this.shape >= 0 && now - this.counted < 2000) return
    this.shape = this.store.shape
    this.counted = now
    this.count()
    this.show()
  }

  count() {
    const states = Object.fromEntries(Object.keys(stateFilters).map((k) => [k, 0])), categories = new Map([['', 0]]), tags = new Map([['', 0]])
    for (const name of this.store.categories.keys()) categories.set(name, 0)
    for (const tag of this.store.tags) tags.set(tag, 0)
    for (const x of this.store.torrents.values()) {
      for (const key in stateFilters) if (stateFilters[key][1](x)) states[key] += 1
      categories.set(x.category, (categories.get(x.category) ?? 0) + 1)
      if (!x.tagSet.length) tags.set('', tags.get('') + 1)
      for (const tag of x.tagSet) tags.set(tag, (tags.get(tag) ?? 0) + 1)
    }
    const byName = ([a], [b]) => (a < b ? -1 : 1)
    this.counts = {
      state: Object.entries(states), category: [...categories].sort(byName), tag: [...tags].sort(byName),
      tracker: [...this.store.trackerHosts()].map(([host, hashes]) => [host, hashes.size]).sort(byName).slice(0, 200),
    }
  }

  show() {
    for (const [kind, rows] of Object.entries(this.counts ?? {})) {
      const group = this.groups[kind]
      rows.forEach(([value, count], i) => {
        let button = group.children[i]
        if (!button) {
          button = el('button', { type: 'button', class: 'filter', onclick: () => this.pick(kind, button.value), oncontextmenu: (e) => this.menu(e, kind, button.value) }, el('span'), el('span', { class: 'quiet' }))
          group.append(button)
        }
        button.value = value
        setText(button.firstChild, kind === 'state' ? t(stateFilters[value][0]) : value === '' ? t('(none)') : value)
        setText(button.lastChild, String(count))
        button.setAttribute('aria-pressed', String(this.chosen[kind] === value))
      })
      while (group.children.length > rows.length) group.lastChild.remove()
    }
  }

  menu(event, kind, value) {
    if (!value || !['category', 'tag'].includes(kind)) return
    event.preventDefault()
    const act = async (action, parameters) => {
      try { await post(`torrents/${action}`, parameters) } catch (error) { toast(error.message, true) }
      this.store.refresh()
    }
    openMenu(event.clientX, event.clientY, kind === 'category' ? [
      [t('Change folder…'), async () => {
        const path = await this.actions.ask('Category', 'Folder', this.store.categories.get(value)?.savePath ?? '')
        if (path !== null) await act('editCategory', { category: value, savePath: path })
      }],
      [t('Remove'), () => act('removeCategories', { categories: value }), 'danger'],
    ] : [[t('Remove'), () => act('deleteTags', { tags: value }), 'danger']])
  }
  async newCategory() {
    const name = await this.actions.ask('New category', 'Name')
    if (!name) return
    const path = await this.actions.ask('New category', 'Folder', '')
    if (path === null) return
    try { await post('torrents/createCategory', { category: name, savePath: path }) } catch (error) { toast(error.message, true) }
    this.store.refresh()
  }
}
