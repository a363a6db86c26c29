#!/usr/bin/env python3
"""Makes the Swift codecs, the reference tables and the golden vectors of the IPC from protocol/*.schema.

    protocol/generate.py            write
    protocol/generate.py --check    exit 1 if the committed output is not current

A schema line is `name type comment`. Types: u8 u16 u32 u64 i32 i64 hash20 hash32 endpoint string bytes,
`list T` of a scalar, an endpoint or a struct; `T?` may be left out where a message is made, and is then zero. Payload: u16 size of the fixed part, then the fixed part; string,
bytes and list stand there as (u32 offset from the payload's start, u32 count) of the data behind it. New fields are
appended to the fixed part: an older reader does not look at them, a newer reader finds the fixed part too short and takes zero.
"""
import re, struct, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / 'Sources/Link/IPC/Generated'
FIXED = {'u8': 1, 'u16': 2, 'u32': 4, 'u64': 8, 'i32': 4, 'i64': 8, 'hash20': 20, 'hash32': 32, 'endpoint': 18}
SWIFT = {'u8': 'UInt8', 'u16': 'UInt16', 'u32': 'UInt32', 'u64': 'UInt64', 'i32': 'Int32', 'i64': 'Int64', 'hash20': 'SHA1Digest',
         'hash32': 'SHA256Digest', 'endpoint': 'Endpoint', 'string': 'String', 'bytes': '[UInt8]'}
EMPTY = {'hash20': 'SHA1Digest()', 'hash32': 'SHA256Digest()', 'endpoint': 'Endpoint(ipv4: 0, port: 0)', 'string': '""', 'bytes': '[]'}
HEAD = '// Made by protocol/generate.py from protocol/{}; do not edit.\n// swift-format-ignore-file\n'


def parse(path):
    edge, types, notes, current = None, [], [], None
    for line in path.read_text().splitlines():
        text = line.strip()
        if not text: continue
        if line.startswith('#'): notes.append(text[1:].strip()); continue
        words = text.split() if line[0] not in ' \t' else ['']
        if words[0] == 'edge': edge = {'name': words[1], 'number': int(words[2], 16), 'note': ' '.join(notes), 'types': types}
        elif words[0] == 'struct': current = {'kind': 'struct', 'name': words[1], 'fields': [], 'note': ''}; types.append(current)
        elif words[0] == 'message':
            a, b = words[3].split('>')
            current = {'kind': 'message', 'name': words[1], 'number': int(words[2]), 'from': a, 'to': b, 'fields': [], 'note': ''}; types.append(current)
        elif text.startswith('#'): current['note'] += (' ' if current['note'] else '') + text[1:].strip()
        else:
            m = re.match(r'(\w+)\s+(list \w+|\w+)(\??)\s*(.*)', text)
            current['fields'].append((m[1], m[2], m[4]))
            if m[3]: current.setdefault('optional', set()).add(m[1])
    return edge


def swift_type(t): return f'[{swift_type(t[5:])}]' if t.startswith('list ') else SWIFT.get(t, t)
def empty(t): return '[]' if t.startswith('list ') else EMPTY.get(t, '0')
def width(t): return FIXED.get(t, 8)
def size(fields): return sum(width(t) for _, t, _ in fields)


