import CCurl
import Glibc
import HTTPKit
import LinuxIO
import Primitives
import WorkerKit

/// Fetches files that the user named by URL (lists of the IP filter) to paths that the session worker named. The
/// addresses are the user's choice, so none is refused; only schemes and sizes are bounded.
///
/// They go through the proxy as announces do. Redirects are followed here, since each hop has its own place on the bypass list.
final class ListFetch {
    private static let whole = TimeSpan.minutes(5)
    private static let connect = TimeSpan.seconds(20)
    /// Fetched at once; the rest waits.
    private static let limit = 4
    private static let redirects = 5

    struct Request {
        let url: String
        let path: String
        let limit: Int
        let correlation: UInt64
    }
    struct Ended {
        let request: Request
        let byteCount: UInt64
        /// Empty: the file is there.
        let failure: String
    }

    /// libcurl's callback works on this object; it lives as long as its handle is in the multi.
    private final class Transfer {
        let request: Request
        /// Of this hop.
        var url: String
        var redirects = 0
        let deadline: Instant
        let fd: Int32
        let errorText: UnsafeMutablePointer<CChar>
        var count = 0
        var failure = ""
        var part: String { request.path + ".part" }

        init(_ request: Request, fd: Int32, deadline: Instant) {
            self.request = request
            self.deadline = deadline
            url = request.url
            self.fd = fd
            errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
            errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        }
        deinit { errorText.deallocate() }

        func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
            guard count + bytes.count <= request.limit else {
                failure = "larger than \(request.limit >> 20) MiB"
                return false
            }
            var at = 0
            while at < bytes.count {
                let n = write(fd, bytes.baseAddress! + at, bytes.count - at)
                if n < 0, errno == EINTR { continue }
                guard n > 0 else {
                    failure = "\(part): \(Errno.current)"
                    return false
                }
                at += n
            }
            count += bytes.count
            return true
        }
    }

    private let loop: Loop
    private let multi: CurlMulti
    private let proxy: ProxyRules
    private var transfers: [UnsafeMutableRawPointer: Transfer] = [:]
    private var waiting: [Request] = []
    private var ended: [Ended] = []

    init(loop: Loop, kind: UInt8, proxy: ProxyRules) throws {
        self.loop = loop
        self.proxy = proxy
        multi = try CurlMulti(loop: loop, kind: kind, connections: Self.limit, connectionsPerHost: Self.limit)
    }
    deinit {
        for (easy, transfer) in transfers {
            multi.remove(easy)
            curl_easy_cleanup(easy)
            Glibc.close(transfer.fd)
        }
    }

    var nextDeadline: Instant { ended.isEmpty ? multi.nextDeadline : .zero }
    func completed(_ completion: Completion) { multi.completed(completion) }

    func begin(_ request: Request) {
        guard !waiting.contains(where: { $0.path == request.path }), !transfers.values.contains(where: { $0.request.path == request.path }) else { return }
        waiting.append(request)
        startSome()
    }

    func turn(now: Instant) -> [Ended] {
        multi.turn(now: now)
        while let (easy, result) = multi.nextEnded() { finish(easy, result) }
        startSome()
        defer { ended = [] }
        return ended
    }

    private func startSome() {
        while transfers.count < Self.limit, !waiting.isEmpty { start(waiting.removeFirst()) }
    }

    private func start(_ request: Request) {
        let fd = open(request.path + ".part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard fd >= 0 else { return ended.append(Ended(request: request, byteCount: 0, failure: "\(request.path).part: \(Errno.current)")) }
        start(Transfer(request, fd: fd, deadline: loop.now + Self.whole))
    }

    /// One hop.
    private func start(_ transfer: Transfer) {
        guard let easy = curl_easy_init() else { return end(transfer, "no memory for a request") }
        transfer.errorText[0] = 0
        func must(_ code: CURLcode) { CurlMulti.must(code) }
        must(ccurl_set_string(easy, CURLOPT_URL, transfer.url))
        if proxy.isFor(tracker: ProxyRules.host(of: transfer.url)) {
            CurlMulti.setProxy(
                easy, isSOCKS5: proxy.kind == .socks5, proxy.endpoint, user: proxy.credentials?.user, password: proxy.credentials?.password)
        } else {
            CurlMulti.setNoProxy(easy)
        }
        must(ccurl_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https"))
        must(ccurl_set_string(easy, CURLOPT_USERAGENT, "ccbt/0.1.0"))
        must(ccurl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0))
        must(ccurl_set_long(easy, CURLOPT_FAILONERROR, 1))
        must(ccurl_set_long(easy, CURLOPT_NOSIGNAL, 1))
        must(ccurl_set_long(easy, CURLOPT_TIMEOUT_MS, Int(max(1, (transfer.deadline - loop.now).milliseconds))))
        must(ccurl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, Int(Self.connect.milliseconds)))
        must(ccurl_set_offset(easy, CURLOPT_MAXFILESIZE_LARGE, curl_off_t(transfer.request.limit)))
        must(ccurl_set_error_buffer(easy, transfer.errorText))
        must(
            ccurl_on_write(
                easy,
                { bytes, size, count, context in
                    let transfer = Unmanaged<Transfer>.fromOpaque(context!).takeUnretainedValue()
                    return transfer.take(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
                }, Unmanaged.passUnretained(transfer).toOpaque()))
        transfers[easy] = transfer
        multi.add(easy)
    }

    private func finish(_ easy: UnsafeMutableRawPointer, _ result: CURLcode) {
        multi.remove(easy)
        guard let transfer = transfers.removeValue(forKey: easy) else { preconditionFailure("an end without its transfer") }
        let status = ccurl_info_long(easy, CURLINFO_RESPONSE_CODE)
        let next = ccurl_info_string(easy, CURLINFO_REDIRECT_URL).map { String(cString: $0) }
        curl_easy_cleanup(easy)
        if result == CURLE_OK, (300..<400).contains(status), let next { return redirect(transfer, to: next) }
        var failure = transfer.failure
        if result != CURLE_OK, failure.isEmpty {
            failure = transfer.errorText[0] != 0 ? String(cString: transfer.errorText) : String(cString: curl_easy_strerror(result))
        }
        end(transfer, failure)
    }

    private func redirect(_ transfer: Transfer, to next: String) {
        transfer.redirects += 1
        guard transfer.redirects <= Self.redirects else { return end(transfer, "more than \(Self.redirects) redirects") }
        guard ["http://", "https://"].contains(where: { next.lowercased().hasPrefix($0) }), next.utf8.count <= 8192 else {
            return end(transfer, "redirect to what is no http or https address")
        }
        // What came with the redirect is no list.
        guard ftruncate(transfer.fd, 0) == 0, lseek(transfer.fd, 0, SEEK_SET) == 0 else { return end(transfer, "\(transfer.part): \(Errno.current)") }
        transfer.count = 0
        transfer.url = next
        start(transfer)
    }

    private func end(_ transfer: Transfer, _ why: String) {
        Glibc.close(transfer.fd)
        var failure = why
        if failure.isEmpty, transfer.count == 0 { failure = "the answer is empty" }
        // A list that was cut off, or an error page, never takes the place of one that works.
        if failure.isEmpty, rename(transfer.part, transfer.request.path) != 0 { failure = "\(transfer.request.path): \(Errno.current)" }
        if !failure.isEmpty { unlink(transfer.part) }
        ended.append(Ended(request: transfer.request, byteCount: UInt64(transfer.count), failure: failure))
    }
}
