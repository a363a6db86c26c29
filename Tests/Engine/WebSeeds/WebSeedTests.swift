import Primitives
import Testing
import WebSeeds

@Suite struct WebSeedTests {
    static let hash = InfoHash([UInt8](repeating: 0xA5, count: 20))!
    /// 40,000 + pad of 9,152 + 30,000 bytes, and an empty file between; pieces of 16 KiB.
    static let several = WebSeedLayout(
        name: "my films", isMultiFile: true, infoHash: hash, pieceLength: 16_384,
        files: [
            .init(path: ["a b.bin"], offset: 0, length: 40_000, isPad: false), .init(path: ["empty"], offset: 40_000, length: 0, isPad: false),
            .init(path: [], offset: 40_000, length: 9_152, isPad: true), .init(path: ["sub", "é#?.bin"], offset: 49_152, length: 30_000, isPad: false),
        ])
    static let single = WebSeedLayout(
        name: "one.bin", isMultiFile: false, infoHash: hash, pieceLength: 16_384, files: [.init(path: [], offset: 0, length: 50_000, isPad: false)])
    let now = Instant.zero

    private func core(_ layout: WebSeedLayout, _ url: String = "http://host/dir/", _ kind: WebSeedCore.Kind = .getRight) -> WebSeedCore {
        WebSeedCore(kind: kind, url: url, layout: layout)
    }
    private func ask(_ core: inout WebSeedCore, _ pieces: ClosedRange<UInt32>, total: UInt64) {
        for piece in pieces { core.asked(.init(piece: piece, begin: 0, length: UInt32(min(16_384, total - UInt64(piece) * 16_384)))) }
    }
    /// Everything that is due comes; how many blocks became whole.
    private func come(_ core: inout WebSeedCore) -> Int {
        var whole = 0
        while let (block, received) = core.current {
            if core.received(Int(min(UInt64(block.length - received), core.dueBytes))) { whole += 1 }
        }
        core.ended(nil, now: now)
        return whole
    }

