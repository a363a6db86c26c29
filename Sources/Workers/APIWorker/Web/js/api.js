// Requests to this host, with the session's cookie. A refusal is an Error with the server's words.

export class LoginNeeded extends Error {}
export class Unreachable extends Error {}

let onLoginNeeded = () => {}
export function whenLoginNeeded(action) { onLoginNeeded = action }

async function send(path, options) {
  let answer
  try { answer = await fetch(path, { credentials: 'same-origin', cache: 'no-store', ...options }) } catch (error) {
    throw new Unreachable(String(error.message ?? error))
  }
  if (answer.status === 403 && !path.includes('auth/login')) {
    onLoginNeeded()
    throw new LoginNeeded('403')
  }
  if (!answer.ok) {
    let text = (await answer.text()).trim()
    try { text = JSON.parse(text).error?.message ?? JSON.parse(text).message ?? text } catch { /* it is plain text */ }
    const error = new Error(text || `${answer.status} ${answer.statusText}`)
    error.status = answer.status
    throw error
  }
  return answer
}

/** Reads `scope/action` of qBittorrent's API. */
export async function get(action, parameters = {}) {
  const query = new URLSearchParams(parameters).toString()
  const answer = await send(`/api/v2/${action}${query ? `?${query}` : ''}`)
  const text = await answer.text()
  try { return JSON.parse(text) } catch { return text }
}

/** Changes something by `scope/action`. */
export async function post(action, parameters = {}) {
  const answer = await send(`/api/v2/${action}`, { method: 'POST', body: new URLSearchParams(parameters) })
  return answer.text()
}

/** Uploads a form with files. */
export async function upload(action, form) {
  return (await send(`/api/v2/${action}`, { method: 'POST', body: form })).text()
}

/** The native API: JSON both ways. */
export async function native(method, path, body) {
  const answer = await send(`/api/v1/${path}`, {
    method, headers: body === undefined ? {} : { 'Content-Type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body),
  })
  const text = await answer.text()
  return text ? JSON.parse(text) : null
}

/** Calls `action` again and again, `pause()` ms after each end, while the document is visible; survives failures with a growing pause. */
export function poll(action, pause) {
  let timer = 0, stopped = false, failures = 0
  const run = async () => {
    clearTimeout(timer)
    if (stopped) return
    try {
      await action()
      failures = 0
    } catch (error) {
      if (error instanceof LoginNeeded) { stopped = true; return }
      failures += 1
    }
    if (!stopped) timer = setTimeout(run, failures ? Math.min(10_000, 500 * 2 ** failures) : document.hidden ? 5000 : pause())
  }
  run()
  return { stop() { stopped = true; clearTimeout(timer) }, now() { if (!stopped) run() } }
}
