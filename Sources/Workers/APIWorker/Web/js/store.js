// What the page knows of the torrents, kept in step by deltas of sync/maindata.

import { get, poll } from './api.js'

const activeStates = new Set(['downloading', 'uploading', 'forcedDL', 'forcedUP', 'metaDL', 'checkingDL', 'checkingUP', 'moving'])
const stoppedStates = new Set(['stoppedDL', 'stoppedUP', 'pausedDL', 'pausedUP'])
const seedingStates = new Set(['uploading', 'stalledUP', 'queuedUP', 'forcedUP', 'checkingUP'])
const errorStates = new Set(['error', 'missingFiles'])

/** More than a large screen shows. */
const firstRows = 100

/** The state filters: name shown, test of a torrent. */
export const stateFilters = {
  all: ['All', () => true],
  downloading: ['Downloading', (x) => x.progress < 1 && !stoppedStates.has(x.state) && !errorStates.has(x.state)],
  seeding: ['Seeding', (x) => seedingStates.has(x.state)],
  completed: ['Completed', (x) => x.progress >= 1],
  stopped: ['Stopped', (x) => stoppedStates.has(x.state)],
  active: ['Active', (x) => x.dlspeed > 0 || x.upspeed > 0 || (activeStates.has(x.state) && x.state.startsWith('checking'))],
  inactive: ['Inactive', (x) => !(x.dlspeed > 0 || x.upspeed > 0)],
  errored: ['Errors', (x) => errorStates.has(x.state)],
}

/** Ten minutes of one figure a second. */
export class History {
  constructor(length = 600) {
    this.length = length
    this.samples = []
  }
  add(sample) {
    this.samples.push(sample)
    if (this.samples.length > this.length) this.samples.splice(0, this.samples.length - this.length)
  }
}

export class Store {
  constructor() {
    this.torrents = new Map()
    this.categories = new Map()
    this.tags = new Set()
    this.trackers = new Map()
    this.server = {}
    this.history = new History()
    this.online = true
    this.listeners = new Set()
    this.rid = 0
    /** Only the first rows are there yet. */
    this.isPartial = false
    /** Grows when torrents came or went, or a value by which one sorts or filters changed. */
    this.shape = 0
  }

  /** `sort` is the table's order: the rows that it shows first are asked for alone, since all of 10,000 take most of a second. */
  start(sort) {
    this.poller = poll(async () => {
      try {
        if (!this.rid && !this.torrents.size) await this.showFirst(sort)
        this.apply(await get('sync/maindata', { rid: this.rid }))
        this.setOnline(true)
      } catch (error) {
        this.rid = 0
        this.setOnline(false)
        throw error
      }
    }, () => Math.max(500, this.server.refresh_interval ?? 1500))
  }
  async showFirst(sort) {
    const rows = await get('torrents/info', { sort: sort.key, reverse: sort.reverse, limit: firstRows })
    if (rows.length < firstRows) return
    this.isPartial = true
    this.apply({ rid: 0, torrents: Object.fromEntries(rows.map((x) => [x.hash, x])) })
  }
  stop() { this.poller?.stop() }
  /** After an action of the user: show what it did at once. */
  refresh() { setTimeout(() => this.poller?.now(), 80) }

  setOnline(online) {
    if (online === this.online) return
    this.online = online
    this.tell()
  }

  apply(delta) {
    this.rid = delta.rid
    if (delta.full_update) {
      this.isPartial = false
      this.torrents.clear()
      this.categories.clear()
      this.tags.clear()
      this.trackers.clear()
      this.shape += 1
    }
    for (const [hash, change] of Object.entries(delta.torrents ?? {})) {
      let torrent = this.torrents.get(hash)
      if (!torrent) {
        torrent = { hash, tagSet: [] }
        this.torrents.set(hash, torrent)
      }
      Object.assign(torrent, change)
      if (change.name !== undefined) torrent.nameKey = torrent.name.toLowerCase()
      if (change.tags !== undefined) torrent.tagSet = torrent.tags ? torrent.tags.split(', ') : []
      this.shape += 1
    }
    for (const hash of delta.torrents_removed ?? []) if (this.torrents.delete(hash)) this.shape += 1
    for (const [name, category] of Object.entries(delta.categories ?? {})) this.categories.set(name, { ...this.categories.get(name), ...category })
    for (const name of delta.categories_removed ?? []) this.categories.delete(name)
    for (const tag of delta.tags ?? []) this.tags.add(tag)
    for (const tag of delta.tags_removed ?? []) this.tags.delete(tag)
    for (const [url, hashes] of Object.entries(delta.trackers ?? {})) this.trackers.set(url, new Set(hashes))
    for (const url of delta.trackers_removed ?? []) this.trackers.delete(url)
    Object.assign(this.server, delta.server_state ?? {})
    if (!this.isPartial) this.history.add({ at: Date.now(), down: this.server.dl_info_speed ?? 0, up: this.server.up_info_speed ?? 0 })
    this.tell()
  }

  /** Host name → hashes, of the announce URLs. */
  trackerHosts() {
    const hosts = new Map()
    for (const [url, hashes] of this.trackers) {
      let host = url
      try { host = new URL(url.replace(/^udp:/, 'http:')).hostname || url } catch { /* shown as it is */ }
      const all = hosts.get(host) ?? new Set()
      for (const h of hashes) all.add(h)
      hosts.set(host, all)
    }
    return hosts
  }

  subscribe(listener) {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
  tell() { for (const listener of this.listeners) listener() }
}
