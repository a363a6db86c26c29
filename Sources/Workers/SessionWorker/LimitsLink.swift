import Catalog
import Control
import Glibc
import IPC
import Limits
import Primitives
import Settings

/// Rate limits: which hold now, and what the peer shards and the user are told of them.
extension SessionShell {
    /// While a schedule is in force the local time is looked at this often; its steps are minutes.
    static let scheduleInterval = TimeSpan.seconds(5)

    /// Switches to and from the alternative limits.
    func scheduleTurn(_ now: Instant) -> Instant {
        guard now >= nextSchedule else { return nextSchedule }
        let mode = settings.string("limits.alt_mode")
        nextSchedule = mode == "schedule" ? now + Self.scheduleInterval : .never
        let isDue = mode == "on" || mode == "schedule" && isScheduled()
        if isDue != usesAlternativeLimits {
            usesAlternativeLimits = isDue
            api?.areGlobalsDue = true
            log.info(isDue ? "the alternative limits hold" : "the ordinary limits hold")
            sendLimits()
        }
        return nextSchedule
    }

    private func isScheduled() -> Bool {
        guard let schedule = WeekSchedule(settings.list("limits.alt_schedule")) else { return false }
        var seconds = time(nil), local = tm()
        // A changed zone counts without a restart.
        tzset()
        guard localtime_r(&seconds, &local) != nil else { return false }
        // tm_wday 0 is Sunday.
        return schedule.isActive(weekday: (Int(local.tm_wday) + 6) % 7, minute: Int(local.tm_hour) * 60 + Int(local.tm_min))
    }

    /// The options may have changed.
    func limitsChanged() {
        nextSchedule = .zero
        _ = scheduleTurn(loop.now)
        sendLimits()
        // A group's number follows from its place in the list.
        core.forEach { row in
            guard !row.record.limitGroup.isEmpty, core.isReplayed(.peer(row.shard)) else { return }
            sendTorrentLimits(row.shard, row.record.id, row.record.limits, group: row.record.limitGroup)
        }
    }

    private func sendLimits() { for shard in 0..<core.configuration.shardCount { sendLimits(to: shard) } }

    func sendLimits(to shard: UInt16) {
        // Torrents are spread by hash, so each shard has its equal part of what all share.
        let parts = UInt64(core.configuration.shardCount)
        func bytes(_ key: String) -> UInt64 { UInt64(settings.int(key)) << 10 }
        func part(_ bytes: UInt64) -> UInt64 { bytes == 0 ? 0 : max(1, bytes / parts) }
        let (down, up) = usesAlternativeLimits ? ("limits.alt_down_kib", "limits.alt_up_kib") : ("limits.global_down_kib", "limits.global_up_kib")
        let local: RateLimits.LocalPeers =
            switch settings.string("limits.local_peers") {
            case "exempt": .exempt
            case "own": .own
            default: .limited
            }
        sendPeer(
            shard,
            PeerLimits(
                globalDown: part(bytes(down)), globalUp: part(bytes(up)), torrentDown: bytes("limits.per_torrent_down_kib"),
                torrentUp: bytes("limits.per_torrent_up_kib"), peerDown: bytes("limits.per_peer_down_kib"), peerUp: bytes("limits.per_peer_up_kib"),
                localPeers: local.rawValue, localDown: part(bytes("limits.local_down_kib")), localUp: part(bytes("limits.local_up_kib")),
                groups: limitGroups.map { RatePair(down: part(UInt64($0.kib.down) << 10), up: part(UInt64($0.kib.up) << 10)) },
                sliceMilliseconds: UInt32(settings.int("limits.scheduler_slice_ms"))))
    }

    var limitGroups: [LimitGroup] { settings.list("limits.groups").compactMap { LimitGroup($0) } }

    func sendTorrentLimits(_ shard: UInt16, _ id: TorrentID, _ limits: TorrentLimits, group: String) {
        let place = limitGroups.firstIndex { $0.name == group }.map { $0 + 1 } ?? 0
        sendPeer(
            shard,
            PeerTorrentLimits(
                torrent: id.rawValue, down: limits.down ?? -1, up: limits.up ?? -1, group: UInt32(place), maxPeers: UInt32(limits.maxPeers ?? 0)))
    }

    // MARK: front ends

    /// The torrent's limits with what `p` names changed.
    func limitCommand(_ id: TorrentID, _ p: TorrentLimitParameters) throws(ControlError) -> CatalogCommand {
        let record = core.row(id)!.record
        var limits = record.limits, group = record.limitGroup
        func rate(_ n: Int64) throws(ControlError) -> Int64? {
            guard n <= 50_000_000 << 10 else { throw ControlError(.invalidParameters, "a limit is at most 50,000,000 KiB/s") }
            return n < 0 ? nil : n
        }
        if let down = p.down { limits.down = try rate(down) }
        if let up = p.up { limits.up = try rate(up) }
        if let peers = p.maxPeers {
            guard peers <= 10_000 else { throw ControlError(.invalidParameters, "a torrent may have at most 10000 connections") }
            limits.maxPeers = peers < 1 ? nil : peers
        }
        if let name = p.group {
            guard name.isEmpty || limitGroups.contains(where: { $0.name == name }) else {
                throw ControlError(.notFound, "no group \(Text.printable(name, limit: 64)); 'btbt limits group' makes one")
            }
            group = name
        }
        return .limit(id, limits, group: group)
    }

    func limitsAnswer() -> LimitsAnswer {
        func bytes(_ key: String) -> UInt64 { UInt64(settings.int(key)) << 10 }
        var torrents: [TorrentLimitRow] = []
        core.forEach { row in
            let record = row.record
            guard record.hasLimits else { return }
            torrents.append(
                TorrentLimitRow(
                    hash: record.facts.infoHash.hex, name: record.facts.name, down: record.limits.down.map { UInt64($0) },
                    up: record.limits.up.map { UInt64($0) }, group: record.limitGroup.isEmpty ? nil : record.limitGroup,
                    maxPeers: record.limits.maxPeers))
        }
        return LimitsAnswer(
            global: RateRow(down: bytes("limits.global_down_kib"), up: bytes("limits.global_up_kib")),
            alternative: RateRow(down: bytes("limits.alt_down_kib"), up: bytes("limits.alt_up_kib")), alternativeMode: settings.string("limits.alt_mode"),
            alternativeSchedule: settings.list("limits.alt_schedule"), alternativeHolds: usesAlternativeLimits,
            perTorrent: RateRow(down: bytes("limits.per_torrent_down_kib"), up: bytes("limits.per_torrent_up_kib")),
            perPeer: RateRow(down: bytes("limits.per_peer_down_kib"), up: bytes("limits.per_peer_up_kib")), localPeers: settings.string("limits.local_peers"),
            local: RateRow(down: bytes("limits.local_down_kib"), up: bytes("limits.local_up_kib")),
            groups: limitGroups.map { group in
                LimitGroupRow(
                    name: group.name, rates: RateRow(down: UInt64(group.kib.down) << 10, up: UInt64(group.kib.up) << 10),
                    torrents: torrents.count { $0.group == group.name })
            }, torrents: torrents)
    }
}
