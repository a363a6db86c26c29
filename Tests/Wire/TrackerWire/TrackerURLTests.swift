import Primitives
import Testing
import TrackerWire

/// URLs taken apart, and the exact text of announce and scrape requests.
@Suite struct TrackerURLTests {
    struct Good: Sendable {
        let text: String
        let scheme: TrackerScheme
        let host: String
        let port: UInt16
        let pathAndQuery: String
        let scrape: String?
    }

    static let good: [Good] = [
        Good(
            text: "http://tracker.example/announce", scheme: .http, host: "tracker.example", port: 80, pathAndQuery: "/announce",
            scrape: "http://tracker.example/scrape"),
        Good(
            text: "https://T.Example/abc123/announce.php?x=1", scheme: .https, host: "t.example", port: 443,
            pathAndQuery: "/abc123/announce.php?x=1", scrape: "https://T.Example/abc123/scrape.php?x=1"),
        Good(text: "HTTP://u:p@h:8080/announce/pk", scheme: .http, host: "h", port: 8080, pathAndQuery: "/announce/pk", scrape: nil),
        Good(
            text: "http://[2001:DB8::1]:81/announce", scheme: .http, host: "2001:db8::1", port: 81, pathAndQuery: "/announce",
            scrape: "http://[2001:DB8::1]:81/scrape"),
        Good(text: "udp://t:6969", scheme: .udp, host: "t", port: 6969, pathAndQuery: "", scrape: "udp://t:6969"),
        Good(
            text: "udp://t:6969/announce?k=v#frag", scheme: .udp, host: "t", port: 6969, pathAndQuery: "/announce?k=v",
            scrape: "udp://t:6969/announce?k=v"),
        Good(text: "http://h?passkey=1", scheme: .http, host: "h", port: 80, pathAndQuery: "?passkey=1", scrape: nil),
        // The examples of BEP 48.
        Good(
            text: "http://example.com/x/announce", scheme: .http, host: "example.com", port: 80, pathAndQuery: "/x/announce",
            scrape: "http://example.com/x/scrape"),
        Good(
            text: "http://example.com/announce.php", scheme: .http, host: "example.com", port: 80, pathAndQuery: "/announce.php",
            scrape: "http://example.com/scrape.php"),
        Good(text: "http://example.com/a", scheme: .http, host: "example.com", port: 80, pathAndQuery: "/a", scrape: nil),
        Good(
            text: "http://example.com/announce?x2%0644", scheme: .http, host: "example.com", port: 80,
            pathAndQuery: "/announce?x2%0644", scrape: "http://example.com/scrape?x2%0644"),
        Good(
            text: "http://example.com/announce?x=2/4", scheme: .http, host: "example.com", port: 80,
            pathAndQuery: "/announce?x=2/4", scrape: "http://example.com/scrape?x=2/4"),
        Good(
            text: "http://example.com/x%064announce", scheme: .http, host: "example.com", port: 80,
            pathAndQuery: "/x%064announce", scrape: nil),
    ]

    @Test(arguments: good) func parses(_ c: Good) throws {
        let url = try #require(TrackerURL(c.text))
        #expect(url.scheme == c.scheme)
        #expect(url.host == c.host)
        #expect(url.port == c.port)
        #expect(url.pathAndQuery == c.pathAndQuery)
        #expect(url.scrape?.text == c.scrape)
    }

