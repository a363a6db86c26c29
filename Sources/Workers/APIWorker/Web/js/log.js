import { get, poll } from './api.js'
import { el } from './dom.js'
import { language, t } from './text.js'

const kinds = { 1: ['', 'normal'], 2: ['', 'info'], 4: ['quiet', 'warning'], 8: ['bad', 'critical'] }

/** The daemon's log, newest first; 2,000 lines at most. */
export class LogPage {
  constructor() {
    this.last = -1
    this.level = el('select', { 'aria-label': t('Least severity'), onchange: () => this.filter() }, ['normal', 'info', 'warning', 'critical'].map((x) => el('option', { value: x }, t(x))))
    this.body = el('tbody')
    this.node = el('div', { class: 'page' }, el('h2', {}, t('Log')), this.level, el('div', { class: 'scroll' }, el('table', { class: 'plain' }, this.body)))
    this.poller = poll(async () => {
      for (const line of await get('log/main', { last_known_id: this.last })) {
        this.last = Math.max(this.last, line.id)
        const [style, name] = kinds[line.type] ?? ['', '']
        this.body.prepend(el('tr', { class: style, 'data-type': line.type }, el('td', {}, new Date(line.timestamp * 1000).toLocaleString(language())), el('td', {}, t(name)), el('td', { class: 'wrap' }, line.message)))
      }
      while (this.body.children.length > 2000) this.body.lastChild.remove()
      this.filter()
    }, () => 2000)
  }
  filter() {
    const least = { normal: 1, info: 2, warning: 4, critical: 8 }[this.level.value]
    for (const row of this.body.children) row.classList.toggle('hidden', Number(row.dataset.type) < least)
  }
  stop() { this.poller.stop() }
}
