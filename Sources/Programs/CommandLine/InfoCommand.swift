import ArgumentParser
import Glibc
import KRPC
import Metainfo
import Primitives

/// `ccbt info`: what a .torrent or a magnet link says, without downloading anything.
package struct InfoCommand: ParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "info", abstract: "Show what .torrent files and magnet links say.",
        discussion: "With --json one object a line. Exit status 1 when any of them can't be read.")

    @Argument(help: ArgumentHelp("A .torrent file, '-' for standard input, or a magnet link.", valueName: "file|magnet"))
    package var sources: [String]

    @Flag(name: .long, help: "Print JSON, one object a line.")
    package var json = false

    package init() {}

    package func run() throws {
        var failed = false
        for (i, source) in sources.enumerated() {
            do {
                if source.lowercased().hasPrefix("magnet:") {
                    if let link = try MutableMagnet(parsing: source) { show(link) } else { show(try Magnet(parsing: source)) }
                } else {
                    let bytes = try TorrentSource.read(source)
                    if !json, i > 0 { Terminal.out("") }
                    show(try Metainfo(parsing: bytes))
                }
            } catch {
                failed = true
                Terminal.error("ccbt info: " + Printable.escape(Self.explain(error, source)))
            }
        }
        if failed { throw ExitCode(ExitStatus.failed.rawValue) }
    }

    /// One line: what, where, what to do.
    static func explain(_ error: any Error, _ source: String) -> String {
        let label = source.count > 200 ? source.prefix(200) + "…" : source[...]
        switch error {
        case let error as MetainfoError: return "\(label): not a valid torrent: \(error); get the file again from where it came"
        case let error as MagnetError: return "\(label): not a valid magnet link: \(error); copy the whole link again"
        case let error as Failure: return error.text
        default: return "\(label): \(error)"
        }
    }

    private func show(_ torrent: Metainfo) {
        if json { TorrentJSON.write(torrent) } else { table(torrent) }
    }

    private func show(_ magnet: Magnet) {
        if json { TorrentJSON.write(magnet) } else { table(magnet) }
    }

    private struct Followed: Encodable {
        var publicKey: String, salt: String, target: String, infoHash: String?
    }
    private func show(_ link: MutableMagnet) {
        let facts = Followed(
            publicKey: Hex.encode(link.source.key), salt: Hex.encode(link.source.salt), target: Item.target(key: link.source.key, salt: link.source.salt).digest.hex,
            infoHash: link.known?.infoHash.hex)
        if json { return JSONOutput.show(facts) }
        row("public key", facts.publicKey)
        row("salt", facts.salt.isEmpty ? nil : facts.salt)
        row("DHT target", facts.target)
        row("info-hash", facts.infoHash)
    }

    private func table(_ t: Metainfo) {
        let kind = t.isHybrid ? "v1 + v2" : t.infoHashV2 != nil ? "v2" : "v1"
        row("name", t.name)
        row("kind", kind + (t.isPrivate ? ", private" : ""))
        row("info-hash v1", t.infoHashV1?.hex)
        row("info-hash v2", t.infoHashV2?.hex)
        row("size", "\(Quantity.bytes(t.contentLength)) (\(t.contentLength) bytes)")
        row("pieces", "\(t.geometry.pieceCount) of \(Quantity.bytes(UInt64(t.geometry.pieceLength)))")
        let content = t.files.lazy.filter { !$0.isPad }
        let count = content.reduce(0) { n, _ in n + 1 }
        // Those of a v2 torrent are our own: it says alignment without files.
        let pads = t.infoHashV1 == nil ? 0 : t.files.count - count
        row("files", "\(count)" + (pads > 0 ? " and \(pads) of padding" : ""))
        row("created by", t.creator)
        row("created", t.creationDate.flatMap(Self.date))
        row("comment", t.comment)
        row("source", t.source)
        for (i, tier) in t.trackers.enumerated() { for url in tier { row("tracker \(i + 1)", url) } }
        for url in t.webSeeds { row("web seed", url) }
        for url in t.httpSeeds { row("HTTP seed", url) }
        for node in t.nodes { row("DHT node", "\(node.host):\(node.port)") }
        Terminal.out("")
        let width = content.reduce(0) { max($0, Quantity.bytes($1.length).count) }
        var lines = Output()
        for file in content {
            var link = ""
            if file.attributes.contains(.symlink) {
                link = " → " + (file.symlinkTarget?.joined(separator: "/") ?? "(nothing: the target is not in the torrent)")
            }
            let marks = file.attributes.contains(.executable) ? " *" : ""
            let size = Printable.pad(Quantity.bytes(file.length), to: width, right: true)
            lines.add("\(size)  \(Printable.escape(file.path + link))\(marks)\n")
        }
        lines.flush()
    }

    private func table(_ m: Magnet) {
        row("name", m.name)
        row("info-hash v1", m.infoHashV1?.hex)
        row("info-hash v2", m.infoHashV2?.hex)
        for url in m.trackers { row("tracker", url) }
        for url in m.webSeeds { row("web seed", url) }
        for url in m.exactSources { row("torrent at", url) }
        for peer in m.peers { row("peer", peer.description) }
        row("only files", m.selectOnly?.description)
    }

    private func row(_ label: String, _ value: String?) {
        guard let value, !value.isEmpty else { return }
        Terminal.out(Style.faint(Printable.pad(label, to: 13), colour: Terminal.hasColour) + Printable.escape(value))
    }

    /// UTC; nil for what no calendar has.
    private static func date(_ seconds: Int64) -> String? {
        var time = time_t(seconds), parts = tm()
        guard gmtime_r(&time, &parts) != nil else { return nil }
        return String(unsafeUninitializedCapacity: 64) { buffer in
            buffer.withMemoryRebound(to: CChar.self) { strftime($0.baseAddress!, $0.count, "%Y-%m-%d %H:%M:%S UTC", &parts) }
        }
    }
}

