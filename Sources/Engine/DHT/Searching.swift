import KRPC
import Primitives

/// Lookups from their start to what is made of them.
extension DHTCore {
    /// The serial; nil when no node is known to ask.
    @discardableResult
    mutating func start(
        _ f: Int, _ target: NodeID, _ purpose: Search.Purpose, seeds: [NodeInfo] = [], unnamed: [Endpoint] = [], now: Instant, into effects: inout [DHTEffect]
    ) -> UInt32? {
        var search = Search(serial: nextSerial, target: target, family: families[f].family, purpose: purpose)
        for contact in families[f].table.closest(to: target, count: 2 * DHT.k) { search.add(contact.id, contact.endpoint, depth: 1) }
        for node in seeds { search.add(node.id, node.endpoint, depth: 1) }
        for endpoint in unnamed { search.add(nil, endpoint, depth: 1) }
        guard !search.candidates.isEmpty else { return nil }
        nextSerial &+= 1
        searches[search.serial] = search
        if case .torrent(let id) = purpose {
            torrentSearches += 1
            torrents[id]?.searching += 1
        }
        advance(search.serial, now: now, into: &effects)
        return search.serial
    }

    mutating func advance(_ serial: UInt32, now: Instant, into effects: inout [DHTEffect]) {
        guard let search = searches[serial], !search.isStoring, let f = families.firstIndex(where: { $0.family == search.family }) else { return }
        while let i = searches[serial]?.next() {
            let candidate = searches[serial]!.candidates[i]
            guard ask(f, query(search), candidate.isNamed ? candidate.id : nil, candidate.endpoint, .search(serial), now: now, into: &effects) else { break }
            searches[serial]!.sent(i)
        }
        if searches[serial]!.isOver { finish(serial, f, now: now, into: &effects) }
    }

    private func query(_ search: Search) -> KRPCQuery {
        // BEP 32: both families are asked for while one of the tables is thin.
        let isThin = families.count > 1 && families.contains { $0.table.count < 2 * DHT.k }
        let want: WantedFamilies = isThin ? [.ipv4, .ipv6] : []
        switch search.purpose {
        case .nodes: return .findNode(target: search.target, want: want)
        case .torrent: return .getPeers(infoHash: search.target, want: want, noSeeds: false, scrape: false)
        case .peers: return .getPeers(infoHash: search.target, want: want, noSeeds: false, scrape: false)
        case .item, .store: return .get(target: search.target, sequence: nil, want: want)
        }
    }

    /// Whether a node's word about that address may direct our datagrams: nobody outside sends us into our own networks.
    private static func isPlausible(_ endpoint: Endpoint, from source: Endpoint) -> Bool {
        if endpoint.isLoopback { return source.isLoopback }
        if endpoint.isPrivate || endpoint.isLinkLocal { return SecureID.isExempt(source) }
        return true
    }

    mutating func searchAnswered(
        _ serial: UInt32, _ endpoint: Endpoint, _ answer: KRPCAnswer?, _ sender: NodeID?, now: Instant, into effects: inout [DHTEffect]
    ) {
        guard let search = searches[serial] else { return }
        let depth = search.index(of: endpoint).map { search.candidates[$0].depth } ?? 1
        searches[serial]!.ended(endpoint, answered: answer != nil, name: sender, token: answer?.token)
        if let answer {
            for node in search.family == .ipv4 ? answer.nodes : answer.nodes6 where Self.isPlausible(node.endpoint, from: endpoint) {
                if families.contains(where: { $0.table.own == node.id }) { continue }
                searches[serial]!.add(node.id, node.endpoint, depth: depth + 1)
            }
            // The other family's nodes (BEP 32) are checked, not followed: that family has lookups of its own.
            let others = search.family == .ipv4 ? answer.nodes6 : answer.nodes
            if let g = families.firstIndex(where: { $0.family != search.family }) {
                for node in others.prefix(4) where families[g].table.wants(node.id, node.endpoint) && Self.isPlausible(node.endpoint, from: endpoint) {
                    check(g, node.id, node.endpoint, now: now, into: &effects)
                }
            }
            takeValues(serial, answer, from: endpoint, into: &effects)
        }
        advance(serial, now: now, into: &effects)
    }

