import Primitives

/// Canonical peer priority (BEP 40): a number that both ends of a pair of addresses compute alike, and that nobody can
/// choose. Ranks candidates of one torrent, and says who goes when its connections are all taken.
package enum PeerPriority {
    /// Higher goes first. The two in any order. IPv4 beside IPv6 counts as its mapped address.
    package static func of(_ a: Endpoint, _ b: Endpoint) -> UInt32 {
        if a.high == b.high, a.low == b.low {
            return crc([min(a.port, b.port), max(a.port, b.port)].flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] })
        }
        let ipv4 = a.isIPv4 && b.isIPv4
        let x = bytes(a, ipv4: ipv4), y = bytes(b, ipv4: ipv4)
        // BEP 40: two whole bytes of IPv4 (six of IPv6) and every other bit of the rest; one more whole byte for each that
        // the two share beyond that.
        var whole = ipv4 ? 2 : 6
        while whole < x.count, x[..<whole] == y[..<whole] { whole += 1 }
        func masked(_ all: ArraySlice<UInt8>) -> [UInt8] { all.enumerated().map { $0 < whole ? $1 : $1 & 0x55 } }
        let p = masked(x[...]), q = masked(y[...])
        return crc(p.lexicographicallyPrecedes(q) ? p + q : q + p)
    }

    private static func bytes(_ e: Endpoint, ipv4: Bool) -> [UInt8] {
        ipv4
            ? withUnsafeBytes(of: e.ipv4.bigEndian) { Array($0) }
            : withUnsafeBytes(of: e.high.bigEndian) { Array($0) } + withUnsafeBytes(of: e.low.bigEndian) { Array($0) }
    }

    /// CRC-32C (Castagnoli), reflected.
    private static let table: [UInt32] = (0..<256).map { n in
        (0..<8).reduce(UInt32(n)) { value, _ in value & 1 != 0 ? value >> 1 ^ 0x82F6_3B78 : value >> 1 }
    }
    private static func crc(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { table[Int(($0 ^ UInt32($1)) & 255)] ^ $0 >> 8 }
    }
}

/// Our address as others see it, by vote: each says it in its extended handshake (`yourip`), and none is believed alone
/// against others. Voters of one /24 (/48) have one vote; what a nearer network sees counts less than what a wider one does.
///
/// Bounded: ``voterLimit`` voters and ``candidateLimit`` addresses of each family; when full, the rest is not counted.
struct AddressVote {
    private struct Candidate {
        let address: Endpoint
        let kind: AddressClass
        var votes: Int
    }
    private var candidates: [Candidate] = []
    private var voters: Set<UInt64> = []
    static var voterLimit: Int { 1_000 }
    static var candidateLimit: Int { 32 }

    /// Port 0; nil while nobody has said one.
    private(set) var ipv4: Endpoint?
    private(set) var ipv6: Endpoint?

    func winner(for peer: Endpoint) -> Endpoint? { peer.isIPv4 ? ipv4 : ipv6 }
    func votes(for address: Endpoint) -> Int { candidates.first { $0.address == address }?.votes ?? 0 }

    /// The new winner when the vote changed it.
    mutating func vote(_ said: Endpoint, by voter: Endpoint) -> Endpoint? {
        let address = Endpoint(high: said.high, low: said.low, port: 0), kind = AddressClass(address)
        guard kind != .forbidden, address.isIPv4 == voter.isIPv4, voters.count < Self.voterLimit else { return nil }
        // A stranger cannot see a private address of ours; who sees one stands in the same network.
        guard kind <= AddressClass(voter) else { return nil }
        guard voters.insert(voter.isIPv4 ? voter.low >> 8 : voter.high >> 16).inserted else { return nil }
        if let at = candidates.firstIndex(where: { $0.address == address }) {
            candidates[at].votes += 1
        } else {
            guard candidates.count < Self.candidateLimit else { return nil }
            candidates.append(Candidate(address: address, kind: kind, votes: 1))
        }
        // The first to reach a number of votes keeps its place.
        let before = address.isIPv4 ? ipv4 : ipv6
        var best = candidates.first { $0.address == before }
        for c in candidates where c.address.isIPv4 == address.isIPv4 {
            if let b = best, (c.kind.rawValue, -c.votes) >= (b.kind.rawValue, -b.votes) { continue }
            best = c
        }
        guard let best, best.address != before else { return nil }
        if best.address.isIPv4 { ipv4 = best.address } else { ipv6 = best.address }
        return best.address
    }
}
