import APIWorker
import Testing

@Suite struct MediaTypeTests {
    @Test(arguments: [
        ("a/film.MKV", "video/x-matroska"), ("song.flac", "audio/flac"), ("x.html", "application/octet-stream"), ("x.svg", "application/octet-stream"), ("x.mp4.html", "application/octet-stream"),
        ("x.xhtml", "application/octet-stream"), ("x.pdf", "application/octet-stream"),
        ("x.xml", "application/octet-stream"), ("x.js", "application/octet-stream"), ("noending", "application/octet-stream"),
        ("dir.mp4/x", "application/octet-stream"), (".", "application/octet-stream"), ("", "application/octet-stream"), ("x.txt", "text/plain; charset=UTF-8"),
    ]) func byTheEnding(_ path: String, _ wanted: String) {
        #expect(MediaType.of(path) == wanted)
    }

    @Test func aNameCannotEndTheHeader() {
        #expect(MediaType.disposition("a/b/film \"1\".mp4") == "inline; filename=\"film _1_.mp4\"; filename*=UTF-8''film%20%221%22.mp4")
        #expect(
            MediaType.disposition("x\r\nSet-Cookie: a=b.html") == "attachment; filename=\"x__Set-Cookie_ a_b.html\"; filename*=UTF-8''x%0D%0ASet-Cookie%3A%20a%3Db.html")
        #expect(MediaType.disposition("película.mkv") == "inline; filename=\"pel_cula.mkv\"; filename*=UTF-8''pel%C3%ADcula.mkv")
    }
}

@Suite struct StreamTokenTests {
    @Test func opensOneTorrentForATime() {
        let tokens = StreamTokens(key: [UInt8](repeating: 7, count: 32)), hash = String(repeating: "a", count: 40), token = tokens.make(hash, now: 1000)
        #expect(tokens.admits(token, hash, now: 1000) && tokens.admits(token, hash, now: 1000 + 12 * 3600 - 1))
        #expect(!tokens.admits(token, hash, now: 1000 + 12 * 3600))
        #expect(!tokens.admits(token, String(repeating: "b", count: 40), now: 1000))
        #expect(!StreamTokens(key: [UInt8](repeating: 8, count: 32)).admits(token, hash, now: 1000))
        for text in ["", "-", "1", "99999999999-", token + "0", String(token.dropLast()), "9" + token, token.uppercased()] { #expect(!tokens.admits(text, hash, now: 1000), "\(text)") }
    }

    /// Made by Python's hmac.new(bytes([7] * 32), b"44200 " + b"a" * 40, "sha256").
    @Test func isTheHMACOfOthers() {
        let token = StreamTokens(key: [UInt8](repeating: 7, count: 32)).make(String(repeating: "a", count: 40), now: 1000)
        #expect(token == "44200-b855856ca07196b87b421071e3c8a774d66bb2122e4fdac25b10a9936cf4080e")
    }
}
