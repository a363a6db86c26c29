// Reads the list of files from a .torrent (BEP 3, 52, 47) before it is uploaded, to choose among them.

const depthLimit = 64, fileLimit = 200_000

class Reader {
  constructor(bytes) {
    this.bytes = bytes
    this.at = 0
    this.decoder = new TextDecoder()
  }
  fail() { throw new Error('not a .torrent file') }
  number(end) {
    const from = this.at
    while (this.at < this.bytes.length && this.bytes[this.at] !== end) {
      if (this.at - from > 20) this.fail()
      this.at += 1
    }
    const text = this.decoder.decode(this.bytes.subarray(from, this.at))
    if (!/^-?\d+$/.test(text)) this.fail()
    this.at += 1
    return Number(text)
  }
  string() {
    const length = this.number(0x3a)
    if (length < 0 || length > this.bytes.length - this.at) this.fail()
    const out = this.bytes.subarray(this.at, this.at + length)
    this.at += length
    return out
  }
  value(depth = 0) {
    if (depth > depthLimit || this.at >= this.bytes.length) this.fail()
    const c = this.bytes[this.at]
    if (c === 0x69) { this.at += 1; return this.number(0x65) }
    if (c === 0x6c) {
      this.at += 1
      const list = []
      while (this.bytes[this.at] !== 0x65) list.push(this.value(depth + 1))
      this.at += 1
      return list
    }
    if (c === 0x64) {
      this.at += 1
      const map = new Map()
      while (this.bytes[this.at] !== 0x65) map.set(this.decoder.decode(this.string()), this.value(depth + 1))
      this.at += 1
      return map
    }
    return this.string()
  }
}

/** { name, files: [{ path, length }] } in the order of the file indexes; pad files count as an index and are marked. */
export function readTorrent(buffer) {
  const reader = new Reader(new Uint8Array(buffer)), text = (x) => (x instanceof Uint8Array ? reader.decoder.decode(x) : '')
  const info = reader.value()
  const dictionary = info instanceof Map ? info.get('info') : null
  if (!(dictionary instanceof Map)) reader.fail()
  const name = text(dictionary.get('name.utf-8')) || text(dictionary.get('name'))
  const files = []
  const add = (path, length, isPad) => {
    if (files.length >= fileLimit) reader.fail()
    files.push({ path, length: Number(length) || 0, isPad })
  }
  if (Array.isArray(dictionary.get('files'))) {
    for (const file of dictionary.get('files')) {
      if (!(file instanceof Map)) reader.fail()
      const path = file.get('path.utf-8') ?? file.get('path') ?? []
      add([name, ...path.map(text)].join('/'), file.get('length'), text(file.get('attr')).includes('p'))
    }
  } else if (dictionary.has('length')) add(name, dictionary.get('length'), false)
  else if (dictionary.get('file tree') instanceof Map) {
    const walk = (tree, path) => {
      for (const [part, node] of tree) {
        if (!(node instanceof Map)) reader.fail()
        const leaf = node.get('')
        if (leaf instanceof Map) add([...path, part].join('/'), leaf.get('length'), false)
        else walk(node, [...path, part])
      }
    }
    const tree = dictionary.get('file tree')
    const isSingle = tree.size === 1 && tree.get(name) instanceof Map && tree.get(name).get('') instanceof Map
    walk(tree, isSingle ? [] : [name])
  }
  return { name, files }
}
