// Settings, made from the daemon's own table of options: what stands there is what is enforced.

import { native } from './api.js'
import { el, toast } from './dom.js'
import { t } from './text.js'

export class SettingsPage {
  constructor() {
    this.search = el('input', { type: 'search', placeholder: t('Search settings'), 'aria-label': t('Search settings'), oninput: () => this.show() })
    this.list = el('div')
    this.node = el('div', { class: 'page' }, el('h2', {}, t('Settings')), el('p', { class: 'quiet' }, t('Changed here, an option wins over the configuration file until it is reset.')), this.search, this.list)
    this.load()
  }
  async load() {
    try {
      this.options = (await native('GET', 'settings')).options
      this.show()
    } catch (error) { this.list.replaceChildren(el('p', { class: 'bad' }, error.message)) }
  }
  show() {
    const text = this.search.value.toLowerCase(), sections = new Map()
    for (const option of this.options ?? []) {
      if (text && !`${option.key} ${option.doc}`.toLowerCase().includes(text)) continue
      const section = option.key.split('.')[0]
      if (!sections.has(section)) sections.set(section, [])
      sections.get(section).push(option)
    }
    this.list.replaceChildren(...[...sections].map(([section, options]) => el('section', {}, el('h3', {}, section), el('div', { class: 'scroll' }, el('table', { class: 'plain' }, el('tbody', {}, options.map((o) => this.row(o))))))))
  }
  row(option) {
    const isFlag = ['true', 'false'].includes(option.standard), choices = !isFlag && /^[\w-]+(\|[\w-]+)+$/.test(option.limits) ? option.limits.split('|') : null
    const id = `option-${option.key}`
    const input = isFlag ? el('input', { id, type: 'checkbox', checked: option.value === 'true' })
      : choices ? el('select', { id }, choices.map((c) => el('option', { value: c, selected: c === option.value }, c)))
        : el('input', { id, value: option.value, placeholder: option.standard })
    input.addEventListener('change', () => this.set(option, isFlag ? String(input.checked) : input.value))
    return el('tr', {}, el('td', {}, el('label', { htmlFor: id }, el('strong', {}, option.key)), el('div', { class: 'quiet' }, option.doc, option.limits && !choices ? ` (${option.limits})` : '')),
      el('td', {}, input), el('td', { class: 'quiet' }, option.needsRestart ? t('the workers that read it are restarted') : ''),
      el('td', {}, option.isOverridden ? el('button', { type: 'button', class: 'plain', title: `${t('Reset to')} ${option.standard}`, onclick: () => this.set(option, null) }, t('Reset')) : ''))
  }
  async set(option, value) {
    try {
      await native('PATCH', 'settings', { [option.key]: value })
      toast(`${option.key}: ${value ?? option.standard}`)
    } catch (error) { toast(error.message, true) }
    await this.load()
  }
}
