import Bencode
import KRPC
import Primitives

/// What a node remembers over a restart: a bencoded dictionary with `id`, `id6`, `nodes` and `nodes6`.
struct SavedNodes {
    /// Of each family: half of a full table; 12 KiB in all.
    static let limit = 200
    var ids: [AddressFamily: NodeID] = [:]
    var nodes: [NodeInfo] = []

    /// 198.18.0.0/15, where no node lives (RFC 2544): the shell gives such addresses to hosts whose names the proxy looks up,
    /// and they mean nothing in another run.
    static func isStandIn(_ endpoint: Endpoint) -> Bool { endpoint.isIPv4 && endpoint.ipv4 >> 17 == 0xC612_0000 >> 17 }

    init(ids: [AddressFamily: NodeID], nodes: [NodeInfo]) { (self.ids, self.nodes) = (ids, nodes) }

    /// nil for what is no such dictionary.
    init?(_ bytes: [UInt8]) {
        var parser = BencodeParser()
        var found = SavedNodes(ids: [:], nodes: [])
        let read = bytes.withUnsafeBytes { raw -> Bool in
            guard let root = try? parser.parse(raw, limits: BencodeLimits(depth: 4, tokens: 64, bytes: 1 << 20)), root.kind == .dictionary else { return false }
            for (family, key) in [(AddressFamily.ipv4, "id" as StaticString), (.ipv6, "id6")] {
                if let id = root[key]?.string, id.count == 20 { found.ids[family] = NodeID(bytes: id) }
            }
            if let nodes = root["nodes"]?.string { found.nodes += CompactNodes.read(nodes, ipv6: false, limit: Self.limit) }
            if let nodes = root["nodes6"]?.string { found.nodes += CompactNodes.read(nodes, ipv6: true, limit: Self.limit) }
            return true
        }
        guard read else { return nil }
        self = found
    }

    func encoded() -> [UInt8] {
        var w = BencodeWriter()
        w.beginDictionary()
        if let id = ids[.ipv4] {
            w.key("id")
            w.string(id.bytes)
        }
        if let id = ids[.ipv6] {
            w.key("id6")
            w.string(id.bytes)
        }
        w.key("nodes")
        w.string(CompactNodes.write(nodes.filter { $0.endpoint.isIPv4 }))
        w.key("nodes6")
        w.string(CompactNodes.write(nodes.filter { !$0.endpoint.isIPv4 }))
        w.end()
        return w.array
    }
}
