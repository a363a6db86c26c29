import Bencode
import Primitives
import Testing

@testable import Metainfo

private func parse(_ bytes: [UInt8], _ limits: MetainfoLimits = .standard) -> Result<Metainfo, MetainfoError> {
    Result { () throws(MetainfoError) in try Metainfo(parsing: bytes, limits: limits) }
}
private func reason(_ bytes: [UInt8], _ limits: MetainfoLimits = .standard) -> MetainfoError.Reason? {
    if case .failure(let error) = parse(bytes, limits) { error.reason } else { nil }
}
private func paths(_ bytes: [UInt8], _ limits: MetainfoLimits = .standard) throws -> [String] {
    try parse(bytes, limits).get().files.filter { !$0.isPad }.map(\.path)
}

struct NameCase: Sendable, CustomTestStringConvertible {
    let raw: [UInt8], clean: String
    init(_ raw: String, _ clean: String) { (self.raw, self.clean) = (Array(raw.utf8), clean) }
    init(_ raw: [UInt8], _ clean: String) { (self.raw, self.clean) = (raw, clean) }
    var testDescription: String { "\(raw.prefix(20)) → \(clean.prefix(30))" }

    /// Expected values are what libtorrent 2.1.1 gave.
    static let all: [NameCase] = [
        .init("plain.txt", "plain.txt"), .init("", "_"), .init(".", "_"), .init("..", "_"), .init("...", "..."), .init(" .", " ."),
        .init("a.", "a."), .init("/", "_"), .init("/.", "_"), .init("a/b", "ab"), .init("..\\..\\x", "....x"), .init("a\u{0}b", "ab"),
        .init("a\r\nb", "a__b"), .init("\u{1B}[31m", "_[31m"), .init("a\u{7F}b\u{85}c", "a_b_c"), .init("a\u{202E}cod.exe", "acod.exe"),
        .init("a\u{200B}\u{FEFF}", "a"), .init("\u{202E}.", "_"), .init("日本語.mkv", "日本語.mkv"), .init("e\u{301}", "e\u{301}"),
        .init([0xFF, 0xFE], "__"), .init([0xC3], "_"), .init([0xED, 0xA0, 0x80, 0x78], "_x"), .init([0xC0, 0xAF, 0xC0, 0xAF], "__"),
        .init(String(repeating: "a", count: 300), String(repeating: "a", count: 240)),
        .init(String(repeating: "a", count: 300) + ".mkv", String(repeating: "a", count: 240) + ".mkv"),
        .init(String(repeating: "a", count: 238) + "ééé.mkv", String(repeating: "a", count: 238) + "é.mkv"),
        .init(String(repeating: "a", count: 241) + ".mkvtoolong1", String(repeating: "a", count: 240)),
        .init(String(repeating: "é", count: 150) + ".mkv", String(repeating: "é", count: 120) + ".mkv"),
        .init([UInt8](repeating: 0xFF, count: 5000), String(repeating: "_", count: 240)),
    ]
}

@Suite struct PathTests {
    @Test(arguments: NameCase.all) func component(_ c: NameCase) throws {
        let torrent = try parse(Sample.v1(files: [([c.raw], 1, nil, nil)])).get()
        #expect(Array(torrent.files[0].path.utf8) == Array(("top/" + c.clean).utf8))
        #expect(torrent.files[0].pathComponents.count == 2)
    }

    @Test func cleaningIsStable() {
        for c in NameCase.all {
            let once = PathSanitiser.clean(c.raw)
            #expect(PathSanitiser.clean(once) == once)
            #expect(once.count <= PathSanitiser.longestComponent)
        }
    }

    @Test func nameThatCantStayIsTheInfoHash() throws {
        for name in [".", "..", "/", "\u{0}"] {
            let torrent = try parse(Sample.v1(name: name)).get()
            #expect(torrent.name == torrent.infoHashV1!.hex)
        }
        #expect(try parse(Sample.v1(name: "")).get().name == "_")
    }

