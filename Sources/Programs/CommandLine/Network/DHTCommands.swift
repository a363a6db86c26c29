import ArgumentParser
import Control
import Foundation
import KRPC
import Metainfo
import Primitives

struct DHTGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dht", abstract: "Look at the DHT, and ask it.",
        discussion: """
            Examples:
              btbt dht status
              btbt dht lookup 9f9165d9a2…
              btbt dht put 'hello'                      an item under the hash of its value
              btbt dht put 'hello' --key ~/.dht.key     an item that can be changed, under the key
              btbt dht get 4a533d47ec9c7d95b1ad75f576cffc641853b750
            """,
        subcommands: [DHTStatusCommand.self, DHTLookupCommand.self, DHTGetCommand.self, DHTPutCommand.self], defaultSubcommand: DHTStatusCommand.self)
}

struct DHTStatusCommand: DaemonCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "Show our node: id, address, routing table, traffic.")
    @OptionGroup var global: GlobalOptions

    func run(_ daemon: ControlClient) throws {
        let s = try daemon.call(ControlMethods.DHTStatus.self)
        if global.json { return JSONOutput.show(s) }
        guard s.enabled else { return Terminal.out("The DHT is off: \(s.refusal ?? "its port is in use").") }
        var table = Table([.left("FAMILY"), .right("NODES"), .right("SPARES"), .right("BUCKETS"), .left("SEEN AS"), .left("NODE ID")])
        for f in s.families {
            table.add([
                .init(f.family), .init("\(f.nodes)", f.nodes == 0 ? .bad : .good), .init("\(f.spares)"), .init("\(f.buckets)"), .init(f.external ?? "–"), .init(f.nodeID),
            ])
        }
        table.show()
        Terminal.out("torrents \(s.torrents), lookups under way \(s.lookups), done \(s.lookupsDone), peers found \(s.peersFound)\(s.readOnly ? ", read-only" : "")")
        Terminal.out("kept for others: \(s.storedPeers) peers of \(s.storedTorrents) torrents, \(s.storedItems) items")
        Terminal.out(
            "datagrams: \(s.received) received, \(s.sent) sent; queries answered \(s.queriesAnswered), over the rate \(s.dropped); not understood or not asked for \(s.ignored); unanswered \(s.timeouts)"
        )
    }
}

struct DHTLookupCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "lookup", abstract: "Find the peers of an info-hash.",
        discussion: "Numbers of seeds and downloaders are estimates that nodes give (BEP 33).\n\nExample:\n  btbt dht lookup dd8255ecdc7ca55fb0bbf81323d87062db1f6d1c")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "40 or 64 digits, or the first 6 of a torrent that the daemon has.") var hash: String

    func run(_ daemon: ControlClient) throws {
        let answer = try daemon.call(ControlMethods.DHTLookup.self, DHTLookupParameters(hash: hash), seconds: 70)
        if global.json { return JSONOutput.show(answer) }
        for peer in answer.peers { Terminal.out(peer) }
        Terminal.out(
            "\(answer.peers.count) peers, about \(answer.seeds) seeds and \(answer.downloaders) downloaders; \(answer.answered) of \(answer.asked) nodes answered, \(answer.hops) hops")
    }
}

/// A value on the command line: text, or bencode in hexadecimal.
enum ItemValue {
    static func bencoded(_ text: String, hex: Bool) throws -> [UInt8] {
        guard hex else { return Array("\(text.utf8.count):".utf8) + Array(text.utf8) }
        guard let bytes = Hex.decode(text), Item.isWellFormed(bytes) else { throw Failure(.usage, "--hex takes one bencoded value of at most \(KRPC.itemLimit) bytes in hexadecimal") }
        return bytes
    }
    /// The v1 info-hash of a torrent file, a magnet link or itself: what BEP 46 can name.
    static func torrent(_ text: String) throws -> InfoHash {
        if let hash = InfoHash(hex: text.lowercased()) { return hash }
        do {
            let hash = TorrentSource.isMagnet(text) ? try Magnet(parsing: text).infoHashV1 : try Metainfo(parsing: TorrentSource.read(text)).infoHashV1
            guard let hash else { throw Failure(.failed, "\(TorrentSource.shortName(text)): only torrents with a v1 info-hash can be published (BEP 46)") }
            return hash
        } catch let error as MetainfoError { throw Failure(.failed, "\(TorrentSource.shortName(text)): \(error)") } catch let error as MagnetError {
            throw Failure(.failed, "\(TorrentSource.shortName(text)): \(error)")
        }
    }
    /// The text of a string, else the bencode itself.
    static func shown(_ hex: String) -> String {
        guard let bytes = Hex.decode(hex) else { return hex }
        if let colon = bytes.firstIndex(of: UInt8(ascii: ":")), Int(String(decoding: bytes[..<colon], as: UTF8.self)) == bytes.count - colon - 1,
            let text = String(validating: bytes[(colon + 1)...], as: UTF8.self)
        {
            return Printable.escape(text)
        }
        return Printable.escape(String(decoding: bytes, as: UTF8.self))
    }
}

