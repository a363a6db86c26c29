import { language, t } from './text.js'

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

export function bytes(n) {
  if (!(n > 0)) return '0 B'
  const power = Math.max(0, Math.min(units.length - 1, Math.floor(Math.log2(n) / 10)))
  const value = n / 1024 ** power
  return `${value.toFixed(power === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2)} ${units[power]}`
}
export const rate = (n) => (n > 0 ? `${bytes(n)}/s` : '')
export const percent = (x) => `${(Math.floor(x * 1000) / 10).toFixed(1)} %`
export const ratio = (x) => (x < 0 ? '∞' : x.toFixed(2))

export function duration(seconds) {
  if (seconds === undefined || seconds === null || seconds < 0 || seconds >= 8640000) return '∞'
  const s = Math.round(seconds)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`
}
export function moment(unix) {
  if (!(unix > 0)) return ''
  return new Date(unix * 1000).toLocaleString(language(), { dateStyle: 'short', timeStyle: 'short' })
}

/** The words of torrent states; unknown ones are shown as they came. */
export function stateName(state) {
  return t({
    downloading: 'Downloading', stalledDL: 'Stalled', metaDL: 'Fetching metadata', forcedDL: 'Downloading (forced)', forcedMetaDL: 'Fetching metadata',
    uploading: 'Seeding', stalledUP: 'Seeding', forcedUP: 'Seeding (forced)', stoppedDL: 'Stopped', stoppedUP: 'Completed', pausedDL: 'Stopped',
    pausedUP: 'Completed', queuedDL: 'Queued', queuedUP: 'Queued', checkingDL: 'Checking', checkingUP: 'Checking', checkingResumeData: 'Checking',
    moving: 'Moving', error: 'Error', missingFiles: 'Missing files',
  }[state] ?? state)
}