def swift(edge, path):
    structs = {t['name']: t for t in edge['types'] if t['kind'] == 'struct'}
    o = [HEAD.format(path.name), 'import ByteCodec', 'import Primitives', '']
    for t in edge['types']:
        fs = t['fields']
        if t['note']: o.append(f'/// {t["note"]}')
        proto = 'IPCMessage' if t['kind'] == 'message' else 'IPCStruct'
        o.append(f'package struct {t["name"]}: {proto}, Equatable {{')
        if t['kind'] == 'message': o.append(f'    package static var type: MessageType {{ .{t["name"][0].lower() + t["name"][1:]} }}')
        o.append(f'    package static var fixedSize: Int {{ {size(fs)} }}')
        for n, ty, c in fs:
            o.append(f'    package var {n}: {swift_type(ty)}' + (f'  // {c}' if c else ''))
        args = ', '.join(f'{n}: {swift_type(ty)}' + (f' = {empty(ty)}' if ty in ('string', 'bytes') or ty.startswith('list') or n in t.get('optional', ()) else '') for n, ty, _ in fs)
        o.append(f'    package init({args}) {{')
        o += [f'        self.{n} = {n}' for n, _, _ in fs] + ['    }']
        o.append('    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {')
        for n, ty, _ in fs:
            if ty in ('hash20', 'hash32'): o.append(f'        w.digest({n})')
            elif ty in FIXED: o.append(f'        w.{ty}({n})')
            else: o.append(f'        tail.reserve(&w, count: {n}.{"utf8.count" if ty == "string" else "count"})')
        if not fs: o.append('')
        o.append('    }')
        if any(ty not in FIXED for _, ty, _ in fs):
            o.append('    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {')
            for n, ty, _ in fs:
                if ty in FIXED: continue
                if ty == 'string': o.append(f'        tail.string(&w, {n})')
                elif ty == 'bytes': o.append(f'        tail.bytes(&w, {n})')
                else:
                    e = ty[5:]
                    if e in structs: o.append(f'        tail.structs(&w, {n})')
                    elif e == 'endpoint': o.append(f'        tail.list(&w, {n}) {{ $0.endpoint($1) }}')
                    else: o.append(f'        tail.list(&w, {n}) {{ $0.{e}($1) }}')
            o.append('    }')
        o.append('    package init(from r: inout PayloadReader) throws(DecodeError) {')
        for n, ty, _ in fs:
            if ty in FIXED or ty in ('string', 'bytes'): o.append(f'        {n} = try r.{ty}()')
            else:
                e = ty[5:]
                if e in structs: o.append(f'        {n} = try r.structs()')
                else: o.append(f'        {n} = try r.list(elementSize: {FIXED[e]}) {{ (r) throws(DecodeError) in try r.{e}() }}')
        o += ['    }', '}', '']
    return '\n'.join(o)


def case(n): return n[0].lower() + n[1:]


def registry(edges):
    o = [HEAD.format('*.schema'), '/// What a frame is: the edge in the high byte, the message in the low byte.', 'package enum MessageType: UInt16, CaseIterable, Sendable {']
    for e in edges:
        o += [f'    case {case(t["name"])} = 0x{e["number"]:02x}{t["number"]:02x}' for t in e['types'] if t['kind'] == 'message']
    return '\n'.join(o + ['}', ''])


def table(edge):
    o = [f'\n## Edge `{edge["name"]}` (0x{edge["number"]:02x})\n', edge['note'], '']
    for t in edge['types']:
        title = f'`{t["name"]}`' + (f' 0x{edge["number"]:02x}{t["number"]:02x}, {t["from"]} → {t["to"]}' if t['kind'] == 'message' else ' (struct)')
        o += [f'### {title}', '']
        if t['note']: o += [t['note'], '']
        if not t['fields']: o += ['No fields.', '']; continue
        o += ['| offset | size | type | name | meaning |', '|---|---|---|---|---|']
        at = 0 if t['kind'] == 'struct' else 2
        for n, ty, c in t['fields']:
            o.append(f'| {at} | {width(ty)} | {ty} | {n} | {c} |'); at += width(ty)
        o.append('')
    return '\n'.join(o)


class Sample:
    """Field values that differ from one another, so that a swapped field shows."""
    def __init__(self): self.n = 0
    def value(self, ty, structs):
        self.n += 1; n = self.n
        if ty in ('u8', 'u16', 'u32', 'u64', 'i32', 'i64'): v = n & 0xff; return struct.pack('<' + {'u8': 'B', 'u16': 'H', 'u32': 'I', 'u64': 'Q', 'i32': 'i', 'i64': 'q'}[ty], v), str(v)
        if ty == 'hash20': return bytes([n & 0xff] * 20), f'SHA1Digest([UInt8](repeating: {n & 0xff}, count: 20))!'
        if ty == 'hash32': return bytes([n & 0xff] * 32), f'SHA256Digest([UInt8](repeating: {n & 0xff}, count: 32))!'
        if ty == 'endpoint': return bytes(10) + b'\xff\xff' + struct.pack('>IH', 0x7f000000 + n, 1000 + n), f'Endpoint(ipv4: 0x{0x7f000000 + n:x}, port: {1000 + n})'
        raise KeyError(ty)


def encode(t, structs, sample):
    return payload(t, structs, sample)


