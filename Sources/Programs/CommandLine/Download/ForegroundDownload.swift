import Control
import Foundation
import Glibc

/// One run of `ccbt FILE`: daemon up, torrent added, progress shown, daemon down.
struct ForegroundDownload {
    let target: DownloadTarget
    let folder: String
    let stateDirectory: String
    /// The same folder by a name that is short enough to bind a socket below it.
    private let shortState: ShortPath
    /// The state folder is ours alone and goes when the download is verified.
    let ownsState: Bool
    let options: DownloadCommand
    var parameters: AddParameters
    private var display: LiveDisplay
    /// Hexadecimal; of a link that follows an item it is known when the torrent was added.
    private var hash: String
    private let begin = Date()

    init(target: DownloadTarget, folder: String, stateDirectory: String, ownsState: Bool, options: DownloadCommand) throws {
        (self.target, self.folder, self.stateDirectory) = (target, folder, stateDirectory)
        (self.ownsState, self.options) = (ownsState, options)
        shortState = try ShortPath(stateDirectory)
        parameters = target.parameters
        hash = target.hash
        display = LiveDisplay(interactive: Terminal.isInteractive && !options.global.json)
    }

    private var global: GlobalOptions {
        var own = options.global
        own.stateDir = stateDirectory
        return own
    }

    mutating func perform() throws {
        if (try? global.connect()) != nil {
            throw Failure(.failed, "this torrent is being downloaded to \(folder) by another ccbt already")
        }
        try makeFolder()
        Interruption.catchSignals()
        try DaemonProcess.createPrivateFolder(stateDirectory)
        let daemon = try DaemonProcess.start(
            stateDirectory: shortState.path, arguments: options.listen.map { ["--listen", $0] } ?? [],
            environment: try options.environment(), life: .withUs)
        let outcome: Outcome
        do {
            let control = try daemon.waitUntilReady(global, interrupted: { Interruption.signal != nil })
            try add(control)
            outcome = try follow(control, daemon)
        } catch {
            display.keep()
            daemon.stop()
            if let signal = Interruption.signal { interrupted(signal) }
            throw error
        }
        let status = daemon.stop()
        switch outcome {
        case .verified(let torrent):
            guard status == 0 else { throw Failure(.failed, "all pieces are verified, but the daemon did not stop in order (status \(status))") }
            if ownsState { removeState() }
            report(torrent)
        case .interrupted(let torrent):
            // With --seed an interruption after the end is how it ends.
            if options.seed, let torrent, torrent.isVerified { return report(torrent) }
            interrupted(Interruption.signal ?? SIGINT)
        }
    }

    private func makeFolder() throws {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch { throw Failure(.failed, "cannot make the folder \(folder): \(String(cString: strerror(errno)))") }
        guard access(folder, W_OK | X_OK) == 0 else {
            throw Failure(.failed, "cannot write into \(folder): \(String(cString: strerror(errno)))")
        }
    }

    private mutating func add(_ control: ControlClient) throws {
        // An item of the DHT is asked for for a minute.
        let answer = try Result { try control.call(ControlMethods.Add.self, parameters, seconds: 120) }
            .flatMapError { error -> Result<AddAnswer, any Error> in
                // From an earlier run. What may have changed since is said again; an error or a pause is lifted.
                guard let known = try? control.call(ControlMethods.Show.self, ShowParameters(hash: target.hash)) else { return .failure(error) }
                return .success(AddAnswer(hash: known.summary.hash, name: known.summary.name))
            }.get()
        hash = answer.hash
        if let peers = parameters.peers {
            _ = try control.call(ControlMethods.AddPeers.self, AddPeersParameters(hash: answer.hash, peers: peers))
        }
        _ = try control.call(ControlMethods.Resume.self, HashParameters(hash: answer.hash))
    }

    enum Outcome {
        case verified(TorrentSummary)
        case interrupted(TorrentSummary?)
    }

