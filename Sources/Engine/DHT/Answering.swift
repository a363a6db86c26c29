import KRPC
import Primitives

/// Queries of other nodes.
extension DHTCore {
    mutating func asked(
        _ f: Int, _ transaction: [UInt8], _ sender: NodeID, _ query: KRPCQuery, isReadOnly: Bool, from source: Endpoint, now: Instant,
        into effects: inout [DHTEffect]
    ) {
        // BEP 43: we said that we answer nothing.
        guard !configuration.isReadOnly else { return }
        guard limits.admits(source, now: now) else { return counters.dropped += 1 }
        counters.queriesAnswered += 1
        var answer = KRPCAnswer(), refusal: KRPCError?
        switch query {
        case .ping: break
        case .findNode(let target, let want): nodes(near: target, want, f, except: source, &answer)
        case .getPeers(let hash, let want, let noSeeds, let scrape):
            if !peerStore.isFull(hash) { answer.token = mint.token(for: source, hash) }
            let filters = scrape ? peerStore.filters(hash) : nil
            (answer.seeds, answer.downloaders) = (filters?.seeds, filters?.downloaders)
            // Filters take half of the 1,024 bytes that BEP 32 allows; an IPv6 peer takes 21, an IPv4 peer 8.
            let room = filters == nil ? 640 : 96
            let family = families[f].family
            answer.values = peerStore.peers(hash, family, count: family == .ipv4 ? room / 8 : room / 21, noSeeds: noSeeds, random: &random)
            nodes(near: hash, filters == nil && answer.values.count < 20 ? want : [], f, except: source, &answer)
        case .announcePeer(let hash, let port, let token, let isSeed):
            if mint.isValid(token, from: source, hash) {
                peerStore.announced(hash, Endpoint(high: source.high, low: source.low, port: port ?? source.port), isSeed: isSeed, now: now)
            } else {
                refusal = .badToken
            }
        case .get(let target, let sequence, let want):
            answer.token = mint.token(for: source, target)
            if let row = itemStore.find(target) {
                if let item = row.item {
                    answer.sequence = item.sequence
                    if sequence.map({ item.sequence > $0 }) ?? true { (answer.value, answer.item) = (row.value, item) }
                } else {
                    answer.value = row.value
                }
            }
            nodes(near: target, want, f, except: source, &answer)
        case .put(let value, let item, let salt, let cas, let token):
            let target = item.map { Item.target(key: $0.key, salt: salt) } ?? Item.target(value: value)
            refusal = mint.isValid(token, from: source, target) ? itemStore.put(value, item, salt: salt, cas: cas, now: now) : .badToken
        case .sampleInfohashes(let target, let want):
            let sample = peerStore.samples(interval: configuration.sampleInterval, now: now, random: &random)
            (answer.samples, answer.interval, answer.storedCount) = (sample.hashes, sample.seconds, peerStore.torrentCount)
            nodes(near: target, want, f, except: source, &answer)
        case .unknown: refusal = .unknownMethod
        }
        if let refusal {
            send(.error(transaction: transaction, refusal), to: source, into: &effects)
        } else {
            send(.answer(transaction: transaction, sender: own(f), answer, external: source), to: source, into: &effects)
        }
        // Whoever asks is likely there; a place in the table is given for an answer only.
        if !isReadOnly, families[f].table.wants(sender, source) { check(f, sender, source, now: now, into: &effects) }
    }

    /// BEP 32: of the families that are asked for, or of the one that the query came in.
    private func nodes(near target: NodeID, _ want: WantedFamilies, _ f: Int, except: Endpoint, _ answer: inout KRPCAnswer) {
        let wanted = want.isEmpty ? families[f].family.wanted : want
        for family in families where wanted.contains(family.family.wanted) {
            let nodes = family.table.closest(to: target, count: DHT.k, excluding: except).map { NodeInfo(id: $0.id, endpoint: $0.endpoint) }
            if family.family == .ipv4 { answer.nodes = nodes } else { answer.nodes6 = nodes }
        }
    }
}
