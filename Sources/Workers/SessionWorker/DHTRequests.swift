import ByteCodec
import Control
import IPC
import KRPC
import Observe
import Primitives
import WorkerKit

/// Requests of front ends that the discovery worker's DHT node answers.
extension SessionShell {
    /// A lookup asks some 40 nodes, of which a dead one costs six seconds; a put asks eight more.
    private static let dhtAnswer = TimeSpan.seconds(60)

    func askDiscovery<M: IPCMessage>(_ from: Asker, _ message: M, for span: TimeSpan) throws(ControlError) {
        let token = wait(from, .discovery, for: span)
        let ask: (Edge?) -> Void = { [self] edge in
            // Its client may be gone by then.
            guard pending[token] != nil else { return }
            guard let edge else { return finish(token, error: ControlError(.unavailable, "the discovery worker is restarting")) }
            kit.send(message, to: edge, correlation: token)
        }
        pending[token]!.again = ask
        whenDiscovery(ask)
    }

    /// The worker that was asked is gone. Its successor is asked, once: a question that is the death of workers is not worth a third.
    func askDiscoveryAgain() {
        for token in pending.keys.sorted() {
            guard let request = pending[token], case .discovery = request.kind else { continue }
            guard let again = request.again else {
                finish(token, error: ControlError(.unavailable, "the discovery worker ended twice over this request"))
                continue
            }
            pending[token]!.again = nil
            whenDiscovery(again)
        }
    }

    func lookUp(_ from: Asker, _ p: DHTLookupParameters) throws(ControlError) {
        let text = p.hash.lowercased()
        let known = text.utf8.count < 40 ? core.row(try find(text))?.record.facts.infoHash : nil
        guard let hash = known ?? InfoHash(hex: text) ?? SHA256Digest(hex: text)?.truncated else {
            throw ControlError(.invalidParameters, "a hash is 40 or 64 hexadecimal digits, or the first 6 of a torrent of ours")
        }
        try askDiscovery(from, DhtLookup(infoHash: hash), for: Self.dhtAnswer)
    }

    func getItem(_ from: Asker, _ p: DHTGetParameters) throws(ControlError) {
        let salt = try bytes(p.salt ?? "", "salt", limit: KRPC.saltLimit)
        let raw = try bytes(p.target, "target", limit: 32)
        switch raw.count {
        case 20: try askDiscovery(from, DhtGet(target: SHA1Digest(raw)!, salt: []), for: Self.dhtAnswer)
        case 32: try askDiscovery(from, DhtGet(target: Item.target(key: raw, salt: salt).digest, salt: salt), for: Self.dhtAnswer)
        default: throw ControlError(.invalidParameters, "a target has 40 digits, a public key 64")
        }
    }

    func putItem(_ from: Asker, _ p: DHTPutParameters) throws(ControlError) {
        let value = try bytes(p.value, "value", limit: KRPC.itemLimit)
        guard Item.isWellFormed(value) else { throw ControlError(.invalidParameters, "the value is not bencoded") }
        var message = DhtPut(value: value, key: [], signature: [], salt: [], sequence: 0, cas: p.cas ?? -1)
        if let key = p.publicKey {
            let item = ItemSignature(key: try bytes(key, "publicKey", limit: 32), signature: try bytes(p.signature ?? "", "signature", limit: 64), sequence: p.sequence ?? -1)
            message.salt = try bytes(p.salt ?? "", "salt", limit: KRPC.saltLimit)
            // Nodes would refuse it one by one.
            guard item.sequence >= 0, Item.isSigned(value, item, salt: message.salt) else {
                throw ControlError(.invalidParameters, "the signature is not of this key, sequence, salt and value")
            }
            (message.key, message.signature, message.sequence) = (item.key, item.signature, item.sequence)
        }
        try askDiscovery(from, message, for: Self.dhtAnswer)
    }

    private func bytes(_ hex: String, _ name: String, limit: Int) throws(ControlError) -> [UInt8] {
        guard let bytes = Hex.decode(hex) else { throw ControlError(.invalidParameters, "\(name) is not hexadecimal") }
        guard bytes.count <= limit else { throw ControlError(.tooLarge, "\(name) may have \(limit) bytes") }
        return bytes
    }

    // MARK: answers

