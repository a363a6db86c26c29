import Catalog
import Control
import Foundation
import IPC
import Metainfo
import Primitives
import Settings
import WorkerKit

/// What front ends are shown, made from the catalogue's rows.
extension SessionShell {
    func summary(_ row: CatalogRow) -> TorrentSummary {
        var s = Self.transferSummary(row)
        addSession(row, to: &s)
        return s
    }

    private static func transferSummary(_ row: CatalogRow) -> TorrentSummary {
        let record = row.record, facts = record.facts, total = record.counters.total
        let complete = row.isComplete
        let done = facts.hasMetadata ? min(row.disk.bytesHave, facts.totalLength) : 0
        var progress = 0.0
        if row.phase == .checking {
            progress = facts.pieceCount == 0 ? 1 : Double(row.disk.piecesChecked) / Double(facts.pieceCount)
        } else if complete {
            progress = 1
        } else if row.bytesWanted > 0 {
            progress = Double(row.bytesWantedHave) / Double(row.bytesWanted)
        }
        let basis = total.downloaded > 0 ? total.downloaded : facts.totalLength
        let eta = row.phase == .downloading && row.downRate > 0 ? (row.bytesWanted - row.bytesWantedHave) / row.downRate : nil
        return TorrentSummary(
            hash: facts.infoHash.hex, hashV2: facts.infoHashV2 == SHA256Digest() ? nil : facts.infoHashV2.hex, name: record.name,
            state: state(row.phase), progress: progress, done: done, size: facts.totalLength, downRate: row.downRate, upRate: row.upRate,
            peers: Int(row.peers), seeds: Int(row.seeds), downloaded: total.downloaded, downloadedAgain: total.downloadedAgain,
            uploaded: total.uploaded, ratio: basis == 0 ? 0 : Double(total.uploaded) / Double(basis), eta: eta,
            error: row.error.isEmpty ? nil : row.error, savePath: record.savePath, addedAt: record.addedAt,
            completedAt: record.completedAt == 0 ? nil : record.completedAt, isPrivate: facts.isPrivate, sequential: record.isSequential,
            pieceCount: Int(facts.pieceCount), piecesHave: Int(row.disk.piecesHave),
            wanted: row.bytesWanted, wantedDone: row.isComplete ? row.bytesWanted : row.bytesWantedHave)
    }

    static func state(_ phase: TorrentPhase) -> TorrentState {
        switch phase {
        case .checking: .checking
        case .downloading: .downloading
        case .seeding: .seeding
        case .completed: .completed
        case .paused: .paused
        case .queued: .queued
        case .metadata: .metadata
        case .waiting: .waiting
        case .error: .error
        }
    }

    func replyList(_ from: Asker) {
        var out: [UInt8] = []
        out.reserveCapacity(core.count * 1400 + 64)
        out.append(contentsOf: "{\"id\":\(from.id),\"result\":{\"torrents\":[".utf8)
        var isFirst = true
        core.forEach { row in
            if !isFirst { out.append(UInt8(ascii: ",")) }
            isFirst = false
            summary(row).append(to: &out)
        }
        out.append(contentsOf: "]}}\n".utf8)
        reply(from, line: out)
    }

    func status() -> DaemonStatus {
        var down: UInt64 = 0, up: UInt64 = 0, downloaded: UInt64 = 0, uploaded: UInt64 = 0, peers = 0
        core.forEach { row in
            down += row.downRate
            up += row.upRate
            peers += Int(row.peers)
            let total = row.record.counters.total
            downloaded += total.downloaded
            uploaded += total.uploaded
        }
        var states: [String: Int] = [:]
        for phase in TorrentPhase.allCases where core.phaseCounts[Int(phase.rawValue)] > 0 {
            states[Self.state(phase).rawValue] = core.phaseCounts[Int(phase.rawValue)]
        }
        let disks = diskStats.sorted { $0.key < $1.key }.map(\.value)
        return DaemonStatus(
            version: BuildIdentity.version, control: Control.version, uptime: UInt64(max(0, (loop.now - startedAt).seconds)),
            stateDirectory: kit.stateDirectory, listenPort: Int(listenPort), peerID: peerID.hex, torrents: core.phaseCounts.reduce(0, +),
            states: states, downRate: down, upRate: up, downloaded: downloaded, uploaded: uploaded, peers: peers, disk: disks.first?.mode ?? "",
            bytesWritten: disks.reduce(0) { $0 + $1.bytesWritten }, bytesRead: disks.reduce(0) { $0 + $1.bytesRead },
            healthy: storeFault.isEmpty && !workers.isEmpty && workers.allSatisfy { $0.state == 1 },
            externalAddresses: Array(Set(externalAddresses.values.joined().map(\.address.address))).sorted())
    }

