import IPC
import Primitives

/// `/metrics` in Prometheus' text format. What has labels is bounded: workers, states, and the tracker hosts with the most
/// torrents; single torrents only when they are asked for by `?torrents=hash,hash`.
package enum Metrics {
    /// Series by tracker host; the rest is summed under "other".
    static let hostLimit = 50
    static let torrentLimit = 100

    package static func text(_ s: MirrorState, torrents: [String], freeSpace: Int64) -> String {
        var out = Text()
        out.family("ccbt_up", "gauge", "1 while the session worker is connected and has told everything") { $0("", s.isLive ? 1 : 0) }
        out.family("ccbt_torrents", "gauge", "torrents by state") { sample in
            var counts = [Int](repeating: 0, count: NativeAPI.phases.count)
            for entry in s.entries { if let entry { counts[Int(min(entry.row.phase, 8))] += 1 } }
            for (i, n) in counts.enumerated() { sample("state=\"\(NativeAPI.phases[i])\"", Double(n)) }
        }
        out.family("ccbt_download_rate_bytes", "gauge", "payload bytes received per second") { $0("", Double(s.totals.downRate)) }
        out.family("ccbt_upload_rate_bytes", "gauge", "payload bytes sent per second") { $0("", Double(s.totals.upRate)) }
        out.family("ccbt_downloaded_bytes", "gauge", "payload bytes received over the life of the torrents that are there") { $0("", Double(s.totals.downloaded)) }
        out.family("ccbt_uploaded_bytes", "gauge", "payload bytes sent over the life of the torrents that are there") { $0("", Double(s.totals.uploaded)) }
        out.family("ccbt_wasted_bytes", "gauge", "received again, or failed their hash") { $0("", Double(s.totals.wasted)) }
        out.family("ccbt_peers", "gauge", "connections") { $0("", Double(s.totals.peers)) }
        out.family("ccbt_listen_port", "gauge", "port for incoming peers, 0 while there is none") { $0("", Double(s.globals.listenPort)) }
        out.family("ccbt_free_space_bytes", "gauge", "free where downloads go") { $0("", Double(freeSpace)) }
        out.family("ccbt_disk_written_bytes_total", "counter", "written by the disk workers that run") { $0("", Double(s.globals.bytesWritten)) }
        out.family("ccbt_disk_read_bytes_total", "counter", "read by the disk workers that run") { $0("", Double(s.globals.bytesRead)) }
        out.family("ccbt_disk_queue", "gauge", "operations that wait for the disk") { $0("", Double(s.globals.diskQueue)) }
        out.family("ccbt_store_fault", "gauge", "1 while the catalogue cannot be stored") { $0("", s.globals.storeFault.isEmpty ? 0 : 1) }
        workers(s.workers, &out)
        trackers(s, &out)
        if !torrents.isEmpty { self.torrents(s, torrents, &out) }
        return out.text
    }

    private static func workers(_ list: [ApiWorker], _ out: inout Text) {
        func each(_ sample: (String, Double) -> Void, _ value: (ApiWorker) -> Double) { for w in list { sample("worker=\"\(w.name)\"", value(w)) } }
        out.family("ccbt_worker_ready", "gauge", "1 for a worker that serves") { each($0) { $0.state == 1 ? 1 : 0 } }
        out.family("ccbt_worker_breaker_open", "gauge", "1 for a worker that is given up for now") { each($0) { $0.state == 5 ? 1 : 0 } }
        out.family("ccbt_worker_restarts_total", "counter", "starts after the first") { each($0) { Double($0.restarts) } }
        out.family("ccbt_worker_cpu_seconds", "gauge", "user and system time of the process that runs") { each($0) { Double($0.cpuMilliseconds) / 1000 } }
        out.family("ccbt_worker_resident_bytes", "gauge", "memory of the process that runs") { each($0) { Double($0.residentBytes) } }
        out.family("ccbt_worker_uptime_seconds", "gauge", "of the process that runs") { each($0) { Double($0.uptimeMilliseconds) / 1000 } }
    }

    private static func trackers(_ s: MirrorState, _ out: inout Text) {
        let all = TrackerHosts(s).hosts, rest = all.dropFirst(hostLimit)
        var hosts = all.prefix(hostLimit).map { (label: "host=\"\(escaped($0.name))\"", health: $0.health) }
        if !rest.isEmpty {
            let sum = rest.reduce(into: TrackerHosts.Health()) { sum, one in
                sum.torrents += one.health.torrents
                sum.working += one.health.working
                sum.failing += one.health.failing
            }
            hosts.append(("host=\"other\"", sum))
        }
        out.family("ccbt_tracker_torrents", "gauge", "torrents by tracker host") { sample in for h in hosts { sample(h.label, Double(h.health.torrents)) } }
        out.family("ccbt_tracker_working", "gauge", "of these, announced with success") { sample in for h in hosts { sample(h.label, Double(h.health.working)) } }
        out.family("ccbt_tracker_failing", "gauge", "of these, refused or unreachable") { sample in for h in hosts { sample(h.label, Double(h.health.failing)) } }
    }

    private static func torrents(_ s: MirrorState, _ wanted: [String], _ out: inout Text) {
        let entries = wanted.prefix(torrentLimit).compactMap { s.entry($0) }
        func each(_ sample: (String, Double) -> Void, _ value: (ApiTorrent) -> Double) {
            for e in entries { sample("hash=\"\(e.hash)\",name=\"\(escaped(e.row.name))\"", value(e.row)) }
        }
        out.family("ccbt_torrent_download_rate_bytes", "gauge", "of torrents that were asked for") { each($0) { Double($0.downRate) } }
        out.family("ccbt_torrent_upload_rate_bytes", "gauge", "of torrents that were asked for") { each($0) { Double($0.upRate) } }
        out.family("ccbt_torrent_progress", "gauge", "0 to 1") { each($0) { $0.totalLength == 0 ? 0 : Double($0.bytesHave) / Double($0.totalLength) } }
        out.family("ccbt_torrent_peers", "gauge", "connections") { each($0) { Double($0.peers) } }
    }

    static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    struct Text {
        var text = ""
        mutating func family(_ name: String, _ type: String, _ help: String, _ samples: ((String, Double) -> Void) -> Void) {
            var lines = "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
            samples { labels, value in
                let number = value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : "\(value)"
                lines += labels.isEmpty ? "\(name) \(number)\n" : "\(name){\(labels)} \(number)\n"
            }
            text += lines
        }
    }
}
