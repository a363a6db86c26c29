import DHTSimulator
import Glibc

/// `ccbt-dht-sim [NODES ...]`: how lookups and traffic grow with the size of the DHT. Prints a table; exit 1 when fewer
/// than 95 % of the lookups succeed, or 90 % of the items are found that were put once up to eleven minutes before.
@main struct DHTSim {
    static func main() {
        let sizes = CommandLine.arguments.dropFirst().compactMap { Int($0) }
        print("   nodes  lookups  found    hops  queries    ms p50    ms p95  items  table  sent/min idle  sent/min churn  datagrams    s")
        var isGood = true
        for size in sizes.isEmpty ? [100, 1000, 10000] : Array(sizes) {
            var begin = timespec(), end = timespec()
            clock_gettime(CLOCK_MONOTONIC, &begin)
            // 1 % of the nodes replaced each minute: half an hour to two hours online is what measurements of the real DHT give.
            let r = DHTExperiment.run(nodes: size, lookups: 200, churn: 0.01, seed: UInt64(size))
            clock_gettime(CLOCK_MONOTONIC, &end)
            func mean(_ list: [Int]) -> Double { list.isEmpty ? 0 : Double(list.reduce(0, +)) / Double(list.count) }
            let times = r.milliseconds.sorted()
            func at(_ p: Double) -> Int { times.isEmpty ? 0 : times[min(times.count - 1, Int(p * Double(times.count)))] }
            func pad(_ text: String, _ n: Int) -> String { String(repeating: " ", count: max(0, n - text.count)) + text }
            func one(_ d: Double) -> String { "\((d * 10).rounded() / 10)" }
            let found = 100 * Double(r.successes) / Double(max(1, r.lookups))
            if found < 95 || r.itemsFound * 100 < 90 * r.puts { isGood = false }
            print(
                pad("\(r.nodes)", 8) + pad("\(r.lookups)", 9) + pad(one(found) + "%", 7) + pad(one(mean(r.hops)), 8) + pad(one(mean(r.queries)), 9) + pad("\(at(0.5))", 10)
                    + pad("\(at(0.95))", 10) + pad("\(r.itemsFound)/\(r.puts)", 7) + pad(one(r.tableMean), 7) + pad(one(r.idlePerMinute), 15)
                    + pad(one(r.churnPerMinute), 16) + pad("\(r.datagrams)", 11) + pad("\(end.tv_sec - begin.tv_sec)", 5))
        }
        exit(isGood ? 0 : 1)
    }
}