    func workersAnswer() -> WorkersAnswer {
        let states = ["starting", "ready", "draining", "stopped", "backoff", "open"]
        return WorkersAnswer(
            workers: workers.compactMap { w in
                guard let role = WorkerRole(rawValue: w.role) else { return nil }
                return WorkerRow(
                    name: WorkerName(role, w.index).description, role: role.name, index: Int(w.index), pid: Int(w.pid), generation: Int(w.generation),
                    restarts: Int(w.restarts), state: Int(w.state) < states.count ? states[Int(w.state)] : "unknown", cpuMilliseconds: w.cpuMilliseconds,
                    residentBytes: w.residentBytes, uptimeMilliseconds: w.uptimeMilliseconds,
                    reason: w.reason.isEmpty ? nil : Text.printable(w.reason, limit: 500))
            })
    }

    func settingsAnswer() -> SettingsAnswer {
        SettingsAnswer(
            options: OptionTable.all.map { option in
                SettingRow(
                    key: option.key, value: settings.shown(option), standard: option.standard.text, limits: option.kind.limits, doc: option.doc,
                    needsRestart: option.needsRestart, isOverridden: overrides[option.key] != nil)
            })
    }

    func trackers(_ id: TorrentID) -> TrackersAnswer {
        let row = core.row(id)!, states = ["idle", "announcing", "working", "failing", "breaker_open"]
        var rows: [TrackerRow] = []
        func known(_ n: Int32) -> Int? { n < 0 ? nil : Int(n) }
        for (tier, urls) in row.record.facts.trackers.enumerated() {
            for url in urls {
                let t = row.trackers.first { Int($0.tier) == tier && $0.url == url } ?? TrackerReport(tier: UInt16(tier), url: url)
                rows.append(
                    TrackerRow(
                        tier: tier, url: url, state: Int(t.state) < states.count ? states[Int(t.state)] : "idle", seeds: known(t.seeds),
                        leechers: known(t.leechers), downloads: known(t.downloads), nextAnnounce: t.nextAnnounce == 0 ? nil : t.nextAnnounce,
                        message: t.message.isEmpty ? nil : t.message))
            }
        }
        return TrackersAnswer(trackers: rows)
    }

    // MARK: peers

    func askPeers(_ from: Asker, _ id: TorrentID) throws(ControlError) {
        let row = core.row(id)!
        guard let edge = kit.edge(.peer, row.shard) else { throw ControlError(.unavailable, "the peer worker is restarting") }
        let token = wait(from, .peers(pieceCount: row.record.facts.pieceCount), for: Self.workerAnswer)
        kit.send(PeerListWanted(torrent: id.rawValue), to: edge, correlation: token)
    }

    func answerPeers(token: UInt64, _ m: PeerList) {
        guard case .peers(let pieceCount)? = pending[token]?.kind else { return }
        let names = [
            "interested", "choking", "peer_interested", "peer_choking", "snubbed", "incoming", "seed", "optimistic", "upload_only", "rc4", "encrypted_handshake", "utp",
        ]
        finish(
            token,
            PeersAnswer(
                peers: m.peers.map { p in
                    PeerRow(
                        endpoint: p.endpoint.description, client: Text.printable(p.client, limit: 64), peerID: p.peerID.hex,
                        source: (PeerSource(rawValue: p.source) ?? .manual).name,
                        flags: names.enumerated().filter { p.flags >> UInt32($0.offset) & 1 != 0 }.map(\.element), downRate: p.downRate,
                        upRate: p.upRate, downloaded: p.downloaded, uploaded: p.uploaded,
                        progress: pieceCount == 0 ? 0 : min(1, Double(p.havePieces) / Double(pieceCount)), inFlight: Int(p.inFlight),
                        queued: Int(p.queued), score: Int(p.score))
                }))
    }

    // MARK: files and details: the stored .torrent is read again, on the pool

