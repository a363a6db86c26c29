import IPC
import LinuxIO
import Primitives

/// The fields of a torrent in qBittorrent's Web API (v5.1), with the version of each one's last change.
package struct TorrentFields: Sendable {
    package enum Field: Int, CaseIterable, Sendable {
        case addedOn, amountLeft, autoTmm, availability, category, comment, completed, completionOn, contentPath, dlLimit, dlspeed, downloadPath
        case downloaded, downloadedSession, eta, fLPiecePrio, forceStart, hasMetadata, hash, inactiveSeedingTimeLimit, infohashV1, infohashV2
        case lastActivity, magnetUri, maxInactiveSeedingTime, maxRatio, maxSeedingTime, name, numComplete, numIncomplete, numLeechs, numSeeds, popularity
        case priority, `private`, progress, ratio, ratioLimit, reannounce, rootPath, savePath, seedingTime, seedingTimeLimit, seenComplete, seqDl, size
        case state, superSeeding, tags, timeActive, totalSize, tracker, trackersCount, upLimit, uploaded, uploadedSession, upspeed

        /// "added_on".
        package var name: String { Self.names[rawValue] }
        /// "\"added_on\":".
        var quoted: [UInt8] { Self.quotedNames[rawValue] }

        package static func named(_ name: String) -> Field? { byName[name] }

        private static let names: [String] = allCases.map { field in
            var out = ""
            for c in "\(field)" {
                if c.isUppercase { out.append("_") }
                out.append(contentsOf: c.lowercased())
            }
            return out
        }
        private static let quotedNames: [[UInt8]] = names.map { Array("\"\($0)\":".utf8) }
        private static let byName = Dictionary(uniqueKeysWithValues: zip(names, allCases))
    }

    /// eta of a torrent that gets no nearer to its end: 100 days.
    static let unknownETA: Int64 = 8_640_000

    package private(set) var values = [FieldValue](repeating: .null, count: Field.allCases.count)
    package private(set) var versions = [UInt64](repeating: 0, count: Field.allCases.count)

    package init() {}

    package subscript(_ field: Field) -> FieldValue { values[field.rawValue] }

    private mutating func set(_ field: Field, _ value: FieldValue, _ version: UInt64) {
        guard values[field.rawValue] != value else { return }
        values[field.rawValue] = value
        versions[field.rawValue] = version
    }

    /// Fields that move with the clock alone (seeding_time, reannounce, time_active) are taken anew here too, so in deltas they are
    /// as old as the row's last change: 10,000 idle torrents must not send 10,000 counters a second.
    mutating func update(
        _ r: ApiTorrent, hash: String, hashV2: String, version: UInt64
    ) {
        let flags = ApiTorrentFlags(rawValue: r.flags), options = ApiTorrentOptions(rawValue: r.options), state = TorrentState51(r), complete = flags.contains(.complete)
        func set(_ field: Field, _ value: FieldValue) { self.set(field, value, version) }
        func number(_ n: some BinaryInteger) -> FieldValue { .integer(Int64(clamping: n)) }
        func ratio(_ n: Int64) -> FieldValue { n < 0 ? .integer(n) : .number(Double(n) / 1000) }
        let left = r.bytesWanted - min(r.bytesWantedHave, r.bytesWanted)
        let announced = r.trackers.filter { $0.state == 2 }

        set(.hash, .text(hash))
        set(.infohashV1, .text(flags.contains(.hasV1) ? hash : ""))
        set(.infohashV2, .text(hashV2))
        set(.name, .text(r.name))
        set(.magnetUri, .text(Self.magnet(r, hash: hash, hashV2: hashV2)))
        set(.size, number(r.bytesWanted))
        set(.totalSize, number(flags.contains(.hasMetadata) ? Int64(clamping: r.totalLength) : -1))
        set(.progress, .number(Self.progress(r, complete: complete)))
        set(.dlspeed, number(r.downRate))
        set(.upspeed, number(r.upRate))
        set(.priority, number(r.queuePosition))
        set(.numSeeds, number(r.seeds))
        set(.numLeechs, number(r.peers - min(r.seeds, r.peers)))
        // The swarm's size as the best informed tracker tells it; -1 before any has.
        // Where no tracker knows, as many as are connected: what qBittorrent shows then.
        set(.numComplete, number(max(r.trackers.map(\.seeds).max() ?? -1, Int32(clamping: r.seeds))))
        set(.numIncomplete, number(max(r.trackers.map(\.leechers).max() ?? -1, Int32(clamping: r.peers - min(r.peers, r.seeds)))))
        set(.ratio, .number(Self.ratio(r)))
        set(.popularity, .number(0))
        set(.eta, .integer(r.downRate > 0 && left > 0 && !complete ? min(Int64(clamping: left / r.downRate), Self.unknownETA) : Self.unknownETA))
        set(.state, .text(state.rawValue))
        set(.seqDl, .flag(flags.contains(.sequential)))
        set(.fLPiecePrio, .flag(options.contains(.firstLastFirst)))
        set(.category, .text(r.category))
        set(.tags, .text(r.tags))
        set(.superSeeding, .flag(options.contains(.superSeeding)))
        set(.forceStart, .flag(options.contains(.forceStart)))
        set(.savePath, .text(r.finalPath.isEmpty ? r.savePath : r.finalPath))
        set(.downloadPath, .text(r.finalPath.isEmpty ? "" : r.savePath))
        let root = r.rootName.isEmpty ? "" : Self.join(r.savePath, r.rootName)
        // Importers take an item only when content_path differs from save_path: the root folder, or the one file.
        set(.contentPath, .text(!r.contentPath.isEmpty ? r.contentPath : root.isEmpty ? r.savePath : root))
        set(.rootPath, .text(r.fileCount > 1 ? root : ""))
        set(.addedOn, number(r.addedAt))
        set(.completionOn, r.completedAt == 0 ? .integer(-1) : number(r.completedAt))
        set(.tracker, .text(announced.first?.url ?? ""))
        set(.trackersCount, number(r.trackers.count))
        set(.dlLimit, number(max(0, r.downLimit)))
        set(.upLimit, number(max(0, r.upLimit)))
        set(.downloaded, number(r.downloaded))
        set(.uploaded, number(r.uploaded))
        set(.downloadedSession, number(r.downloadedSession))
        set(.uploadedSession, number(r.uploadedSession))
        set(.amountLeft, number(left))
        set(.completed, number(r.bytesWantedHave))
        set(.maxRatio, ratio(r.maxRatio))
        set(.maxSeedingTime, .integer(r.maxSeedingTime))
        set(.maxInactiveSeedingTime, .integer(r.maxInactiveTime))
        set(.ratioLimit, ratio(r.ratioLimit))
        set(.seedingTimeLimit, .integer(r.seedingTimeLimit))
        set(.inactiveSeedingTimeLimit, .integer(r.inactiveTimeLimit))
        set(.seenComplete, r.seenComplete > 0 ? number(r.seenComplete) : .integer(-1))
        set(.lastActivity, number(r.lastActivity))
        set(.autoTmm, .flag(options.contains(.autoManaged)))
        let now = wallSeconds()
        set(.timeActive, number(r.timeActive))
        set(.seedingTime, number(r.seedingTime))
        set(.availability, r.availability < 0 ? .integer(-1) : .number(Double(r.availability) / 1000))
        set(.reannounce, number(Self.reannounce(r, now)))
        set(.comment, .text(r.comment))
        set(.private, .flag(flags.contains(.isPrivate)))
        set(.hasMetadata, .flag(flags.contains(.hasMetadata)))
    }

    private static func progress(_ r: ApiTorrent, complete: Bool) -> Double {
        if r.diskState == DiskState.checking.rawValue { return r.pieceCount == 0 ? 1 : rounded(Double(r.piecesChecked) / Double(r.pieceCount)) }
        if complete { return 1 }
        // Down, so that 1 means complete.
        return r.bytesWanted == 0 ? 0 : min(rounded(Double(r.bytesWantedHave) / Double(r.bytesWanted)), 0.9999)
    }
    /// Four digits: a delta less often than each piece, and finer than any bar.
    private static func rounded(_ d: Double) -> Double { (d * 10_000).rounded(.down) / 10_000 }

    package static func ratio(_ r: ApiTorrent) -> Double {
        let basis = r.downloaded > 0 ? r.downloaded : r.totalLength
        guard basis > 0 else { return 0 }
        return min((Double(r.uploaded) / Double(basis) * 10_000).rounded() / 10_000, 9999)
    }
    private static func reannounce(_ r: ApiTorrent, _ now: UInt64) -> UInt64 {
        let next = r.trackers.map(\.nextAnnounce).filter { $0 > now }.min()
        return next.map { $0 - now } ?? 0
    }
    static func join(_ folder: String, _ name: String) -> String { folder.hasSuffix("/") ? folder + name : folder + "/" + name }

    static func magnet(_ r: ApiTorrent, hash: String, hashV2: String) -> String {
        var out = "magnet:?"
        var topics: [String] = []
        if ApiTorrentFlags(rawValue: r.flags).contains(.hasV1) { topics.append("xt=urn:btih:\(hash)") }
        // BEP 52: a multihash, 0x12 sha2-256 of 0x20 bytes.
        if !hashV2.isEmpty { topics.append("xt=urn:btmh:1220\(hashV2)") }
        out += topics.joined(separator: "&")
        out += "&dn=\(PercentCoding.encode(r.name))"
        for tracker in r.trackers { out += "&tr=\(PercentCoding.encode(tracker.url))" }
        return out
    }

    // MARK: out

    /// The whole object's members. `elapsed`: seconds for which times have run on since the row came.
    package func append(to json: inout JSONBytes, withHash: Bool, elapsed: Int64 = 0) {
        for field in Field.allCases where withHash || field != .hash {
            json.key(quoted: field.quoted)
            if elapsed > 0, field == .timeActive || field == .seedingTime, case .integer(let n) = values[field.rawValue] {
                json.value(.integer(n + elapsed))
            } else {
                json.value(values[field.rawValue])
            }
        }
    }
    /// What changed after `version`; false when nothing has.
    func append(to json: inout JSONBytes, since version: UInt64, hash: String) -> Bool {
        var isOpen = false
        for field in Field.allCases where versions[field.rawValue] > version && field != .hash {
            if !isOpen {
                json.key(hash)
                json.open()
                isOpen = true
            }
            json.key(quoted: field.quoted)
            json.value(values[field.rawValue])
        }
        if isOpen { json.close() }
        return isOpen
    }
}

