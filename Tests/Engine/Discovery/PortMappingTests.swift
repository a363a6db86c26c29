import Discovery
import PortMappingWire
import Primitives
import Testing

/// A router in a test's hands.
private struct Desk {
    var core: PortMapping
    var now = Instant(nanoseconds: 1_000_000_000)
    var effects: [PortMapping.Effect] = []

    init(_ allowed: [PortMapping.Method] = [.pcp, .natpmp, .upnp]) {
        core = PortMapping(allowed: allowed, lease: 3600, retry: .seconds(300), random: SeededRandom(seed: 1))
    }
    mutating func want(client: Endpoint? = Endpoint("192.168.1.5:0")) {
        core.want([(.tcp, 6881), (.udp, 6881)], client: client, now: now, into: &effects)
    }
    mutating func later(_ span: TimeSpan) {
        let end = now + span
        while core.nextDeadline <= end {
            now = max(now, core.nextDeadline)
            core.tick(now: now, into: &effects)
        }
        now = end
    }
    mutating func receive(_ bytes: [UInt8]) { bytes.withUnsafeBytes { core.received($0, now: now, into: &effects) } }
    mutating func takeSent() -> [[UInt8]] {
        defer { effects.removeAll() }
        return effects.compactMap { if case .send(let bytes) = $0 { bytes } else { nil } }
    }
    var asksUPnP: Bool { effects.contains { if case .upnp = $0 { true } else { false } } }

    /// Grants what a PCP request asks, at another port.
    mutating func grantPCP(_ request: [UInt8], port: UInt16, lifetime: UInt32 = 3600) {
        var answer = Array(request)
        answer[1] = 0x81
        (answer[2], answer[3]) = (0, 0)
        for i in 0..<4 { answer[4 + i] = UInt8(truncatingIfNeeded: lifetime >> UInt32(24 - 8 * i)) }
        for i in 8..<24 { answer[i] = 0 }
        (answer[42], answer[43]) = (UInt8(port >> 8), UInt8(port & 255))
        answer.replaceSubrange(56..<60, with: [11, 22, 33, 44])
        receive(answer)
    }
}

@Suite struct PortMappingTests {
    @Test func pcpGrantsAndIsRenewedAtHalf() {
        var d = Desk()
        d.want()
        let requests = d.takeSent()
        #expect(requests.count == 2 && requests.allSatisfy { $0.count == 60 })
        for request in requests { d.grantPCP(request, port: 7000) }
        #expect(d.core.isMapped && d.core.method == .pcp && d.core.external?.address == "11.22.33.44")
        #expect(d.core.nextDeadline == d.now + .seconds(1800))
        _ = d.takeSent()
        d.later(.seconds(1800))
        let again = d.takeSent()
        #expect(again.count == 2, "a renewal")
        // The same nonce and the port that was given (RFC 6887, 11.2.1).
        #expect(Set(again.map { Array($0[24..<36]) }) == Set(requests.map { Array($0[24..<36]) }))
        #expect(again.allSatisfy { Int($0[42]) << 8 | Int($0[43]) == 7000 })
        d.core.release(into: &d.effects)
        #expect(d.takeSent().allSatisfy { $0[4..<8].allSatisfy { $0 == 0 } }, "lifetime 0")
    }

    @Test func silenceGoesOnToTheNextMethodAndBackAfterAWhile() {
        var d = Desk()
        d.want()
        #expect(d.takeSent().count == 2)
        d.later(.seconds(7))
        // 250 ms, 500 ms, 1 s, 2 s, 4 s: five tries.
        #expect(d.takeSent().count == 8 && d.core.method == .pcp)
        d.later(.seconds(1))
        #expect(d.core.method == .natpmp)
        d.later(.seconds(8))
        #expect(d.asksUPnP && d.core.method == .upnp)
        d.core.upnpEnded([0, 0], external: nil, error: "no UPnP gateway answers", now: d.now, into: &d.effects)
        #expect(d.core.method == nil && d.core.failure == "UPnP: no UPnP gateway answers")
        _ = d.takeSent()
        d.later(.seconds(301))
        #expect(d.core.method == .pcp && d.takeSent().count >= 2)
    }

    @Test func anOldRouterIsAskedByNATPMPAtOnce() {
        var d = Desk()
        d.want()
        _ = d.takeSent()
        d.receive([0, 129, 0, 1, 0, 0, 0, 9])
        #expect(d.core.method == .natpmp)
        let asked = d.takeSent()
        #expect(asked.count == 3 && asked[0] == [0, 0])
        // The answer to the second request of PCP.
        d.receive([0, 129, 0, 1, 0, 0, 0, 9])
        #expect(d.core.method == .natpmp)
        d.receive(Hex.decode("00800000000000090b16212c")!)
        d.receive(Hex.decode("00820000000000091ae11ae20000003c")!)
        #expect(!d.core.isMapped)
        d.receive(Hex.decode("00810000000000091ae11ae200000e10")!)
        #expect(d.core.isMapped && d.core.rows.map(\.externalPort) == [0x1AE2, 0x1AE2])
        #expect(d.core.nextDeadline == d.now + .seconds(60), "a lifetime of a minute counts as two")
    }

    @Test func foreignAnswersChangeNothing() {
        var d = Desk([.pcp])
        d.want()
        let request = d.takeSent()[0]
        for i in [24, 36, 40] {
            var other = request
            other[i] ^= 1
            d.grantPCP(other, port: 1)
        }
        d.receive(request)
        d.receive([])
        d.receive([UInt8](repeating: 2, count: 60))
        #expect(d.core.rows.allSatisfy { $0.externalPort == 0 } && d.core.method == .pcp)
        d.receive(Hex.decode("028100020000001e00000007000000000000000000000000")!)
        #expect(d.core.method == nil && d.core.failure == "PCP: refused with code 2")
    }

    @Test func withoutAGatewayOnlyUPnPIsTried() {
        var d = Desk()
        d.want(client: nil)
        #expect(d.asksUPnP && d.takeSent().isEmpty)
        d.core.upnpEnded([6881, 6882], external: Endpoint("11.22.33.44:0"), error: "", now: d.now, into: &d.effects)
        #expect(d.core.isMapped && d.core.method == .upnp && d.core.rows.map(\.externalPort) == [6881, 6882])
        d.effects.removeAll()
        d.later(.seconds(1801))
        #expect(d.asksUPnP)
    }
}
