import Control
import Foundation
import IPC
import Primitives

/// The fields of a torrent in Transmission's RPC. Those that need a question to another worker (files, peers, the .torrent's
/// own texts) are asked for only when they are wanted.
struct TransmissionFields {
    static let fileFields: Set<String> = ["files", "fileStats", "priorities", "wanted"]
    static let peerFields: Set<String> = ["peers", "peersFrom"]
    static let detailFields: Set<String> = ["comment", "creator", "dateCreated", "webseeds", "pieces", "torrentFile"]

    /// 0 stopped, 1 check-wait, 2 check, 3 download-wait, 4 download, 5 seed-wait, 6 seed.
    static func status(_ r: ApiTorrent) -> Int {
        switch TorrentState51(r) {
        case .stoppedDL, .stoppedUP, .error, .missingFiles: 0
        case .checkingResumeData: 1
        case .checkingDL, .checkingUP: 2
        case .queuedDL: 3
        case .downloading, .stalledDL, .metaDL, .forcedDL: 4
        case .queuedUP: 5
        case .uploading, .stalledUP, .forcedUP: 6
        case .moving: ApiTorrentFlags(rawValue: r.flags).contains(.paused) ? 0 : ApiTorrentFlags(rawValue: r.flags).contains(.complete) ? 6 : 4
        }
    }

    let entry: MirrorState.Entry
    let details: TorrentDetails?
    let files: FilesAnswer?
    let peers: PeersAnswer?
    private let r: ApiTorrent

    init(entry: MirrorState.Entry, details: TorrentDetails?, files: FilesAnswer?, peers: PeersAnswer?) {
        (self.entry, self.details, self.files, self.peers, r) = (entry, details, files, peers, entry.row)
    }