def payload(t, structs, sample, start=None):
    """(fixed, list of tail chunks to fill, swift expression) laid out as PayloadTail does: breadth first per struct level."""
    prefix = struct.pack('<H', size(t['fields'])) if t['kind'] == 'message' else b''
    fixed, tails, args = [], [], []
    for n, ty, _ in t['fields']:
        if ty in FIXED:
            b, e = sample.value(ty, structs); fixed.append(b)
        elif ty == 'string':
            text = f'text {n}'; fixed.append(None); tails.append(('raw', text.encode(), len(text))); e = f'"{text}"'
        elif ty == 'bytes':
            fixed.append(None); tails.append(('raw', bytes([1, 2, 3, 255]), 4)); e = '[1, 2, 3, 255]'
        else:
            el = ty[5:]
            if el in structs:
                items = [payload_struct(structs[el], structs, sample) for _ in range(2)]
                fixed.append(None); tails.append(('structs', items, 2)); e = '[' + ', '.join(i[2] for i in items) + ']'
            else:
                vs = [sample.value(el, structs) for _ in range(2)]
                fixed.append(None); tails.append(('raw', b''.join(v[0] for v in vs), 2)); e = '[' + ', '.join(v[1] for v in vs) + ']'
        args.append(f'{n}: {e}')
    out = bytearray(prefix); slots = []
    for b in fixed:
        if b is None: slots.append(len(out)); out += bytes(8)
        else: out += b
    for at, (kind, data, count) in zip(slots, tails):
        struct.pack_into('<II', out, at, len(out), count)
        if kind == 'raw': out += data
        else:
            inner = []
            for raw, its, _ in data:
                base = len(out); out += raw
                inner.append((base, its))
            for base, its in inner:
                for off, (d, c) in its:
                    struct.pack_into('<II', out, base + off, len(out), c); out += d
    return bytes(out), f'{t["name"]}({", ".join(args)})'


def payload_struct(t, structs, sample):
    raw, its, args = bytearray(), [], []
    for n, ty, _ in t['fields']:
        if ty in FIXED: b, e = sample.value(ty, structs); raw += b
        elif ty == 'string':
            text = f'text {n}'; its.append((len(raw), (text.encode(), len(text)))); raw += bytes(8); e = f'"{text}"'
        else: raise SystemExit(f'{t["name"]}.{n}: a struct holds scalars and strings only')
        args.append(f'{n}: {e}')
    return bytes(raw), its, f'{t["name"]}({", ".join(args)})'


def golden(edges):
    o = [HEAD.format('*.schema'), 'import IPC', 'import Primitives', '', '/// Each message with known values, and its payload made by the generator, not by the codec under test.', 'let goldenVectors: [(any GoldenMessage, String)] = [']
    for e in edges:
        structs = {t['name']: t for t in e['types'] if t['kind'] == 'struct'}
        for t in e['types']:
            if t['kind'] != 'message': continue
            raw, expr = payload(t, structs, Sample())
            o.append(f'    ({expr}, "{raw.hex()}"),')
    o += [']', '']
    o += [f'extension {t["name"]}: GoldenMessage {{}}' for e in edges for t in e['types'] if t['kind'] == 'message']
    return '\n'.join(o + [''])


def main():
    paths = sorted((ROOT / 'protocol').glob('*.schema'))
    edges = sorted(((parse(p), p) for p in paths), key=lambda x: x[0]['number'])
    files = {OUT / (''.join(w.capitalize() for w in p.stem.split('-')) + 'Messages.swift'): swift(e, p) for e, p in edges}
    files[OUT / 'MessageType.swift'] = registry([e for e, _ in edges])
    files[ROOT / 'protocol/messages.md'] = '# Messages between the processes\n\nMade by protocol/generate.py from the schema files; do not edit. The frame, versions and bounds are in ipc.md.\n' + ''.join(table(e) for e, _ in edges)
    files[ROOT / 'Tests/Link/GoldenVectors.swift'] = golden([e for e, _ in edges])
    stale = [p for p, text in files.items() if not p.exists() or p.read_text() != text]
    if '--check' in sys.argv:
        for p in stale: print(f'not current: {p.relative_to(ROOT)}; run make protocol', file=sys.stderr)
        sys.exit(1 if stale else 0)
    OUT.mkdir(parents=True, exist_ok=True)
    for p, text in files.items(): p.write_text(text)


main()