    @Test func duplicatesGetNumbersInOrder() throws {
        #expect(
            try paths(Sample.files(["x.mkv", "x.mkv", "x.1.mkv", "x.mkv", "y", "y", ".z", ".z"])) == [
                "top/x.mkv", "top/x.1.mkv", "top/x.1.1.mkv", "top/x.2.mkv", "top/y", "top/y.1", "top/.z", "top/.z.1",
            ])
        let long = String(repeating: "é", count: 119) + ".mkv"
        let twins = try paths(Sample.files([long, long]))
        #expect(twins[0] != twins[1])
        #expect(twins.allSatisfy { $0.utf8.count <= 4 + 255 })
    }

    @Test func numberedNamesKeepNameMax() {
        for count in 1...255 {
            for number in [1, 99, 12345] {
                let name = PathTreeBuilder.numbered([UInt8](repeating: 0xC3, count: count), number)
                #expect(name.count <= 255)
            }
        }
    }

    @Test func fileThatIsAlsoFolderGivesWay() throws {
        #expect(try paths(Sample.files(["a", "a|b", "c|d|e", "c|d"])) == ["top/a.1", "top/a/b", "top/c/d/e", "top/c/d.1"])
    }

    @Test func caseTwins() throws {
        let torrent = Sample.files(["A.txt", "a.txt", "Dir|x", "dIR|x", "Ä", "ä"])
        #expect(try paths(torrent) == ["top/A.txt", "top/a.txt", "top/Dir/x", "top/dIR/x", "top/Ä", "top/ä"])
        var folding = MetainfoLimits()
        folding.foldsCase = true
        #expect(try paths(torrent, folding) == ["top/A.txt", "top/a.1.txt", "top/Dir/x", "top/Dir/x.1", "top/Ä", "top/ä.1"])
    }

    @Test func normalisationFormsAreTwoFiles() throws {
        let names = try paths(Sample.files(["e\u{301}", "\u{E9}"])).map { Array($0.utf8) }
        #expect(names == [Array("top/e\u{301}".utf8), Array("top/\u{E9}".utf8)])
    }

    @Test func manyEqualNamesAreQuick() throws {
        let n = 10_000
        let all = try paths(Sample.files([String](repeating: "same.bin", count: n)))
        #expect(Set(all).count == n)
        #expect(all.last == "top/same.\(n - 1).bin")
    }

    @Test func pathLimits() {
        #expect(reason(Sample.files([[String](repeating: "a", count: 101).joined(separator: "|")])) == .pathTooDeep(limit: 100))
        #expect(reason(Sample.files([[String](repeating: "a", count: 100).joined(separator: "|")])) == nil)
        #expect(reason(Sample.files([[String](repeating: String(repeating: "b", count: 200), count: 30).joined(separator: "|")])) == .pathTooLong(limit: 4095))
        var small = MetainfoLimits()
        small.allPathsLength = 20
        #expect(reason(Sample.files(["aaaa", "bbbb", "cccc"]), small) == .allPathsTooLong(limit: 20))
        small = MetainfoLimits()
        small.files = 2
        #expect(reason(Sample.files(["a", "b", "c"]), small) == .tooManyFiles(limit: 2))
    }

    @Test func symlinksStayInside() throws {
        func link(_ path: String, _ target: [String]) -> (path: [[UInt8]], length: Int64, attr: String?, link: [[UInt8]]?) {
            (path.split(separator: "|").map { Array($0.utf8) }, 0, "l", target.map { Array($0.utf8) })
        }
        let torrent = try parse(
            Sample.v1(files: [
                ([Array("d".utf8), Array("real".utf8)], 5, nil, nil), link("file", ["d", "real"]), link("folder", ["d"]), link("chain", ["file"]),
                link("loop1", ["loop2"]), link("loop2", ["loop1"]), link("self", ["self"]), link("up", ["..", "..", "etc"]), link("gone", ["no"]),
                link("none", []), link("through", ["folder", "real"]),
            ])
        ).get()
        let targets = Dictionary(uniqueKeysWithValues: torrent.files.map { ($0.name, $0.symlinkTarget?.joined(separator: "/")) })
        #expect(
            targets == [
                "real": nil, "file": "top/d/real", "folder": "top/d", "chain": "top/file", "loop1": nil, "loop2": nil, "self": nil, "up": nil,
                "gone": nil, "none": nil, "through": nil,
            ])
        #expect(torrent.contentLength == 5)
    }
}

@Suite struct MetainfoTests {
    @Test func version1Single() throws {
        let bytes = Sample.v1(
            length: 40_000, pieces: 3,
            infoEnd: { w in
                w.key("private")
                w.integer(1)
            })
        let t = try parse(bytes).get()
        #expect(t.name == "top" && !t.isMultiFile && t.isPrivate && !t.isHybrid)
        #expect(t.infoHashV2 == nil && t.infoHash == t.infoHashV1)
        #expect(t.infoHashV1 == bytes[t.infoRange].withUnsafeBytes { sha1($0) })
        #expect(t.files.count == 1 && t.files[0].path == "top" && t.files[0].length == 40_000 && t.contentLength == 40_000)
        #expect(t.geometry.pieceCount == 3)
        #expect(t.pieceHashOffset(PieceIndex(2)).map { Array(bytes[$0..<$0 + 20]) } == [UInt8](repeating: 7, count: 20))
    }

