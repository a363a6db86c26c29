import PeerWire
import Primitives
import Testing

@Suite struct AllowedFastTests {
    struct Case: Sendable {
        let ip: String, infoHash: String, pieces: Int
        let set: [UInt32]
    }
    /// The two of BEP 6 itself, and one with fewer pieces than a round of the hash gives.
    static let cases: [Case] = [
        Case(ip: "80.4.4.200", infoHash: String(repeating: "a", count: 40), pieces: 1313, set: [1059, 431, 808, 1217, 287, 376, 1188]),
        Case(ip: "80.4.4.200", infoHash: String(repeating: "a", count: 40), pieces: 1313, set: [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]),
        Case(ip: "105.221.46.76", infoHash: "b52efa51105a93ba0ad935591f58f80037003365", pieces: 20, set: [13, 16, 17, 9, 8, 12, 10, 4, 0, 6]),
    ]
    @Test(arguments: cases) func setsAreThoseOfTheBEP(c: Case) {
        let set = AllowedFast.set(
            address: Endpoint(address: c.ip, port: 1)!, infoHash: InfoHash(hex: c.infoHash)!, pieceCount: c.pieces, k: c.set.count, sha1: testSHA1)
        #expect(set == c.set)
    }
    @Test func smallTorrentsGiveEveryPieceOnce() {
        let set = AllowedFast.set(address: Endpoint(ipv4: 1, port: 1), infoHash: InfoHash(), pieceCount: 4, k: 10, sha1: testSHA1)
        #expect(set.sorted() == [0, 1, 2, 3])
        #expect(AllowedFast.set(address: Endpoint("[::1]:1")!, infoHash: InfoHash(), pieceCount: 4, k: 10, sha1: testSHA1).isEmpty)
    }
}
