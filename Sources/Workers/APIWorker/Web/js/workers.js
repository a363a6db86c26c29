// The processes behind the page: state, restarts, CPU and memory of each, and a button that restarts one.

import { native, poll } from './api.js'
import { el, openDialog, toast } from './dom.js'
import * as format from './format.js'
import { t } from './text.js'

export class WorkersPage {
  constructor() {
    this.body = el('tbody')
    this.before = new Map()
    this.node = el('div', { class: 'page' }, el('h2', {}, t('Workers')), el('p', { class: 'quiet' }, t('Each part of the daemon is a process of its own. One that dies is started again; transfers go on.')),
      el('div', { class: 'scroll' }, el('table', { class: 'plain' }, el('thead', {}, el('tr', {}, ['Worker', 'PID', 'State', 'Generation', 'Restarts', 'CPU', 'Memory', 'Up for', 'Last end', ''].map((h) => el('th', {}, t(h))))), this.body)))
    this.poller = poll(async () => this.fill(await native('GET', 'workers')), () => 1000)
  }
  fill(answer) {
    const now = performance.now()
    this.body.replaceChildren(...(answer.workers ?? answer).map((w) => {
      const last = this.before.get(w.name), seconds = w.cpuSeconds ?? w.cpu ?? 0
      const share = last && last.pid === w.pid && now > last.at ? Math.max(0, ((seconds - last.seconds) / ((now - last.at) / 1000)) * 100) : 0
      this.before.set(w.name, { at: now, seconds, pid: w.pid })
      return el('tr', { 'data-worker': w.name }, el('td', {}, w.name), el('td', {}, String(w.pid || '')), el('td', { class: w.state === 'ready' || w.state === 'running' ? 'good' : 'bad' }, t(w.state)), el('td', {}, String(w.generation)), el('td', {}, String(w.restarts)),
        el('td', { class: 'number' }, `${share.toFixed(0)} %`), el('td', { class: 'number' }, format.bytes(w.residentBytes ?? w.memory)), el('td', {}, format.duration(w.uptimeSeconds ?? w.uptime)), el('td', { class: 'wrap' }, w.lastExit ?? ''),
        el('td', {}, w.name === 'supervisor' ? '' : el('button', { type: 'button', onclick: () => this.restart(w.name) }, t('Restart'))))
    }))
  }
  async restart(name) {
    const answer = await openDialog(t('Restart'), el('p', {}, `${name}: ${t('the process is ended and started again. Transfers are not lost.')}`), [
      el('button', { type: 'button', onclick: (e) => e.target.closest('dialog').close('') }, t('Cancel')), el('button', { class: 'primary', type: 'submit', value: 'ok' }, t('Restart'))])
    if (answer !== 'ok') return
    try {
      await native('POST', `workers/${encodeURIComponent(name)}/restart`)
      toast(`${name}: ${t('restarting')}`)
    } catch (error) { toast(error.message, true) }
    this.poller.now()
  }
  stop() { this.poller.stop() }
}