    private mutating func takeValues(_ serial: UInt32, _ answer: KRPCAnswer, from source: Endpoint, into effects: inout [DHTEffect]) {
        let search = searches[serial]!
        switch search.purpose {
        case .nodes: break
        case .torrent(let id):
            let fresh = searches[serial]!.take(answer.values.filter { Self.isPlausible($0, from: source) })
            guard !fresh.isEmpty, torrents[id] != nil else { return }
            counters.peersFound += UInt64(fresh.count)
            effects.append(.peers(id, fresh))
        case .peers:
            _ = searches[serial]!.take(answer.values)
            guard search.isStoring else { return }
            if let seeds = answer.seeds { searches[serial]!.seeds.formUnion(seeds) }
            if let downloaders = answer.downloaders { searches[serial]!.downloaders.formUnion(downloaders) }
            // BEP 33: of a node without filters its values count as peers.
            if answer.seeds == nil, answer.downloaders == nil { for value in answer.values { searches[serial]!.downloaders.insert(value) } }
        case .item(_, let salt): takeItem(serial, answer, salt: salt)
        case .store(_, _, _, let salt, _): takeItem(serial, answer, salt: salt)
        }
    }

    /// The newest value whose hash or signature is right.
    private mutating func takeItem(_ serial: UInt32, _ answer: KRPCAnswer, salt: [UInt8]) {
        guard let value = answer.value else { return }
        let target = searches[serial]!.target
        if let item = answer.item {
            guard Item.target(key: item.key, salt: salt) == target, item.sequence > searches[serial]!.value?.item?.sequence ?? -1,
                Item.isSigned(value, item, salt: salt)
            else { return }
            searches[serial]!.value = (value, item)
        } else if Item.target(value: value) == target {
            searches[serial]!.value = (value, nil)
        }
    }

    // MARK: the end

    private mutating func finish(_ serial: UInt32, _ f: Int, now: Instant, into effects: inout [DHTEffect]) {
        let search = searches[serial]!
        if search.answered > 0 { families[f].table.touched(search.target, now: now) }
        switch search.purpose {
        case .nodes:
            if families[f].bootstrap == serial { bootstrapEnded(f, isGood: search.answered > 0, now: now) }
            remove(serial)
        case .torrent(let id):
            guard let torrent = torrents[id], announcePort != 0, !configuration.isReadOnly else { return torrentEnded(serial, id, now: now) }
            let port = announcePort
            store(serial, f, now: now, into: &effects) { token in
                .announcePeer(infoHash: search.target, port: port, token: token, isSeed: torrent.isSeed)
            }
        case .peers:
            // BEP 33 filters come in place of values from some clients, so they are asked for at the end.
            store(serial, f, now: now, into: &effects) { _ in .getPeers(infoHash: search.target, want: [], noSeeds: false, scrape: true) }
        case .item(let request, _):
            if let value = search.value {
                finished(request, serial, .item(value: value.bytes, value.item, asked: search.asked), into: &effects)
            } else {
                finished(request, serial, .missing(asked: search.asked, answered: search.answered), into: &effects)
            }
        case .store(_, let value, let item, let salt, let cas):
            store(serial, f, now: now, into: &effects) { token in .put(value: value, item: item, salt: salt, cas: cas, token: token) }
        }
    }

    private mutating func store(_ serial: UInt32, _ f: Int, now: Instant, into effects: inout [DHTEffect], _ query: ([UInt8]) -> KRPCQuery) {
        searches[serial]!.isStoring = true
        for holder in searches[serial]!.holders {
            if ask(f, query(holder.token!), holder.id, holder.endpoint, .store(serial), now: now, into: &effects) { searches[serial]!.storing += 1 }
        }
        if searches[serial]!.storing == 0 { stored(serial, now: now, into: &effects) }
    }

    mutating func storeAnswered(_ serial: UInt32, _ answer: KRPCAnswer?, from source: Endpoint, now: Instant, into effects: inout [DHTEffect]) {
        guard searches[serial] != nil else { return }
        searches[serial]!.storing -= 1
        if let answer {
            searches[serial]!.stored += 1
            takeValues(serial, answer, from: source, into: &effects)
        }
        if searches[serial]!.storing == 0 { stored(serial, now: now, into: &effects) }
    }

