import ArgumentParser
import Glibc
import Metainfo

/// `btbt create`: makes a .torrent of a file or folder. Needs no daemon.
package struct CreateCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a .torrent of a file or folder.",
        discussion: """
            The same files and options always give the same bytes: no date is written unless --date asks for one.
            Links inside SOURCE stay links; links to files elsewhere are read as files.
            """)

    @Argument(help: ArgumentHelp("The file or folder to share.", valueName: "source"))
    package var source: String

    @Option(name: .shortAndLong, help: ArgumentHelp("Where to write. Default: NAME.torrent in this folder.", valueName: "file"))
    package var output: String?

    @Flag(name: .long, help: "Replace the output file.")
    package var force = false

    @Flag(help: "Which metainfo: v1 all clients know; v2 has a hash tree per file; a hybrid has both.")
    package var version: Kind = .v1

    @Option(name: .long, help: ArgumentHelp("Announce URL; again for the next tier, or several in one tier with commas.", valueName: "url"))
    package var tracker: [String] = []

    @Option(name: .long, help: ArgumentHelp("Where the content is served over HTTP (BEP 19); may be given again.", valueName: "url"))
    package var webSeed: [String] = []

    @Flag(name: .customLong("private"), help: "Peers from the trackers only (BEP 27).")
    package var isPrivate = false

    @Option(name: .long, help: ArgumentHelp("Bytes, or as 256KiB or 4MiB; a power of two.", valueName: "bytes|auto"))
    package var pieceLength = "auto"

    @Option(name: .long, help: "Free text for people.")
    package var comment: String?

    @Option(
        name: .customLong("source"),
        help: ArgumentHelp("Written into info: gives another info-hash, as private trackers ask.", valueName: "text"))
    package var sourceTag: String?

    @Option(name: .long, help: ArgumentHelp("Creation date, seconds since 1970.", valueName: "seconds"))
    package var date: Int64?

    @Flag(name: .long, help: ArgumentHelp("Lines \"progress DONE TOTAL\", in bytes, on standard error.", visibility: .hidden))
    package var progress = false

    @OptionGroup package var global: GlobalOptions

    package enum Kind: String, EnumerableFlag {
        case v1, v2, hybrid
        var version: MetainfoBuilder.Version {
            switch self {
            case .v1: .v1
            case .v2: .v2
            case .hybrid: .hybrid
            }
        }
    }

    package init() {}

    package func validate() throws {
        _ = try wantedPieceLength()
        for url in tracker.flatMap(urls) where !Self.hasScheme(url, ["http", "https", "udp", "ws", "wss"]) {
            throw ValidationError("'\(Printable.escape(url))' is no tracker URL: it starts with http://, https://, udp://, ws:// or wss://")
        }
        for url in webSeed where !Self.hasScheme(url, ["http", "https"]) {
            throw ValidationError("'\(Printable.escape(url))' is no web seed URL: it starts with http:// or https://")
        }
    }

    package func run() throws {
        let tree = try SourceTree.scan(source)
        for name in tree.awkward.prefix(5) {
            Terminal.error(
                "btbt create: note: every client will change the name '\(Printable.escape(name))'; to seed this folder as it is, rename it first")
        }
        let builder: MetainfoBuilder
        do {
            builder = try MetainfoBuilder(name: tree.name, files: tree.files, version: version.version, pieceLength: try wantedPieceLength())
        } catch let refusal as MetainfoBuilder.Refusal {
            throw Failure(.failed, "\(source): \(refusal)")
        }
        let path = output ?? String(decoding: PathSanitiser.clean(tree.name), as: UTF8.self) + ".torrent"
        var status = stat()
        if !force, lstat(path, &status) == 0 { throw Failure(.failed, "\(path) exists; give --force to replace it, or another -o") }

        let hasher = PieceHasher(builder, root: tree.root)
        let bar = HashProgress(total: builder.files.reduce(0) { $0 + $1.length }, isForProgram: progress)
        let hashes = try hasher.run { bar.show($0) }
        bar.clear()

        var options = MetainfoBuilder.Options()
        options.trackers = tracker.map(urls).filter { !$0.isEmpty }
        options.webSeeds = webSeed
        options.isPrivate = isPrivate
        options.comment = comment
        options.creator = "ccbt/\(ProgramVersion.text)"
        options.creationDate = date
        options.source = sourceTag
        let bytes = builder.make(hashes: hashes, options: options)
        // What we wrote, as every reader will see it: a torrent that we would refuse is never handed out.
        let torrent: Metainfo
        do { torrent = try Metainfo(parsing: bytes) } catch { throw Failure(.failed, "\(source): no client would read the torrent: \(error)") }
        try Self.write(bytes, to: path)
        if global.json {
            TorrentJSON.write(torrent)
        } else {
            let pieces = "\(torrent.geometry.pieceCount) pieces of \(Quantity.bytes(UInt64(torrent.geometry.pieceLength)))"
            Terminal.out("\(Printable.escape(path)): \(Quantity.bytes(torrent.contentLength)) in \(pieces)")
            Terminal.out(Printable.escape(torrent.magnet.link))
        }
    }

    private func urls(_ tier: String) -> [String] { tier.split(separator: ",").map(String.init) }

    private static func hasScheme(_ url: String, _ schemes: [String]) -> Bool {
        let lower = url.lowercased()
        return url.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F } && schemes.contains { lower.hasPrefix($0 + "://") && lower.count > $0.count + 3 }
    }

    /// nil for "auto".
    private func wantedPieceLength() throws -> UInt32? {
        if pieceLength.lowercased() == "auto" { return nil }
        let lower = pieceLength.lowercased()
        let unit: UInt32 = lower.hasSuffix("kib") ? 1 << 10 : lower.hasSuffix("mib") ? 1 << 20 : 1
        let digits = unit == 1 ? lower[...] : lower.dropLast(3)
        guard let number = UInt32(digits), case let (value, overflow) = number.multipliedReportingOverflow(by: unit), !overflow,
            MetainfoBuilder.pieceLengths.contains(value), value.nonzeroBitCount == 1
        else { throw ValidationError("--piece-length \(Printable.escape(pieceLength)): \(MetainfoBuilder.Refusal.badPieceLength)") }
        return value
    }

    /// Whole or not at all: a file beside it takes the name once it is on disk.
    private static func write(_ bytes: [UInt8], to path: String) throws {
        func failure() -> Failure { Failure(.failed, "\(path): can't be written: \(String(cString: strerror(errno)))") }
        let temporary = path + ".part"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw failure() }
        defer { close(descriptor) }
        var done = 0
        while done < bytes.count {
            let n = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, bytes.count - done) }
            if n < 0, errno == EINTR { continue }
            guard n > 0 else {
                let why = failure()
                unlink(temporary)
                throw why
            }
            done += n
        }
        guard fsync(descriptor) == 0, rename(temporary, path) == 0 else {
            let why = failure()
            unlink(temporary)
            throw why
        }
    }
}

