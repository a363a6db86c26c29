// Adding torrents: files dropped or chosen, magnet links and URLs; of one .torrent file it is chosen before it is added what is fetched.

import { get, upload } from './api.js'
import { priorityNames, prioritySelect } from './details.js'
import { el, openDialog, toast } from './dom.js'
import * as format from './format.js'
import { t } from './text.js'
import { readTorrent } from './torrentfile.js'

export async function addDialog(store, given = {}) {
  let files = [...(given.files ?? [])], listed = null
  const links = el('textarea', { name: 'urls', id: 'add-links', placeholder: 'magnet:?xt=…\nhttps://…', value: given.links ?? '' })
  const picker = el('input', { type: 'file', accept: '.torrent,application/x-bittorrent', multiple: true, id: 'add-files', 'aria-label': t('.torrent files') })
  const chosen = el('div', { class: 'quiet' })
  const drop = el('div', { class: 'drop wide' }, picker, chosen)
  const tree = el('div', { class: 'tree wide hidden', role: 'group', 'aria-label': t('Files') })
  const path = el('input', { id: 'add-path', value: given.path ?? await get('app/defaultSavePath').catch(() => '') })
  const category = el('select', { id: 'add-category' }, el('option', { value: '' }, t('(none)')), [...store.categories.keys()].sort().map((name) => el('option', { value: name }, name)))
  const tags = el('input', { id: 'add-tags', placeholder: 'a, b', list: 'known-tags' })
  const knownTags = el('datalist', { id: 'known-tags' }, [...store.tags].map((tag) => el('option', { value: tag })))
  const layout = el('select', { id: 'add-layout' }, el('option', { value: 'Original' }, t('As in the torrent')), el('option', { value: 'Subfolder' }, t('Always a folder')), el('option', { value: 'NoSubfolder' }, t('Without its folder')))
  const check = (id, label, on = false) => ({ box: el('input', { type: 'checkbox', id, checked: on }), label })
  const boxes = {
    start: check('add-start', 'Start', true), skip: check('add-skip', 'Skip the check'), sequential: check('add-sequential', 'In order'),
    ends: check('add-ends', 'First and last pieces first'), auto: check('add-auto', 'Automatic management'), top: check('add-top', 'To the top of the queue'),
  }
  const downLimit = el('input', { id: 'add-down', type: 'number', min: 0, placeholder: '∞' }), upLimit = el('input', { id: 'add-up', type: 'number', min: 0, placeholder: '∞' })

  const show = async () => {
    chosen.textContent = files.length ? files.map((f) => f.name).join(', ') : t('Drop .torrent files here')
    listed = null
    tree.classList.add('hidden')
    tree.replaceChildren()
    if (files.length !== 1) return
    try { listed = readTorrent(await files[0].arrayBuffer()) } catch (error) {
      chosen.textContent = `${files[0].name}: ${t(error.message)}`
      return
    }
    for (const file of listed.files) {
      if (file.isPad) continue
      file.wanted = el('input', { type: 'checkbox', checked: true, onchange: () => { file.priority.disabled = !file.wanted.checked; sum() } })
      file.priority = prioritySelect(1, file.path, () => {}, Object.keys(priorityNames).filter((n) => n !== '0'))
    }
    const shown = listed.files.filter((file) => !file.isPad), total = el('span', { class: 'quiet number' })
    const sum = () => {
      const wanted = shown.filter((file) => file.wanted.checked)
      total.textContent = `${wanted.length} / ${shown.length}, ${format.bytes(wanted.reduce((n, file) => n + file.length, 0))}`
    }
    const all = (on) => { for (const file of shown) { file.wanted.checked = on; file.priority.disabled = !on } sum() }
    sum()
    tree.append(
      el('div', { class: 'choices' }, el('button', { type: 'button', onclick: () => all(true) }, t('All files')), el('button', { type: 'button', onclick: () => all(false) }, t('No files')), total),
      ...shown.map((file) => el('div', {}, el('label', {}, file.wanted, file.path), el('span', { class: 'quiet number' }, format.bytes(file.length)), file.priority)))
    tree.classList.remove('hidden')
  }
  picker.addEventListener('change', () => { files = [...picker.files]; show() })
  for (const kind of ['dragover', 'dragleave', 'drop']) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault()
      event.stopPropagation()
      drop.classList.toggle('dropping', kind === 'dragover')
      if (kind === 'drop') { files = [...event.dataTransfer.files]; show() }
    })
  }
  await show()

  const row = (label, input) => [el('label', { htmlFor: input.id }, t(label)), input]
  const body = el('div', { class: 'form' },
    drop, tree, row('Magnet links and URLs', links), row('Save to', path), row('Category', category), row('Tags', tags), knownTags, row('Folder', layout),
    row('Down limit (KiB/s)', downLimit), row('Up limit (KiB/s)', upLimit),
    el('div', { class: 'choices wide' }, Object.values(boxes).map(({ box, label }) => el('label', {}, box, t(label)))))
  await openDialog(t('Add torrents'), body, [
    el('button', { type: 'button', onclick: (e) => e.target.closest('dialog').close('') }, t('Cancel')),
    el('button', { class: 'primary', type: 'submit', value: 'add' }, t('Add')),
  ], {
    submit: async (done) => {
      if (!files.length && !links.value.trim()) return toast(t('Choose a .torrent file, or give a link.'), true)
      const form = new FormData()
      for (const file of files) form.append('torrents', file, file.name)
      if (links.value.trim()) form.append('urls', links.value.trim())
      const shown = listed?.files.filter((file) => !file.isPad) ?? []
      if (shown.length && !shown.some((file) => file.wanted.checked)) return toast(t('Choose at least one file.'), true)
      const priorities = shown.map((file) => (file.wanted.checked ? file.priority.value : '0'))
      if (priorities.some((n) => n !== '1')) form.append('filePriorities', priorities.join(','))
      if (boxes.auto.box.checked) form.append('autoTMM', 'true')
      else if (path.value) form.append('savepath', path.value)
      const fields = {
        category: category.value, tags: tags.value, contentLayout: layout.value, skip_checking: boxes.skip.box.checked || '', sequentialDownload: boxes.sequential.box.checked || '',
        firstLastPiecePrio: boxes.ends.box.checked || '',
        addToTopOfQueue: boxes.top.box.checked || '', dlLimit: downLimit.value ? downLimit.value * 1024 : '', upLimit: upLimit.value ? upLimit.value * 1024 : '',
      }
      for (const [name, value] of Object.entries(fields)) if (value !== '') form.append(name, String(value))
      form.append('stopped', String(!boxes.start.box.checked))
      try {
        const answer = await upload('torrents/add', form)
        if (answer.startsWith('Fails')) throw new Error(t('Nothing was added: is it there already?'))
        done('add')
        toast(t('Added.'))
      } catch (error) { toast(error.message, true) }
      store.refresh()
    },
  })
}