    @Test func padFilesAreNoContent() throws {
        let t = try parse(
            Sample.v1(
                files: [
                    ([Array("a".utf8)], 100, nil, nil), ([Array(".pad".utf8), Array("16284".utf8)], 16284, "p", nil), ([Array("b".utf8)], 16384, "xh", nil),
                    ([Array("_____padding_file_0_old".utf8)], 16384, nil, nil), ([], 0, "p", nil), ([Array("c".utf8)], 0, nil, nil),
                ], pieces: 3)
        ).get()
        #expect(t.files.map(\.isPad) == [false, true, false, true, true, false])
        #expect(t.contentLength == 16484 && t.geometry.totalLength == 3 * 16384)
        #expect(t.files.map(\.offset) == [0, 100, 16384, 32768, 49152, 49152])
        #expect(t.files[2].attributes == [.executable, .hidden])
        #expect(t.files[1].path.isEmpty)
        #expect([0, 99, 100, 16383, 16384, 49151].map { t.file(at: $0)?.int } == [0, 0, 1, 1, 2, 3])
        #expect(t.file(at: 49152) == nil)
    }

    @Test(arguments: [MetainfoBuilder.Version.v1, .v2, .hybrid]) func builtTorrentsAreReadBack(_ version: MetainfoBuilder.Version) throws {
        let bytes = Sample.built(version)
        #expect(bytes == Sample.built(version))
        let t = try parse(bytes).get()
        #expect((t.infoHashV1 != nil) == (version != .v2))
        #expect((t.infoHashV2 != nil) == (version != .v1))
        #expect(t.contentLength == 40_000 + 16_384 + 1 + 100_000 + 32_769)
        let content = t.files.filter { !$0.isPad }
        #expect(content.map(\.path) == ["top/a", "top/d/b", "top/d/e/c", "top/d/empty", "top/d/link", "top/d.x", "top/z"])
        #expect(content[0].attributes == .executable && content[4].symlinkTarget == ["top", "a"])
        #expect(t.trackers == [["http://a.example/announce", "udp://b.example:1/announce"], ["https://c.example/announce"]])
        #expect(t.webSeeds == ["http://w.example/files/"] && t.comment == "a comment" && t.creator == "tests" && t.source == "TAG")
        #expect(t.creationDate == 1_700_000_000 && t.isPrivate && t.hasAllPieceLayers)
        if version != .v1 {
            #expect(content.allSatisfy { $0.length == 0 || $0.offset % 16384 == 0 })
            #expect(content.map { $0.pieceLayerOffset != nil } == [true, false, false, false, false, true, true])
        }
        var end: UInt64 = 0
        for file in t.files {
            #expect(file.offset == end)
            end += file.length
        }
        #expect(end == t.geometry.totalLength)
    }

