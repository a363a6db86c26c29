import Catalog
import Control
import Foundation
import IPC
import KRPC
import Metainfo
import Primitives

/// Mutable items of the DHT that torrents follow (BEP 46), as the session worker holds them, by the hexadecimal target.
struct FollowTable {
    static let limit = 1000
    /// Items looked at at once: a lookup asks some 40 nodes.
    static let atOnce = 4
    /// BEP 44 asks for a put each hour; a shorter interval of looking puts no more often than this.
    static let putEvery = TimeSpan.minutes(30)

    var items: [String: FollowedItem] = [:]
    /// Looked at now.
    var looking: Set<String> = []
    var due: [String: Instant] = [:]
    var putAt: [String: Instant] = [:]
    /// Seconds since 1970 of the last answer.
    var lookedAt: [String: UInt64] = [:]
    /// What is wrong with the item, or why its new version cannot be added.
    var faults: [String: String] = [:]
    var checkAt = Instant.zero
    var lookups: [UInt64: ItemLookup] = [:]

    /// Those whose torrent is gone were followed no more when the last run ended.
    init(_ stored: [(key: String, value: String)], isThere: (InfoHash) -> Bool) {
        for item in stored {
            guard let followed = try? JSONDecoder().decode(FollowedItem.self, from: Data(item.value.utf8)), let hash = InfoHash(hex: followed.torrent), isThere(hash)
            else { continue }
            items[item.key] = followed
        }
    }

    func target(of torrent: InfoHash) -> String? {
        guard !items.isEmpty else { return nil }
        let hex = torrent.hex
        return items.first { $0.value.torrent == hex }?.key
    }
}

/// One item that is asked for until it is found or its time is over.
struct ItemLookup {
    let source: MutableMagnet.Source
    let deadline: Instant
    /// When it is asked for again; never while the DHT has the question.
    var again = Instant.never
    var failure = ControlError(.unavailable, "the DHT does not answer")
    let then: (Result<DhtItem, ControlError>) -> Void
}

extension SessionShell {
    /// Between two questions of one lookup: a node that has just started knows nobody for a few seconds.
    private static let lookAgain = TimeSpan.seconds(2)

    /// `patience`: how long it is asked for again while no node is known or none has it.
    func lookUpItem(_ source: MutableMagnet.Source, patience: TimeSpan, _ then: @escaping (Result<DhtItem, ControlError>) -> Void) {
        let token = nextToken
        nextToken += 1
        follows.lookups[token] = ItemLookup(source: source, deadline: loop.now + patience, then: then)
        ask(token)
    }

    private func ask(_ token: UInt64) {
        guard let lookup = follows.lookups[token] else { return }
        guard let edge = kit.edge(.discovery) else {
            follows.lookups[token]!.again = loop.now + Self.lookAgain
            return
        }
        follows.lookups[token]!.again = .never
        kit.send(DhtGet(target: Item.target(key: lookup.source.key, salt: lookup.source.salt).digest, salt: lookup.source.salt), to: edge, correlation: token)
    }

    /// False when the answer is not to a lookup of ours.
    func itemArrived(_ token: UInt64, _ m: DhtItem) -> Bool {
        guard let lookup = follows.lookups[token] else { return false }
        let found = ItemSignature(key: m.key, signature: m.signature, sequence: m.sequence)
        if m.failure.isEmpty, m.key == lookup.source.key, Item.isSigned(m.value, found, salt: lookup.source.salt) {
            follows.lookups[token] = nil
            lookup.then(.success(m))
        } else {
            let why = m.failure.isEmpty ? "the item is not signed with its key" : Text.printable(m.failure, limit: 200)
            follows.lookups[token]!.failure = ControlError(m.isMissing != 0 ? .notFound : .unavailable, why)
            follows.lookups[token]!.again = loop.now + Self.lookAgain
        }
        return true
    }

    func itemLookupsLost() {
        for token in follows.lookups.keys { follows.lookups[token]!.again = loop.now + Self.lookAgain }
    }

    func turnItemLookups(_ now: Instant) -> Instant {
        var next = Instant.never
        for token in follows.lookups.keys.sorted() {
            guard let lookup = follows.lookups[token] else { continue }
            if lookup.deadline <= now {
                follows.lookups[token] = nil
                lookup.then(.failure(lookup.failure))
            } else if lookup.again <= now {
                ask(token)
                next = min(next, lookup.deadline)
            } else {
                next = min(next, lookup.again, lookup.deadline)
            }
        }
        return next
    }

    func store(_ target: String, _ item: FollowedItem?) {
        follows.items[target] = item
        let text = item.flatMap { try? JSONEncoder().encode($0) }.map { String(decoding: $0, as: UTF8.self) }, store = self.store
        pool({ () -> String? in
            do throws(CatalogStore.Failure) { try store.put("followed item", [(target, text)]) } catch { return error.description }
            return nil
        }) { failure in if let failure { log.error("what a torrent follows is not stored: \(failure)") } }
    }
}
