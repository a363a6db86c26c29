// What can be done with the selected torrents: one list for the menu, the toolbar and the keyboard.

import { post } from './api.js'
import { el, openDialog, toast } from './dom.js'
import { t } from './text.js'

export class Actions {
  constructor(store, chosen) {
    this.store = store
    this.chosen = chosen
  }
  torrents() { return this.chosen().map((hash) => this.store.torrents.get(hash)).filter(Boolean) }

  async run(action, parameters = {}) {
    const hashes = this.chosen()
    if (!hashes.length) return
    try { await post(`torrents/${action}`, { hashes: hashes.join('|'), ...parameters }) } catch (error) { toast(error.message, true) }
    this.store.refresh()
  }

  async remove() {
    const torrents = this.torrents()
    if (!torrents.length) return
    const withData = el('input', { type: 'checkbox', id: 'with-data' })
    const text = torrents.length === 1 ? torrents[0].name : `${torrents.length} ${t('torrents')}`
    const answer = await openDialog(t('Remove'), el('div', {}, el('p', {}, text), el('label', {}, withData, t('Delete the downloaded files too'))), [
      el('button', { type: 'button', onclick: (e) => e.target.closest('dialog').close('') }, t('Cancel')),
      el('button', { class: 'danger', type: 'submit', value: 'remove' }, t('Remove')),
    ])
    if (answer === 'remove') await this.run('delete', { deleteFiles: withData.checked })
  }

  /** Asks for one line of text; null when cancelled. */
  async ask(title, label, value = '', options = {}) {
    const input = el(options.multiline ? 'textarea' : 'input', { id: 'ask', value, type: options.type })
    const answer = await openDialog(t(title), el('div', { class: 'form' }, el('label', { htmlFor: 'ask' }, t(label)), input), [
      el('button', { type: 'button', onclick: (e) => e.target.closest('dialog').close('') }, t('Cancel')),
      el('button', { class: 'primary', type: 'submit', value: 'ok' }, t('OK')),
    ])
    return answer === 'ok' ? input.value : null
  }

