import Control
import Filtering
import Glibc
import IPC
import Primitives
import Settings
import WorkerKit

/// The IP filter as the session keeps it: lists are read on the pool, fetched by the discovery worker, and the result is
/// named to every worker as a file.
///
///     settings ─▶ reloadFilter ─pool─▶ ip-filter/compiled ─PeerFilter, DiscoveryFilter─▶ workers
///     URLs ─FetchList─▶ discovery worker ─ListFetched─▶ reloadFilter
struct FilterState {
    var filter: AddressFilter?
    var lists: [FilterListRow] = []
    var milliseconds: UInt64 = 0
    var lookupNanoseconds = 0.0
    var isLoading = false
    /// Something changed while it was being read.
    var isStale = false
    /// What the last load was made from.
    var configuration: [String] = []
    var nextRead = Instant.never
    /// By URL.
    var fetches: [String: Fetch] = [:]
    var counts: [UInt16: PeerFilterCounts] = [:]

    struct Fetch {
        var next: Instant
        var isUnderWay = false
        var failures = 0
        var error = ""
    }
}

extension SessionShell {
    /// After a fetch that failed, doubled up to the ordinary interval.
    private static let fetchRetry = TimeSpan.minutes(1)
    /// A fetch that was not answered (its worker died) is begun again.
    private static let fetchPatience = TimeSpan.minutes(10)

    private var isFilterEnabled: Bool { settings.bool("security.ip_filter.enable_ip_filter") }
    private var filterFolder: String {
        let own = settings.string("security.ip_filter.filter_cache_dir")
        return own.isEmpty ? kit.stateDirectory + "/ip-filter" : own
    }
    private var compiledFilter: String { filterFolder + "/compiled" }
    /// FNV-1a of the URL: a name of its own for each, the same over restarts.
    private func listPath(_ url: String) -> String {
        let hash = url.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return "\(filterFolder)/\(String(hash, radix: 16)).list"
    }

    // MARK: reading

    /// The options may have changed; at the start they have.
    func filterChanged() {
        let keys = OptionTable.all.map(\.key).filter { $0.hasPrefix("security.ip_filter.") }
        let configuration = keys.map { settings.value($0).text }
        guard configuration != filter.configuration else { return }
        let isFirst = filter.configuration.isEmpty
        filter.configuration = configuration
        guard isFilterEnabled else {
            filter = FilterState()
            filter.configuration = configuration
            return sendFilter()
        }
        let urls = settings.list("security.ip_filter.filter_urls")
        filter.fetches = filter.fetches.filter { urls.contains($0.key) }
        for url in urls where filter.fetches[url] == nil { filter.fetches[url] = .init(next: firstFetch(url)) }
        if isFirst, let stored = AddressFilter(path: compiledFilter), stored.mode == filterMode {
            // What held before the restart holds until the lists were read.
            filter.filter = stored
            sendFilter()
        } else if isFirst {
            // Nobody may come in before the first list is in force.
            return take(filterLoad().run())
        }
        reloadFilter()
    }

    private var filterMode: AddressFilter.Mode { settings.string("security.ip_filter.filter_mode") == "allow" ? .allow : .block }

    private func filterLoad() -> FilterLoad {
        FilterLoad(
            sources: settings.list("security.ip_filter.filter_files").map { .init(name: $0, path: $0, isFetched: false) }
                + settings.list("security.ip_filter.filter_urls").map { .init(name: $0, path: listPath($0), isFetched: true) },
            ranges: settings.list("security.ip_filter.ranges"), mode: filterMode, compiled: compiledFilter)
    }

    func reloadFilter() {
        guard isFilterEnabled else { return }
        guard !filter.isLoading else {
            filter.isStale = true
            return
        }
        filter.isLoading = true
        let load = filterLoad()
        pool({ load.run() }) { [self] outcome in
            filter.isLoading = false
            guard isFilterEnabled else { return }
            if filter.isStale {
                filter.isStale = false
                return reloadFilter()
            }
            take(outcome)
        }
    }

    private func take(_ outcome: FilterLoad.Outcome) {
        filter.nextRead = loop.now + settings.seconds("security.ip_filter.filter_update_interval")
        (filter.lists, filter.milliseconds, filter.lookupNanoseconds) = (outcome.lists, outcome.milliseconds, outcome.lookupNanoseconds)
        for list in outcome.lists where list.malformedCount > 0 {
            let first = list.malformed.map { String($0.line) }.joined(separator: ", ")
            log.warning("IP filter \(Text.printable(list.source, limit: 200)): \(list.malformedCount) lines cannot be read, the first: \(first)")
        }
        guard outcome.failure.isEmpty else {
            // The last one stays in force.
            return log.error("the IP filter cannot be stored: \(outcome.failure)")
        }
        filter.filter = outcome.filter
        log.info("IP filter: \(outcome.filter.ranges.count) ranges of \(outcome.lists.count) lists in \(outcome.milliseconds) ms")
        sendFilter()
    }

