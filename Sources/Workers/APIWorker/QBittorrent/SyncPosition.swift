/// How far a client has followed a stream of deltas, by the `rid` that it sends back.
///
/// Two places are kept: what was sent last, and what the client had acknowledged before that. A client that lost an
/// answer asks with the older rid and gets everything since; any other rid gets everything there is.
package struct SyncPosition: Sendable, Equatable {
    package static let ridLimit = 1_000_000
    private var sent: (rid: Int, version: UInt64) = (0, 0)
    private var acknowledged: (rid: Int, version: UInt64) = (0, 0)

    package init() {}
    package static func == (a: Self, b: Self) -> Bool { a.sent == b.sent && a.acknowledged == b.acknowledged }

    /// `base` is the version up to which the client knows all; nil: it gets a full update. `oldest` is the first version from
    /// which deltas can still be made.
    package mutating func advance(rid: Int, to version: UInt64, oldest: UInt64) -> (rid: Int, base: UInt64?) {
        var base: UInt64?
        if rid > 0, rid == sent.rid { base = sent.version } else if rid > 0, rid == acknowledged.rid { base = acknowledged.version }
        if let known = base, known < oldest { base = nil }
        if let base { acknowledged = (rid, base) } else { acknowledged = (0, 0) }
        sent = (sent.rid % Self.ridLimit + 1, version)
        return (sent.rid, base)
    }
}

/// A session's places in the streams.
package struct SyncPositions: Sendable {
    package var main = SyncPosition()
    package var peers = PeerDeltas()
    package init() {}
}

/// sync/torrentPeers: the list is asked of a peer worker each time, so what the client has is remembered with the session.
package struct PeerDeltas: Sendable {
    package typealias Peer = [(name: String, value: FieldValue)]
    private var hash = ""
    private var rid = 0
    private var known: [String: [String: FieldValue]] = [:]

    package init() {}

    package mutating func answer(hash: String, rid asked: Int, peers: [(key: String, fields: Peer)], showFlags: Bool) -> [UInt8] {
        let full = asked == 0 || asked != rid || hash != self.hash
        rid = rid % SyncPosition.ridLimit + 1
        self.hash = hash
        let before = full ? [:] : known
        var now: [String: [String: FieldValue]] = [:]
        let answer = JSONBytes.object { json in
            json.field("rid", rid)
            if full { json.field("full_update", true) }
            if full { json.field("show_flags", showFlags) }
            var changed: [(String, [(String, FieldValue)])] = []
            for (key, fields) in peers {
                let old = before[key]
                now[key] = Dictionary(fields.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
                let moved = fields.filter { old?[$0.name] != $0.value }.map { ($0.name, $0.value) }
                if !moved.isEmpty { changed.append((key, moved)) }
            }
            if full || !changed.isEmpty {
                json.object("peers") { json in
                    for (key, fields) in changed { json.object(key) { json in for (name, value) in fields { json.field(name, value) } } }
                }
            }
            let gone = before.keys.filter { now[$0] == nil }.sorted()
            if !gone.isEmpty { json.field("peers_removed", .texts(gone)) }
        }
        known = now
        return answer
    }
}

/// Named values with the version of their last change.
package struct StampedFields: Sendable {
    private var names: [String] = []
    private var values: [String: (value: FieldValue, version: UInt64)] = [:]
    package init() {}

    package mutating func set(_ name: String, _ value: FieldValue, _ version: UInt64) {
        if let old = values[name] { if old.value == value { return } } else { names.append(name) }
        values[name] = (value, version)
    }
    package subscript(_ name: String) -> FieldValue? { values[name]?.value }
    /// True when one of these values would change.
    package func differs(_ fields: [(String, FieldValue)]) -> Bool { fields.contains { values[$0.0]?.value != $0.1 } }
    package func changed(since version: UInt64?) -> [(name: String, value: FieldValue)] {
        names.compactMap { name in
            guard let v = values[name], version.map({ v.version > $0 }) ?? true else { return nil }
            return (name, v.value)
        }
    }
}
