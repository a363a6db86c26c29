import DHT
import KRPC
import Primitives

/// One world of a size: everybody joins within some minutes, then torrents are announced and, while nodes come and go,
/// looked up by others.
package struct DHTExperiment {
    package struct Result {
        package var nodes: Int
        package var lookups = 0
        /// The announced peer was found.
        package var successes = 0
        package var hops: [Int] = []
        package var queries: [Int] = []
        package var milliseconds: [Int] = []
        /// Stored at how many of the eight closest nodes of the world, summed over the puts; and puts.
        package var puts = 0
        package var itemsFound = 0
        /// Datagrams sent by a node and minute, while nothing but upkeep goes on.
        package var idlePerMinute = 0.0
        package var churnPerMinute = 0.0
        package var tableMean = 0.0
        package var datagrams: UInt64 = 0
    }

    /// `churn`: part of the nodes that are replaced each minute.
    package static func run(nodes count: Int, lookups: Int, churn: Double, seed: UInt64) -> Result {
        let world = DHTWorld(seed: seed)
        var random = SeededRandom(seed: seed ^ 0xD47)
        var result = Result(nodes: count)
        // Ten minutes of joining, whatever the size.
        let step = TimeSpan(nanoseconds: TimeSpan.minutes(10).nanoseconds / Int64(count))
        for _ in 0..<count {
            world.join()
            world.run(for: step)
        }
        world.run(for: .minutes(5))
        _ = world.takeTraffic()
        world.run(for: .minutes(5))
        let idle = world.takeTraffic()
        result.idlePerMinute = Double(idle.reduce(0, +)) / Double(idle.count) / 5

        var torrents: [(hash: NodeID, owner: Int)] = []
        for i in 0..<lookups {
            let hash = NodeID.random(&random), owner = world.anyLive
            torrents.append((hash, owner))
            world.announce(owner, TorrentID(i + 1), hash)
        }
        world.run(for: .seconds(60))
        _ = world.takeTraffic()
        let began = world.now
        var targets: [Int: NodeID] = [:]
        // Ten minutes of churn, in which the lookups are spread.
        for i in 0..<lookups {
            let leaving = churn * Double(count) * 10 / Double(lookups)
            var n = Int(leaving) + (random.chance(leaving - leaving.rounded(.down)) ? 1 : 0)
            while n > 0, world.liveCount > 20 {
                n -= 1
                let gone = world.anyLive
                // The owners stay: what is measured is whether the others find them.
                guard !torrents.contains(where: { $0.owner == gone }) else { continue }
                world.leave(gone)
                world.join()
            }
            world.lookUp(world.anyLive, DHTRequestID(rawValue: UInt64(i)), torrents[i].hash)
            if i % 4 == 0 {
                let value = Array("i\(i)e".utf8)
                targets[i] = Item.target(value: value)
                world.put(world.anyLive, DHTRequestID(rawValue: UInt64(1_000_000 + i)), value)
            }
            world.run(for: TimeSpan(nanoseconds: TimeSpan.minutes(10).nanoseconds / Int64(lookups)))
            if let outcome = world.outcomes[DHTRequestID(rawValue: UInt64(i))] { _ = outcome }
        }
        world.run(for: .seconds(30))
        let busy = world.takeTraffic()
        result.churnPerMinute = Double(busy.reduce(0, +)) / Double(busy.count) / ((world.now - began).seconds / 60)
        for (i, target) in targets.sorted(by: { $0.key < $1.key }) { world.get(world.anyLive, DHTRequestID(rawValue: UInt64(2_000_000 + i)), target) }
        world.run(for: .seconds(30))

        let span = TimeSpan.minutes(10).nanoseconds / Int64(lookups)
        for i in 0..<lookups {
            result.lookups += 1
            guard case (.peers(let peers, _, _, let asked, _, let hops), let at)? = world.outcomes[DHTRequestID(rawValue: UInt64(i))] else { continue }
            if peers.contains(world.endpoint(torrents[i].owner)) { result.successes += 1 }
            result.hops.append(hops)
            result.queries.append(asked)
            result.milliseconds.append(Int((at - began).milliseconds - Int64(i) * span / 1_000_000))
        }
        for i in targets.keys.sorted() {
            result.puts += 1
            if case (.item, _)? = world.outcomes[DHTRequestID(rawValue: UInt64(2_000_000 + i))] { result.itemsFound += 1 }
        }
        var sum = 0
        for _ in 0..<200 { sum += world.status(world.anyLive).families[0].nodes }
        result.tableMean = Double(sum) / 200
        result.datagrams = world.datagrams
        return result
    }
}
