import ByteCodec
import Primitives
import Testing

@testable import ProxyWire

private let four = Endpoint("192.0.2.7:6881")!, six = Endpoint("[2001:db8::7]:80")!

/// Plays the proxy: each entry of `answers` is heard after what was said before it. Cuts are of `step` bytes.
private func play(
    _ kind: ProxyKind, to target: Endpoint = four, as credentials: ProxyCredentials? = nil, _ answers: [[UInt8]], step: Int = .max
) -> (said: [[UInt8]], end: ProxyHandshake.Step?, rest: [UInt8]) {
    var out = ByteWriter(), held: [UInt8] = []
    var handshake = ProxyHandshake(kind, to: target, credentials: credentials, into: &out)
    var said = [out.array]
    for answer in answers {
        out.removeAll()
        for at in stride(from: 0, to: answer.count, by: min(step, max(1, answer.count))) {
            held += answer[at..<min(answer.count, at + min(step, answer.count))]
            let (consumed, end) = held.withUnsafeBytes { handshake.receive($0, into: &out) }
            held.removeFirst(consumed)
            if case .needMore(let n) = end {
                #expect(n > held.count)
                continue
            }
            return (said, end, held + answer[min(answer.count, at + min(step, answer.count))...])
        }
        said.append(out.array)
    }
    return (said, nil, held)
}
private let me = ProxyCredentials(user: "usr", password: "pä55")
private let established: [UInt8] = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]

@Suite struct SOCKS5Tests {
    @Test func theMessagesAreRFC1928s() {
        let plain = play(.socks5, [[5, 0], established + [0x13]])
        #expect(plain.said == [[5, 1, 0], [5, 1, 0, 1, 192, 0, 2, 7, 0x1A, 0xE1]] && plain.end == .done && plain.rest == [0x13])
        let named = play(.socks5, to: six, as: me, [[5, 2], [1, 0], [5, 0, 0, 3, 2, 0x61, 0x62, 0, 80]])
        #expect(named.end == .done && named.said[0] == [5, 2, 0, 2])
        #expect(named.said[1] == [1, 3] + [UInt8]("usr".utf8) + [5] + [UInt8]("pä55".utf8))
        #expect(named.said[2] == [5, 1, 0, 4, 0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 80])
        let six = play(.socks5, as: me, [[5, 0], [5, 0, 0, 4] + [UInt8](repeating: 1, count: 18)])
        #expect(six.end == .done, "a proxy may need no credentials though there are some")
    }

