import CCurl
import Discovery
import HTTPKit
import LinuxIO
import Primitives
import ProxyWire
import TrackerWire
import WorkerKit

/// Announces over HTTP and HTTPS, by libcurl inside our loop (``CurlMulti``). Redirects are followed here, not in libcurl,
/// since each hop is judged by where the one before it came from.
///
/// Bounds of one announce: ``TrackerWire/bodyLimit`` bytes raw and inflated, ``AddressPolicy/redirectLimit`` redirects,
/// the announce timeout over all hops.
final class HTTPTracker {
    struct Limits {
        var connections: Int
        var connectionsPerHost: Int
        /// Over all hops, name lookup included.
        var whole: TimeSpan
        var connect: TimeSpan
        /// The address that announces come from; nil for the system's choice.
        var source: String?
        var proxy = ProxyRules.none
    }

    private let limits: Limits
    private let multi: CurlMulti
    private var transfers: [UnsafeMutableRawPointer: HTTPTransfer] = [:]
    /// Handles for reuse; connections belong to `multi`.
    private var idle: [UnsafeMutableRawPointer] = []
    private(set) var ended: [(RequestID, AnnounceOutcome)] = []
    private var scraped: [(RequestID, ScrapeOutcome)] = []
    private(set) var fetched: [(correlation: UInt64, FetchOutcome)] = []

    /// `kind`: of the tokens of this object's polls.
    init(loop: Loop, kind: UInt8, limits: Limits) throws {
        self.limits = limits
        multi = try CurlMulti(loop: loop, kind: kind, connections: limits.connections, connectionsPerHost: limits.connectionsPerHost)
    }

    deinit {
        for (easy, _) in transfers {
            multi.remove(easy)
            curl_easy_cleanup(easy)
        }
        for easy in idle { curl_easy_cleanup(easy) }
    }

    var nextDeadline: Instant { multi.nextDeadline }
    var count: Int { transfers.count }

    func takeEnded() -> [(RequestID, AnnounceOutcome)] {
        defer { ended = [] }
        return ended
    }

    /// Begins an announce; its end is in ``takeEnded()``, at the earliest after the next ``turn(now:)``.
    func begin(_ id: RequestID, _ url: TrackerURL, _ request: AnnounceRequest, now: Instant) {
        start(HTTPTransfer(id: id, url: url.announce(request), host: url.host, path: url.path, deadline: now + limits.whole), now)
    }

    /// A scrape of at most ``TrackerURL/scrapeLimit`` torrents; its end is in ``takeScraped()``. Needs a URL with a scrape address.
    func scrape(_ id: RequestID, _ url: TrackerURL, _ infoHashes: [InfoHash], within time: TimeSpan, now: Instant) {
        start(HTTPTransfer(id: id, url: url.scrape(infoHashes)!, host: url.host, path: url.scrape!.path, deadline: now + min(time, limits.whole), scrape: infoHashes), now)
    }
    func takeScraped() -> [(RequestID, ScrapeOutcome)] {
        defer { scraped = [] }
        return scraped
    }

    /// The same for a body; its end is in ``takeFetched()``.
    func fetch(_ url: String, _ wish: FetchWish, within time: TimeSpan, now: Instant) {
        start(HTTPTransfer(id: RequestID(slot: .max, generation: 0), url: url, host: ProxyRules.host(of: url), path: "", deadline: now + time, fetch: wish), now)
    }
    func takeFetched() -> [(correlation: UInt64, FetchOutcome)] {
        defer { fetched = [] }
        return fetched
    }
    var fetchesUnderWay: Int { transfers.values.reduce(0) { $0 + ($1.fetch == nil ? 0 : 1) } }

