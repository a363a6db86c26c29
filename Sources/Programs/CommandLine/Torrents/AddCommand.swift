import ArgumentParser
import Control
import Foundation
import Glibc
import KRPC
import Metainfo

struct AddCommand: DaemonCommand {
    static let configuration = CommandConfiguration(
        commandName: "add", abstract: "Add torrents.",
        discussion: """
            Data that is there already is hashed and kept; only the rest is downloaded.

            Examples:
              btbt add debian.torrent --save /srv/downloads
              btbt add *.torrent --save /srv/archive --skip-check
              btbt add 'magnet:?xt=urn:btih:…' --save /srv/downloads --peer 192.0.2.7:6881
              btbt add 'magnet:?xs=urn:btpk:…'            a torrent that follows an item of the DHT
            """)
    @OptionGroup var global: GlobalOptions
    @Argument(help: ArgumentHelp("Torrent files, magnet links, or http addresses of torrent files.", valueName: "file|magnet|url")) var sources: [String]
    @Option(name: .long, help: ArgumentHelp("Folder that the data goes to; default: the setting disk.download_dir.", valueName: "dir")) var save: String?
    @Flag(name: .long, help: "Believe that all data is there, without hashing it.") var skipCheck = false
    @Flag(name: .long, help: "Add without starting.") var paused = false
    @Flag(name: .long, help: "Download the pieces in order.") var sequential = false
    @Option(name: .long, help: "Category; made when it does not exist.") var category: String?
    @Option(name: .long, help: ArgumentHelp("May be repeated.", valueName: "tag")) var tag: [String] = []
    @Option(name: .long, help: "Name to show.") var name: String?
    @Flag(name: .long, help: "The save path follows the category.") var auto = false
    @Flag(name: .long, help: "Put it at the top of the queue.") var top = false
    @Flag(name: .long, help: "Run whatever the queue says.") var force = false
    @Option(name: .long, help: "When it pauses by itself.") var stopCondition: StopCondition?
    @Option(name: .long, help: "How the files are laid out.") var layout: ContentLayout?
    @Option(name: .long, help: ArgumentHelp("Folder for the data until all of it is there.", valueName: "dir")) var incomplete: String?
    @Option(name: .long, help: ArgumentHelp("Files to fetch: numbers and ranges, as 0,3-5.", valueName: "list")) var only: String?
    @Option(name: .long, help: ArgumentHelp("Priority of a file or range: skip, low, normal, high, maximum; may be repeated.", valueName: "index=level")) var priority: [String] = []
    @Option(name: .long, help: ArgumentHelp("A peer to connect to; may be repeated.", valueName: "host:port")) var peer: [String] = []

    func run(_ daemon: ControlClient) throws {
        let peers = try peer.map { try PeerAddress.resolve($0) }
        var answers: [AddAnswer] = []
        var failed: [Failure] = []
        for source in sources {
            do {
                var parameters = try TorrentSource.parameters(source)
                parameters.save = save.map(GlobalOptions.absolute)
                parameters.skipCheck = skipCheck
                parameters.paused = paused ? true : nil
                parameters.category = category
                parameters.tags = tag.isEmpty ? nil : tag
                parameters.name = name
                parameters.autoManaged = auto ? true : nil
                parameters.topOfQueue = top ? true : nil
                parameters.forceStart = force ? true : nil
                parameters.stopCondition = stopCondition
                parameters.contentLayout = layout
                parameters.incompletePath = incomplete.map(GlobalOptions.absolute)
                parameters.sequential = sequential
                parameters.peers = peers.isEmpty ? nil : peers
                parameters.only = only?.split(separator: ",").map(String.init)
                parameters.priorities = priority.isEmpty ? nil : priority
                // An address is fetched first.
                let answer = try daemon.call(ControlMethods.Add.self, parameters, seconds: 120)
                answers.append(answer)
                if !global.json { Terminal.out("\(answer.hash)  \(Printable.escape(answer.name))") }
            } catch let failure as Failure {
                // The others are still added.
                failed.append(Failure(failure.status, "\(TorrentSource.shortName(source)): \(failure.text)"))
            }
        }
        if global.json { JSONOutput.show(answers) }
        for failure in failed.dropLast() { Terminal.error("btbt: \(failure.description)") }
        if let last = failed.last { throw last }
    }
}

/// What a user names to be downloaded: a file, or a magnet link.
extension TorrentSource {
    static func isMagnet(_ source: String) -> Bool { source.prefix(7).lowercased() == "magnet:" }

    static func isAddress(_ source: String) -> Bool { ["http://", "https://"].contains { source.lowercased().hasPrefix($0) } }

    static func shortName(_ source: String) -> String {
        isMagnet(source) ? String(source.prefix(60)) : source
    }

    static func parameters(_ source: String) throws -> AddParameters {
        if isMagnet(source) { return AddParameters(magnet: source) }
        if isAddress(source) { return AddParameters(url: source) }
        return AddParameters(torrent: Data(try read(source)).base64EncodedString())
    }

    /// Also the hexadecimal info-hash of the swarm, or the target of the item that a link follows; refuses what is no torrent before anything is started.
    static func identify(_ source: String) throws -> (hash: String, parameters: AddParameters) {
        do {
            if isMagnet(source) {
                if let link = try MutableMagnet(parsing: source) {
                    return (Item.target(key: link.source.key, salt: link.source.salt).digest.hex, AddParameters(magnet: source))
                }
                return (try Magnet(parsing: source).infoHash.hex, AddParameters(magnet: source))
            }
            let bytes = try read(source)
            return (try Metainfo(parsing: bytes).infoHash.hex, AddParameters(torrent: Data(bytes).base64EncodedString()))
        } catch let error as MetainfoError {
            throw Failure(.failed, "\(shortName(source)): \(error)")
        } catch let error as MagnetError {
            throw Failure(.failed, "\(shortName(source)): \(error)")
        }
    }
}

/// "host:port" to "1.2.3.4:port" or "[::1]:port".
enum PeerAddress {
    static func resolve(_ text: String) throws -> String {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            throw Failure(.usage, "\(text): a peer is HOST:PORT")
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        var hints = addrinfo(), found: UnsafeMutablePointer<addrinfo>?
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        let result = getaddrinfo(host, nil, &hints, &found)
        guard result == 0, let found else { throw Failure(.failed, "\(host): \(String(cString: gai_strerror(result)))") }
        defer { freeaddrinfo(found) }
        var name = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        guard getnameinfo(found.pointee.ai_addr, found.pointee.ai_addrlen, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST) == 0 else {
            throw Failure(.failed, "\(host): its address cannot be written")
        }
        let address = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
    }
}