struct DHTGetCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "get", abstract: "Read an item (BEP 44).",
        discussion: "Examples:\n  btbt dht get e5f96f6f38320f0f33959cb4d3d656452117aadb\n  btbt dht get 77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548 --salt news")
    @OptionGroup var global: GlobalOptions
    @Argument(help: "The item's target (40 digits), or the public key of a mutable one (64).") var target: String
    @Option(name: .long, help: ArgumentHelp("Salt of a mutable item.", valueName: "text")) var salt: String?

    func run(_ daemon: ControlClient) throws {
        let answer = try daemon.call(ControlMethods.DHTGet.self, DHTGetParameters(target: target, salt: salt.map { Hex.encode(Array($0.utf8)) }), seconds: 70)
        if global.json { return JSONOutput.show(answer) }
        Terminal.out(ItemValue.shown(answer.value))
    }
}

struct DHTPutCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Store an item (BEP 44).",
        discussion: """
            Without --key the item is found under the hash of its value and cannot be changed. With --key it is found under
            the public key of the 32 secret bytes in FILE (64 hexadecimal digits; made when it does not exist), and a later put replaces it.
            Nodes forget items after two hours: put again to keep one.

            Examples:
              btbt dht put 'hello'
              btbt dht put 'hello again' --key ~/.dht.key --salt news

            With --torrent the item names a torrent (BEP 46): a file, a magnet link or an info-hash. The link that is printed
            follows it; publish a newer torrent under the same key and salt, and who added the link gets it. A daemon that has
            added the link itself puts the item again each hour.

              btbt dht put --torrent release-2.torrent --key ~/.dht.key --salt releases
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: "A text, or with --hex a bencoded value.") var value: String
    @Flag(name: .long, help: "The value is bencode in hexadecimal.") var hex = false
    @Flag(name: .long, help: "The value is a torrent, to be published under the key.") var torrent = false
    @Option(name: .long, help: ArgumentHelp("File with the secret key of a mutable item.", valueName: "file")) var key: String?
    @Option(name: .long, help: ArgumentHelp("Salt: several items under one key.", valueName: "text")) var salt: String?
    @Option(name: .long, help: ArgumentHelp("Sequence number (default: one more than what is stored).", valueName: "n")) var seq: Int64?
    @Option(name: .long, help: ArgumentHelp("Store only over this sequence number.", valueName: "n")) var cas: Int64?

    func run(_ daemon: ControlClient) throws {
        guard !torrent || key != nil && !hex else { throw Failure(.usage, "--torrent needs --key, and goes without --hex") }
        let bytes = torrent ? Item.value(of: try ItemValue.torrent(value)) : try ItemValue.bencoded(value, hex: hex)
        guard bytes.count <= KRPC.itemLimit else { throw Failure(.usage, "an item has at most \(KRPC.itemLimit) bytes") }
        var parameters = DHTPutParameters(value: Hex.encode(bytes))
        if let key {
            let seed = try SecretKeyFile.read(GlobalOptions.absolute(key)), salt = Array((self.salt ?? "").utf8)
            guard let publicKey = Item.publicKey(seed: seed) else { throw Failure(.failed, "\(key): libcrypto does not take this key") }
            parameters.publicKey = Hex.encode(publicKey)
            parameters.salt = Hex.encode(salt)
            let sequence = try seq ?? next(daemon, parameters)
            guard let item = Item.sign(bytes, sequence: sequence, salt: salt, seed: seed) else { throw Failure(.failed, "\(key): cannot sign") }
            (parameters.signature, parameters.sequence, parameters.cas) = (Hex.encode(item.signature), sequence, cas)
        } else if salt != nil || seq != nil || cas != nil {
            throw Failure(.usage, "--salt, --seq and --cas are of mutable items: give --key as well")
        }
        var answer = try daemon.call(ControlMethods.DHTPut.self, parameters, seconds: 70)
        if torrent, let publicKey = parameters.publicKey.flatMap({ Hex.decode($0) }) {
            answer.link = MutableMagnet.Source(key: publicKey, salt: Array((salt ?? "").utf8)).link
        }
        if answer.stored == 0 { throw Failure(.failed, "no node stored it" + (answer.refusal.map { ": \($0)" } ?? "")) }
        if global.json { return JSONOutput.show(answer) }
        Terminal.out(answer.link ?? parameters.publicKey ?? answer.target)
        Terminal.error("stored at \(answer.stored) node\(answer.stored == 1 ? "" : "s")" + (answer.refusal.map { "; one refused: \($0)" } ?? ""))
    }

    private func next(_ daemon: ControlClient, _ p: DHTPutParameters) throws -> Int64 {
        do {
            let known = try daemon.call(ControlMethods.DHTGet.self, DHTGetParameters(target: p.publicKey!, salt: p.salt), seconds: 70)
            return (known.sequence ?? 0) + 1
        } catch let failure as Failure where failure.status == .notFound { return 1 }
    }
}

/// 32 secret bytes as 64 hexadecimal digits in a file of its owner's alone.
enum SecretKeyFile {
    static func read(_ path: String) throws -> [UInt8] {
        if let text = try? String(contentsOfFile: path, encoding: .utf8) {
            guard let seed = Hex.decode(text.trimmingCharacters(in: .whitespacesAndNewlines)), seed.count == 32 else {
                throw Failure(.failed, "\(path): not a key of 64 hexadecimal digits")
            }
            return seed
        }
        var seed = [UInt8](repeating: 0, count: 32)
        for i in seed.indices { seed[i] = UInt8.random(in: 0...255) }
        let fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard fd >= 0 else { throw Failure(.failed, "\(path): \(String(cString: strerror(errno)))") }
        defer { close(fd) }
        let line = Array((Hex.encode(seed) + "\n").utf8)
        guard write(fd, line, line.count) == line.count else { throw Failure(.failed, "\(path): \(String(cString: strerror(errno)))") }
        return seed
    }
}
