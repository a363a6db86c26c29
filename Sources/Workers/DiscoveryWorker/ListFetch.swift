import CCurl
import Glibc
import HTTPKit
import LinuxIO
import Primitives

/// Fetches files that the user named by URL (lists of the IP filter) to paths that the session worker named. The
/// addresses are the user's choice, so none is refused; only schemes and sizes are bounded.
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
        let fd: Int32
        let errorText: UnsafeMutablePointer<CChar>
        var count = 0
        var failure = ""
        var part: String { request.path + ".part" }

        init(_ request: Request, fd: Int32) {
            self.request = request
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

    private let multi: CurlMulti
    private var transfers: [UnsafeMutableRawPointer: Transfer] = [:]
    private var waiting: [Request] = []
    private var ended: [Ended] = []

    init(loop: Loop, kind: UInt8) throws {
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
        guard let easy = curl_easy_init() else {
            Glibc.close(fd)
            return ended.append(Ended(request: request, byteCount: 0, failure: "no memory for a request"))
        }
        let transfer = Transfer(request, fd: fd)
        func must(_ code: CURLcode) { CurlMulti.must(code) }
        must(ccurl_set_string(easy, CURLOPT_URL, request.url))
        must(ccurl_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https"))
        must(ccurl_set_string(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https"))
        must(ccurl_set_string(easy, CURLOPT_USERAGENT, "ccbt/0.1.0"))
        must(ccurl_set_long(easy, CURLOPT_FOLLOWLOCATION, 1))
        must(ccurl_set_long(easy, CURLOPT_MAXREDIRS, Self.redirects))
        must(ccurl_set_long(easy, CURLOPT_FAILONERROR, 1))
        must(ccurl_set_long(easy, CURLOPT_NOSIGNAL, 1))
        must(ccurl_set_long(easy, CURLOPT_TIMEOUT_MS, Int(Self.whole.milliseconds)))
        must(ccurl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, Int(Self.connect.milliseconds)))
        must(ccurl_set_offset(easy, CURLOPT_MAXFILESIZE_LARGE, curl_off_t(request.limit)))
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
        curl_easy_cleanup(easy)
        Glibc.close(transfer.fd)
        var failure = transfer.failure
        if result != CURLE_OK, failure.isEmpty {
            failure = transfer.errorText[0] != 0 ? String(cString: transfer.errorText) : String(cString: curl_easy_strerror(result))
        }
        if failure.isEmpty, transfer.count == 0 { failure = "the answer is empty" }
        // A list that was cut off, or an error page, never takes the place of one that works.
        if failure.isEmpty, rename(transfer.part, transfer.request.path) != 0 { failure = "\(transfer.request.path): \(Errno.current)" }
        if !failure.isEmpty { unlink(transfer.part) }
        ended.append(Ended(request: transfer.request, byteCount: UInt64(transfer.count), failure: failure))
    }
}
