import ByteCodec
import Foundation
import Primitives
import Testing
import TrackerWire

func announce(_ text: String) throws(TrackerFailure) -> AnnounceAnswer { try announce(Array(text.utf8)) }
func announce(_ bytes: [UInt8]) throws(TrackerFailure) -> AnnounceAnswer {
    let result: Result<AnnounceAnswer, TrackerFailure> = bytes.withUnsafeBytes { raw in
        do throws(TrackerFailure) { return .success(try HTTPTrackerAnswer.announce(raw)) } catch { return .failure(error) }
    }
    return try result.get()
}
func packet(_ bytes: [UInt8], overIPv6: Bool = false) throws(DecodeError) -> UDPTrackerAnswer {
    let result: Result<UDPTrackerAnswer, DecodeError> = bytes.withUnsafeBytes { raw in
        do throws(DecodeError) { return .success(try UDPTrackerAnswer(packet: raw, overIPv6: overIPv6)) } catch { return .failure(error) }
    }
    return try result.get()
}
func scrapeEntry(_ bytes: [UInt8], of hash: InfoHash) -> ScrapeEntry? {
    bytes.withUnsafeBytes { (try? HTTPTrackerAnswer.scrape($0, of: [InfoHash([UInt8](repeating: 9, count: 20))!, hash]))?[1] }
}
func hex(_ text: String) -> [UInt8] { Hex.decode(text.filter { $0 != " " })! }

@Suite struct HTTPAnswerTests {
    @Test func compactAndSixAndFigures() throws {
        var body = Array("d8:completei4e10:downloadedi9e11:external ip4:".utf8) + [1, 2, 3, 4]
        body += Array("10:incompletei5e8:intervali1800e12:min intervali900e5:peers12:".utf8) + hex("01020304000105060708ffff")
        body += Array("6:peers618:".utf8) + hex("20010db8000000000000000000000001 1ae1") + Array("10:tracker id3:abc15:warning message3:olde".utf8)
        let answer = try announce(body)
        #expect(answer.interval == 1800)
        #expect(answer.minInterval == 900)
        #expect(answer.seeds == 4 && answer.leechers == 5 && answer.downloads == 9)
        #expect(answer.peers.map(\.description) == ["1.2.3.4:1", "5.6.7.8:65535", "[2001:db8::1]:6881"])
        #expect(answer.trackerID == Array("abc".utf8))
        #expect(answer.warning == "old")
        #expect(answer.externalAddress?.address == "1.2.3.4")
    }

    @Test func dictionaryPeers() throws {
        let answer = try announce(
            "d8:intervali60e5:peersld2:ip7:1.2.3.44:porti1eed2:ip3:::14:porti2eed2:ip9:localhost4:porti3eed2:ip7:1.2.3.54:porti70000eei7eee")
        #expect(answer.peers.map(\.description) == ["1.2.3.4:1", "[::1]:2"])
    }

    @Test(
        arguments: [
            (-5, 60), (0, 60), (59, 60), (60, 60), (1800, 1800), (86_400, 86_400), (86_401, 86_400), (Int64.max, 86_400), (.min, 60),
        ] as [(Int64, UInt32)])
    func intervalsAreBounded(_ said: Int64, _ kept: UInt32) throws {
        let answer = try announce("d8:intervali\(said)e12:min intervali\(said)e5:peers0:e")
        #expect(answer.interval == kept && answer.minInterval == kept)
    }

