// RSS: feeds and their articles, and the rules that download from them.

import { get, poll, post } from './api.js'
import { el, openDialog, openMenu, toast } from './dom.js'
import * as format from './format.js'
import { t } from './text.js'
import { addDialog } from './add.js'

export class RSSPage {
  constructor(store, actions) {
    this.store = store
    this.actions = actions
    this.items = new Map()
    this.folders = []
    this.feeds = el('div', { class: 'list', role: 'group', 'aria-label': t('Feeds') })
    this.rules = el('div', { class: 'list', role: 'group', 'aria-label': t('Rules') })
    this.articles = el('div', { class: 'articles' })
    const button = (text, action) => el('button', { type: 'button', onclick: action }, t(text))
    this.node = el('div', { class: 'page' }, el('h2', {}, 'RSS'),
      el('div', { class: 'choices' }, button('Add feed…', () => this.addFeed()), button('Add folder…', () => this.addFolder()), button('Add rule…', () => this.editRule()), button('Refresh all', () => this.act('refreshItem', { itemPath: '' }))),
      el('div', { class: 'split' }, el('div', {}, el('h3', {}, t('Feeds')), this.feeds, el('h3', {}, t('Rules')), this.rules), this.articles))
    this.poller = poll(() => this.load(), () => 5000)
  }

  async load() {
    const [items, rules] = await Promise.all([get('rss/items', { withData: true }), get('rss/rules')])
    const news = JSON.stringify([items, rules])
    if (news === this.news) return
    this.news = news
    this.items = new Map()
    this.folders = []
    const walk = (node, path) => {
      for (const [name, value] of Object.entries(node)) {
        const full = path ? `${path}\\${name}` : name
        if (typeof value.url === 'string') this.items.set(full, value)
        else { this.folders.push(full); walk(value, full) }
      }
    }
    walk(items, '')
    const unread = (feed) => feed.articles.filter((a) => !a.isRead).length
    const inside = (folder) => [...this.items].filter(([path]) => path.startsWith(`${folder}\\`)).reduce((n, [, feed]) => n + unread(feed), 0)
    const rows = [...this.folders.map((path) => [path, `▸ ${path}`, inside(path), false]), ...[...this.items].map(([path, feed]) => [path, path, unread(feed), feed.hasError])]
    rows.sort(([a], [b]) => (a < b ? -1 : 1))
    this.feeds.replaceChildren(...rows.map(([path, text, count, hasError]) => el('button', { type: 'button', 'data-path': path, 'aria-pressed': String(path === this.chosen), onclick: () => this.choose(path), oncontextmenu: (e) => this.menu(e, path) },
      `${text} (${count})`, hasError ? el('span', { class: 'bad', role: 'img', 'aria-label': t('Error') }, ' ⚠') : null)))
    this.rules.replaceChildren(...Object.entries(rules).map(([name, rule]) => el('button', { type: 'button', 'data-rule': name, onclick: () => this.editRule(name, rule) }, `${rule.enabled ? '●' : '○'} ${name}`)))
    this.show()
  }

  choose(path) {
    this.chosen = path
    for (const button of this.feeds.children) button.setAttribute('aria-pressed', String(button.dataset.path === path))
    this.show()
  }

  /** Articles of the chosen feed, or of all in the chosen folder, newest first. */
  show() {
    const isFolder = this.folders.includes(this.chosen)
    const feeds = [...this.items].filter(([path]) => path === this.chosen || (isFolder && path.startsWith(`${this.chosen}\\`)))
    if (!feeds.length && !isFolder) return this.articles.replaceChildren(el('p', { class: 'quiet' }, this.items.size ? t('Choose a feed.') : t('No feeds yet.')))
    const rows = feeds.flatMap(([path, feed]) => feed.articles.map((a) => ({ ...a, path, at: Date.parse(a.date) / 1000 }))).sort((a, b) => b.at - a.at).slice(0, 1000)
    const button = (text, action, style = '') => el('button', { type: 'button', class: style, onclick: action }, t(text))
    this.articles.replaceChildren(
      el('div', { class: 'choices' }, button('Refresh', () => this.act('refreshItem', { itemPath: this.chosen })), button('Mark as read', () => this.act('markAsRead', { itemPath: this.chosen })),
        button('Rename…', () => this.rename()), isFolder ? null : button('Change URL…', () => this.changeURL()), button('Remove', () => this.remove(), 'danger')),
      ...feeds.filter(([, feed]) => feed.hasError).map(([path, feed]) => el('p', { class: 'bad', role: 'status' }, `${path}: ${feed.error || t('Error')}`)),
      el('div', { class: 'scroll' }, el('table', { class: 'plain' }, el('tbody', {}, rows.map((a) => el('tr', {}, el('td', { class: 'wrap' }, a.isRead ? a.title : el('strong', {}, a.title)), el('td', {}, a.at ? format.moment(a.at) : ''),
        el('td', {}, a.torrentURL || a.link ? button('Download', () => this.download(a)) : null)))))))
  }

  menu(event, path) {
    event.preventDefault()
    this.choose(path)
    openMenu(event.clientX, event.clientY, [[t('Refresh'), () => this.act('refreshItem', { itemPath: path })], [t('Mark as read'), () => this.act('markAsRead', { itemPath: path })], [t('Rename…'), () => this.rename()], null, [t('Remove'), () => this.remove(), 'danger']])
  }

