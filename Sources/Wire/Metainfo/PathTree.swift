import Bencode

/// The folders and files of a torrent. A node knows its parent and its own name, so that a folder's name is stored
/// once however many files are under it: with full paths per file, 32 MB of a v2 tree could ask for gigabytes.
package struct PathTree: Sendable {
    static let none = UInt32.max

    enum Kind: UInt8 { case folder, file, symlink }

    struct Node {
        let parent: UInt32
        let nameStart: UInt32
        let nameLength: UInt16
        /// Bytes of the whole path, separators counted.
        let pathLength: UInt16
        var kind: Kind
    }
    var nodes: [Node] = []
    var names: [UInt8] = []

    func name(_ node: UInt32) -> ArraySlice<UInt8> {
        let n = nodes[Int(node)]
        return names[Int(n.nameStart)..<Int(n.nameStart) + Int(n.nameLength)]
    }

    func components(_ node: UInt32) -> [String] {
        var out: [String] = [], at = node
        while at != Self.none {
            out.append(String(decoding: name(at), as: UTF8.self))
            at = nodes[Int(at)].parent
        }
        return out.reversed()
    }

    func path(_ node: UInt32) -> String {
        guard node != Self.none else { return "" }
        let length = Int(nodes[Int(node)].pathLength)
        return String(unsafeUninitializedCapacity: length) { buffer in
            var end = length, at = node
            while at != Self.none {
                let name = name(at)
                end -= name.count
                for (i, byte) in name.enumerated() { buffer[end + i] = byte }
                if end > 0 {
                    end -= 1
                    buffer[end] = UInt8(ascii: "/")
                }
                at = nodes[Int(at)].parent
            }
            return length
        }
    }
}

/// Builds the tree: all folders first, then files, since a file whose name is also a folder's is the one renamed.
///
/// A name that is taken gets ".1", ".2" … before its extension, in the order of the torrent, so that the same torrent
/// always lays out the same. Names that differ in case only are different files, as on every Linux file system by default;
/// with `foldsCase` (a case-insensitive mount) they are the same name.
struct PathTreeBuilder {
    private(set) var tree = PathTree()
    private let limits: MetainfoLimits
    private let foldsCase: Bool
    /// Open addressing over node numbers; a power of two, at most half full.
    private var table: [UInt32] = Array(repeating: PathTree.none, count: 64)
    /// Last number given to duplicates of a node's name: keeps n duplicates from costing n² look-ups.
    private var lastNumber: [UInt32: Int] = [:]
    private var clean: [UInt8] = []

    init(limits: MetainfoLimits) {
        self.limits = limits
        foldsCase = limits.foldsCase
    }

    /// Finds or makes the folder.
    mutating func folder(_ raw: UnsafeRawBufferPointer, in parent: UInt32) throws(MetainfoError) -> UInt32 {
        sanitise(raw)
        if let found = find(clean[...], in: parent) { return found }
        return try add(clean[...], in: parent, .folder)
    }

    /// Makes a file or symlink, under another name where the name is taken.
    mutating func file(_ raw: UnsafeRawBufferPointer, in parent: UInt32, _ kind: PathTree.Kind) throws(MetainfoError) -> UInt32 {
        sanitise(raw)
        guard let taken = find(clean[...], in: parent) else { return try add(clean[...], in: parent, kind) }
        let name = clean
        var number = lastNumber[taken] ?? 0
        while true {
            number += 1
            let candidate = Self.numbered(name, number)
            if find(candidate[...], in: parent) == nil {
                lastNumber[taken] = number
                return try add(candidate[...], in: parent, kind)
            }
        }
    }

    /// The node that a path of raw components leads to from `start`, if it is there.
    mutating func resolve(_ path: [UnsafeRawBufferPointer], from start: UInt32) -> UInt32? {
        var at = start
        for raw in path {
            sanitise(raw)
            guard let next = find(clean[...], in: at) else { return nil }
            at = next
        }
        return at == start ? nil : at
    }

    private mutating func sanitise(_ raw: UnsafeRawBufferPointer) {
        PathSanitiser.clean(raw, into: &clean)
        if clean.isEmpty { clean.append(UInt8(ascii: "_")) }
    }

    /// "film.mkv", 2 → "film.2.mkv"; the stem gives way so that NAME_MAX holds.
    static func numbered(_ name: [UInt8], _ number: Int) -> [UInt8] {
        let digits = [UInt8(ascii: ".")] + Array(String(number).utf8)
        var stem = name.count
        if let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > 0, name.count - dot <= 16 { stem = dot }
        let ext = name[stem...]
        var keep = min(stem, PathSanitiser.longestComponent - digits.count - ext.count)
        while keep > 0, keep < stem, name[keep] & 0xC0 == 0x80 { keep -= 1 }
        return name[..<keep] + digits + ext
    }

    private func hash(_ name: ArraySlice<UInt8>, in parent: UInt32) -> Int {
        // The standard hasher is keyed per process: names come from strangers.
        var hasher = Hasher()
        hasher.combine(parent)
        if foldsCase {
            hasher.combine(Self.folded(name))
        } else {
            name.withUnsafeBytes { hasher.combine(bytes: $0) }
        }
        return hasher.finalize()
    }

    private static func folded(_ name: ArraySlice<UInt8>) -> String { String(decoding: name, as: UTF8.self).lowercased() }

    private func find(_ name: ArraySlice<UInt8>, in parent: UInt32) -> UInt32? {
        let mask = table.count - 1
        var slot = hash(name, in: parent) & mask
        while table[slot] != PathTree.none {
            let node = table[slot]
            if tree.nodes[Int(node)].parent == parent {
                let other = tree.name(node)
                if foldsCase ? Self.folded(other) == Self.folded(name) : other.elementsEqual(name) { return node }
            }
            slot = (slot + 1) & mask
        }
        return nil
    }

    private mutating func add(_ name: ArraySlice<UInt8>, in parent: UInt32, _ kind: PathTree.Kind) throws(MetainfoError) -> UInt32 {
        let length = name.count + (parent == PathTree.none ? 0 : Int(tree.nodes[Int(parent)].pathLength) + 1)
        if length > limits.pathLength { throw MetainfoError(.pathTooLong(limit: limits.pathLength)) }
        let node = UInt32(tree.nodes.count)
        tree.nodes.append(
            PathTree.Node(
                parent: parent, nameStart: UInt32(tree.names.count), nameLength: UInt16(name.count), pathLength: UInt16(length),
                kind: kind))
        tree.names.append(contentsOf: name)
        if tree.nodes.count * 2 > table.count { grow() } else { insert(node) }
        return node
    }

    private mutating func insert(_ node: UInt32) {
        let mask = table.count - 1
        var slot = hash(tree.name(node), in: tree.nodes[Int(node)].parent) & mask
        while table[slot] != PathTree.none { slot = (slot + 1) & mask }
        table[slot] = node
    }

    private mutating func grow() {
        table = Array(repeating: PathTree.none, count: table.count * 2)
        for node in tree.nodes.indices { insert(UInt32(node)) }
    }
}