/// States as version 5.1 names them.
package enum TorrentState51: String, Sendable, CaseIterable {
    case error, missingFiles, uploading, stoppedUP, queuedUP, stalledUP, checkingUP, downloading, metaDL, stoppedDL, queuedDL, stalledDL, checkingDL
    case checkingResumeData, moving, forcedUP, forcedDL

    /// `phase` is the catalogue's TorrentPhase: checking, downloading, seeding, completed, paused, queued, metadata, waiting, error.
    package init(_ r: ApiTorrent) {
        let complete = ApiTorrentFlags(rawValue: r.flags).contains(.complete)
        switch r.phase {
        case 0: self = complete || r.completedAt > 0 ? .checkingUP : .checkingDL
        case 1: self = r.downRate > 0 ? .downloading : .stalledDL
        case 2: self = r.upRate > 0 ? .uploading : .stalledUP
        case 3: self = .stoppedUP
        case 4: self = .stoppedDL
        case 5: self = complete ? .queuedUP : .queuedDL
        case 6: self = .metaDL
        case 7: self = r.diskState == DiskState.moving.rawValue ? .moving : .checkingResumeData
        default: self = r.diskState == DiskState.missing.rawValue ? .missingFiles : .error
        }
    }

    package var isComplete: Bool { [.uploading, .stoppedUP, .queuedUP, .stalledUP, .checkingUP, .forcedUP].contains(self) }
    package var isStopped: Bool { self == .stoppedUP || self == .stoppedDL }
}

/// Seconds since 1970.
package func wallSeconds() -> UInt64 { UInt64(max(0, Clock.wallSeconds())) }
