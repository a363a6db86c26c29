import IPC
import Primitives
import Testing

@testable import PeerWorker

/// Aim: after a fault of the files nothing is claimed to a new disk worker until the files were looked at, and only faults
/// that leave reading possible leave a torrent readable.
@Suite struct TorrentRowTests {
    struct Case: CustomTestStringConvertible {
        let reason: UnreadyReason?
        let consequence: TorrentRow.Consequence
        let readable: Bool
        let claimable: Bool
        var testDescription: String { reason.map { "\($0)" } ?? "unknown" }
    }

    @Test(arguments: [
        Case(reason: .diskFull, consequence: .unwritable, readable: true, claimable: true),
        Case(reason: .ioError, consequence: .unwritable, readable: true, claimable: false),
        Case(reason: .missingFiles, consequence: .unready, readable: false, claimable: false),
        Case(reason: .removed, consequence: .unready, readable: false, claimable: false),
        Case(reason: .checking, consequence: .unready, readable: false, claimable: true),
        Case(reason: .paused, consequence: .unready, readable: false, claimable: true),
        Case(reason: nil, consequence: .unready, readable: false, claimable: true),
    ])
    func aReasonDecidesWhatMayGoOn(_ c: Case) {
        var row = TorrentRow(geometry: nil, device: 0)
        #expect(!row.isReadable && row.isClaimable)
        row.ready()
        #expect(row.unready(c.reason) == c.consequence)
        #expect(row.isReadable == c.readable && row.isClaimable == c.claimable)
        // A doubt outlives the disk worker that had it, and ends when the files were looked at.
        row.offline()
        #expect(!row.isReadable && row.isClaimable == c.claimable)
        row.ready()
        #expect(row.isReadable && row.isClaimable)
    }

    @Test func aMilderReasonDoesNotLiftADoubt() {
        var row = TorrentRow(geometry: nil, device: 0)
        row.ready()
        _ = row.unready(.ioError)
        _ = row.unready(.checking)
        #expect(!row.isClaimable)
    }
}