    /// Five looks a second; the map of pieces once a second over a second connection, since it costs a longer answer.
    private mutating func follow(_ control: ControlClient, _ daemon: DaemonProcess) throws -> Outcome {
        var watch = control, details = try global.connect()
        var last: TorrentSummary?, pieces: [UInt8] = [], nextMap = Date.distantPast, announced = false
        try watch.startWatch(hash: hash, interval: 0.2)
        while true {
            if Interruption.signal != nil { return .interrupted(last) }
            if let status = daemon.exitStatus() { throw daemon.failure(status) }
            do {
                guard case .torrent(let torrent)? = try watch.nextWatchEvent(within: 1) else { continue }
                last = torrent
                if display.isInteractive, Date() >= nextMap {
                    pieces = try map(details) ?? pieces
                    nextMap = Date(timeIntervalSinceNow: 1)
                }
                show(torrent, pieces)
                if let error = torrent.error, torrent.state == .error { throw Failure(.failed, "\(torrent.name): \(error)") }
                guard torrent.isVerified else { continue }
                if !options.seed { return .verified(torrent) }
                if !announced, !options.global.json {
                    display.keep()
                    Terminal.out("all pieces verified; seeding until Ctrl-C")
                    announced = true
                }
            } catch let failure as Failure where failure.status == .temporary {
                // The session worker restarts; its replacement answers on the same socket.
                usleep(100_000)
                if let status = daemon.exitStatus() { throw daemon.failure(status) }
                watch = try global.connect()
                details = try global.connect()
                try watch.startWatch(hash: hash, interval: 0.2)
            }
        }
    }

    private func map(_ control: ControlClient) throws -> [UInt8]? {
        let answer = try control.call(ControlMethods.Show.self, ShowParameters(hash: hash, pieces: true), seconds: 5)
        return answer.pieces.flatMap { Data(base64Encoded: $0) }.map { [UInt8]($0) }
    }

    private mutating func show(_ torrent: TorrentSummary, _ pieces: [UInt8]) {
        if options.global.json { return Terminal.out(JSONOutput.line(torrent)) }
        display.show(ProgressSample(torrent, pieces: torrent.isVerified ? full(torrent) : pieces), elapsedSeconds: -begin.timeIntervalSinceNow)
    }
    private func full(_ torrent: TorrentSummary) -> [UInt8] { [UInt8](repeating: 0xFF, count: (torrent.pieceCount + 7) / 8) }

    // MARK: the end

    private struct Final: Encodable {
        var result: String, hash: String, name: String, size: UInt64, savePath: String
        var downloaded: UInt64, downloadedAgain: UInt64, uploaded: UInt64, seconds: Double
    }

    private func report(_ torrent: TorrentSummary) {
        let seconds = -begin.timeIntervalSinceNow
        if options.global.json {
            return JSONOutput.show(
                Final(
                    result: "verified", hash: torrent.hash, name: torrent.name, size: torrent.size, savePath: torrent.savePath,
                    downloaded: torrent.downloaded, downloadedAgain: torrent.downloadedAgain, uploaded: torrent.uploaded,
                    seconds: (seconds * 1000).rounded() / 1000))
        }
        let path = Printable.escape("\(torrent.savePath)/\(torrent.name)")
        Terminal.out(
            "\(Style.good("✓", colour: Terminal.hasColour)) \(path): \(Quantity.bytes(torrent.size)) verified in \(Quantity.duration(UInt64(seconds.rounded())))"
                + (torrent.downloaded > 0 ? ", ↓ \(Quantity.rate(UInt64(Double(torrent.downloaded) / max(0.001, seconds))))" : ""))
    }

    private func interrupted(_ signal: Int32) -> Never {
        Terminal.error("ccbt: interrupted; run it again to go on")
        shortState.remove()
        exit(128 + signal)
    }

    /// The folder DIR/.ccbt goes with its last torrent.
    private func removeState() {
        try? FileManager.default.removeItem(atPath: stateDirectory)
        rmdir(folder + "/.ccbt")
    }
}

extension TorrentSummary {
    var isVerified: Bool { state == .seeding || state == .completed }
}