    struct Refusal: Sendable {
        let body: String
        let failure: TrackerFailure
    }
    @Test(arguments: [
        Refusal(body: "d14:failure reason2:noee", failure: .refused(reason: "no", retry: .unsaid)),
        Refusal(body: "d14:failure reason4:full8:retry ini5ee", failure: .refused(reason: "full", retry: .after(300))),
        Refusal(body: "d14:failure reason4:full8:retry in1:5e", failure: .refused(reason: "full", retry: .after(300))),
        Refusal(body: "d14:failure reason4:full8:retry in5:nevere", failure: .refused(reason: "full", retry: .never)),
        Refusal(body: "d14:failure reason4:full8:retry ini99999999999ee", failure: .refused(reason: "full", retry: .after(86_400))),
        Refusal(body: "d14:failure reason4:full8:retry ini-1ee", failure: .refused(reason: "full", retry: .unsaid)),
        Refusal(body: "d14:failure reasoni1e8:intervali9ee", failure: .refused(reason: "refused without a reason", retry: .unsaid)),
        Refusal(body: "", failure: .malformed("empty answer")),
        Refusal(body: "<html>502\nBad</html>", failure: .malformed("not a tracker's answer: \"<html>502 Bad</html>\"")),
        Refusal(body: "le", failure: .malformed("not a tracker's answer: \"le\"")),
        Refusal(body: "de", failure: .malformed("the answer has neither interval nor peers")),
    ])
    func refusals(_ c: Refusal) {
        // The first case has a stray "e" behind the dictionary, which is put up with.
        #expect(throws: c.failure) { try announce(c.body) }
    }

    @Test func wrongTypesAreAsIfAbsent() throws {
        let answer = try announce("d8:completei-1e8:interval3:abc12:min intervalle5:peersi1e6:peers6i2e10:tracker idi4ee")
        #expect(answer == AnnounceAnswer())
    }

    @Test func peerCountIsBounded() throws {
        var body = Array("d8:intervali1800e5:peers600000:".utf8)
        for i in 0..<100_000 { body += [10, UInt8(i >> 16), UInt8(i >> 8 & 255), UInt8(i & 255), 0x1A, 0xE1] }
        body += Array("6:peers636:".utf8) + [UInt8](repeating: 1, count: 36) + Array("e".utf8)
        #expect(try announce(body).peers.count == TrackerWire.peerLimit)
        let one = "d2:ip7:1.2.3.44:porti1ee"
        #expect(try announce("d5:peersl" + String(repeating: one, count: 3_000) + "ee").peers.count == TrackerWire.peerLimit)
    }

    @Test func tooManyValuesAndTooDeepAreErrors() {
        #expect(throws: TrackerFailure.self) { try announce("d5:peersl" + String(repeating: "0:", count: 450_000) + "ee") }
        #expect(throws: TrackerFailure.self) { try announce("d1:x" + String(repeating: "l", count: 100_000)) }
        #expect(throws: TrackerFailure.self) { try announce([UInt8](repeating: 0x64, count: TrackerWire.bodyLimit + 1)) }
    }

    @Test func scrape() throws {
        let hash = InfoHash([UInt8](repeating: 0x68, count: 20))!
        let body = Array("d5:filesd20:hhhhhhhhhhhhhhhhhhhhd8:completei1e10:downloadedi2e10:incompletei3eeee".utf8)
        #expect(scrapeEntry(body, of: hash) == ScrapeEntry(seeds: 1, leechers: 3, downloads: 2))
        #expect(scrapeEntry(body, of: InfoHash()) == nil)
    }
}

@Suite struct UDPPacketTests {
    static let request = AnnounceRequest(
        infoHash: InfoHash([UInt8](repeating: 0xAA, count: 20))!, peerID: PeerID([UInt8](repeating: 0xBB, count: 20))!, port: 0x1AE1,
        uploaded: 3, downloaded: 1, left: 2, event: .started, numWant: -1, key: 0xDEAD_BEEF)

