import ByteCodec
import DHT
import IPC
import KRPC
import LinuxIO
import Primitives

/// What a front end asked of the DHT.
enum DHTRequestKind {
    case lookup(InfoHash)
    case get, put
}

/// What the session asks of the DHT, and the answers. A request's correlation is its id.
extension DiscoveryShell {
    func receivedForDHT(_ frame: Frame) throws(DecodeError) {
        let now = kit.loop.now, id = DHTRequestID(rawValue: frame.correlation)
        guard let dht, dht.refusal.isEmpty else { return try refuse(frame) }
        switch frame.type {
        case .dhtContacts:
            let m: DhtContacts = try frame.decode()
            dht.contacts(m.endpoints, now: now)
        case .dhtHosts:
            let m: DhtHosts = try frame.decode()
            dht.hosts(m.hosts.map { ($0.host, $0.port) }, now: now)
        case .dhtStatusWanted: answer(report(dht), frame.correlation)
        case .dhtLookup:
            let m: DhtLookup = try frame.decode()
            dhtRequests[id] = .lookup(m.infoHash)
            dht.lookUp(id, m.infoHash, now: now)
        case .dhtGet:
            let m: DhtGet = try frame.decode()
            dhtRequests[id] = .get
            dht.get(id, m.target, salt: Array(m.salt.prefix(KRPC.saltLimit)), now: now)
        case .dhtPut:
            let m: DhtPut = try frame.decode()
            dhtRequests[id] = .put
            let item = m.key.isEmpty ? nil : ItemSignature(key: m.key, signature: m.signature, sequence: m.sequence)
            dht.put(id, value: m.value, item, salt: m.salt, cas: m.cas < 0 ? nil : m.cas, now: now)
        default: break
        }
    }

    private func refuse(_ frame: Frame) throws(DecodeError) {
        let reason = dht?.refusal ?? dhtRefusal
        let why = "the DHT is off: \(reason)"
        switch frame.type {
        case .dhtStatusWanted:
            answer(
                DhtStatusReport(
                    isOn: 0, isReadOnly: 0, torrents: 0, lookups: 0, storedTorrents: 0, storedPeers: 0, storedItems: 0, received: 0, sent: 0, queriesAnswered: 0,
                    dropped: 0, ignored: 0, timeouts: 0, lookupsDone: 0, peersFound: 0, refusal: reason), frame.correlation)
        case .dhtLookup: answer(lookupResult(failure: why), frame.correlation)
        case .dhtGet: answer(item(failure: why), frame.correlation)
        case .dhtPut: answer(DhtStored(failure: why, target: SHA1Digest(), count: 0, refusal: ""), frame.correlation)
        default: break
        }
    }

    /// What lookups found since the last call.
    func tellDHT() {
        guard let dht else { return }
        for (torrent, endpoints) in dht.takeFound() {
            send(found(endpoints, of: torrent, .dht))
        }
        for (id, outcome) in dht.takeFinished() {
            guard let kind = dhtRequests.removeValue(forKey: id) else { continue }
            switch outcome {
            case .peers(let peers, let seeds, let downloaders, let asked, let answered, let hops):
                guard case .lookup(let hash) = kind else { continue }
                answer(
                    DhtLookupResult(
                        failure: "", infoHash: hash, peers: Array(peers.prefix(4000)), seeds: UInt32(seeds.rounded()), downloaders: UInt32(downloaders.rounded()), asked: UInt32(asked),
                        answered: UInt32(answered), hops: UInt32(hops)), id.rawValue)
            case .item(let value, let signature, let asked):
                answer(
                    DhtItem(
                        failure: "", value: value, key: signature?.key ?? [], signature: signature?.signature ?? [], sequence: signature?.sequence ?? 0,
                        asked: UInt32(asked), isMissing: 0), id.rawValue)
            case .missing(_, let answered): answer(item(failure: "none of \(answered) nodes has it", isMissing: true), id.rawValue)
            case .stored(let count, let target, let refusal):
                answer(
                    DhtStored(
                        failure: "", target: target.digest, count: UInt32(count), refusal: refusal.map { "\($0.text) (\($0.code))" } ?? ""), id.rawValue)
            case .failed(let why):
                switch kind {
                case .lookup: answer(lookupResult(failure: why), id.rawValue)
                case .get: answer(item(failure: why), id.rawValue)
                case .put: answer(DhtStored(failure: why, target: SHA1Digest(), count: 0, refusal: ""), id.rawValue)
                }
            }
        }
    }

    /// Pages show it: on a change, at most each second. What changes it makes turns of its own.
    func tellNodes(_ now: Instant) {
        guard let dht, session != nil, now >= nextNodes else { return }
        let nodes = UInt32(clamping: dht.core.nodeCount)
        guard nodes != toldNodes else { return }
        toldNodes = nodes
        nextNodes = now + .seconds(1)
        send(DhtNodeCount(nodes: nodes))
    }

    private func lookupResult(failure: String) -> DhtLookupResult {
        DhtLookupResult(failure: failure, infoHash: InfoHash(), peers: [], seeds: 0, downloaders: 0, asked: 0, answered: 0, hops: 0)
    }
    private func item(failure: String, isMissing: Bool = false) -> DhtItem {
        DhtItem(failure: failure, value: [], key: [], signature: [], sequence: 0, asked: 0, isMissing: isMissing ? 1 : 0)
    }

    private func report(_ dht: DHTNode) -> DhtStatusReport {
        let s = dht.core.status, c = s.counters
        return DhtStatusReport(
            isOn: dht.isOn ? 1 : 0, isReadOnly: dht.isReadOnly ? 1 : 0,
            families: s.families.map {
                DhtFamily(
                    family: $0.family.number, nodeID: $0.id.digest, external: $0.external ?? Endpoint(ipv4: 0, port: 0), nodes: UInt32($0.nodes),
                    spares: UInt32($0.spares), buckets: UInt32($0.buckets))
            }, torrents: UInt32(s.torrents), lookups: UInt32(s.searches), storedTorrents: UInt32(s.storedTorrents), storedPeers: UInt32(s.storedPeers),
            storedItems: UInt32(s.storedItems), received: c.received, sent: c.sent, queriesAnswered: c.queriesAnswered, dropped: c.dropped, ignored: c.ignored,
            timeouts: c.timeouts, lookupsDone: c.searchesDone, peersFound: c.peersFound, refusal: "")
    }
}
