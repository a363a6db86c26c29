import KRPC
import Primitives

/// Getting into the DHT and staying in it.
extension DHTCore {
    mutating func upkeep(_ f: Int, now: Instant, into effects: inout [DHTEffect]) {
        if families[f].bootstrap == nil, families[f].bootstrapAt <= now {
            if families[f].table.count < DHT.k { effects.append(.bootstrapWanted) }
            bootstrap(f, with: [], now: now, into: &effects)
        }
        guard families[f].table.count > 0 else { return }
        if now >= families[f].nextRefresh, let target = families[f].table.dueForRefresh(now: now, random: &random) {
            // A young table fills bucket by bucket; an old one spreads its lookups over the quarter of an hour.
            families[f].nextRefresh = now + .seconds(2)
            start(f, target, .nodes, now: now, into: &effects)
        }
        if now >= families[f].nextCheck, let contact = families[f].table.questionable(now: now) {
            families[f].nextCheck = now + .seconds(5)
            check(f, contact.id, contact.endpoint, now: now, into: &effects)
        }
    }

    /// Looks up our own id (BEP 5), beginning with who is known: the table, the last run's nodes, these addresses.
    mutating func bootstrap(_ f: Int, with endpoints: [Endpoint], now: Instant, into effects: inout [DHTEffect]) {
        if let serial = families[f].bootstrap, searches[serial] != nil {
            for endpoint in endpoints { searches[serial]!.add(nil, endpoint, depth: 1) }
            return advance(serial, now: now, into: &effects)
        }
        // Of a large table of the last run a part each time: those that are gone cost six seconds each.
        let remembered = families[f].table.count >= DHT.k ? [] : Array(families[f].remembered.prefix(40))
        if !remembered.isEmpty { families[f].remembered = Array(families[f].remembered.dropFirst(40)) + remembered }
        families[f].bootstrapTries += 1
        // 2, 4, 8, ... 256 s while nobody answers.
        families[f].bootstrapAt = now + .seconds(1 << min(families[f].bootstrapTries, 8))
        families[f].bootstrap = nil
        if let serial = start(f, own(f), .nodes, seeds: remembered, unnamed: endpoints, now: now, into: &effects), searches[serial] != nil {
            families[f].bootstrap = serial
        }
    }

    mutating func bootstrapEnded(_ f: Int, isGood: Bool, now: Instant) {
        families[f].bootstrap = nil
        guard families[f].table.count >= DHT.k || isGood else { return }
        families[f].bootstrapTries = 0
        // Our neighbourhood is looked at again each quarter of an hour by the last bucket's refresh; while the table is
        // thin, in a network of few nodes for example, each half minute.
        families[f].bootstrapAt = now + (families[f].table.count < DHT.k ? .seconds(30) : .minutes(60))
    }
}