    @Test func requestsAreExact() {
        #expect(UDPPacket.connect(transaction: 0x01020304) == hex("0000041727101980 00000000 01020304"))
        let head = hex("1122334455667788 00000001 01020304") + [UInt8](repeating: 0xAA, count: 20) + [UInt8](repeating: 0xBB, count: 20)
        let figures = hex("0000000000000001 0000000000000002 0000000000000003 00000002 00000000 deadbeef ffffffff 1ae1")
        let plain = UDPPacket.announce(Self.request, connection: 0x1122334455667788, transaction: 0x01020304)
        #expect(plain == head + figures)
        #expect(plain.count == 98)
        let data = UDPPacket.announce(Self.request, connection: 0x1122334455667788, transaction: 0x01020304, urlData: "/dir?a=b&c=d")
        #expect(data == plain + [2, 12] + Array("/dir?a=b&c=d".utf8))
        #expect(
            UDPPacket.scrape([Self.request.infoHash], connection: 1, transaction: 2)
                == hex("0000000000000001 00000002 00000002") + [UInt8](repeating: 0xAA, count: 20))
    }

    @Test(arguments: [(0, [Int]()), (1, [1]), (255, [255]), (256, [255, 1]), (600, [255, 255, 90])])
    func urlDataIsCutInOptions(_ length: Int, _ parts: [Int]) {
        let bytes = UDPPacket.announce(Self.request, connection: 0, transaction: 0, urlData: String(repeating: "x", count: length))
        var at = 98, seen: [Int] = []
        while at < bytes.count {
            #expect(bytes[at] == 2)
            seen.append(Int(bytes[at + 1]))
            at += 2 + Int(bytes[at + 1])
        }
        #expect(seen == parts)
        #expect(at == bytes.count)
    }

    @Test func answers() throws {
        #expect(try packet(hex("00000000 00000009 0102030405060708")) == .connected(connection: 0x0102030405060708))
        var four = AnnounceAnswer(interval: 1800, peers: [Endpoint("1.2.3.4:6881")!])
        (four.leechers, four.seeds) = (7, 8)
        let head = hex("00000001 00000009 00000708 00000007 00000008")
        #expect(try packet(head + hex("010203041ae1")) == .announced(four))
        // A last odd piece is no peer.
        #expect(try packet(head + hex("010203041ae1 0102030405")) == .announced(four))
        four.peers = [Endpoint("[2001:db8::1]:6881")!]
        #expect(try packet(head + hex("20010db8000000000000000000000001 1ae1"), overIPv6: true) == .announced(four))
        #expect(
            try packet(hex("00000002 00000009 00000001 00000002 00000003 0000"))
                == .scraped([ScrapeEntry(seeds: 1, leechers: 3, downloads: 2)]))
        #expect(try packet(hex("00000003 00000009") + Array("no\n".utf8)) == .failed("no "))
        #expect(throws: DecodeError.self) { try packet(hex("00000004 00000009")) }
    }

    @Test(arguments: [("ffffffff", 60), ("00000000", 60), ("7fffffff", 86_400)] as [(String, UInt32)])
    func intervalsAreBounded(_ word: String, _ kept: UInt32) throws {
        guard case .announced(let answer) = try packet(hex("00000001 00000009 \(word) 00000000 00000000")) else {
            Issue.record("no announce answer")
            return
        }
        #expect(answer.interval == kept)
    }

    @Test func peerCountIsBounded() throws {
        let head = hex("00000001 00000009 00000708 00000007 00000008")
        guard case .announced(let answer) = try packet(head + [UInt8](repeating: 1, count: 6 * 5_000)) else {
            Issue.record("no announce answer")
            return
        }
        #expect(answer.peers.count == TrackerWire.peerLimit)
    }
}

/// Damaged input: every truncation, and seeded mutations of valid messages, give a value or a typed error.
@Suite struct DamagedAnswerTests {
    static let valid: [[UInt8]] = [
        Array("d8:completei4e10:downloadedi9e11:external ip4:abcd10:incompletei5e8:intervali1800e12:min intervali900e5:peers12:".utf8)
            + hex("010203040001 050607080002") + Array("e".utf8),
        Array("d8:intervali60e5:peersld2:ip7:1.2.3.44:porti1eed2:ip3:::14:porti2eeee".utf8),
        Array("d14:failure reason4:full8:retry in5:nevere".utf8),
        Array("d5:filesd20:hhhhhhhhhhhhhhhhhhhhd8:completei1e10:downloadedi2e10:incompletei3eeee".utf8),
        hex("00000000 00000009 0102030405060708"),
        hex("00000001 00000009 00000708 00000007 00000008 010203041ae1 010203041ae1 010203041ae1"),
        hex("00000002 00000009 00000001 00000002 00000003"),
        hex("00000003 00000009 6e6f7065"),
        Array("https://user@tracker.example:8443/abc/announce.php?x=1#f".utf8),
    ]

