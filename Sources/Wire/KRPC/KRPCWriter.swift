import Bencode
import ByteCodec
import Primitives

extension KRPCMessage {
    /// Two letters and two numbers in `v`, by the custom of BEP 5 clients: ours and 0.1.
    private static let version: [UInt8] = Array("CB".utf8) + [0, 1]

    package func encoded() -> [UInt8] {
        var w = BencodeWriter(appendingTo: ByteWriter(capacity: 512))
        w.beginDictionary()
        switch self {
        case .query(let transaction, let sender, let query, let isReadOnly):
            w.key("a")
            w.beginDictionary()
            query.writeArguments(sender, &w)
            w.end()
            w.key("q")
            w.string(query.name)
            if isReadOnly {
                w.key("ro")
                w.integer(1)
            }
            Self.tail(transaction, "q", &w)
        case .badQuery(let transaction, let error), .error(let transaction, let error):
            w.key("e")
            w.beginList()
            w.integer(error.code)
            w.string(error.text)
            w.end()
            Self.tail(transaction, "e", &w)
        case .answer(let transaction, let sender, let answer, let external):
            if let external {
                w.key("ip")
                w.string(CompactNodes.address(external))
            }
            w.key("r")
            w.beginDictionary()
            answer.write(sender, &w)
            w.end()
            Self.tail(transaction, "r", &w)
        }
        w.end()
        return w.array
    }

    private static func tail(_ transaction: [UInt8], _ kind: String, _ w: inout BencodeWriter) {
        w.key("t")
        w.string(transaction)
        w.key("v")
        w.string(version)
        w.key("y")
        w.string(kind)
    }
}

extension KRPCQuery {
    package var name: String {
        switch self {
        case .ping: "ping"
        case .findNode: "find_node"
        case .getPeers: "get_peers"
        case .announcePeer: "announce_peer"
        case .get: "get"
        case .put: "put"
        case .sampleInfohashes: "sample_infohashes"
        case .unknown: "unknown"
        }
    }

    fileprivate func writeArguments(_ sender: NodeID, _ w: inout BencodeWriter) {
        func own(_ w: inout BencodeWriter) {
            w.key("id")
            w.string(sender.bytes)
        }
        switch self {
        case .ping, .unknown: own(&w)
        case .findNode(let target, let want), .sampleInfohashes(let target, let want):
            own(&w)
            w.key("target")
            w.string(target.bytes)
            Self.write(want, &w)
        case .getPeers(let hash, let want, let noSeeds, let scrape):
            own(&w)
            w.key("info_hash")
            w.string(hash.bytes)
            if noSeeds {
                w.key("noseed")
                w.integer(1)
            }
            if scrape {
                w.key("scrape")
                w.integer(1)
            }
            Self.write(want, &w)
        case .announcePeer(let hash, let port, let token, let isSeed):
            own(&w)
            w.key("implied_port")
            w.integer(port == nil ? 1 : 0)
            w.key("info_hash")
            w.string(hash.bytes)
            w.key("port")
            w.integer(port ?? 0)
            if isSeed {
                w.key("seed")
                w.integer(1)
            }
            w.key("token")
            w.string(token)
        case .get(let target, let sequence, let want):
            own(&w)
            if let sequence {
                w.key("seq")
                w.integer(sequence)
            }
            w.key("target")
            w.string(target.bytes)
            Self.write(want, &w)
        case .put(let value, let item, let salt, let cas, let token):
            if item != nil, let cas {
                w.key("cas")
                w.integer(cas)
            }
            own(&w)
            if let item {
                w.key("k")
                w.string(item.key)
                if !salt.isEmpty {
                    w.key("salt")
                    w.string(salt)
                }
                w.key("seq")
                w.integer(item.sequence)
                w.key("sig")
                w.string(item.signature)
            }
            w.key("token")
            w.string(token)
            w.key("v")
            w.encoded(value)
        }
    }

    private static func write(_ want: WantedFamilies, _ w: inout BencodeWriter) {
        guard !want.isEmpty else { return }
        w.key("want")
        w.beginList()
        if want.contains(.ipv4) { w.string("n4") }
        if want.contains(.ipv6) { w.string("n6") }
        w.end()
    }
}

extension KRPCAnswer {
    fileprivate func write(_ sender: NodeID, _ w: inout BencodeWriter) {
        // Keys in byte order: capitals first.
        if let downloaders {
            w.key("BFpe")
            w.string(downloaders.bytes)
        }
        if let seeds {
            w.key("BFsd")
            w.string(seeds.bytes)
        }
        w.key("id")
        w.string(sender.bytes)
        if let interval {
            w.key("interval")
            w.integer(interval)
        }
        if let item {
            w.key("k")
            w.string(item.key)
        }
        if !nodes.isEmpty {
            w.key("nodes")
            w.string(CompactNodes.write(nodes))
        }
        if !nodes6.isEmpty {
            w.key("nodes6")
            w.string(CompactNodes.write(nodes6))
        }
        if let storedCount {
            w.key("num")
            w.integer(storedCount)
        }
        if let samples {
            w.key("samples")
            w.string(samples.flatMap(\.bytes))
        }
        if let sequence = item?.sequence ?? sequence {
            w.key("seq")
            w.integer(sequence)
        }
        if let item {
            w.key("sig")
            w.string(item.signature)
        }
        if let token {
            w.key("token")
            w.string(token)
        }
        if let value {
            w.key("v")
            w.encoded(value)
        }
        if !values.isEmpty {
            w.key("values")
            w.beginList()
            for value in values { w.string(CompactNodes.address(value)) }
            w.end()
        }
    }
}