    /// nil for a name that is none: it is left out of the answer.
    func value(_ name: String) -> Any? {
        let flags = ApiTorrentFlags(rawValue: r.flags)
        let now = Int(wallSeconds()), complete = flags.contains(.complete)
        let left = r.bytesWanted - min(r.bytesWantedHave, r.bytesWanted)
        func part(_ have: UInt64, of all: UInt64) -> Double { all == 0 ? (flags.contains(.hasMetadata) ? 1.0 : 0.0) : Double(min(have, all)) / Double(all) }
        var tracker: ApiTracker? { r.trackers.first { $0.state > 2 && !$0.message.isEmpty } }
        switch name {
        case "id": return Int(r.torrent)
        case "hashString": return entry.hash
        case "name": return r.name
        case "status": return Self.status(r)
        case "downloadDir": return r.savePath
        case "totalSize": return Int(clamping: r.totalLength)
        case "sizeWhenDone": return Int(clamping: r.bytesWanted)
        case "leftUntilDone": return Int(clamping: left)
        case "desiredAvailable": return r.seeds > 0 ? Int(clamping: left) : 0
        case "haveValid": return Int(clamping: r.bytesHave)
        case "queuePosition": return max(0, Int(r.queuePosition) - 1)
        case "haveUnchecked", "manualAnnounceTime", "bandwidthPriority", "webseedsSendingToUs", "editDate": return 0
        case "percentDone": return complete ? 1.0 : part(r.bytesWantedHave, of: r.bytesWanted)
        case "percentComplete": return part(r.bytesHave, of: r.totalLength)
        case "metadataPercentComplete": return flags.contains(.hasMetadata) ? 1 : 0
        case "recheckProgress": return r.diskState == DiskState.checking.rawValue && r.pieceCount > 0 ? Double(r.piecesChecked) / Double(r.pieceCount) : 0.0
        case "eta": return complete ? -1 : r.downRate > 0 ? Int(clamping: left / r.downRate) : -2
        case "etaIdle": return -1
        case "rateDownload": return Int(clamping: r.downRate)
        case "rateUpload": return Int(clamping: r.upRate)
        case "downloadedEver": return Int(clamping: r.downloaded)
        case "uploadedEver": return Int(clamping: r.uploaded)
        case "corruptEver": return Int(clamping: r.downloadedAgain)
        case "uploadRatio": return r.downloaded == 0 && r.totalLength == 0 ? -1.0 : TorrentFields.ratio(r)
        case "peersConnected": return Int(r.peers)
        case "peersGettingFromUs": return r.upRate > 0 ? Int(r.peers - min(r.seeds, r.peers)) : 0
        case "peersSendingToUs": return r.downRate > 0 ? Int(max(1, r.seeds)) : 0
        case "addedDate": return Int(r.addedAt)
        case "doneDate": return Int(r.completedAt)
        case "activityDate": return Int(r.lastActivity)
        case "startDate": return flags.contains(.paused) ? 0 : Int(r.addedAt)
        case "secondsDownloading": return max(0, (r.completedAt > 0 ? Int(r.completedAt) : now) - Int(r.addedAt))
        case "secondsSeeding": return Int(r.seedingTime) + (complete ? Int(entry.elapsed(now: UInt64(now))) : 0)
        case "isFinished": return complete && flags.contains(.paused)
        case "isStalled": return [.stalledDL, .stalledUP].contains(TorrentState51(r))
        case "isPrivate": return flags.contains(.isPrivate)
        case "error": return !r.error.isEmpty ? 3 : tracker != nil ? 2 : 0
        case "errorString": return !r.error.isEmpty ? r.error : tracker?.message ?? ""
        case "pieceCount": return Int(r.pieceCount)
        case "pieceSize": return Int(r.pieceLength)
        case "fileCount", "file-count": return Int(r.fileCount)
        case "magnetLink": if case .text(let link) = entry.shown[.magnetUri] { return link } else { return "" }
        case "labels": return labels
        case "group", "bandwidth-group": return r.limitGroup
        case "sequentialDownload", "sequential_download": return flags.contains(.sequential)
        case "seedRatioMode", "seedIdleMode": return limits(name)
        case "seedRatioLimit": if case .number(let d) = entry.shown[.ratioLimit] { return max(0, d) } else { return 0.0 }
        case "seedIdleLimit": if case .integer(let n) = entry.shown[.inactiveSeedingTimeLimit] { return max(0, Int(n)) } else { return 0 }
        case "honorsSessionLimits": return true
        case "downloadLimit": return kib(.dlLimit)
        case "uploadLimit": return kib(.upLimit)
        case "downloadLimited": return kib(.dlLimit) > 0
        case "uploadLimited": return kib(.upLimit) > 0
        case "peer-limit", "maxConnectedPeers": return Int(r.maxPeers)
        case "trackers": return r.trackers.enumerated().map { i, t in ["id": i, "announce": t.url, "scrape": "", "sitename": site(t.url), "tier": Int(t.tier)] as [String: Any] }
        case "trackerList": return Dictionary(grouping: r.trackers, by: \.tier).sorted { $0.key < $1.key }.map { $0.value.map(\.url).joined(separator: "\n") }.joined(separator: "\n\n")
        case "trackerStats": return r.trackers.enumerated().map { trackerStats($0.offset, $0.element, now) }
        case "files": return files?.files.map { ["name": $0.path, "length": Int(clamping: $0.length), "bytesCompleted": Int(clamping: $0.done)] as [String: Any] } ?? []
        case "fileStats":
            return files?.files.map { ["bytesCompleted": Int(clamping: $0.done), "wanted": $0.priority != "skip", "priority": FileChoice.transmissionNumber($0.priority)] as [String: Any] } ?? []
        case "wanted": return files?.files.map { $0.priority == "skip" ? 0 : 1 } ?? []
        case "priorities": return files?.files.map { FileChoice.transmissionNumber($0.priority) } ?? []
        case "peers": return peers?.peers.map { peer($0) } ?? []
        case "peersFrom":
            var counts: [String: Int] = ["fromCache": 0, "fromDht": 0, "fromIncoming": 0, "fromLpd": 0, "fromLtep": 0, "fromPex": 0, "fromTracker": 0]
            let names = ["tracker": "fromTracker", "dht": "fromDht", "pex": "fromPex", "lsd": "fromLpd", "incoming": "fromIncoming", "resume": "fromCache"]
            for p in peers?.peers ?? [] { counts[names[p.source] ?? "fromLtep", default: 0] += 1 }
            return counts
        case "comment": return details?.comment ?? ""
        case "creator": return details?.createdBy ?? ""
        case "dateCreated": return Int(details?.creationDate ?? 0)
        case "webseeds": return details?.webSeeds ?? []
        case "pieces": return details?.pieces ?? ""
        case "torrentFile": return details?.torrentFile ?? ""
        default: return nil
        }
    }