    @Test func truncatedBodiesAreErrors() throws {
        for body in Self.valid[..<3] {
            for length in 0..<body.count - 1 {
                #expect(throws: TrackerFailure.self) { try announce(Array(body[..<length])) }
            }
        }
        for (bytes, whole) in [(Self.valid[4], 16), (Self.valid[5], 20), (Self.valid[6], 8), (Self.valid[7], 8)] {
            for length in 0..<bytes.count {
                if length < whole {
                    #expect(throws: DecodeError.self) { try packet(Array(bytes[..<length])) }
                } else {
                    #expect(throws: Never.self) { try packet(Array(bytes[..<length])) }
                }
            }
        }
    }

    @Test func mutationsNeverTrap() {
        var random = SeededRandom(seed: 20)
        for round in 0..<20_000 {
            var bytes = Self.valid[round % Self.valid.count]
            for _ in 0...random.below(4) where !bytes.isEmpty {
                switch random.below(4) {
                case 0: bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
                case 1: bytes[random.below(bytes.count)] = UInt8(random.below(256))
                case 2: bytes.removeLast(random.below(bytes.count))
                default: bytes.insert(contentsOf: bytes[random.below(bytes.count)...].prefix(9), at: random.below(bytes.count + 1))
                }
            }
            bytes.withUnsafeBytes(exerciseTrackerWire)
        }
    }
}

/// The shared corpus, where it is at hand.
@Suite struct CorpusTests {
    static let folder: URL? = {
        let given = ProcessInfo.processInfo.environment["CCBT_CORPORA"].map { URL(fileURLWithPath: $0) }
        let beside = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../../../shared/corpora").standardizedFileURL
        let folder = given ?? beside
        return FileManager.default.fileExists(atPath: folder.appendingPathComponent("vectors/tracker.json").path) ? folder : nil
    }()

    @Test(.enabled(if: folder != nil)) func trackerVectors() throws {
        let data = try Data(contentsOf: #require(Self.folder).appendingPathComponent("vectors/tracker.json"))
        let root = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        var checked = 0
        for item in try #require(root["cases"] as? [[String: Any]]) {
            let id = item["id"] as! String, bytes = Hex.decode(item["hex"] as! String)!
            let expect = item["expect"] as? [String: Any] ?? [:]
            bytes.withUnsafeBytes(exerciseTrackerWire)
            switch item["kind"] as! String {
            case "http-announce-response":
                let answer = try announce(bytes)
                if let peers = expect["peers"] as? [String] {
                    #expect(answer.peers.filter(\.isDialable).map(\.description) == peers, "\(id)")
                }
                if let tracker = expect["trackerId"] as? String { #expect(answer.trackerID == Array(tracker.utf8)) }
                if let warning = expect["warning"] as? String { #expect(answer.warning == warning) }
                if let minimum = expect["minInterval"] as? UInt32 { #expect(answer.minInterval == minimum) }
                switch id {
                case "http-interval-zero", "http-interval-neg": #expect(answer.interval == 60)
                case "http-interval-huge": #expect(answer.interval == 86_400)
                case "http-no-interval": #expect(answer.interval == nil)
                case "http-peers-len-5": #expect(answer.peers.isEmpty)
                case "node-bencode-compact": #expect(answer.peers.count == 7)
                default: break
                }
            case "http-response":
                if id == "raw-scrape" {
                    let entry = scrapeEntry(bytes, of: InfoHash([UInt8](repeating: 0x68, count: 20))!)
                    #expect(entry == ScrapeEntry(seeds: 1, leechers: 3, downloads: 2))
                } else {
                    #expect(throws: TrackerFailure.self) { try announce(bytes) }
                }
            default:
                switch id {
                case "udp-announce-odd":
                    guard case .announced(let answer) = try packet(bytes) else { Issue.record("\(id)"); continue }
                    #expect(answer.peers.isEmpty)
                case "udp-error": #expect(try packet(bytes) == .failed("torrent not found"))
                case "udp-tiny": #expect(throws: DecodeError.self) { try packet(bytes) }
                default: break
                }
            }
            checked += 1
        }
        #expect(checked >= 19)
    }
}