    struct Refusal: Sendable {
        let credentials: ProxyCredentials?
        let answers: [[UInt8]]
        let failure: ProxyFailure
    }
    @Test(arguments: [
        Refusal(credentials: nil, answers: [[5, 0xFF]], failure: .noCommonMethod),
        Refusal(credentials: nil, answers: [[5, 2]], failure: .noCommonMethod),
        Refusal(credentials: me, answers: [[5, 1]], failure: .notAProxy),
        Refusal(credentials: me, answers: [[5, 2], [1, 1]], failure: .credentialsRefused),
        Refusal(credentials: me, answers: [[5, 2], [5, 0]], failure: .notAProxy),
        Refusal(credentials: nil, answers: [[4, 90]], failure: .notAProxy),
        Refusal(credentials: nil, answers: [[UInt8]("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)], failure: .notAProxy),
        Refusal(credentials: nil, answers: [[5, 0], [5, 5]], failure: .refused(5)),
        Refusal(credentials: nil, answers: [[5, 0], [5, 2, 0, 1, 0, 0, 0, 0, 0, 0]], failure: .refused(2)),
        Refusal(credentials: nil, answers: [[5, 0], [5, 0, 0, 9, 0]], failure: .notAProxy),
        Refusal(credentials: nil, answers: [[5, 0], [9, 0]], failure: .notAProxy),
    ])
    func refusals(_ c: Refusal) {
        for step in [1, .max] { #expect(play(.socks5, as: c.credentials, c.answers, step: step).end == .failed(c.failure)) }
    }
}

@Suite struct RelayTests {
    @Test func aRelayIsAskedFor() {
        for (answer, relay) in [
            ([5, 0, 0, 1, 10, 0, 0, 1, 4, 0], Endpoint("10.0.0.1:1024")), ([5, 0, 0, 1, 0, 0, 0, 0, 4, 1], Endpoint("0.0.0.0:1025")),
            ([5, 0, 0, 4, 0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 80], six), ([5, 0, 0, 3, 1, 0x61, 0, 80], nil), ([5, 7], nil),
        ] as [([UInt8], Endpoint?)] {
            var out = ByteWriter()
            var handshake = ProxyHandshake(associating: nil, into: &out)
            #expect(out.array == [5, 1, 0])
            out.removeAll()
            let first = handshake.receive(UnsafeRawBufferPointer(start: nil, count: 0), into: &out)
            #expect(first.step == .needMore(2))
            let asked = ([5, 0] as [UInt8]).withUnsafeBytes { handshake.receive($0, into: &out) }
            #expect(asked.consumed == 2 && out.array == [5, 3, 0, 1, 0, 0, 0, 0, 0, 0])
            for cut in 0..<min(answer.count, 2) {
                var copy = handshake
                #expect(answer[..<cut].withUnsafeBytes { copy.receive($0, into: &out) }.step == .needMore(2))
            }
            let end = answer.withUnsafeBytes { handshake.receive($0, into: &out) }.step
            #expect(handshake.relay == relay && (end == .done) == (relay != nil))
        }
    }

    @Test func datagramsAreWrappedAndUnwrapped() {
        #expect(ProxyDatagram.wrap([9, 8], to: "192.0.2.7", port: 258) == [0, 0, 0, 1, 192, 0, 2, 7, 1, 2, 9, 8])
        #expect(ProxyDatagram.wrap([9], to: "ab", port: 258) == [0, 0, 0, 3, 2, 0x61, 0x62, 1, 2, 9])
        #expect(ProxyDatagram.wrap([9], to: "", port: 1) == nil && ProxyDatagram.wrap([9], to: String(repeating: "a", count: 256), port: 1) == nil)
        for host in ["192.0.2.7", "2001:db8::7", "tracker.example.org", String(repeating: "a", count: 255)] {
            let packet = ProxyDatagram.wrap([1, 2, 3], to: host, port: 80)!
            #expect(packet.count <= ProxyDatagram.longestHeader + 3)
            if let address = Endpoint(address: host, port: 80) {
                var written = [UInt8](repeating: 0xAA, count: ProxyDatagram.longestAddressHeader + 1)
                let n = written.withUnsafeMutableBytes { ProxyDatagram.writeHeader(to: address, $0.baseAddress!) }
                #expect(n == ProxyDatagram.headerLength(ipv4: address.isIPv4) && n == packet.count - 3)
                #expect(Array(written[..<n]) == Array(packet[..<n]) && written[n] == 0xAA)
            }
            for cut in 0...packet.count {
                let (source, inside) = packet[..<cut].withUnsafeBytes { raw -> (Endpoint?, [UInt8]?) in
                    let found = ProxyDatagram.unwrap(raw)
                    return (found?.source, found.map { [UInt8]($0.inside) })
                }
                #expect(source == (inside == nil ? nil : Endpoint(address: host, port: 80)))
                #expect(inside == (cut < packet.count - 3 ? nil : Array([1, 2, 3].prefix(cut - packet.count + 3))))
            }
            var fragment = packet
            fragment[2] = 1
            #expect(fragment.withUnsafeBytes { ProxyDatagram.unwrap($0) == nil })
        }
    }
}

@Suite struct HTTPConnectTests {
    @Test func theRequestNamesTheTargetAndWhoWeAre() {
        let plain = play(.http, [[UInt8]("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nrest".utf8)])
        #expect(plain.end == .done && plain.rest == [UInt8]("rest".utf8))
        #expect(String(decoding: plain.said[0], as: UTF8.self) == "CONNECT 192.0.2.7:6881 HTTP/1.1\r\nHost: 192.0.2.7:6881\r\n\r\n")
        let named = play(.http, to: six, as: ProxyCredentials(user: "Aladdin", password: "open sesame"), [])
        let text = String(decoding: named.said[0], as: UTF8.self)
        // The example of RFC 7617.
        #expect(text.contains("CONNECT [2001:db8::7]:80 HTTP/1.1\r\n") && text.contains("Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"))
    }

    @Test func base64IsRFC4648s() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")] {
            #expect(ProxyHandshake.base64(plain) == coded)
        }
    }

    @Test(arguments: [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", ProxyFailure.noCommonMethod), ("HTTP/1.0 403 Access violation\r\nA: b\r\n\r\n", .refused(403)),
        ("HTTP/1.1 502 x\r\n\r\n", .refused(502)), ("SSH-2.0-OpenSSH_9.2\r\n", .notAProxy), ("HTTP/1.1 2x0 y\r\n\r\n", .notAProxy), ("HTTP/1.1\r\n\r\n", .notAProxy),
        ("HTTP/1.1 200 x\r\n" + String(repeating: "a: b\r\n", count: 1400), .notAProxy),
    ])
    func refusals(answer: String, failure: ProxyFailure) {
        for step in [1, 7, .max] { #expect(play(.http, [[UInt8](answer.utf8)], step: step).end == .failed(failure)) }
        if failure == .noCommonMethod { #expect(play(.http, as: me, [[UInt8](answer.utf8)]).end == .failed(.credentialsRefused)) }
    }
}

@Suite struct ProxyHandshakeTests {
    @Test func everyTruncationWaits() {
        let conversations: [(ProxyKind, ProxyCredentials?, [[UInt8]])] = [
            (.socks5, nil, [[5, 0], established]), (.socks5, me, [[5, 2], [1, 0], [5, 0, 0, 3, 4, 1, 2, 3, 4, 0, 1]]),
            (.socks5, me, [[5, 2], [1, 0], [5, 0, 0, 4] + [UInt8](repeating: 0, count: 18)]), (.http, me, [[UInt8]("HTTP/1.0 200 OK\r\nA: b\r\n\r\n".utf8)]),
        ]
        for (kind, credentials, answers) in conversations {
            #expect(play(kind, as: credentials, answers, step: 1).end == .done)
            for (n, answer) in answers.enumerated() {
                for cut in 0..<answer.count {
                    let part = Array(answers[..<n]) + [Array(answer[..<cut])]
                    #expect(play(kind, as: credentials, part).end == nil, "\(kind): \(cut) bytes of message \(n)")
                    #expect(play(kind, as: credentials, part + [Array(answer[cut...])] + answers[(n + 1)...]).end == .done)
                }
            }
        }
    }

    @Test(arguments: 1...20)
    func anythingMayCome(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let seeds: [[UInt8]] = [[0, 5, 0, 5, 0, 0, 1, 1, 2, 3, 4, 0, 5], [2, 5, 2, 1, 0, 5, 0, 0, 3, 4, 0x61, 0, 5], [1] + [UInt8]("HTTP/1.1 200 OK\r\n\r\n".utf8)]
        for _ in 0..<200 {
            var input = seeds[random.below(seeds.count)] + (0..<random.below(20)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            for _ in 0..<random.below(4) { input[random.below(input.count)] = UInt8(truncatingIfNeeded: random.next()) }
            input.withUnsafeBytes { ProxyHandshake.fuzz($0) }
        }
    }

    @Test func whatIsNotTheProxysGoesPastIt() {
        let bypass = ProxyBypass(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "Example.org", ".local.test", "1.2.3.4/33", "::/x", ""])
        for (address, isPast) in [
            ("10.1.2.3", true), ("11.0.0.1", false), ("192.0.2.7", true), ("192.0.2.8", false), ("2001:db8:1::5", true), ("2001:db9::1", false), ("1.2.3.4", false),
        ] {
            #expect(bypass.contains(Endpoint(address: address, port: 1)!) == isPast, "\(address)")
            #expect(bypass.contains(host: address) == isPast)
        }
        for (host, isPast) in [("example.org", true), ("tracker.example.org", true), ("badexample.org", false), ("a.local.test", true), ("org", false)] {
            #expect(bypass.contains(host: host) == isPast, "\(host)")
        }
        #expect(ProxyBypass(["0.0.0.0/0"]).contains(four) && !ProxyBypass(["0.0.0.0/0"]).contains(six))
        #expect(ProxyBypass(["::/0"]).contains(six) && !ProxyBypass().contains(four))
    }
}
