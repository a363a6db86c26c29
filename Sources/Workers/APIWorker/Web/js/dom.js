// Building blocks of the page. Text becomes text nodes only: nothing from a torrent, tracker or peer is ever parsed as HTML.

/** An element with properties (`class`, `on…` listeners, aria-* and others as attributes) and children (nodes or text). */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue
    if (name === 'class') node.className = value
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value)
    else if (name in node && !name.startsWith('aria') && name !== 'list' && name !== 'form') node[name] = value
    else node.setAttribute(name, value === true ? '' : value)
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined && c !== false))
  return node
}

/** Changes text only when it differs, so that idle rows cost no layout. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text
}

export function toast(text, isError = false) {
  const node = el('div', { class: isError ? 'toast error' : 'toast' }, text)
  document.getElementById('toasts').append(node)
  setTimeout(() => node.remove(), isError ? 9000 : 4000)
}

/** A modal dialog that leaves the document when it is closed; gives its return value. */
export function openDialog(title, body, actions, options = {}) {
  return new Promise((resolve) => {
    const heading = el('h2', { id: 'dialog-title' }, title)
    const form = el('form', { method: 'dialog' }, heading, body, el('div', { class: 'actions' }, actions))
    const dialog = el('dialog', { 'aria-labelledby': 'dialog-title' }, form)
    if (options.class) dialog.classList.add(options.class)
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      const done = (value) => dialog.close(value ?? 'ok')
      options.submit ? options.submit(done) : done(event.submitter?.value)
    })
    dialog.addEventListener('close', () => {
      dialog.remove()
      resolve(dialog.returnValue)
    })
    document.body.append(dialog)
    dialog.showModal()
  })
}

/** A menu at a place: entries are [text, action], null is a line. Arrow keys move, Escape closes. */
export function openMenu(x, y, entries, returnFocus) {
  document.querySelector('.menu')?.remove()
  const close = () => {
    menu.remove()
    document.removeEventListener('pointerdown', outside, true)
    returnFocus?.focus()
  }
  const outside = (event) => { if (!menu.contains(event.target)) close() }
  const menu = el('div', { class: 'menu', role: 'menu' }, entries.map((entry) => entry === null ? el('hr') : el('button', {
    role: 'menuitem', type: 'button', class: entry[2] ?? '', onclick: () => { close(); entry[1]() },
  }, entry[0])))
  menu.addEventListener('keydown', (event) => {
    const items = [...menu.querySelectorAll('button')], at = items.indexOf(document.activeElement)
    if (event.key === 'Escape') close()
    else if (event.key === 'ArrowDown') items[(at + 1) % items.length].focus()
    else if (event.key === 'ArrowUp') items[(at - 1 + items.length) % items.length].focus()
    else if (event.key === 'Home') items[0].focus()
    else if (event.key === 'End') items[items.length - 1].focus()
    else return
    event.preventDefault()
    event.stopPropagation()
  })
  document.body.append(menu)
  menu.style.left = `${Math.max(4, Math.min(x, innerWidth - menu.offsetWidth - 8))}px`
  menu.style.top = `${Math.max(4, Math.min(y, innerHeight - menu.offsetHeight - 8))}px`
  document.addEventListener('pointerdown', outside, true)
  menu.querySelector('button')?.focus()
}