    private var labels: [String] {
        var out: [String] = []
        if case .text(let category) = entry.shown[.category], !category.isEmpty { out.append(category) }
        if case .text(let tags) = entry.shown[.tags] { out += tags.split(separator: ",").map { String($0.drop { $0 == " " }) } }
        return out
    }
    private func kib(_ field: TorrentFields.Field) -> Int { if case .integer(let n) = entry.shown[field] { return max(0, Int(n) / 1000) } else { return 0 } }
    /// 0 as the session, 1 its own, 2 none.
    private func limits(_ name: String) -> Int {
        switch entry.shown[name == "seedRatioMode" ? .ratioLimit : .inactiveSeedingTimeLimit] {
        case .integer(-2), .number(-2): 0
        case .integer(-1), .number(-1): 2
        default: 1
        }
    }
    private func site(_ url: String) -> String { URL(string: url)?.host ?? "" }

    private func trackerStats(_ i: Int, _ t: ApiTracker, _ now: Int) -> [String: Any] {
        let announced = t.state >= 2
        return [
            "id": i, "announce": t.url, "scrape": "", "sitename": site(t.url), "host": site(t.url), "tier": Int(t.tier), "isBackup": false,
            "announceState": t.state == 1 ? 3 : t.nextAnnounce > 0 ? 1 : 0, "hasAnnounced": announced, "hasScraped": false, "scrapeState": 0,
            "lastAnnounceSucceeded": t.state == 2, "lastAnnounceTimedOut": false, "lastAnnouncePeerCount": 0, "lastAnnounceResult": t.state == 2 ? "Success" : t.message,
            "lastAnnounceStartTime": 0, "lastAnnounceTime": announced ? now : 0, "lastScrapeResult": "", "lastScrapeStartTime": 0, "lastScrapeSucceeded": false,
            "lastScrapeTime": 0, "lastScrapeTimedOut": false, "nextAnnounceTime": Int(t.nextAnnounce), "nextScrapeTime": 0, "seederCount": Int(t.seeds),
            "leecherCount": Int(t.leechers), "downloadCount": Int(t.downloads), "downloader_count": -1,
        ]
    }

    private func peer(_ p: PeerRow) -> [String: Any] {
        let has = Set(p.flags), view = PeerView.fields(p)
        func text(_ name: String) -> String {
            if case .text(let s)? = view.fields.first(where: { $0.name == name })?.value { return s }
            return ""
        }
        return [
            "address": text("ip"), "port": Endpoint(p.endpoint).map { Int($0.port) } ?? 0, "clientName": p.client, "clientIsChoked": has.contains("peer_choking"),
            "clientIsInterested": has.contains("interested"), "peerIsChoked": has.contains("choking"), "peerIsInterested": has.contains("peer_interested"),
            "isDownloadingFrom": p.downRate > 0, "isUploadingTo": p.upRate > 0, "isIncoming": has.contains("incoming"), "isEncrypted": false, "isUTP": false,
            "flagStr": PeerView.flags(p).map(\.0).joined(), "progress": p.progress, "rateToClient": Int(clamping: p.downRate), "rateToPeer": Int(clamping: p.upRate),
        ]
    }
}