    struct Address: Sendable {
        let base: String, isMulti: Bool, file: Int, url: String
    }
    @Test(arguments: [
        Address(base: "http://h/d/", isMulti: false, file: 0, url: "http://h/d/one.bin"),
        Address(base: "http://h/d/other.bin", isMulti: false, file: 0, url: "http://h/d/other.bin"),
        Address(base: "http://h/d", isMulti: true, file: 0, url: "http://h/d/my%20films/a%20b.bin"),
        Address(base: "http://h/d/", isMulti: true, file: 3, url: "http://h/d/my%20films/sub/%C3%A9%23%3F.bin"),
    ]) func addresses(a: Address) { #expect((a.isMulti ? Self.several : Self.single).url(a.base, file: a.file) == a.url) }

    @Test func hoffmanNamesPieceAndRange() {
        let url = Self.single.url("http://h/seed.php", piece: 3, first: 0, last: 847)
        #expect(url == "http://h/seed.php?info_hash=" + String(repeating: "%A5", count: 20) + "&piece=3&ranges=0-847")
        #expect(Self.single.url("http://h/s?x=1", piece: 0, first: 1, last: 2).hasPrefix("http://h/s?x=1&info_hash="))
    }

    @Test func aRunIsOneRequestAFileAndPadsAreNone() {
        var core = core(Self.several)
        ask(&core, 0...4, total: 79_152)
        #expect(core.next() == .fetch(url: "http://host/dir/my%20films/a%20b.bin", range: 0...39_999, length: 40_000, isWhole: true))
        #expect(come(&core) == 2)
        #expect(core.next() == .zeros(9_152))
        #expect(come(&core) == 1)
        #expect(core.next() == .fetch(url: "http://host/dir/my%20films/sub/%C3%A9%23%3F.bin", range: 0...29_999, length: 30_000, isWhole: true))
        #expect(come(&core) == 2)
        #expect(core.next() == nil && !core.hasWork)
    }

    @Test func blocksThatDoNotFollowAreAnotherRun() {
        var core = core(Self.single)
        ask(&core, 2...2, total: 50_000)
        ask(&core, 0...1, total: 50_000)
        #expect(core.next() == .fetch(url: "http://host/dir/one.bin", range: 32_768...49_151, length: 16_384, isWhole: false))
        #expect(come(&core) == 1)
        #expect(core.next() == .fetch(url: "http://host/dir/one.bin", range: 0...32_767, length: 32_768, isWhole: false))
        // What is asked meanwhile waits for the next request; what is cancelled while it waits is not fetched.
        ask(&core, 3...3, total: 50_000)
        #expect(come(&core) == 2)
        core.cancelled(.init(piece: 3, begin: 0, length: 848))
        #expect(core.next() == nil)
    }

    @Test func hoffmanStaysInThePiece() {
        var core = core(Self.single, "http://h/s", .hoffman)
        ask(&core, 0...1, total: 50_000)
        guard case .fetch(let url, nil, 16_384, true)? = core.next() else {
            Issue.record("no request")
            return
        }
        #expect(url.hasSuffix("&piece=0&ranges=0-16383"))
        #expect(come(&core) == 1)
        guard case .fetch(let second, nil, 16_384, true)? = core.next() else {
            Issue.record("no second request")
            return
        }
        #expect(second.hasSuffix("&piece=1&ranges=0-16383"))
    }

    @Test func fewerBytesThanAskedForIsTheServersFault() {
        var core = core(Self.single)
        ask(&core, 0...1, total: 50_000)
        _ = core.next()
        _ = core.received(1000)
        core.ended(nil, now: now)
        #expect(core.isGone && !core.hasWork && core.current == nil)
    }

    @Test func temporaryFailuresRestEverLonger() {
        var core = core(Self.single), rests: [Double] = []
        for _ in 0..<12 {
            ask(&core, 0...0, total: 50_000)
            _ = core.next()
            core.ended(.temporary("HTTP 503", retryAfter: nil), now: now)
            rests.append((core.restUntil - now).seconds)
            #expect(!core.isGone && !core.hasWork)
        }
        #expect(rests.starts(with: [4, 8, 16, 32]) && rests.last == 1024)
        core.ended(.temporary("HTTP 503", retryAfter: 7200), now: now)
        #expect((core.restUntil - now).seconds == 3600)
        ask(&core, 0...0, total: 50_000)
        _ = core.next()
        #expect(come(&core) == 1 && core.failures == 0)
        core.ended(.permanent("HTTP 404"), now: now)
        #expect(core.isGone)
    }

    /// Whatever is asked in whatever order, every block comes once, and no request leaves its file.
    @Test func everyBlockComesOnce() {
        var random = SeededRandom(seed: 2)
        for _ in 0..<200 {
            var files: [WebSeedLayout.File] = [], offset: UInt64 = 0
            for n in 0..<1 + random.below(8) {
                let length = UInt64(random.below(60_000))
                files.append(.init(path: ["\(n)"], offset: offset, length: length, isPad: random.below(4) == 0))
                offset += length
            }
            guard offset > 0 else { continue }
            let layout = WebSeedLayout(name: "t", isMultiFile: true, infoHash: Self.hash, pieceLength: 16_384, files: files)
            var core = core(layout), left = Array(0..<UInt32((offset + 16_383) / 16_384)), expected = left.count, came = 0
            while !left.isEmpty || core.hasWork {
                for _ in 0..<random.below(6) where !left.isEmpty {
                    let piece = left.remove(at: random.below(3) == 0 ? random.below(left.count) : 0)
                    ask(&core, piece...piece, total: offset)
                }
                guard let step = core.next() else { continue }
                if case .fetch(let url, let range, let length, _) = step {
                    let file = files[Int(url.split(separator: "/").last!)!]
                    #expect(!file.isPad && range!.upperBound < file.length && UInt64(range!.count) == length)
                }
                came += come(&core)
            }
            #expect(came == expected)
            expected = 0
        }
    }
}
