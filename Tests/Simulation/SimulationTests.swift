import Glibc
import Primitives
import Simulator
import Testing

/// Aim: whole swarms come to the end whatever dies, breaks or is lost on the way, and nothing false is ever claimed.
/// Method: the real cores of every worker on a virtual clock (Tests/Support/Simulator). CCBT_SIM_SEEDS says how many
/// seeds; CCBT_SIM_SEED runs one and prints its story.
@Suite struct SimulationTests {
    static let count = getenv("CCBT_SIM_SEEDS").flatMap { Int(String(cString: $0)) } ?? 40
    static let only = getenv("CCBT_SIM_SEED").flatMap { UInt64(String(cString: $0)) }

    /// Seeds that once showed a bug.
    static let regressions: [UInt64] = []

    @Test func everySeedEndsWithEveryHonestNodeComplete() {
        let seeds = Self.only.map { [$0] } ?? (Self.regressions + (1...UInt64(Self.count)))
        var deaths = 0, received: UInt64 = 0, needed: UInt64 = 0
        for seed in seeds {
            let world = SimWorld(SimScenario(seed: seed))
            if getenv("CCBT_SIM_STORY") != nil { world.story = { print($0) } }
            let result = world.run()
            #expect(result.failure.isEmpty, "make sim SEED=\(seed): \(result.failure)")
            deaths += result.deaths
            received += result.received
            needed += result.needed
            if Self.only != nil {
                print("seed \(seed): trace \(String(result.trace, radix: 16)), \(result.virtualTime.milliseconds) ms, \(result.events) events, \(result.deaths) deaths, \(result.received) bytes for \(result.needed)")
            }
        }
        print("\(seeds.count) seeds, \(deaths) worker deaths, \(received) payload bytes received where \(needed) were needed")
    }

    @Test(arguments: [3, 17] as [UInt64])
    func theSameSeedGivesTheSameTrace(seed: UInt64) {
        let a = SimWorld(SimScenario(seed: seed)).run(), b = SimWorld(SimScenario(seed: seed)).run()
        #expect(a.trace == b.trace && a.events == b.events)
        #expect(SimWorld(SimScenario(seed: seed + 1)).run().trace != a.trace)
    }
}