/// A line on standard error that is drawn over; nothing where that is no terminal.
private struct HashProgress {
    let total: UInt64
    /// Lines that a program reads instead.
    let isForProgram: Bool
    private let isTerminal = isatty(2) == 1
    private let started = ContinuousClock.now

    init(total: UInt64, isForProgram: Bool) { (self.total, self.isForProgram) = (total, isForProgram) }

    func show(_ done: UInt64) {
        if isForProgram { return Terminal.error("progress \(done) \(total)") }
        guard isTerminal else { return }
        let elapsed = (ContinuousClock.now - started) / .seconds(1)
        let rate = elapsed > 0 ? UInt64(Double(done) / elapsed) : 0
        let eta = rate > 0 ? Quantity.duration((total - min(done, total)) / rate) : "∞"
        let bar = ProgressBar.bar(total == 0 ? 0 : Double(done) / Double(total), width: 30)
        draw("hashing ▕\(bar)▏ \(Quantity.percent(done, of: total))  \(Quantity.rate(rate))  ETA \(eta)")
    }
    func clear() { if isTerminal { draw("") } }

    private func draw(_ text: String) {
        let line = "\r\u{1B}[K" + text
        _ = line.utf8.withContiguousStorageIfAvailable { write(2, $0.baseAddress, $0.count) }
    }
}