    /// Info-hashes that libtorrent 2.1.1 computed for these very bytes: a change in what is written shows here.
    @Test func golden() throws {
        let hashes = try [MetainfoBuilder.Version.v1, .v2, .hybrid].map { version in
            let t = try parse(Sample.built(version)).get()
            return [t.infoHashV1?.hex, t.infoHashV2?.hex]
        }
        #expect(
            hashes == [
                ["cec1a3bb796381edf5820b679a0cfd13ad12ed78", nil],
                [nil, "2d562b6428e473f7ac73124c658cc7a6c184f6bb8ee50082bc0bfe37999684f8"],
                ["fea999818628a6e7cdb00afc8d7cf4d826ae8681", "e94fe51366400fa6b04f8aca25b98735a03c7dd5db1b3160ac0bdd17f79c29ac"],
            ])
    }

    /// A hybrid whose two lists differ in one name, length or place is refused.
    @Test func versionsMustAgree() throws {
        let good = Sample.built(.hybrid)
        func changed(_ old: String, _ new: String) -> [UInt8] {
            let o = Array(old.utf8)
            let at = good.indices.first { good[$0...].starts(with: o) }!
            return Array(good[..<at]) + Array(new.utf8) + Array(good[(at + o.count)...])
        }
        #expect(reason(good) == nil)
        #expect(reason(changed("6:lengthi40000e4:pathl1:ae", "6:lengthi40001e4:pathl1:ae")) == .versionsDisagree)
        #expect(reason(changed("4:pathl1:d1:be", "4:pathl1:d1:ce")) == .versionsDisagree)
        #expect(reason(changed("4:pathl1:d1:be", "4:pathl1:b1:de")) == .versionsDisagree)
        #expect(reason(changed("6:lengthi9152e4:pathl4:.pad", "6:lengthi9153e4:pathl4:.pad")) == .versionsDisagree)
    }

    /// BEP 9: the info dictionary alone, wrapped, is the same torrent.
    @Test(arguments: [MetainfoBuilder.Version.v1, .v2, .hybrid]) func storedFromInfo(_ version: MetainfoBuilder.Version) throws {
        let bytes = Sample.built(version)
        let t = try parse(bytes).get()
        let stored = bytes[t.infoRange].withUnsafeBytes { StoredTorrent.make(info: $0, trackers: t.trackers, nodes: [.init(host: "h", port: 1)]) }
        let again = try parse(stored).get()
        #expect(again.infoHashV1 == t.infoHashV1 && again.infoHashV2 == t.infoHashV2 && again.trackers == t.trackers)
        #expect(again.nodes == [.init(host: "h", port: 1)])
        #expect(again.hasAllPieceLayers == (version == .v1))
        #expect(bytes[t.infoRange].withUnsafeBytes { t.magnet.matches(info: $0) })
        #expect(!bytes[t.infoRange].dropLast().withUnsafeBytes { t.magnet.matches(info: $0) })
    }

    /// Every wrong byte of a piece layer is found.
    @Test func pieceLayersAreVerified() throws {
        let bytes = Sample.built(.v2)
        let layers = try #require(try parse(bytes).get().files.first { $0.pieceLayerOffset != nil }?.pieceLayerOffset)
        for i in 0..<96 {
            var bad = bytes
            bad[layers + i] ^= 1
            guard case .pieceLayer = reason(bad) else {
                Issue.record("byte \(i) was not missed")
                continue
            }
        }
    }

    @Test func refusals() {
        let cases: [([UInt8], MetainfoError.Reason)] = [
            (Array("i1e".utf8), .notDictionary), (Array("de".utf8), .missing("info")), (Array("d4:infoi1ee".utf8), .invalid("info")),
            (Sample.v1(length: 0, pieces: 0), .noContent), (Sample.v1(length: -1), .invalid("length")), (Sample.v1(length: 1 << 48), .tooLong(limit: 1 << 48)),
            (Sample.v1(pieceLength: 0), .invalid("piece length")), (Sample.v1(pieceLength: 1 << 40), .invalid("piece length")),
            (Sample.v1(pieces: 2), .pieceHashCount(expected: 20, found: 40)), (Sample.v1(length: 1 << 40, pieceLength: 1, pieces: 1), .tooManyPieces(limit: 10_000_000)),
            (Sample.v1(files: [([], 1, nil, nil)]), .invalid("path")),
            (Array("d4:infod4:name1:a12:piece lengthi1e4:name1:bee".utf8), .duplicateKey("name")),
            (Array("d4:infod6:lengthi1e4:name1:a12:piece lengthi1eee".utf8), .missing("pieces")),
            (Sample.v1(files: (0..<3).map { ([Array("\($0)".utf8)], (1 << 48) - 1, nil, nil) }), .tooLong(limit: 1 << 48)),
        ]
        for (i, (bytes, wanted)) in cases.enumerated() { #expect(reason(bytes) == wanted, "case \(i)") }
    }

    @Test func errorsNameThePlace() {
        guard case .failure(let error) = parse(Array("d4:infod6:lengthi-5e4:name1:a12:piece lengthi1eee".utf8)) else {
            Issue.record("accepted")
            return
        }
        #expect(error.offset == 16)
        #expect(error.description == "'length' has an invalid value at byte 16")
    }

    @Test func addressesAreCleaned() throws {
        let t = try parse(
            Sample.v1(
                end: { w in
                    w.key("nodes")
                    w.beginList()
                    for (host, port) in [("127.0.0.1", 6881), ("router.example", 1), ("bad host", 1), ("x", 0), ("y", 70000)] {
                        w.beginList()
                        w.string(host)
                        w.integer(port)
                        w.end()
                    }
                    w.integer(1)
                    w.end()
                    w.key("url-list")
                    Sample.list(["http://a/b c", " https://x/ ", "ftp://no", "http://a\r\nX: 1", "", "/path/", "//host/x", "HTTP://UP/"].map { Array($0.utf8) }, &w)
                },
                start: { w in
                    w.key("announce")
                    w.string("http://ignored")
                    w.key("announce-list")
                    w.beginList()
                    Sample.list(["file:///etc/passwd", "udp://t:1", "http://"].map { Array($0.utf8) }, &w)
                    w.beginList()
                    w.end()
                    w.integer(5)
                    Sample.list([Array("wss://s".utf8)], &w)
                    w.end()
                })
        ).get()
        #expect(t.trackers == [["udp://t:1"], ["wss://s"]])
        #expect(t.webSeeds == ["http://a/b%20c", "https://x/", "/path/", "HTTP://UP/"])
        #expect(t.nodes == [.init(host: "127.0.0.1", port: 6881), .init(host: "router.example", port: 1)])
        let single = try parse(
            Sample.v1(start: { w in
                w.key("announce")
                w.string("udp://only:80")
                w.key("announce-list")
                w.string("not a list")
            })
        ).get()
        #expect(single.trackers == [["udp://only:80"]])
    }

    @Test(arguments: [MetainfoBuilder.Version.v1, .v2, .hybrid]) func truncationsAndMutationsNeverTrap(_ version: MetainfoBuilder.Version) {
        let bytes = Sample.built(version)
        for n in 0..<bytes.count { #expect(reason(Array(bytes[..<n])) != nil) }
        var random = SeededRandom(seed: 52)
        for _ in 0..<7_000 {
            var bad = bytes
            for _ in 0...random.below(3) {
                let at = random.below(bad.count)
                switch random.below(4) {
                case 0: bad[at] ^= 1 << UInt8(random.below(8))
                case 1: bad[at] = Array("ilde0123456789:-/.".utf8)[random.below(18)]
                case 2: bad.remove(at: at)
                default: bad.insert(bad[random.below(bad.count)], at: at)
                }
            }
            bad.withUnsafeBytes(exerciseMetainfo)
        }
    }
}

@Suite struct BuilderTests {
    private func file(_ path: String, _ length: UInt64) -> MetainfoBuilder.SourceFile {
        .init(path: path.split(separator: "|", omittingEmptySubsequences: false).map { Array($0.utf8) }, length: length)
    }

    @Test func refusals() {
        func refusal(_ files: [MetainfoBuilder.SourceFile], _ name: String = "n", _ pieceLength: UInt32? = nil) -> MetainfoBuilder.Refusal? {
            do { _ = try MetainfoBuilder(name: Array(name.utf8), files: files, version: .v1, pieceLength: pieceLength) } catch { return error }
            return nil
        }
        #expect(refusal([file("a", 1)]) == nil)
        #expect(refusal([]) == .noContent)
        #expect(refusal([file("a", 0)]) == .noContent)
        #expect(refusal([file("a", 1), file("a", 1)]) == .duplicatePath)
        #expect(refusal([file("a", 1), file("a|b", 1)]) == .duplicatePath)
        #expect(refusal([file("a||b", 1)]) == .badPath)
        #expect(refusal([file("a", 1)], "..") == .badName)
        #expect(refusal([file("a", 1)], "n", 20_000) == .badPieceLength)
        #expect(refusal([file("a", 1)], "n", 8192) == .badPieceLength)
        #expect(refusal([file("a", 1 << 47)], "n", 16384) == .tooManyPieces)
        #expect(refusal([file("a", 1 << 48)]) == .tooLong)
    }

    @Test func suggestedPieceLengths() {
        let cases: [(UInt64, UInt32)] = [(1, 16 << 10), (32 << 20, 16 << 10), ((32 << 20) + 16384, 32 << 10), (1 << 30, 512 << 10), (4 << 30, 2 << 20), (1 << 40, 16 << 20)]
        for (total, length) in cases { #expect(MetainfoBuilder.suggestedPieceLength(totalLength: total) == length) }
    }

    /// v1 packs files; hybrids pad after each; v2 aligns without padding the end.
    @Test func extents() throws {
        let files = [file("a", 20_000), file("b", 0), file("c", 10_000)]
        func all(_ version: MetainfoBuilder.Version) throws -> [[[UInt64]]] {
            let b = try MetainfoBuilder(name: [110], files: files, version: version, pieceLength: 16384)
            return (0..<b.geometry.pieceCount).map { b.extents(of: PieceIndex($0)).map { [$0.file.map(UInt64.init) ?? 99, $0.offset, $0.length] } }
        }
        #expect(try all(.v1) == [[[0, 0, 16384]], [[0, 16384, 3616], [2, 0, 10_000]]])
        #expect(try all(.hybrid) == [[[0, 0, 16384]], [[0, 16384, 3616], [99, 0, 12768]], [[2, 0, 10_000], [99, 0, 6384]]])
        #expect(try all(.v2) == [[[0, 0, 16384]], [[0, 16384, 3616], [99, 0, 12768]], [[2, 0, 10_000]]])
    }
}
