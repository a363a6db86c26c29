// Plots on a canvas: lines over time, and the map of a torrent's pieces.

import { t } from './text.js'

function prepare(canvas) {
  const scale = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale)
    canvas.height = Math.round(height * scale)
  }
  const context = canvas.getContext('2d')
  context.setTransform(scale, 0, 0, scale, 0, 0)
  context.clearRect(0, 0, width, height)
  return { context, width, height }
}
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

/** `lines`: [{ key, color, label }] over samples of { at, … }; `span` in ms; `axis` writes a value, none in a small plot; the scale reaches `least` at the
 * least. */
export function drawLines(canvas, samples, lines, { span = 600_000, axis = null, least = 1 } = {}) {
  const { context, width, height } = prepare(canvas)
  if (!width || !height) return
  const now = Date.now(), left = axis ? 78 : 0, bottom = axis ? 20 : 2, top = axis ? 18 : 2
  const shown = samples.filter((s) => now - s.at <= span)
  const most = Math.max(least, ...shown.flatMap((s) => lines.map((l) => s[l.key] ?? 0)))
  const ceiling = niceCeiling(most)
  const x = (at) => left + (width - left) * (1 - (now - at) / span), y = (v) => top + (height - top - bottom) * (1 - v / ceiling)
  context.font = '11px system-ui, sans-serif'
  if (axis) {
    context.strokeStyle = color('--line')
    context.fillStyle = color('--quiet')
    context.textAlign = 'right'
    for (let i = 0; i <= 4; i++) {
      const value = (ceiling * i) / 4
      context.beginPath()
      context.moveTo(left, y(value))
      context.lineTo(width, y(value))
      context.stroke()
      context.fillText(axis(value), left - 6, y(value) + 4)
    }
    context.textAlign = 'center'
    for (let i = 1; i < 5; i++) context.fillText(`−${Math.round((span * i) / 5 / 60_000 * 10) / 10} min`, left + (width - left) * (1 - i / 5), height - 5)
    let at = left + 4
    context.textAlign = 'left'
    for (const line of lines) {
      context.fillStyle = color(line.color)
      context.fillText(`● ${t(line.label)}`, at, 11)
      at += context.measureText(`● ${t(line.label)}`).width + 16
    }
  }
  context.lineWidth = 1.5
  for (const line of lines) {
    context.strokeStyle = color(line.color)
    context.beginPath()
    shown.forEach((s, i) => (i ? context.lineTo(x(s.at), y(s[line.key] ?? 0)) : context.moveTo(x(s.at), y(s[line.key] ?? 0))))
    context.stroke()
  }
}

function niceCeiling(value) {
  // Powers of 1024 as the figures are written in, then 1, 2, 4, 8…
  const power = Math.max(0, Math.floor(Math.log2(value) / 10)), unit = 1024 ** power
  let steps = 1
  while (steps * unit < value) steps *= 2
  return steps * unit
}

/** Each column of the canvas shows the pieces that fall on it: 2 there, 1 on its way, 0 missing. */
export function drawPieces(canvas, states) {
  const { context, width, height } = prepare(canvas)
  if (!states.length || !width) return
  const there = color('--accent'), coming = color('--warn'), columns = Math.min(Math.floor(width), states.length)
  for (let c = 0; c < columns; c++) {
    const from = Math.floor((c * states.length) / columns), to = Math.max(from + 1, Math.floor(((c + 1) * states.length) / columns))
    let have = 0, busy = 0
    for (let i = from; i < to; i++) {
      if (states[i] === 2) have += 1
      else if (states[i] === 1) busy += 1
    }
    const x = (c * width) / columns, w = width / columns + 0.5
    if (have) {
      context.globalAlpha = 0.25 + (0.75 * have) / (to - from)
      context.fillStyle = there
      context.fillRect(x, 0, w, height)
    }
    if (busy) {
      context.globalAlpha = 1
      context.fillStyle = coming
      context.fillRect(x, height * 0.7, w, height * 0.3)
    }
  }
  context.globalAlpha = 1
}