/// Standard output in pieces of 64 KiB: a torrent may have hundreds of thousands of files.
struct Output {
    private var pending = ""
    mutating func add(_ text: String) {
        pending += text
        if pending.utf8.count >= 64 << 10 { flush() }
    }
    mutating func flush() {
        if !pending.isEmpty { Terminal.out(pending, newline: false) }
        pending.removeAll(keepingCapacity: true)
    }
}

/// Bytes of a .torrent, never more than one may have.
enum TorrentSource {
    static func read(_ path: String) throws -> [UInt8] {
        let limit = MetainfoLimits.standard.bencode.bytes
        func failure(_ code: Int32) -> Failure {
            switch code {
            case ENOENT: Failure(.notFound, "\(path): no such file")
            case EISDIR: Failure(.failed, "\(path): is a folder; give the .torrent inside, or make one with 'btbt create'")
            default: Failure(.failed, "\(path): can't be read: \(String(cString: strerror(code)))")
            }
        }
        let descriptor = path == "-" ? dup(0) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure(errno) }
        var out: [UInt8] = []
        let tooLarge = Failure(.failed, "\(path): larger than the \(limit >> 20) MiB that a .torrent may have; is it one?")
        if status.st_mode & S_IFMT == S_IFREG {
            if status.st_size > limit { throw tooLarge }
            out.reserveCapacity(Int(status.st_size) + 1)
        }
        while true {
            // One byte over the limit tells that there is more.
            let room = min(1 << 20, limit + 1 - out.count)
            var code: Int32 = 0
            let start = out.count
            out.append(
                contentsOf: [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
                    let n = Glibc.read(descriptor, buffer.baseAddress, room)
                    count = max(0, n)
                    if n < 0 { code = errno }
                })
            if code == EINTR { continue }
            if code != 0 { throw failure(code) }
            if out.count > limit { throw tooLarge }
            if out.count == start { return out }
        }
    }
}