    private mutating func stored(_ serial: UInt32, now: Instant, into effects: inout [DHTEffect]) {
        let search = searches[serial]!
        switch search.purpose {
        case .torrent(let id): torrentEnded(serial, id, now: now)
        case .store(let request, _, _, _, _):
            finished(request, serial, .stored(count: search.stored, target: search.target, refusal: search.refusal), into: &effects)
        case .peers(let request):
            finished(
                request, serial,
                .peers(
                    search.found, seeds: search.seeds.estimate, downloaders: search.downloaders.estimate, asked: search.asked, answered: search.answered,
                    hops: search.hops), into: &effects)
        case .nodes, .item: remove(serial)
        }
    }

    private mutating func finished(_ request: DHTRequestID, _ serial: UInt32, _ outcome: DHTOutcome, into effects: inout [DHTEffect]) {
        remove(serial)
        // A request runs in each family that there is; the last one to end answers for both.
        guard var open = requests[request] else { return }
        open.left -= 1
        open.outcome = open.outcome.map { Self.merged($0, outcome) } ?? outcome
        requests[request] = open
        guard open.left == 0 else { return }
        requests[request] = nil
        effects.append(.finished(request, open.outcome!))
    }

    mutating func remove(_ serial: UInt32) {
        searches[serial] = nil
        counters.searchesDone += 1
    }

    private static func merged(_ a: DHTOutcome, _ b: DHTOutcome) -> DHTOutcome {
        switch (a, b) {
        case (.peers(let p, let s, let d, let asked, let answered, let hops), .peers(let q, let t, let e, let asked2, let answered2, let hops2)):
            .peers(p + q, seeds: s + t, downloaders: d + e, asked: asked + asked2, answered: answered + answered2, hops: max(hops, hops2))
        case (.item(let v, let i, let asked), .item(let w, let j, let asked2)):
            (i?.sequence ?? 0) >= (j?.sequence ?? 0) ? .item(value: v, i, asked: asked + asked2) : .item(value: w, j, asked: asked + asked2)
        case (.item, _): a
        case (_, .item): b
        case (.missing(let asked, let answered), .missing(let asked2, let answered2)): .missing(asked: asked + asked2, answered: answered + answered2)
        case (.stored(let n, let target, let r), .stored(let m, _, let s)): .stored(count: n + m, target: target, refusal: r ?? s)
        default: a
        }
    }

    // MARK: requests of front ends

    package mutating func lookUp(_ request: DHTRequestID, _ infoHash: NodeID, now: Instant, into effects: inout [DHTEffect]) {
        begin(request, infoHash, .peers(request), now: now, into: &effects)
    }
    /// `salt` with which the target was made (BEP 44); empty for an immutable item.
    package mutating func get(_ request: DHTRequestID, _ target: NodeID, salt: [UInt8], now: Instant, into effects: inout [DHTEffect]) {
        begin(request, target, .item(request, salt: salt), now: now, into: &effects)
    }
    /// Needs a value of at most ``KRPC/itemLimit`` bytes of bencode.
    package mutating func put(
        _ request: DHTRequestID, value: [UInt8], _ item: ItemSignature?, salt: [UInt8], cas: Int64?, now: Instant, into effects: inout [DHTEffect]
    ) {
        let target = item.map { Item.target(key: $0.key, salt: salt) } ?? Item.target(value: value)
        begin(request, target, .store(request, value: value, item, salt: salt, cas: cas), now: now, into: &effects)
    }

    private mutating func begin(_ request: DHTRequestID, _ target: NodeID, _ purpose: Search.Purpose, now: Instant, into effects: inout [DHTEffect]) {
        guard requests.count < DHTCore.requestLimit else {
            return effects.append(.finished(request, .failed("too many DHT requests at once")))
        }
        let able = families.indices.filter { families[$0].table.count > 0 }
        guard !able.isEmpty else { return effects.append(.finished(request, .failed("no DHT node is known yet"))) }
        requests[request] = OpenRequest(left: able.count, outcome: nil)
        for f in able where start(f, target, purpose, now: now, into: &effects) == nil { requests[request]!.left -= 1 }
        if let open = requests[request], open.left == 0 {
            requests[request] = nil
            effects.append(.finished(request, open.outcome ?? .failed("no DHT node answers")))
        }
    }
}

struct OpenRequest: Sendable {
    var left: Int
    var outcome: DHTOutcome?
}
