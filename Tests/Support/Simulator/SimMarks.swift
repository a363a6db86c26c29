/// What a run met, counted by name: a kind of fault that no seed ever hits is tested by none.
package enum SimMark: String, CaseIterable, Sendable {
    // Faults that the scenario brings.
    case sessionDeath, peerDeath, diskDeath, discoveryDeath, nodeDeath, powerCut, deathInCommit
    case utpConnection, datagramLoss, datagramLate, datagramTwice
    case segmentLoss, connectionReset, trackerLoss, corruptBlock
    case writeError, syncError, dirtyPagesDropped, readError, volumeFull
    case silenceSurvived, silenceAborted
    case hostileJoined
    case paused, removed, removedWithData, rechecked, limited, sought, seedLeft
    // What the programs did about them.
    case hashMismatch, claimSent, storeSentAgain, readSentAgain, partialPieceAdopted, wholePieceAdopted, leftOverDropped
    case undurable, peerBanned, badBlocksNamed, floodStopped, violationStopped
}

/// Counts by ``SimMark``.
package struct SimMarks: Sendable {
    private var counts = [Int](repeating: 0, count: SimMark.allCases.count)
    package init() {}
    package mutating func add(_ mark: SimMark) { counts[Self.index[mark]!] += 1 }
    package mutating func add(_ other: SimMarks) { for i in counts.indices { counts[i] += other.counts[i] } }
    package func count(_ mark: SimMark) -> Int { counts[Self.index[mark]!] }
    package var never: [SimMark] { SimMark.allCases.filter { count($0) == 0 } }
    private static let index = Dictionary(uniqueKeysWithValues: SimMark.allCases.enumerated().map { ($0.element, $0.offset) })
}
