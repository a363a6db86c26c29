import Primitives

/// What one seed decides: how many nodes, how bad the network and the disks are, who dies when.
package struct SimScenario: Sendable {
    package var seed: UInt64
    package var nodes = 4
    package var pieceLength: UInt32 = 32768
    package var totalLength: UInt64 = 1 << 20
    package var kind = SimTorrentKind.v1
    /// One way, smallest and largest.
    package var delay = (TimeSpan.milliseconds(1), TimeSpan.milliseconds(40))
    /// Payload that a node sends in a second.
    package var uploadRate = 10_000_000.0
    /// Part of the messages that are lost and sent again by TCP: late, everything behind them too.
    package var loss = 0.0
    /// Part of the connections that go by uTP.
    package var utp = 0.0
    /// Chance per delivered message that its connection breaks.
    package var reset = 0.0
    package var trackerLoss = 0.0
    /// Nodes (from the last on) that send every n-th block corrupt; 0: none.
    package var corrupters = 0
    package var corruptEvery = 4
    /// Strangers that stall, lie, flood and babble.
    package var hostiles: [SimHostility] = []
    package var writeFault = 0.0
    package var syncFault = 0.0
    /// Not on node 0, whose copy is the only one at first: a piece that can be read nowhere is lost.
    package var readFault = 0.0
    package var diskDelay = (TimeSpan.microseconds(100), TimeSpan.milliseconds(8))
    /// What happens in the first `chaosTime`; then the faults end and all must come to a good end.
    package var deaths = 0
    /// Of these workers; in the order in which they are drawn.
    package var mortals: [WorkerRole] = [.session, .peer, .disk, .discovery]
    package var wholeNodeDeaths = 0
    package var powerCuts = 0
    /// Workers that neither handle an event nor say that they live for some seconds (SIGSTOP).
    package var stops = 0
    package var stopTime = (TimeSpan.seconds(3), TimeSpan.seconds(8))
    /// Spells in which a volume takes no writes.
    package var fullSpells = 0
    /// What users do.
    package var pauses = 0
    package var rechecks = 0
    package var removals = 0
    package var removalsWithData = 0
    /// New limits for some node's torrent.
    package var limits = 0
    /// Players that jump to some place of some node's files.
    package var seeks = 0
    /// Node 0 goes for good once another honest node is complete.
    package var seedLeaves = false
    package var endgameDuplicates = 2
    package var chaosTime = TimeSpan.seconds(30)
    package var limit = TimeSpan.minutes(40)

    /// Everything from the seed.
    package init(seed: UInt64) {
        self.seed = seed
        var r = SeededRandom(seed: seed ^ 0x5EED)
        nodes = 2 + r.below(5)
        pieceLength = [16384, 32768, 49152, 65536][r.below(4)]
        totalLength = UInt64(200_000 + r.below(1_500_000))
        delay = (.microseconds(50 + r.below(2000)), .milliseconds(2 + r.below(120)))
        loss = r.chance(0.5) ? r.fraction() * 0.08 : 0
        reset = r.chance(0.5) ? r.fraction() * 0.001 : 0
        trackerLoss = r.fraction() * 0.4
        corrupters = r.chance(0.3) && nodes > 2 ? 1 : 0
        corruptEvery = 1 + r.below(6)
        if r.chance(0.4) {
            writeFault = r.fraction() * 0.05
            syncFault = r.fraction() * 0.2
            readFault = r.fraction() * 0.25
        }
        deaths = r.below(10)
        wholeNodeDeaths = r.below(3)
        powerCuts = r.below(2)
        // Short: most of it falls into the transfer. Long: into the time after it.
        chaosTime = .seconds([4, 10, 30][r.below(3)])
        // Some transfers are over at once, some last as long as the faults do.
        uploadRate = Double(totalLength) / (chaosTime.seconds * (0.02 + r.fraction()))
        diskDelay = (.microseconds(100), .milliseconds([2, 8, 50, 300][r.below(4)]))
        stops = r.chance(0.5) ? 1 + r.below(3) : 0
        fullSpells = r.chance(0.25) ? 1 : 0
        pauses = r.chance(0.3) ? 1 + r.below(3) : 0
        rechecks = r.chance(0.15) ? 1 : 0
        removals = r.chance(0.2) ? 1 : 0
        seedLeaves = nodes > 2 && r.chance(0.2)
        // A stream of its own: the other draws of a seed stay what they were.
        var k = SeededRandom(seed: seed ^ 0x52)
        kind = [.v1, .v1, .v2, .hybrid][k.below(4)]
        // BEP 52: a power of two.
        if kind != .v1, pieceLength.nonzeroBitCount > 1 { pieceLength = 32768 }
        if seedLeaves {
            // Then the only copy may be one that can lose pieces to read errors, or its user.
            readFault = 0
        } else {
            removalsWithData = r.chance(0.15) ? 1 : 0
        }
        limits = r.chance(0.4) ? 1 + r.below(4) : 0
        var w = SeededRandom(seed: seed ^ 0x5EEC)
        seeks = w.chance(0.4) ? 1 + w.below(20) : 0
        var u = SeededRandom(seed: seed ^ 0x29)
        utp = [0, 0.5, 1][u.below(3)]
        var h = SeededRandom(seed: seed ^ 0x405)
        if h.chance(0.4) { hostiles = (0...h.below(3)).map { _ in SimHostility.allCases[h.below(SimHostility.allCases.count)] } }
    }

    /// A quiet network and one kind of death: how many bytes that costs can be said exactly.
    package static func only(_ mortal: WorkerRole, seed: UInt64) -> SimScenario {
        var s = SimScenario(seed: seed), r = SeededRandom(seed: seed ^ 0x0DD)
        (s.loss, s.reset, s.trackerLoss, s.corrupters) = (0, 0, 0, 0)
        s.hostiles = []
        (s.writeFault, s.syncFault, s.readFault) = (0, 0, 0)
        (s.wholeNodeDeaths, s.powerCuts, s.stops, s.fullSpells) = (0, 0, 0, 0)
        (s.pauses, s.rechecks, s.removals, s.removalsWithData, s.seeks, s.seedLeaves) = (0, 0, 0, 0, 0, false)
        // A block asked of two peers in endgame comes twice without anybody's death.
        s.endgameDuplicates = 1
        s.delay = (.microseconds(50), .milliseconds(2 + r.below(30)))
        s.mortals = [mortal]
        s.deaths = 1 + r.below(4)
        s.chaosTime = .seconds(4)
        s.uploadRate = Double(s.totalLength) / (s.chaosTime.seconds * (0.2 + r.fraction() * 0.6))
        return s
    }
}