    func askFiles(_ from: Asker, _ id: TorrentID) throws(ControlError) {
        let row = core.row(id)!
        guard row.record.facts.hasMetadata else { throw ControlError(.noMetadata, "the magnet's metadata has not arrived") }
        let token = wait(from, .files(id), for: Self.workerAnswer)
        let hasAll = row.disk.piecesHave == row.record.facts.pieceCount && row.isComplete
        guard row.isDiskKnown, row.disk.condition != .queued, !hasAll, let edge = kit.edge(.disk, row.device) else {
            // All or nothing is known without asking; while the disk worker is away so is what is between.
            return listFiles(token, hasAll ? .all : .unknown)
        }
        kit.send(DiskFileProgressWanted(torrent: id.rawValue), to: edge, correlation: token)
    }
    func answerFiles(token: UInt64, _ m: DiskFileProgress) { listFiles(token, .bytes(m.bytesHave)) }

    enum FileProgress: Sendable {
        case all, unknown
        case bytes([UInt64])
    }

    private func listFiles(_ token: UInt64, _ progress: FileProgress) {
        guard case .files(let id)? = pending[token]?.kind, let record = core.row(id)?.record else { return }
        let hash = record.facts.infoHash, levels = record.levels
        pending[token]!.deadline = .never
        pending[token]!.kind = .pool
        let files = self.files, names = core.row(id)!.record.names
        pool({ () -> FilesAnswer? in
            guard let bytes = files.read(hash), let m = try? Metainfo(parsing: bytes) else { return nil }
            var rows: [FileRow] = []
            rows.reserveCapacity(m.files.count)
            for file in m.files where !file.isPad {
                let i = file.index.int
                let done: UInt64 =
                    switch progress {
                    case .all: file.length
                    case .unknown: 0
                    case .bytes(let have): i < have.count ? min(have[i], file.length) : 0
                    }
                rows.append(
                    FileRow(
                        index: i, path: Text.printable(names.name(file.path), limit: 4096), length: file.length, done: done,
                        progress: file.length == 0 ? 1 : Double(done) / Double(file.length), offset: file.offset, priority: FileLevel.name(levels.level(of: i))))
            }
            return FilesAnswer(files: rows)
        }) { [self] answer in
            if let answer { finish(token, answer) } else { finish(token, error: ControlError(.storage, "the stored .torrent file cannot be read")) }
        }
    }

    func show(_ from: Asker, _ p: ShowParameters) throws(ControlError) {
        let id = try find(p.hash)
        let facts = core.row(id)!.record.facts, wantsPieces = p.pieces ?? false
        guard facts.hasMetadata else { return reply(from, details(id, nil, wantsPieces)) }
        let token = wait(from, .pool), files = self.files
        pool({ () -> Metainfo? in files.read(facts.infoHash).flatMap { try? Metainfo(parsing: $0) } }) { [self] m in
            guard core.row(id) != nil else { return finish(token, error: ControlError(.notFound, "no such torrent")) }
            finish(token, details(id, m, wantsPieces))
        }
    }

    private func details(_ id: TorrentID, _ m: Metainfo?, _ wantsPieces: Bool) -> TorrentDetails {
        let row = core.row(id)!, facts = row.record.facts
        var versions: [Int] = []
        if let m {
            if m.infoHashV1 != nil { versions.append(1) }
            if m.infoHashV2 != nil { versions.append(2) }
        }
        func text(_ s: String?) -> String? { s.map { Text.printable($0, limit: 4096) } }
        return TorrentDetails(
            summary: summary(row), hasMetadata: facts.hasMetadata, metaVersions: versions, pieceLength: facts.pieceLength,
            piecesChecked: Int(row.disk.piecesChecked), piecesDurable: row.durable.setCount, fileCount: Int(facts.fileCount),
            comment: row.record.options.comment.isEmpty ? text(m?.comment) : row.record.options.comment, createdBy: text(m?.creator),
            creationDate: m?.creationDate, trackers: facts.trackers,
            webSeeds: (m?.webSeeds ?? []) + (m?.httpSeeds ?? []), torrentFile: facts.hasMetadata ? files.path(facts.infoHash) : nil,
            pieces: wantsPieces ? Data(row.durable.wireBytes).base64EncodedString() : nil, follows: followAnswer(facts))
    }
}