    private func start(_ transfer: HTTPTransfer, _ now: Instant) {
        guard let easy = idle.popLast() ?? curl_easy_init() else {
            if let fetch = transfer.fetch { return fetched.append((fetch.correlation, .failed("no memory for a request"))) }
            return end(transfer, .failed("no memory for a request", hostFault: false, retryAfter: nil))
        }
        let left = max(1, (transfer.deadline - now).milliseconds)
        transfer.prepareForHop()
        CurlMulti.must(ccurl_set_string(easy, CURLOPT_URL, transfer.url))
        CurlMulti.must(ccurl_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https"))
        CurlMulti.must(ccurl_set_string(easy, CURLOPT_USERAGENT, "ccbt/0.1.0"))
        // Inflated by libcurl as it comes in; "" would offer whatever libcurl was built with.
        CurlMulti.must(ccurl_set_string(easy, CURLOPT_ACCEPT_ENCODING, "gzip"))
        setProxy(easy, transfer)
        CurlMulti.must(ccurl_set_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)))
        CurlMulti.must(ccurl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0))
        CurlMulti.must(ccurl_set_long(easy, CURLOPT_NOSIGNAL, 1))
        CurlMulti.must(ccurl_set_long(easy, CURLOPT_TIMEOUT_MS, Int(left)))
        CurlMulti.must(ccurl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, Int(min(left, limits.connect.milliseconds))))
        CurlMulti.must(ccurl_set_long(easy, CURLOPT_DNS_CACHE_TIMEOUT, 300))
        CurlMulti.must(ccurl_set_offset(easy, CURLOPT_MAXFILESIZE_LARGE, curl_off_t(transfer.fetch?.sizeLimit ?? TrackerWire.bodyLimit)))
        // A user and password may stand in the tracker's own URL, but nobody redirects us into giving one.
        CurlMulti.must(ccurl_set_long(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, transfer.redirects > 0 ? 1 : 0))
        CurlMulti.must(ccurl_set_error_buffer(easy, transfer.errorText))
        let context = Unmanaged.passUnretained(transfer).toOpaque()
        CurlMulti.must(ccurl_on_write(easy, bodyArrived, context))
        CurlMulti.must(ccurl_on_progress(easy, progressed, context))
        CurlMulti.must(ccurl_on_open_socket(easy, openSocket, context))
        CurlMulti.must(ccurl_on_prerequest(easy, requestComing, context))
        transfers[easy] = transfer
        multi.add(easy)
    }

    private func setProxy(_ easy: UnsafeMutableRawPointer, _ transfer: HTTPTransfer) {
        let proxy = limits.proxy
        guard proxy.isFor(tracker: transfer.host) else {
            transfer.proxy = nil
            CurlMulti.setNoProxy(easy)
            if let source = limits.source { CurlMulti.must(ccurl_set_string(easy, CURLOPT_INTERFACE, "host!" + source)) }
            return
        }
        transfer.proxy = proxy.endpoint
        CurlMulti.setProxy(easy, isSOCKS5: proxy.kind == .socks5, proxy.endpoint, user: proxy.credentials?.user, password: proxy.credentials?.password)
    }

    // MARK: events

    func completed(_ completion: Completion) { multi.completed(completion) }

    func turn(now: Instant) {
        multi.turn(now: now)
        while let end = multi.nextEnded() { finish(end.easy, end.result, now) }
    }

    // MARK: ends

    private func finish(_ easy: UnsafeMutableRawPointer, _ result: CURLcode, _ now: Instant) {
        multi.remove(easy)
        guard let transfer = transfers.removeValue(forKey: easy) else { preconditionFailure("an end without its transfer") }
        let status = ccurl_info_long(easy, CURLINFO_RESPONSE_CODE)
        let next = ccurl_info_string(easy, CURLINFO_REDIRECT_URL).map { String(cString: $0) }
        let retryAfter = ccurl_info_offset(easy, CURLINFO_RETRY_AFTER)
        curl_easy_reset(easy)
        if idle.count < limits.connectionsPerHost * 2 { idle.append(easy) } else { curl_easy_cleanup(easy) }

        if let fetch = transfer.fetch {
            if result == CURLE_OK, (300..<400).contains(status), let next {
                if next.lowercased().hasPrefix("magnet:") { return fetched.append((fetch.correlation, .magnet(next))) }
                if let why = transfer.redirect(to: next) { return fetched.append((fetch.correlation, .failed(why))) }
                return start(transfer, now)
            }
            return fetched.append((fetch.correlation, transfer.fetched(result, status: status)))
        }
        if result == CURLE_OK, (300..<400).contains(status), let next {
            switch transfer.redirect(to: next) {
            case nil: start(transfer, now)
            case let why?: end(transfer, .failed(why, hostFault: false, retryAfter: nil))
            }
            return
        }
        if transfer.scrape != nil, let entries = transfer.scraped(result, status: status) { return scraped.append((transfer.id, .answered(entries))) }
        end(transfer, transfer.outcome(result, status: status, retryAfter: Int64(retryAfter)))
    }

    private func end(_ transfer: HTTPTransfer, _ outcome: AnnounceOutcome) {
        guard transfer.scrape != nil else { return ended.append((transfer.id, outcome)) }
        switch outcome {
        case .refused(let reason, _), .failed(let reason, _, _): scraped.append((transfer.id, .failed(reason)))
        case .answered: scraped.append((transfer.id, .failed("the answer is none to a scrape")))
        }
    }
}
