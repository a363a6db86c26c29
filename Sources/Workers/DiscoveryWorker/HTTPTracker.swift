import CCurl
import Discovery
import Glibc
import LinuxIO
import Primitives
import ProxyWire
import TrackerWire
import WorkerKit

/// Announces over HTTP and HTTPS. libcurl's multi interface does the protocol; its sockets are polled by our loop and
/// its timer is one of our deadlines, so there is no second event loop. Redirects are followed here, not in libcurl,
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

    private let loop: Loop
    private let kind: UInt8
    private let limits: Limits
    private let multi: UnsafeMutableRawPointer
    private var transfers: [UnsafeMutableRawPointer: HTTPTransfer] = [:]
    /// Handles for reuse; connections belong to `multi`.
    private var idle: [UnsafeMutableRawPointer] = []
    private var timer = Instant.never
    private var polls: [Int32: Poll] = [:]
    private var serial: UInt32 = 0
    private(set) var ended: [(RequestID, AnnounceOutcome)] = []
    private(set) var fetched: [(correlation: UInt64, FetchOutcome)] = []

    private struct Poll {
        var events: Int16
        var serial: UInt32
        var isArmed: Bool
    }

    /// `kind`: of the tokens of this object's polls.
    init(loop: Loop, kind: UInt8, limits: Limits) throws {
        self.loop = loop
        self.kind = kind
        self.limits = limits
        guard curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK, let multi = curl_multi_init() else {
            throw HTTPUnavailable()
        }
        self.multi = multi
        let context = Unmanaged.passUnretained(self).toOpaque()
        must(ccurl_multi_on_socket(multi, socketChanged, context))
        must(ccurl_multi_on_timer(multi, timerChanged, context))
        must(ccurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, limits.connections))
        must(ccurl_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, limits.connections))
        must(ccurl_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, limits.connectionsPerHost))
    }

    deinit {
        for (easy, _) in transfers {
            curl_multi_remove_handle(multi, easy)
            curl_easy_cleanup(easy)
        }
        for easy in idle { curl_easy_cleanup(easy) }
        curl_multi_cleanup(multi)
    }

    var nextDeadline: Instant { timer }
    var count: Int { transfers.count }

    func takeEnded() -> [(RequestID, AnnounceOutcome)] {
        defer { ended = [] }
        return ended
    }

    /// Begins an announce; its end is in ``takeEnded()``, at the earliest after the next ``turn(now:)``.
    func begin(_ id: RequestID, _ url: TrackerURL, _ request: AnnounceRequest, now: Instant) {
        start(HTTPTransfer(id: id, url: url.announce(request), host: url.host, path: url.path, deadline: now + limits.whole), now)
    }

    /// The same for a body; its end is in ``takeFetched()``.
    func fetch(_ url: String, _ wish: FetchWish, within time: TimeSpan, now: Instant) {
        start(HTTPTransfer(id: RequestID(slot: .max, generation: 0), url: url, host: HTTPTransfer.host(of: url), path: "", deadline: now + time, fetch: wish), now)
    }
    func takeFetched() -> [(correlation: UInt64, FetchOutcome)] {
        defer { fetched = [] }
        return fetched
    }
    var fetchesUnderWay: Int { transfers.values.reduce(0) { $0 + ($1.fetch == nil ? 0 : 1) } }

    private func start(_ transfer: HTTPTransfer, _ now: Instant) {
        guard let easy = idle.popLast() ?? curl_easy_init() else {
            if let fetch = transfer.fetch { return fetched.append((fetch.correlation, .failed("no memory for a request"))) }
            return ended.append((transfer.id, .failed("no memory for a request", hostFault: false, retryAfter: nil)))
        }
        let left = max(1, (transfer.deadline - now).milliseconds)
        transfer.prepareForHop()
        must(ccurl_set_string(easy, CURLOPT_URL, transfer.url))
        must(ccurl_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https"))
        must(ccurl_set_string(easy, CURLOPT_USERAGENT, "ccbt/0.1.0"))
        // Inflated by libcurl as it comes in; "" would offer whatever libcurl was built with.
        must(ccurl_set_string(easy, CURLOPT_ACCEPT_ENCODING, "gzip"))
        setProxy(easy, transfer)
        must(ccurl_set_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)))
        must(ccurl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0))
        must(ccurl_set_long(easy, CURLOPT_NOSIGNAL, 1))
        must(ccurl_set_long(easy, CURLOPT_TIMEOUT_MS, Int(left)))
        must(ccurl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, Int(min(left, limits.connect.milliseconds))))
        must(ccurl_set_long(easy, CURLOPT_DNS_CACHE_TIMEOUT, 300))
        must(ccurl_set_offset(easy, CURLOPT_MAXFILESIZE_LARGE, curl_off_t(transfer.fetch?.sizeLimit ?? TrackerWire.bodyLimit)))
        // A user and password may stand in the tracker's own URL, but nobody redirects us into giving one.
        must(ccurl_set_long(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, transfer.redirects > 0 ? 1 : 0))
        must(ccurl_set_error_buffer(easy, transfer.errorText))
        let context = Unmanaged.passUnretained(transfer).toOpaque()
        must(ccurl_on_write(easy, bodyArrived, context))
        must(ccurl_on_progress(easy, progressed, context))
        must(ccurl_on_open_socket(easy, openSocket, context))
        must(ccurl_on_prerequest(easy, requestComing, context))
        transfers[easy] = transfer
        let code = curl_multi_add_handle(multi, easy)
        precondition(code == CURLM_OK, "libcurl refused a handle: \(code.rawValue)")
    }

    /// A proxy, or an exception from it, that the environment names would connect past every check of addresses.
    private func setProxy(_ easy: UnsafeMutableRawPointer, _ transfer: HTTPTransfer) {
        let proxy = limits.proxy
        guard proxy.isFor(tracker: transfer.host) else {
            transfer.proxy = nil
            must(ccurl_set_string(easy, CURLOPT_PROXY, ""))
            if let source = limits.source { must(ccurl_set_string(easy, CURLOPT_INTERFACE, "host!" + source)) }
            return
        }
        transfer.proxy = proxy.endpoint
        // socks5h: names are looked up by the proxy, so that no packet goes past it.
        must(ccurl_set_string(easy, CURLOPT_PROXY, (proxy.kind == .socks5 ? "socks5h://" : "http://") + proxy.endpoint.description))
        must(ccurl_set_string(easy, CURLOPT_NOPROXY, ""))
        if let credentials = proxy.credentials {
            must(ccurl_set_string(easy, CURLOPT_PROXYUSERNAME, credentials.user))
            must(ccurl_set_string(easy, CURLOPT_PROXYPASSWORD, credentials.password))
        }
    }

    // MARK: events

    func completed(_ completion: Completion) {
        let fd = Int32(bitPattern: completion.token.index)
        // Of a poll that libcurl has changed or dropped meanwhile.
        guard let poll = polls[fd], poll.serial == completion.token.generation else { return }
        polls[fd]!.isArmed = false
        var what: Int32 = 0
        let events = completion.result
        if events < 0 || events & Int32(POLLERR | POLLNVAL) != 0 { what |= CURL_CSELECT_ERR }
        if events > 0, events & Int32(POLLIN | POLLHUP) != 0 { what |= CURL_CSELECT_IN }
        if events > 0, events & Int32(POLLOUT) != 0 { what |= CURL_CSELECT_OUT }
        act(fd, what)
        if let poll = polls[fd], !poll.isArmed { arm(fd) }
    }

    func turn(now: Instant) {
        if timer <= now {
            timer = .never
            act(CURL_SOCKET_TIMEOUT, 0)
        }
        var result = CURLE_OK
        while let easy = ccurl_multi_next_ended(multi, &result) { finish(easy, result, now) }
    }

    private func act(_ fd: Int32, _ what: Int32) {
        var running: Int32 = 0
        let code = curl_multi_socket_action(multi, fd, what, &running)
        precondition(code == CURLM_OK || code == CURLM_BAD_SOCKET, "libcurl: \(code.rawValue)")
    }

    fileprivate func socketWants(_ fd: Int32, _ what: Int32) {
        if let old = polls[fd], old.isArmed { loop.cancel(token(fd, old.serial)) }
        guard what != CURL_POLL_REMOVE else {
            polls[fd] = nil
            return
        }
        var events: Int32 = 0
        if what & CURL_POLL_IN != 0 { events |= Int32(POLLIN) }
        if what & CURL_POLL_OUT != 0 { events |= Int32(POLLOUT) }
        serial = (serial + 1) & 0xFF_FFFF
        polls[fd] = Poll(events: Int16(events), serial: serial, isArmed: false)
        if events != 0 { arm(fd) }
    }

    private func arm(_ fd: Int32) {
        guard polls[fd]!.events != 0 else { return }
        polls[fd]!.isArmed = true
        loop.poll(fd, events: polls[fd]!.events, multishot: false, token: token(fd, polls[fd]!.serial))
    }

    private func token(_ fd: Int32, _ serial: UInt32) -> Token { Token(kind: kind, index: UInt32(bitPattern: fd), generation: serial) }

    fileprivate func timerWants(_ milliseconds: Int) {
        timer = milliseconds < 0 ? .never : loop.now + .milliseconds(milliseconds)
    }

    // MARK: ends

    private func finish(_ easy: UnsafeMutableRawPointer, _ result: CURLcode, _ now: Instant) {
        curl_multi_remove_handle(multi, easy)
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
            case let why?: ended.append((transfer.id, .failed(why, hostFault: false, retryAfter: nil)))
            }
            return
        }
        ended.append((transfer.id, transfer.outcome(result, status: status, retryAfter: Int64(retryAfter))))
    }
}

struct HTTPUnavailable: Error, CustomStringConvertible {
    var description: String { "libcurl could not be started" }
}

/// An option that libcurl refuses is our bug, or a libcurl older than the one that we are built for.
private func must(_ code: CURLcode) { precondition(code == CURLE_OK, "libcurl refused an option: \(code.rawValue)") }
private func must(_ code: CURLMcode) { precondition(code == CURLM_OK, "libcurl refused an option: \(code.rawValue)") }

private func socketChanged(
    _: UnsafeMutableRawPointer?, _ fd: curl_socket_t, _ what: Int32, _ context: UnsafeMutableRawPointer?, _: UnsafeMutableRawPointer?
) -> Int32 {
    Unmanaged<HTTPTracker>.fromOpaque(context!).takeUnretainedValue().socketWants(fd, what)
    return 0
}

private func timerChanged(_: UnsafeMutableRawPointer?, _ milliseconds: Int, _ context: UnsafeMutableRawPointer?) -> Int32 {
    Unmanaged<HTTPTracker>.fromOpaque(context!).takeUnretainedValue().timerWants(milliseconds)
    return 0
}
