import Primitives

/// What one seed decides: how many nodes, how bad the network and the disks are, who dies when.
package struct SimScenario: Sendable {
    package var seed: UInt64
    package var nodes = 4
    package var pieceLength: UInt32 = 32768
    package var totalLength: UInt64 = 1 << 20
    /// One way, smallest and largest.
    package var delay = (TimeSpan.milliseconds(1), TimeSpan.milliseconds(40))
    /// Part of the messages that are lost and sent again by TCP: late, everything behind them too.
    package var loss = 0.02
    /// Chance per delivered message that its connection breaks.
    package var reset = 0.0002
    package var trackerLoss = 0.1
    /// Nodes (from the last on) that send every n-th block corrupt; 0: none.
    package var corrupters = 0
    package var corruptEvery = 4
    package var writeFault = 0.0
    package var syncFault = 0.0
    package var readFault = 0.0
    package var diskDelay = (TimeSpan.microseconds(100), TimeSpan.milliseconds(8))
    /// Deaths of workers in the first `chaosTime`; then the faults end and all must come to a good end.
    package var deaths = 6
    package var wholeNodeDeaths = 1
    package var powerCuts = 0
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
            readFault = r.fraction() * 0.02
        }
        deaths = r.below(10)
        wholeNodeDeaths = r.below(3)
        powerCuts = r.below(2)
    }
}
