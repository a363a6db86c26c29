import Primitives

/// Who is unchoked: tit-for-tat while we download, round-robin by share while we seed, and some by turn (BEP 3, Choking
/// and optimistic unchoking). Pure.
enum Choker {
    enum Decision: UInt8 { case choke, regular, optimistic }

    /// An interested peer.
    struct Contender {
        let peer: UInt32
        /// Bytes that it sent us, and we sent it, in the last round.
        let received: UInt64
        let sent: UInt64
        let isUnchoked: Bool
        /// Seeding: it had 20 pieces and a minute; others come first now.
        let hadItsShare: Bool
        /// It sent us nothing for a minute although it should: not before anybody else (tit-for-tat).
        let isSnubbing: Bool
        /// Its last unchoke: who waits longest goes first.
        let waitsSince: Instant
        let lastOptimistic: Instant
        let isOptimistic: Bool
        var decision = Decision.choke
    }

    /// One in five slots is given by turn; with a single slot none.
    static func optimisticSlots(of slots: Int) -> Int { slots < 2 ? 0 : max(1, slots / 5) }

    /// Sets each contender's decision. At most `slots` are unchoked; all of them when they are no more than that.
    static func decide(_ contenders: inout [Contender], slots: Int, isSeeding: Bool, rotatesOptimistic: Bool) {
        guard contenders.count > slots else {
            for k in contenders.indices { contenders[k].decision = .regular }
            return
        }
        contenders.sort { isSeeding ? seedingOrder($0, $1) : leechingOrder($0, $1) }
        let optimistic = optimisticSlots(of: slots), regular = slots - optimistic
        for k in contenders.indices { contenders[k].decision = k < regular ? .regular : .choke }

        var left = optimistic
        // Those chosen by turn stay until the next turn, unless they earned a regular slot.
        if !rotatesOptimistic {
            for k in contenders.indices where left > 0 && contenders[k].isOptimistic && contenders[k].decision == .choke {
                contenders[k].decision = .optimistic
                left -= 1
            }
        }
        let byTurn = contenders.indices.filter { contenders[$0].decision == .choke }.sorted {
            (contenders[$0].lastOptimistic, contenders[$0].peer) < (contenders[$1].lastOptimistic, contenders[$1].peer)
        }
        for k in byTurn.prefix(left) { contenders[k].decision = .optimistic }
    }

    private static func leechingOrder(_ a: Contender, _ b: Contender) -> Bool {
        if a.isSnubbing != b.isSnubbing { return !a.isSnubbing }
        if a.received != b.received { return a.received > b.received }
        if a.isUnchoked != b.isUnchoked { return a.isUnchoked }
        return a.peer < b.peer
    }

    private static func seedingOrder(_ a: Contender, _ b: Contender) -> Bool {
        if a.hadItsShare != b.hadItsShare { return !a.hadItsShare }
        // Who is being served keeps its slot until it had its share; the fastest first.
        if a.isUnchoked != b.isUnchoked { return a.isUnchoked != a.hadItsShare }
        if a.isUnchoked, a.sent != b.sent { return a.sent > b.sent }
        if a.waitsSince != b.waitsSince { return a.waitsSince < b.waitsSince }
        return a.peer < b.peer
    }
}