/// The JSON of `info` and `create`: field names and meanings are part of the interface.
enum TorrentJSON {
    static func write(_ t: Metainfo) {
        var out = Output()
        out.add("{")
        out.add("\"infoHashV1\":\(quoted(t.infoHashV1?.hex)),\"infoHashV2\":\(quoted(t.infoHashV2?.hex)),\"name\":\(quoted(t.name)),")
        let content = t.files.lazy.filter { !$0.isPad }.reduce(0) { n, _ in n + 1 }
        let pads = t.infoHashV1 == nil ? 0 : t.files.count - content
        out.add("\"totalSize\":\(t.contentLength),\"pieceLength\":\(t.geometry.pieceLength),\"pieceCount\":\(t.geometry.pieceCount),")
        out.add("\"fileCount\":\(content),\"padFileCount\":\(pads),\"private\":\(t.isPrivate),")
        out.add("\"trackers\":\(list(t.trackers.map { list($0.map(quoted)) })),\"webSeeds\":\(list(t.webSeeds.map(quoted))),")
        out.add("\"httpSeeds\":\(list(t.httpSeeds.map(quoted))),")
        out.add("\"dhtNodes\":\(list(t.nodes.map { "[\(quoted($0.host)),\($0.port)]" })),")
        out.add("\"comment\":\(quoted(t.comment)),\"createdBy\":\(quoted(t.creator)),")
        out.add("\"creationDate\":\(t.creationDate.map(String.init) ?? "null"),\"source\":\(quoted(t.source)),\"files\":[")
        var first = true
        for file in t.files where !file.isPad {
            var line = "\(first ? "" : ","){\"path\":\(quoted(file.path)),\"length\":\(file.length)"
            if !file.attributes.isEmpty { line += ",\"attributes\":\(quoted(file.attributes.letters))" }
            if file.attributes.contains(.symlink) { line += ",\"symlink\":\(quoted(file.symlinkTarget?.joined(separator: "/")))" }
            out.add(line + "}")
            first = false
        }
        out.add("]}\n")
        out.flush()
    }

    static func write(_ m: Magnet) {
        var fields = [
            "\"infoHashV1\":\(quoted(m.infoHashV1?.hex))", "\"infoHashV2\":\(quoted(m.infoHashV2?.hex))", "\"name\":\(quoted(m.name))",
            "\"trackers\":\(list(m.trackers.map { list([quoted($0)]) }))", "\"webSeeds\":\(list(m.webSeeds.map(quoted)))",
            "\"exactSources\":\(list(m.exactSources.map(quoted)))", "\"peers\":\(list(m.peers.map { quoted($0.description) }))",
        ]
        fields.append("\"selectOnly\":\(m.selectOnly.map { list($0.ranges.flatMap { $0.map(String.init) }) } ?? "null")")
        Terminal.out("{" + fields.joined(separator: ",") + "}")
    }

    static func list(_ items: [String]) -> String { "[" + items.joined(separator: ",") + "]" }

    /// C1 controls are escaped as well as JSON's own: the line may end up on a terminal.
    static func quoted(_ text: String?) -> String {
        guard let text else { return "null" }
        var out: [UInt8] = [UInt8(ascii: "\"")]
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22, 0x5C:
                out.append(UInt8(ascii: "\\"))
                out.append(UInt8(scalar.value))
            case 0..<0x20, 0x7F...0x9F, 0x2028, 0x2029:
                let hex = String(scalar.value, radix: 16)
                out.append(contentsOf: "\\u\(String(repeating: "0", count: 4 - hex.count))\(hex)".utf8)
            default: out.append(contentsOf: UTF8.encode(scalar)!)
            }
        }
        out.append(UInt8(ascii: "\""))
        return String(decoding: out, as: UTF8.self)
    }
}