    @Test(arguments: [
        "", "http", "http:/h/announce", "http://", "http:///announce", "ftp://h/announce", "wss://h/announce", "udp://h/announce",
        "udp://h:0/announce", "http://h:0/", "http://h:65536/", "http://h:-1/", "http://h:+80/", "http://[::1/", "http://[x]/",
        "http://h/a b", "http://h/\u{7}", "http://h\\@evil/", "http://hé/announce", "file:///etc/passwd", "http://@/x",
        "http://[::1]x/announce",
    ])
    func refuses(_ text: String) { #expect(TrackerURL(text) == nil) }

    @Test func refusesOverlongURLs() {
        let path = String(repeating: "a", count: TrackerURL.lengthLimit - "http://h/".count)
        #expect(TrackerURL("http://h/" + path) != nil)
        #expect(TrackerURL("http://h/a" + path) == nil)
    }

    @Test func hostKeysJoinWhatIsOneServer() throws {
        let keys = try ["http://H/announce", "http://h:80/other?x"].map { try #require(TrackerURL($0)).hostKey }
        #expect(keys[0] == keys[1])
        #expect(TrackerURL("udp://h:80")?.hostKey != keys[0])
    }

    static let request = AnnounceRequest(
        infoHash: InfoHash(hex: "123456789abcdef123456789abcdef123456789a")!, peerID: PeerID(Array("-CC0001-~a b/c%d&e=f".utf8))!,
        port: 64122, uploaded: 1, downloaded: 2, left: .max, event: .started, numWant: 200, key: 0xAB)
    static let tail =
        "info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A&peer_id=-CC0001-~a%20b%2Fc%25d%26e%3Df&port=64122&uploaded=1"
        + "&downloaded=2&left=18446744073709551615&event=started&numwant=200&key=000000AB&compact=1&no_peer_id=1"

    @Test(arguments: [
        ("http://h/announce", "http://h/announce?"), ("http://h/announce?pk=1", "http://h/announce?pk=1&"),
        ("http://h/announce?", "http://h/announce?"), ("http://h/announce?pk=1&", "http://h/announce?pk=1&"),
        ("http://h?pk=1", "http://h?pk=1&"), ("http://h/announce#x", "http://h/announce?"),
    ])
    func announceQueryIsExact(_ given: String, _ head: String) throws {
        #expect(try #require(TrackerURL(given)).announce(Self.request) == head + Self.tail)
    }

    @Test func everyByteIsEncodedByRule() throws {
        let url = try #require(TrackerURL("http://h/announce"))
        let unreserved = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~".utf8)
        for byte in UInt8.min...UInt8.max {
            var request = Self.request
            request.infoHash = InfoHash([UInt8](repeating: byte, count: 20))!
            let hex = String(byte, radix: 16, uppercase: true)
            let one = unreserved.contains(byte) ? String(UnicodeScalar(byte)) : "%" + (hex.count == 1 ? "0" : "") + hex
            let text = url.announce(request)
            #expect(text.contains("?info_hash=" + String(repeating: one, count: 20) + "&"))
        }
    }

    @Test func eventsAndTrackerID() throws {
        let url = try #require(TrackerURL("http://h/announce"))
        var request = Self.request
        request.event = .none
        #expect(!url.announce(request).contains("event="))
        for (event, word) in [(AnnounceEvent.stopped, "stopped"), (.completed, "completed")] {
            request.event = event
            #expect(url.announce(request).contains("&event=\(word)&"))
        }
        request.trackerID = Array("a/1".utf8)
        #expect(url.announce(request).hasSuffix("&trackerid=a%2F1"))
    }

    @Test func scrapeQuery() throws {
        let hashes = [InfoHash([UInt8](repeating: 0x61, count: 20))!, InfoHash([UInt8](repeating: 0, count: 20))!]
        let url = try #require(TrackerURL("http://h/announce?pk=1"))
        #expect(url.scrape(hashes) == "http://h/scrape?pk=1&info_hash=aaaaaaaaaaaaaaaaaaaa&info_hash=" + String(repeating: "%00", count: 20))
        #expect(TrackerURL("http://h/x")?.scrape(hashes) == nil)
    }

    @Test func linesAreSafe() {
        #expect(trackerLine(Array("plain é".utf8)) == "plain é")
        #expect(trackerLine(Array("a\r\nb\u{1B}[31m\u{202E}x\u{85}".utf8)) == "a  b\\u{1b}[31m\\u{202e}x\\u{85}")
        #expect(trackerLine([0xFF, 0x41]) == "\u{FFFD}A")
        #expect(trackerLine([UInt8](repeating: 0x41, count: 5_000)).utf8.count == TrackerWire.messageLimit)
    }
}
