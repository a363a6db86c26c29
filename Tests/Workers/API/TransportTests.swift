import APIWorker
import Primitives
import Testing

@Suite struct FormTests {
    @Test(arguments: [
        ("a=b&c=d", [("a", "b"), ("c", "d")]), ("a=b+c%2B", [("a", "b c+")]), ("a", [("a", "")]), ("=x", [("", "x")]), ("a=%E2%82%AC", [("a", "\u{20AC}")]),
        ("a=100%", [("a", "100%")]), ("a=%zz%4", [("a", "%zz%4")]), ("&&a=1&", [("a", "1")]), ("hashes=x%7Cy", [("hashes", "x|y")]),
    ]) func decodes(_ text: String, _ wanted: [(String, String)]) {
        let got = Parameters(encoded: text.utf8)
        #expect(got.pairs.map(\.name) == wanted.map(\.0) && got.pairs.map(\.value) == wanted.map(\.1))
    }

    @Test func booleansAsDotNetWritesThem() {
        let p = Parameters(encoded: "a=True&b=FALSE&c=maybe&d=1".utf8)
        #expect(p.flag("a") == true && p.flag("b") == false && p.flag("c") == nil && p.flag("d") == true && p.flag("e") == nil)
    }

    @Test func percentEncodingReadsBack() {
        let text = "a b&c=/\u{20AC}%~-_."
        #expect(PercentCoding.decode(PercentCoding.encode(text).utf8, plus: false) == text)
    }
}

@Suite struct MultipartTests {
    static let body = Array(
        "--xx\r\nContent-Disposition: form-data; name=\"savepath\"\r\n\r\n/d\r\n--xx\r\ncontent-disposition: form-data; name=\"torrents\"; filename=\"a b.torrent\"\r\nContent-Type: application/x-bittorrent\r\n\r\nd4:\r\n--xyz\r\ne\r\n--xx\r\nContent-Disposition: form-data; name=\"foo\"\r\n\r\n\r\n--xx--\r\n"
            .utf8)

    @Test func fieldsAndFiles() throws {
        let parts = try #require(Multipart.parse(Self.body, boundary: Array("xx".utf8)))
        #expect(parts.map(\.name) == ["savepath", "torrents", "foo"])
        #expect(parts.map { String(decoding: $0.bytes, as: UTF8.self) } == ["/d", "d4:\r\n--xyz\r\ne", ""])
        #expect(parts.map(\.file) == [nil, "a b.torrent", nil])
        #expect(Multipart.boundary(of: "multipart/form-data; charset=utf-8; boundary=\"xx\"") == Array("xx".utf8))
        #expect(Multipart.boundary(of: "multipart/form-data") == nil)
    }

    @Test func everyTruncationIsRefusedOrComplete() {
        for end in 0..<Self.body.count - 4 { #expect(Multipart.parse(Array(Self.body[..<end]), boundary: Array("xx".utf8)) == nil, "\(end)") }
    }

    @Test func mutationsDoNotCrash() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<4000 {
            var bytes = Self.body
            for _ in 0..<Int(random.next() % 6 + 1) { bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next()) }
            if random.next() % 3 == 0 { bytes.removeSubrange(Int(random.next() % UInt64(bytes.count))...) }
            _ = Multipart.parse(bytes, boundary: Array("xx".utf8))
            _ = Parameters(encoded: bytes)
        }
    }
}

@Suite struct SecurityTests {
    @Test func passwordsAreStoredAsScrypt() throws {
        // Made by Python's hashlib.scrypt(b"pleaseletmein", salt=b"SodiumChloride", n=16384, r=8, p=1, dklen=32): RFC 7914 section 12.
        let known = try #require(PasswordHash("scrypt:16384:8:1:U29kaXVtQ2hsb3JpZGU=:cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI="))
        #expect(known.matches("pleaseletmein") && !known.matches("pleaseletmeIn"))
        let own = PasswordHash(password: "p")
        #expect(try #require(PasswordHash(own.description)).matches("p"))
        for wrong in ["", "scrypt:3:8:1:AA==:AA==", "scrypt:1073741824:8:1:AA==:\(own.description.split(separator: ":").last!)", "plain"] { #expect(PasswordHash(wrong) == nil, "\(wrong)") }
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.1.2.3", true), ("10.0.0.0/8", "11.1.2.3", false), ("192.168.1.7", "192.168.1.7", true), ("192.168.1.7", "192.168.1.8", false),
        ("::1", "::1", true), ("fd00::/8", "fdff::1", true), ("fd00::/8", "fe80::1", false), ("0.0.0.0/0", "8.8.8.8", true), ("0.0.0.0/0", "::1", false),
        ("172.16.0.0/12", "172.31.255.255", true), ("172.16.0.0/12", "172.32.0.0", false),
    ]) func networks(_ network: String, _ address: String, _ inside: Bool) throws {
        #expect(try #require(Network(network)).contains(try #require(Endpoint(address: address, port: 1))) == inside)
    }
    @Test(arguments: ["", "10.0.0.0/33", "host", "1.2.3.4/x", "1.2.3.4/8/8"]) func wrongNetworks(_ text: String) { #expect(Network(text) == nil) }

    @Test func fiveFailuresBanForTheirTime() {
        var f = FailedLogins(maximum: 5, banTime: 60)
        let a = Endpoint(ipv4: 0x0A00_0001, port: 1), b = Endpoint(ipv4: 0x0A00_0002, port: 1)
        for n in 0..<5 as Range<UInt64> {
            #expect(!f.isBanned(a, now: 100 + n))
            f.failed(a, now: 100 + n)
        }
        #expect(f.isBanned(a, now: 105) && f.isBanned(Endpoint(ipv4: 0x0A00_0001, port: 9), now: 105) && !f.isBanned(b, now: 105))
        #expect(f.isBanned(a, now: 163) && !f.isBanned(a, now: 164))
        f.failed(b, now: 200)
        f.succeeded(b)
        for _ in 0..<4 { f.failed(b, now: 201) }
        #expect(!f.isBanned(b, now: 201), "a right password forgives what went before")
    }
}
