import Glibc
import Primitives
import Simulator
import Testing

/// Aim: whole swarms come to the end whatever dies, breaks or is lost on the way, and nothing false is ever claimed.
/// Method: the real cores of every worker on a virtual clock (Tests/Support/Simulator). A debug build checks the cores'
/// own invariants as well, and is slow: CCBT_SIM_SEEDS says how many seeds (`make sim` runs 200 optimised in seconds).
@Suite struct SimulationTests {
    static let count = getenv("CCBT_SIM_SEEDS").flatMap { Int(String(cString: $0)) } ?? 10

    /// Seeds that once showed a bug. A change of the scenarios makes them other runs, and they stay worth running.
    static let regressions: [UInt64] = [
        // A checkpoint that fell due while the last piece was being synced swallowed the torrent's end.
        5, 23, 29,
        // Claims after failed syncs, and a shard that was born while its disk worker was looking at the files.
        31, 97, 813, 937,
        // Pieces that were verified and not yet written were claimed to a new disk worker as written.
        14, 91, 133, 135,
        // The disk worker's "ready" came before the session had named the torrent to a new shard, and was dropped.
        8, 112, 124, 150,
        // A half-finished piece that only peers on parole could have completed was never given up.
        52, 244, 335,
    ]

    @Test func everySeedEndsWithEveryHonestNodeComplete() async {
        let seeds = Self.regressions + (0..<UInt64(max(0, Self.count))).map { $0 + 1 }
        for result in await SimRunner.run(seeds.map { SimScenario(seed: $0) }) {
            #expect(result.failure.isEmpty, "make sim SEED=\(result.seed): \(result.failure)")
        }
    }

    @Test(arguments: [3, 17] as [UInt64])
    func theSameSeedGivesTheSameTrace(seed: UInt64) async {
        let results = await SimRunner.run([seed, seed, seed + 1].map { SimScenario(seed: $0) })
        #expect(results[0].trace == results[1].trace && results[0].events == results[1].events)
        #expect(results[2].trace != results[0].trace)
    }

    /// A dead disk worker takes nothing along: what was received is in the arena or in the kernel.
    @Test func deathsOfDiskWorkersCostNoByte() async {
        var deaths = 0
        for result in await SimRunner.run((1...15).map { SimScenario.only(.disk, seed: $0) }) {
            #expect(result.failure.isEmpty, "seed \(result.seed): \(result.failure)")
            #expect(result.received == result.needed, "seed \(result.seed)")
            deaths += result.marks.count(.diskDeath)
        }
        #expect(deaths > 15)
    }

    /// Of a dead shard only what was on its way to it is asked for again.
    @Test func deathsOfShardsCostNoMoreThanWhatWasInFlight() async {
        var deaths = 0, adopted = 0
        for result in await SimRunner.run((1...15).map { SimScenario.only(.peer, seed: $0) }) {
            #expect(result.failure.isEmpty, "seed \(result.seed): \(result.failure)")
            #expect(result.received >= result.needed && result.received - result.needed <= result.blocksInFlightAtDeath * 16384, "seed \(result.seed)")
            deaths += result.marks.count(.peerDeath)
            adopted += result.marks.count(.partialPieceAdopted) + result.marks.count(.wholePieceAdopted)
        }
        #expect(deaths > 15 && adopted > 0)
    }

    /// Deaths of the session and discovery workers are not even noticed by a transfer.
    @Test(arguments: [WorkerRole.session, .discovery])
    func deathsBesideTheDataPathCostNoByte(role: WorkerRole) async {
        for result in await SimRunner.run((1...10).map { SimScenario.only(role, seed: $0) }) {
            #expect(result.failure.isEmpty && result.received == result.needed, "seed \(result.seed): \(result.failure)")
        }
    }
}