    func answerDHTStatus(token: UInt64, _ m: DhtStatusReport) {
        finish(
            token,
            DHTStatusAnswer(
                enabled: m.isOn != 0, readOnly: m.isReadOnly != 0,
                families: m.families.map {
                    DHTStatusAnswer.Family(
                        family: "ipv\($0.family)", nodeID: $0.nodeID.hex, external: $0.external.isUnspecified ? nil : $0.external.address, nodes: Int($0.nodes),
                        spares: Int($0.spares), buckets: Int($0.buckets))
                }, torrents: Int(m.torrents), lookups: Int(m.lookups), storedTorrents: Int(m.storedTorrents), storedPeers: Int(m.storedPeers),
                storedItems: Int(m.storedItems), received: m.received, sent: m.sent, queriesAnswered: m.queriesAnswered, dropped: m.dropped, ignored: m.ignored,
                timeouts: m.timeouts, lookupsDone: m.lookupsDone, peersFound: m.peersFound, refusal: m.refusal.isEmpty ? nil : Text.printable(m.refusal, limit: 200)))
    }

    /// Twenty seconds for each tracker, all at once.
    private static let scrapeAnswer = TimeSpan.seconds(30)

    func scrape(_ from: Asker, _ p: ScrapeParameters) throws(ControlError) {
        guard (1...1_000).contains(p.hashes.count) else { throw ControlError(.invalidParameters, "1 to 1,000 torrents at once") }
        var torrents: [UInt32] = []
        for hash in p.hashes {
            let id = try find(hash).rawValue
            if !torrents.contains(id) { torrents.append(id) }
        }
        try askDiscovery(from, ScrapeWanted(torrents: torrents), for: Self.scrapeAnswer)
    }

    func answerScrape(token: UInt64, _ m: ScrapeReport) {
        let rows = m.rows.compactMap { r -> ScrapeAnswer.Row? in
            guard let facts = core.row(TorrentID(rawValue: r.torrent))?.record.facts else { return nil }
            let isKnown = r.isKnown != 0
            return ScrapeAnswer.Row(
                hash: facts.infoHash.isZero ? facts.infoHashV2.truncated.hex : facts.infoHash.hex, url: r.url, seeds: isKnown ? Int(r.seeds) : nil, leechers: isKnown ? Int(r.leechers) : nil,
                downloads: isKnown ? Int(r.downloads) : nil,
                error: isKnown ? nil : r.failure.isEmpty ? "the tracker does not know the torrent" : Text.printable(r.failure, limit: 200))
        }
        finish(token, ScrapeAnswer(rows: rows))
    }

    func answerNAT(token: UInt64, _ m: NatStatusReport) {
        finish(
            token,
            NATStatusAnswer(
                enabled: m.isOn != 0, method: m.method.isEmpty ? nil : Text.printable(m.method, limit: 20), gateway: m.gateway.isUnspecified ? nil : m.gateway.address,
                external: m.external.isUnspecified ? nil : m.external.address, failure: m.failure.isEmpty ? nil : Text.printable(m.failure, limit: 200),
                mappings: m.mappings.map {
                    NATStatusAnswer.Mapping(
                        transport: $0.isUDP != 0 ? "udp" : "tcp", internalPort: Int($0.internalPort), externalPort: $0.externalPort == 0 ? nil : Int($0.externalPort),
                        secondsLeft: Int($0.secondsLeft))
                }))
    }

    func answerDHTLookup(token: UInt64, _ m: DhtLookupResult) {
        guard m.failure.isEmpty else { return finish(token, error: ControlError(.unavailable, Text.printable(m.failure, limit: 200))) }
        finish(
            token,
            DHTLookupAnswer(
                hash: m.infoHash.hex, peers: m.peers.map(\.description), seeds: Int(m.seeds), downloaders: Int(m.downloaders), asked: Int(m.asked),
                answered: Int(m.answered), hops: Int(m.hops)))
    }

    func answerDHTItem(token: UInt64, _ m: DhtItem) {
        if itemArrived(token, m) { return }
        guard m.failure.isEmpty else {
            let code: ControlError.Code = m.isMissing != 0 ? .notFound : .unavailable
            return finish(token, error: ControlError(code, Text.printable(m.failure, limit: 200)))
        }
        let isMutable = !m.key.isEmpty
        finish(
            token,
            DHTGetAnswer(
                value: Hex.encode(m.value), publicKey: isMutable ? Hex.encode(m.key) : nil, signature: isMutable ? Hex.encode(m.signature) : nil,
                sequence: isMutable ? m.sequence : nil))
    }

    func answerDHTStored(token: UInt64, _ m: DhtStored) {
        guard m.failure.isEmpty else { return finish(token, error: ControlError(.unavailable, Text.printable(m.failure, limit: 200))) }
        finish(token, DHTPutAnswer(target: m.target.hex, stored: Int(m.count), refusal: m.refusal.isEmpty ? nil : Text.printable(m.refusal, limit: 200)))
    }
}
