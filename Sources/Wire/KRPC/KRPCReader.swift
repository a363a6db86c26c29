import Bencode
import Primitives

/// Datagrams as messages.
package struct KRPCReader {
    /// A get_peers answer of 200 peers is the longest in tokens that is looked at.
    private static let limits = BencodeLimits(depth: 16, tokens: 600, bytes: KRPC.datagramLimit)
    private var parser = BencodeParser()

    package init() {}

    /// nil for what is no KRPC message: nobody is answered, since nothing says that anyone asked. Keys out of order pass:
    /// clients in the field send them.
    package mutating func read(_ bytes: UnsafeRawBufferPointer) -> KRPCMessage? {
        guard bytes.count <= KRPC.datagramLimit, bytes.first == UInt8(ascii: "d") else { return nil }
        let root: BencodeView
        do throws(BencodeError) { root = try parser.parse(bytes, limits: Self.limits, tolerance: .keyOrder) } catch { return nil }
        guard let t = root["t"]?.string, !t.isEmpty, t.count <= KRPC.transactionLimit, let kind = root["y"]?.string, kind.count == 1 else { return nil }
        let transaction = Array(t)
        switch kind[0] {
        case UInt8(ascii: "q"): return query(root, transaction)
        case UInt8(ascii: "r"):
            guard let r = root["r"], let sender = id(r["id"]) else { return nil }
            return .answer(transaction: transaction, sender: sender, answer(r), external: root["ip"]?.string.flatMap(CompactNodes.endpoint))
        case UInt8(ascii: "e"):
            var parts = (root["e"] ?? root).elements
            let code = parts.next()?.integer ?? 201
            let text = parts.next()?.string.map { printable($0) } ?? ""
            return .error(transaction: transaction, KRPCError(Int(clamping: code), text))
        default: return nil
        }
    }

    private func query(_ root: BencodeView, _ t: [UInt8]) -> KRPCMessage {
        guard let name = root["q"]?.string else { return .badQuery(transaction: t, .malformed("no method")) }
        guard let a = root["a"], let sender = id(a["id"]) else { return .badQuery(transaction: t, .malformed("no id")) }
        let isReadOnly = root["ro"]?.integer == 1
        func done(_ q: KRPCQuery) -> KRPCMessage { .query(transaction: t, sender: sender, q, isReadOnly: isReadOnly) }
        func bad(_ why: StaticString) -> KRPCMessage { .badQuery(transaction: t, .malformed(why)) }
        switch String(decoding: name.prefix(32), as: UTF8.self) {
        case "ping": return done(.ping)
        case "find_node":
            guard let target = id(a["target"]) else { return bad("no target") }
            return done(.findNode(target: target, want: want(a)))
        case "get_peers":
            guard let hash = id(a["info_hash"]) else { return bad("no info_hash") }
            return done(.getPeers(infoHash: hash, want: want(a), noSeeds: a["noseed"]?.integer == 1, scrape: a["scrape"]?.integer == 1))
        case "announce_peer":
            guard let hash = id(a["info_hash"]) else { return bad("no info_hash") }
            guard let token = token(a) else { return bad("no token") }
            var port: UInt16?
            if (a["implied_port"]?.integer ?? 0) == 0 {
                guard let number = a["port"]?.integer, (1...65535).contains(number) else { return bad("no port") }
                port = UInt16(number)
            }
            return done(.announcePeer(infoHash: hash, port: port, token: token, isSeed: a["seed"]?.integer == 1))
        case "get":
            guard let target = id(a["target"]) else { return bad("no target") }
            return done(.get(target: target, sequence: a["seq"]?.integer, want: want(a)))
        case "put":
            guard let token = token(a) else { return bad("no token") }
            guard let value = a["v"] else { return bad("no v") }
            guard value.encoded.count <= KRPC.itemLimit else { return .badQuery(transaction: t, .tooBig) }
            let salt = a["salt"]?.string.map { Array($0) } ?? []
            guard salt.count <= KRPC.saltLimit else { return .badQuery(transaction: t, .saltTooBig) }
            var item: ItemSignature?
            if a["k"] != nil {
                guard let signature = self.item(a) else { return bad("k, seq or sig") }
                item = signature
            }
            return done(.put(value: Array(value.encoded), item: item, salt: item == nil ? [] : salt, cas: item == nil ? nil : a["cas"]?.integer, token: token))
        case "sample_infohashes":
            guard let target = id(a["target"]) else { return bad("no target") }
            return done(.sampleInfohashes(target: target, want: want(a)))
        default: return done(.unknown)
        }
    }

    private func answer(_ r: BencodeView) -> KRPCAnswer {
        var out = KRPCAnswer()
        if let nodes = r["nodes"]?.string { out.nodes = CompactNodes.read(nodes, ipv6: false, limit: KRPC.nodeLimit) }
        if let nodes = r["nodes6"]?.string { out.nodes6 = CompactNodes.read(nodes, ipv6: true, limit: KRPC.nodeLimit) }
        if let values = r["values"] {
            for value in values.elements.prefix(KRPC.valueLimit) {
                if let endpoint = value.string.flatMap(CompactNodes.endpoint) { out.values.append(endpoint) }
            }
        }
        if let token = r["token"]?.string, token.count <= KRPC.tokenLimit { out.token = Array(token) }
        out.seeds = r["BFsd"]?.string.flatMap { PeerFilter($0) }
        out.downloaders = r["BFpe"]?.string.flatMap { PeerFilter($0) }
        if let value = r["v"], value.encoded.count <= KRPC.itemLimit { out.value = Array(value.encoded) }
        out.item = item(r)
        out.sequence = r["seq"]?.integer
        if let samples = r["samples"]?.string, samples.count % 20 == 0 {
            out.samples = stride(from: 0, to: min(samples.count, KRPC.sampleLimit * 20), by: 20).map {
                NodeID(bytes: UnsafeRawBufferPointer(rebasing: samples[$0..<$0 + 20]))
            }
        }
        out.interval = r["interval"]?.integer.map { Int(min(max($0, 0), 21600)) }
        out.storedCount = r["num"]?.integer.map { Int(min(max($0, 0), 1 << 31)) }
        return out
    }

    private func id(_ view: BencodeView?) -> NodeID? {
        guard let bytes = view?.string, bytes.count == 20 else { return nil }
        return NodeID(bytes: bytes)
    }
    private func token(_ a: BencodeView) -> [UInt8]? {
        guard let token = a["token"]?.string, token.count <= KRPC.tokenLimit else { return nil }
        return Array(token)
    }
    private func item(_ view: BencodeView) -> ItemSignature? {
        guard let key = view["k"]?.string, key.count == 32, let signature = view["sig"]?.string, signature.count == 64,
            let sequence = view["seq"]?.integer, sequence >= 0
        else { return nil }
        return ItemSignature(key: Array(key), signature: Array(signature), sequence: sequence)
    }
    private func want(_ a: BencodeView) -> WantedFamilies {
        var out: WantedFamilies = []
        for word in (a["want"] ?? a).elements.prefix(4) {
            guard let word = word.string, word.count == 2, word[0] == UInt8(ascii: "n") else { continue }
            if word[1] == UInt8(ascii: "4") { out.insert(.ipv4) } else if word[1] == UInt8(ascii: "6") { out.insert(.ipv6) }
        }
        return out
    }
    /// For logs: what a stranger wrote.
    private func printable(_ bytes: UnsafeRawBufferPointer) -> String {
        String(decoding: bytes.prefix(100).map { $0 >= 32 && $0 < 127 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }
}

/// For the fuzzer and the mutation test: what was understood stays within its bounds and is written in a form that is
/// understood the same way. True when it was a message.
@discardableResult
package func exerciseKRPC(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var reader = KRPCReader()
    guard let message = reader.read(bytes) else { return false }
    if case .answer(_, _, let a, _) = message {
        precondition(a.nodes.count <= KRPC.nodeLimit && a.nodes6.count <= KRPC.nodeLimit && a.values.count <= KRPC.valueLimit)
        precondition(a.samples?.count ?? 0 <= KRPC.sampleLimit && a.value?.count ?? 0 <= KRPC.itemLimit)
    }
    if case .badQuery = message { return true }
    // Dictionaries of a value are kept as they came, so a message may be longer than the one that it was read from only by
    // our own keys.
    let again = message.encoded().withUnsafeBytes { $0.count > KRPC.datagramLimit ? message : reader.read($0) }
    precondition(again == message)
    return true
}