  async setLocation() {
    const path = await this.ask('Move to', 'Folder', this.torrents()[0]?.save_path ?? '')
    if (path) await this.run('setLocation', { location: path })
  }
  async rename() {
    const torrent = this.torrents()[0], name = await this.ask('Rename', 'Name', torrent.name)
    if (!name) return
    try { await post('torrents/rename', { hash: torrent.hash, name }) } catch (error) { toast(error.message, true) }
    this.store.refresh()
  }
  async limit(kind) {
    const key = kind === 'down' ? 'dl_limit' : 'up_limit', now = this.torrents()[0]?.[key] ?? 0
    const value = await this.ask(kind === 'down' ? 'Down limit' : 'Up limit', 'KiB/s; 0: none', now > 0 ? String(Math.round(now / 1024)) : '0', { type: 'number' })
    if (value !== null) await this.run(kind === 'down' ? 'setDownloadLimit' : 'setUploadLimit', { limit: Math.max(0, Math.round(Number(value) * 1024)) })
  }
  async shareLimits() {
    const torrent = this.torrents()[0]
    const number = (id, value) => el('input', { id, type: 'number', step: 'any', value: value === -2 ? '' : String(value), placeholder: t('global') })
    const ratio = number('share-ratio', torrent.ratio_limit), time = number('share-time', torrent.seeding_time_limit), idle = number('share-idle', torrent.inactive_seeding_time_limit)
    const answer = await openDialog(t('Share limits'), el('div', { class: 'form' },
      el('p', { class: 'wide quiet' }, t('Empty: the global limit. −1: none.')),
      el('label', { htmlFor: 'share-ratio' }, t('Ratio')), ratio, el('label', { htmlFor: 'share-time' }, t('Seeding time (min)')), time,
      el('label', { htmlFor: 'share-idle' }, t('Inactive (min)')), idle), [
      el('button', { type: 'button', onclick: (e) => e.target.closest('dialog').close('') }, t('Cancel')),
      el('button', { class: 'primary', type: 'submit', value: 'ok' }, t('OK')),
    ])
    const value = (input) => (input.value === '' ? -2 : Number(input.value))
    if (answer === 'ok') await this.run('setShareLimits', { ratioLimit: value(ratio), seedingTimeLimit: value(time), inactiveSeedingTimeLimit: value(idle) })
  }
  async setCategory(name) {
    if (name === null) {
      name = await this.ask('New category', 'Name')
      if (!name) return
      try { await post('torrents/createCategory', { category: name, savePath: '' }) } catch (error) { return toast(error.message, true) }
    }
    await this.run('setCategory', { category: name })
  }
  async tags() {
    const torrents = this.torrents(), now = torrents.length === 1 ? torrents[0].tagSet : torrents[0].tagSet.filter((tag) => torrents.every((x) => x.tagSet.includes(tag)))
    const text = await this.ask('Tags', 'Comma between them', now.join(', '))
    if (text === null) return
    const wanted = text.split(',').map((x) => x.trim()).filter(Boolean), gone = now.filter((x) => !wanted.includes(x)), added = wanted.filter((x) => !now.includes(x))
    if (gone.length) await this.run('removeTags', { tags: gone.join(',') })
    if (added.length) await this.run('addTags', { tags: added.join(',') })
  }
  async copy(text) {
    try {
      await navigator.clipboard.writeText(text)
      toast(t('Copied.'))
    } catch { await this.ask('Copy', 'Text', text, { multiline: true }) }
  }
  async export() {
    for (const torrent of this.torrents()) {
      el('a', { href: `/api/v2/torrents/export?hash=${torrent.hash}`, download: `${torrent.name}.torrent` }).click()
      await new Promise((resolve) => setTimeout(resolve, 150))
    }
  }
  async categoryMenu() {
    const select = el('select', { id: 'category' }, el('option', { value: '' }, t('(none)')), [...this.store.categories.keys()].sort().map((name) => el('option', { value: name }, name)), el('option', { value: '+' }, t('New category…')))
    const answer = await openDialog(t('Category'), el('div', { class: 'form' }, el('label', { htmlFor: 'category' }, t('Category')), select), [
      el('button', { type: 'button', onclick: (e) => e.target.closest('dialog').close('') }, t('Cancel')), el('button', { class: 'primary', type: 'submit', value: 'ok' }, t('OK')),
    ])
    if (answer === 'ok') await this.setCategory(select.value === '+' ? null : select.value)
  }

  entries() {
    const torrents = this.torrents(), one = torrents.length === 1 ? torrents[0] : null
    return [
      [t('Start'), () => this.run('start')], [t('Stop'), () => this.run('stop')], [t('Force start'), () => this.run('setForceStart', { value: !torrents.every((x) => x.force_start) })], null,
      [t('Move to…'), () => this.setLocation()], ...(one ? [[t('Rename…'), () => this.rename()]] : []), [t('Category…'), () => this.categoryMenu()], [t('Tags…'), () => this.tags()],
      [torrents.every((x) => x.auto_tmm) ? t('Manage by hand') : t('Automatic management'), () => this.run('setAutoManagement', { enable: !torrents.every((x) => x.auto_tmm) })], null,
      [t('Down limit…'), () => this.limit('down')], [t('Up limit…'), () => this.limit('up')], [t('Share limits…'), () => this.shareLimits()],
      [t('In order: on/off'), () => this.run('toggleSequentialDownload')], [t('First and last pieces first: on/off'), () => this.run('toggleFirstLastPiecePrio')],
      [t('Super-seeding: on/off'), () => this.run('setSuperSeeding', { value: !torrents.every((x) => x.super_seeding) })], null,
      [t('Recheck'), () => this.run('recheck')], [t('Reannounce'), () => this.run('reannounce')],
      ...(this.store.server.queueing ? [null, [t('Queue: to the top'), () => this.run('topPrio')], [t('Queue: up'), () => this.run('increasePrio')], [t('Queue: down'), () => this.run('decreasePrio')], [t('Queue: to the bottom'), () => this.run('bottomPrio')]] : []),
      null, [t('Copy magnet link'), () => this.copy(torrents.map((x) => x.magnet_uri).join('\n'))], [t('Copy info-hash'), () => this.copy(torrents.map((x) => x.hash).join('\n'))],
      [t('Export .torrent'), () => this.export()], null, [t('Remove…'), () => this.remove(), 'danger'],
    ]
  }
}