    private func sendFilter() {
        for shard in 0..<core.configuration.shardCount { sendFilter(to: shard) }
        sendFilterToDiscovery()
    }
    /// First on a new edge, so that it is in force before the first torrent.
    func sendFilter(to shard: UInt16) {
        sendPeer(
            shard,
            PeerFilter(
                path: filter.filter == nil ? "" : compiledFilter, logBlocked: settings.bool("security.ip_filter.filter_log_blocked") ? 1 : 0))
    }
    func sendFilterToDiscovery() { sendDiscovery(DiscoveryFilter(path: filter.filter == nil ? "" : compiledFilter)) }

    // MARK: fetching

    /// A list that was fetched before the restart is not fetched again before its time.
    private func firstFetch(_ url: String) -> Instant {
        var status = stat()
        guard stat(listPath(url), &status) == 0 else { return loop.now }
        let age = max(0, time(nil) - status.st_mtim.tv_sec)
        return loop.now + max(.zero, settings.seconds("security.ip_filter.filter_update_interval") - .seconds(Int(age)))
    }

    func filterTurn(_ now: Instant) -> Instant {
        guard isFilterEnabled else { return .never }
        if now >= filter.nextRead {
            filter.nextRead = now + settings.seconds("security.ip_filter.filter_update_interval")
            reloadFilter()
        }
        var next = filter.nextRead
        for url in settings.list("security.ip_filter.filter_urls") {
            guard var fetch = filter.fetches[url] else { continue }
            if now >= fetch.next {
                fetch.next = now + Self.fetchPatience
                if kit.edge(.discovery) != nil {
                    fetch.isUnderWay = true
                    mkdir(filterFolder, 0o700)
                    sendDiscovery(FetchList(url: url, path: listPath(url), limit: UInt32(FilterList.byteLimit)))
                } else {
                    fetch.next = now + .seconds(1)
                }
                filter.fetches[url] = fetch
            }
            next = min(next, fetch.next)
        }
        return next
    }

    func listFetched(_ m: ListFetched) {
        guard var fetch = filter.fetches[m.url] else { return }
        let interval = settings.seconds("security.ip_filter.filter_update_interval")
        fetch.isUnderWay = false
        fetch.error = Text.printable(m.message, limit: 200)
        if fetch.error.isEmpty {
            fetch.failures = 0
            fetch.next = loop.now + interval
        } else {
            fetch.failures = min(fetch.failures + 1, 12)
            fetch.next = loop.now + min(interval, Self.fetchRetry * (1 << (fetch.failures - 1)))
            log.warning("IP filter \(Text.printable(m.url, limit: 200)): \(fetch.error)")
        }
        filter.fetches[m.url] = fetch
        if fetch.error.isEmpty { reloadFilter() }
    }

    // MARK: front ends

    func filterReloadAsked() throws(ControlError) {
        guard isFilterEnabled else { throw ControlError(.conflict, "the IP filter is off; 'btbt filter on' puts it in force") }
        for url in filter.fetches.keys where !filter.fetches[url]!.isUnderWay { filter.fetches[url]!.next = loop.now }
        reloadFilter()
    }

    func filterTest(_ p: FilterTestParameters) throws(ControlError) -> FilterTestAnswer {
        guard let endpoint = Endpoint(address: p.address, port: 1) else {
            throw ControlError(.invalidParameters, "\(Text.printable(p.address, limit: 60)) is not an IP address")
        }
        return FilterTestAnswer(address: endpoint.address, blocked: filter.filter?.blocks(endpoint) ?? false)
    }

    /// The new value of security.ip_filter.ranges.
    func filterRanges(_ p: FilterRangesParameters) throws(ControlError) -> String {
        var ranges = settings.list("security.ip_filter.ranges")
        for text in p.add ?? [] {
            guard FilterList.isRange(text) else {
                throw ControlError(.invalidParameters, "\(Text.printable(text, limit: 60)) is no address, range or prefix, as 192.0.2.0/24")
            }
            if !ranges.contains(text) { ranges.append(text) }
        }
        for text in p.remove ?? [] {
            guard let at = ranges.firstIndex(of: text) else {
                throw ControlError(.notFound, "\(Text.printable(text, limit: 60)) is not among the ranges; 'btbt settings show security' lists them")
            }
            ranges.remove(at: at)
        }
        return ranges.joined(separator: ",")
    }

    func filterAnswer() -> FilterAnswer {
        let counts = filter.counts.values, wall = UInt64(max(0, time(nil)))
        var lists = filter.lists
        for i in lists.indices {
            guard let fetch = filter.fetches[lists[i].source] else { continue }
            if !fetch.error.isEmpty { lists[i].error = fetch.error }
            lists[i].nextFetch = fetch.isUnderWay ? wall : wall + UInt64(max(0, (fetch.next - loop.now).seconds))
        }
        return FilterAnswer(
            enabled: isFilterEnabled, mode: settings.string("security.ip_filter.filter_mode"), ranges: filter.filter?.ranges.count ?? 0,
            addresses: filter.filter?.ranges.addressCount ?? 0, loading: filter.isLoading, loadMilliseconds: filter.milliseconds,
            lookupNanoseconds: filter.lookupNanoseconds, lists: lists,
            refused: counts.reduce(0) { $0 + $1.accepts }, notTaken: counts.reduce(0) { $0 + $1.addresses }, closed: counts.reduce(0) { $0 + $1.closed })
    }
}