  async download(article) {
    await addDialog(this.store, { links: article.torrentURL || article.link })
    await this.act('markAsRead', { itemPath: article.path, articleId: article.id })
  }

  /** True when it was done. */
  async act(action, parameters) {
    let done = true
    try { await post(`rss/${action}`, parameters) } catch (error) {
      toast(error.message, true)
      done = false
    }
    this.poller.now()
    return done
  }

  async addFeed() {
    const url = await this.actions.ask('Add feed', 'URL')
    if (!url) return
    const folder = this.folders.includes(this.chosen) ? `${this.chosen}\\` : ''
    await this.act('addFeed', { url, path: folder + url.replace(/^https?:\/\//, '').replaceAll('\\', '/') })
  }
  async addFolder() {
    const path = await this.actions.ask('Add folder', 'Name')
    if (path) await this.act('addFolder', { path })
  }
  async rename() {
    const path = await this.actions.ask('Rename', 'Name', this.chosen)
    if (path && path !== this.chosen && await this.act('moveItem', { itemPath: this.chosen, destPath: path })) this.chosen = path
  }
  async changeURL() {
    const url = await this.actions.ask('Change URL', 'URL', this.items.get(this.chosen).url)
    if (url) await this.act('setFeedURL', { path: this.chosen, url })
  }
  async remove() {
    const answer = await openDialog(t('Remove'), el('p', {}, this.chosen), [
      el('button', { type: 'button', onclick: (e) => e.target.closest('dialog').close('') }, t('Cancel')), el('button', { class: 'danger', type: 'submit', value: 'remove' }, t('Remove'))])
    if (answer === 'remove' && await this.act('removeItem', { path: this.chosen })) this.chosen = null
  }

  async editRule(name = '', rule = {}) {
    const text = (id, value = '') => el('input', { id, value, oninput: () => soon() }), box = (id, on) => el('input', { id, type: 'checkbox', checked: Boolean(on), onchange: () => soon() })
    const title = text('rule-name', name), must = text('rule-must', rule.mustContain), not = text('rule-not', rule.mustNotContain), episodes = text('rule-episodes', rule.episodeFilter)
    const category = text('rule-category', rule.assignedCategory), path = text('rule-path', rule.savePath), days = el('input', { id: 'rule-days', type: 'number', min: 0, value: String(rule.ignoreDays ?? 0) })
    const enabled = box('rule-on', rule.enabled ?? true), regex = box('rule-regex', rule.useRegex), smart = box('rule-smart', rule.smartFilter)
    const feeds = [...this.items].map(([path, feed]) => ({ path, url: feed.url, box: box(`feed-${path}`, (rule.affectedFeeds ?? []).includes(feed.url)) }))
    const found = el('div', { class: 'wide matches', role: 'status' })
    const definition = () => ({
      ...rule, enabled: enabled.checked, mustContain: must.value, mustNotContain: not.value, episodeFilter: episodes.value, useRegex: regex.checked, smartFilter: smart.checked, ignoreDays: Number(days.value) || 0,
      assignedCategory: category.value, savePath: path.value, torrentParams: { ...rule.torrentParams, category: category.value, save_path: path.value }, affectedFeeds: feeds.filter((f) => f.box.checked).map((f) => f.url) })
    // What the rule would take of the articles that are there, while it is written.
    let timer = 0
    const preview = async () => {
      try {
        const matches = Object.values(JSON.parse(await post('rss/matchingArticles', { ruleName: title.value || '?', ruleDef: JSON.stringify(definition()) }))).flat()
        found.replaceChildren(el('h3', {}, `${t('Matches')}: ${matches.length}`), el('ul', {}, matches.slice(0, 50).map((m) => el('li', { class: 'wrap' }, m))))
      } catch (error) { found.replaceChildren(el('p', { class: 'bad' }, error.message)) }
    }
    const soon = () => { clearTimeout(timer); timer = setTimeout(preview, 250) }
    preview()
    const row = (label, input) => [el('label', { htmlFor: input.id }, t(label)), input]
    const answer = await openDialog(t('Rule'), el('div', { class: 'form' }, row('Name', title), row('Must contain', must), row('Must not contain', not), row('Episodes', episodes), row('Category', category), row('Save to', path), row('Days to wait after a match', days),
      el('div', { class: 'choices wide' }, el('label', {}, enabled, t('Enabled')), el('label', {}, regex, t('Regular expressions')), el('label', {}, smart, t('Each episode once'))),
      el('div', { class: 'choices wide', role: 'group', 'aria-label': t('Feeds') }, feeds.map((f) => el('label', {}, f.box, f.path))), found), [
      el('button', { type: 'button', onclick: (e) => e.target.closest('dialog').close('') }, t('Cancel')),
      name ? el('button', { type: 'submit', class: 'danger', value: 'remove' }, t('Remove')) : null, el('button', { class: 'primary', type: 'submit', value: 'ok' }, t('OK'))], { class: 'broad' })
    clearTimeout(timer)
    if (answer === 'remove') return this.act('removeRule', { ruleName: name })
    if (answer !== 'ok' || !title.value) return
    if (name && name !== title.value && !await this.act('renameRule', { ruleName: name, newRuleName: title.value })) return
    await this.act('setRule', { ruleName: title.value, ruleDef: JSON.stringify(definition()) })
  }
  stop() { this.poller.stop() }
}
