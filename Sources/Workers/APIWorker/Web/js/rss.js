// RSS: feeds and their articles, and the rules that download from them.

import { get, poll, post } from './api.js'
import { el, openDialog, toast } from './dom.js'
import * as format from './format.js'
import { t } from './text.js'
import { addDialog } from './add.js'

export class RSSPage {
  constructor(store, actions) {
    this.store = store
    this.actions = actions
    this.feeds = el('div', { class: 'list' })
    this.rules = el('div', { class: 'list' })
    this.articles = el('div')
    this.node = el('div', { class: 'page' }, el('h2', {}, 'RSS'), el('div', { class: 'split' },
      el('div', {}, el('div', { class: 'choices' }, el('button', { type: 'button', onclick: () => this.addFeed() }, t('Add feed…')), el('button', { type: 'button', onclick: () => this.editRule() }, t('Add rule…'))),
        el('h3', {}, t('Feeds')), this.feeds, el('h3', {}, t('Rules')), this.rules), this.articles))
    this.poller = poll(() => this.load(), () => 5000)
  }
  async load() {
    const [items, rules] = await Promise.all([get('rss/items', { withData: true }), get('rss/rules')])
    this.items = new Map()
    const walk = (node, path) => {
      for (const [name, value] of Object.entries(node ?? {})) {
        const full = path ? `${path}\\${name}` : name
        if (value && typeof value === 'object' && typeof value.url === 'string') this.items.set(full, value)
        else if (value && typeof value === 'object') walk(value, full)
      }
    }
    walk(items, '')
    this.feeds.replaceChildren(...[...this.items].map(([path, feed]) => el('button', { type: 'button', 'aria-pressed': String(path === this.chosen), onclick: () => { this.chosen = path; this.load() } },
      `${path} (${(feed.articles ?? []).filter((a) => !a.isRead).length})${feed.hasError ? ' ⚠' : ''}`)))
    this.rules.replaceChildren(...Object.entries(rules ?? {}).map(([name, rule]) => el('button', { type: 'button', onclick: () => this.editRule(name, rule) }, `${rule.enabled ? '●' : '○'} ${name}`)))
    this.show()
  }
  show() {
    const feed = this.items.get(this.chosen)
    if (!feed) return this.articles.replaceChildren(el('p', { class: 'quiet' }, this.items.size ? t('Choose a feed.') : t('No feeds yet.')))
    this.articles.replaceChildren(
      el('div', { class: 'choices' }, el('button', { type: 'button', onclick: () => this.act('refreshItem', { itemPath: this.chosen }) }, t('Refresh')), el('button', { type: 'button', onclick: () => this.act('markAsRead', { itemPath: this.chosen }) }, t('Mark as read')),
        el('button', { type: 'button', class: 'danger', onclick: () => this.act('removeItem', { path: this.chosen }) }, t('Remove'))),
      el('div', { class: 'scroll' }, el('table', { class: 'plain' }, el('tbody', {}, (feed.articles ?? []).map((a) => el('tr', {}, el('td', { class: 'wrap' }, a.isRead ? a.title : el('strong', {}, a.title)), el('td', {}, format.moment(Date.parse(a.date) / 1000)),
        el('td', {}, el('button', { type: 'button', onclick: () => this.download(a) }, t('Download')))))))))
  }
  async download(article) {
    await addDialog(this.store, { links: article.torrentURL ?? article.link })
    await this.act('markAsRead', { itemPath: this.chosen, articleId: article.id })
  }
  async act(action, parameters) {
    try { await post(`rss/${action}`, parameters) } catch (error) { toast(error.message, true) }
    this.poller.now()
  }
  async addFeed() {
    const url = await this.actions.ask('Add feed', 'URL')
    if (url) await this.act('addFeed', { url, path: '' })
  }
  async editRule(name = '', rule = {}) {
    const text = (id, value = '') => el('input', { id, value }), box = (id, on) => el('input', { id, type: 'checkbox', checked: Boolean(on) })
    const title = text('rule-name', name), must = text('rule-must', rule.mustContain), not = text('rule-not', rule.mustNotContain), episodes = text('rule-episodes', rule.episodeFilter)
    const category = text('rule-category', rule.assignedCategory ?? rule.torrentParams?.category), path = text('rule-path', rule.savePath ?? rule.torrentParams?.save_path)
    const enabled = box('rule-on', rule.enabled ?? true), regex = box('rule-regex', rule.useRegex), smart = box('rule-smart', rule.smartFilter)
    const feeds = [...this.items].map(([path, feed]) => ({ path, url: feed.url, box: box(`feed-${path}`, (rule.affectedFeeds ?? []).includes(feed.url)) }))
    const row = (label, input) => [el('label', { htmlFor: input.id }, t(label)), input]
    const answer = await openDialog(t('Rule'), el('div', { class: 'form' }, row('Name', title), row('Must contain', must), row('Must not contain', not), row('Episodes', episodes), row('Category', category), row('Save to', path),
      el('div', { class: 'choices wide' }, el('label', {}, enabled, t('Enabled')), el('label', {}, regex, t('Regular expressions')), el('label', {}, smart, t('Each episode once'))),
      el('div', { class: 'choices wide' }, feeds.map((f) => el('label', {}, f.box, f.path)))), [
      el('button', { type: 'button', onclick: (e) => e.target.closest('dialog').close('') }, t('Cancel')),
      name ? el('button', { type: 'submit', class: 'danger', value: 'remove' }, t('Remove')) : null, el('button', { class: 'primary', type: 'submit', value: 'ok' }, t('OK'))])
    if (answer === 'remove') return this.act('removeRule', { ruleName: name })
    if (answer !== 'ok' || !title.value) return
    if (name && name !== title.value) await this.act('renameRule', { ruleName: name, newRuleName: title.value })
    await this.act('setRule', { ruleName: title.value, ruleDef: JSON.stringify({
      ...rule, enabled: enabled.checked, mustContain: must.value, mustNotContain: not.value, episodeFilter: episodes.value, useRegex: regex.checked, smartFilter: smart.checked,
      assignedCategory: category.value, savePath: path.value, affectedFeeds: feeds.filter((f) => f.box.checked).map((f) => f.url) }) })
  }
  stop() { this.poller.stop() }
}
