import CCurl
import Discovery
import Glibc
import HTTPKit
import LinuxIO
import Primitives
import ProxyWire
import WebSeeds
import WorkerKit

/// One HTTP request of a web seed, over its redirects. libcurl's callbacks work on this object; it lives as long as its
/// handle is in the multi. Redirects are followed here, not in libcurl, since each hop is judged by where the one before
/// it came from: a URL of a stranger's torrent must not lead into the machine or its network.
final class WebSeedTransfer {
    typealias Code = CURLcode
    enum Outcome {
        case complete
        /// To be started again.
        case redirected
        case failed(WebSeedCore.Fault)
    }

    /// A server that sends less than this for so long is given up.
    private static let slowBytes = 1024
    private static let slowSeconds = 30
    private static let connect = TimeSpan.seconds(15)

    private(set) var easy: UnsafeMutableRawPointer?
    private var url: String
    private let rules: ProxyRules
    /// Of this hop, and the proxy through which it goes; nil: directly.
    private var host = "", proxy: Endpoint?
    private let range: ClosedRange<UInt64>?
    private let length: UInt64
    private let isWhole: Bool
    private let deliver: (UnsafeRawBufferPointer) -> Bool
    private let errorText: UnsafeMutablePointer<CChar>
    private var policy = AddressPolicy()
    private var redirects = 0
    private var count: UInt64 = 0
    private var isAborted = false
    private var fault: WebSeedCore.Fault?
    private var refused: Endpoint?
    private var remote: Endpoint?

    init(url: String, range: ClosedRange<UInt64>?, length: UInt64, isWhole: Bool, rules: ProxyRules, take: @escaping (UnsafeRawBufferPointer) -> Bool) {
        self.rules = rules
        (self.url, self.range, self.length, self.isWhole, deliver) = (url, range, length, isWhole, take)
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }
    deinit { errorText.deallocate() }

    /// No byte is delivered from now on; libcurl ends it at its next one.
    func abort() { isAborted = true }

    func start(on multi: CurlMulti) -> Bool {
        guard let easy = curl_easy_init() else { return false }
        self.easy = easy
        (refused, remote, errorText[0]) = (nil, nil, 0)
        func must(_ code: CURLcode) { CurlMulti.must(code) }
        must(ccurl_set_string(easy, CURLOPT_URL, url))
        must(ccurl_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https"))
        must(ccurl_set_string(easy, CURLOPT_USERAGENT, "ccbt/0.1.0"))
        host = ProxyRules.host(of: url)
        proxy = rules.isFor(webSeed: host) ? rules.endpoint : nil
        if let proxy {
            CurlMulti.setProxy(easy, isSOCKS5: rules.kind == .socks5, proxy, user: rules.credentials?.user, password: rules.credentials?.password)
        } else {
            CurlMulti.setNoProxy(easy)
        }
        if let range { must(ccurl_set_string(easy, CURLOPT_RANGE, "\(range.lowerBound)-\(range.upperBound)")) }
        must(ccurl_set_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)))
        must(ccurl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0))
        must(ccurl_set_long(easy, CURLOPT_NOSIGNAL, 1))
        // The largest that libcurl takes: fewer calls for the same bytes.
        must(ccurl_set_long(easy, CURLOPT_BUFFERSIZE, 512 << 10))
        must(ccurl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, Int(Self.connect.milliseconds)))
        must(ccurl_set_long(easy, CURLOPT_LOW_SPEED_LIMIT, Self.slowBytes))
        must(ccurl_set_long(easy, CURLOPT_LOW_SPEED_TIME, Self.slowSeconds))
        must(ccurl_set_error_buffer(easy, errorText))
        let context = Unmanaged.passUnretained(self).toOpaque()
        must(
            ccurl_on_write(
                easy, { bytes, size, count, context in WebSeedTransfer.of(context).take(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0 }, context))
        must(ccurl_on_progress(easy, { context, _, _, _, _ in WebSeedTransfer.of(context).isAborted ? 1 : 0 }, context))
        must(ccurl_on_open_socket(easy, { context, _, target in WebSeedTransfer.of(context).openSocket(target) }, context))
        must(
            ccurl_on_prerequest(
                easy,
                { context, remote, _, port, _ in
                    let address = remote.flatMap { Endpoint(address: String(cString: $0), port: UInt16(truncatingIfNeeded: port)) }
                    return WebSeedTransfer.of(context).mayRequest(address) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
                }, context))
        multi.add(easy)
        return true
    }

    private static func of(_ context: UnsafeMutableRawPointer?) -> WebSeedTransfer { Unmanaged<WebSeedTransfer>.fromOpaque(context!).takeUnretainedValue() }

    // MARK: libcurl's questions

    private func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard !isAborted, let easy else { return false }
        let status = ccurl_info_long(easy, CURLINFO_RESPONSE_CODE)
        // A page that explains a redirect or an error is read and forgotten.
        guard (200..<300).contains(status) else { return true }
        guard range == nil || status == 206 || isWhole else {
            fault = .permanent("the server ignores ranges")
            return false
        }
        guard count + UInt64(bytes.count) <= length else {
            fault = .permanent("the server sends more bytes than were asked for")
            return false
        }
        count += UInt64(bytes.count)
        return deliver(bytes)
    }

    private func mayConnect(_ address: Endpoint) -> Bool {
        if let proxy {
            // What a name stands for is the proxy's to know; an address that a URL names is judged here.
            guard address == proxy else { return false }
            guard let literal = Endpoint(address: host, port: 0), !policy.admits(literal, path: "") else { return true }
            refused = literal
            return false
        }
        // No announce: the machine itself is never asked.
        if policy.admits(address, path: "") { return true }
        refused = address
        return false
    }
    private func mayRequest(_ address: Endpoint?) -> Bool {
        guard let address, mayConnect(address) else { return false }
        remote = proxy == nil ? address : Endpoint(address: host, port: 0)
        return true
    }
    private func openSocket(_ target: UnsafeMutablePointer<curl_sockaddr>?) -> curl_socket_t {
        guard let target else { return CURL_SOCKET_BAD }
        var address = SocketAddress()
        address.length = min(socklen_t(target.pointee.addrlen), socklen_t(MemoryLayout<sockaddr_storage>.size))
        let raw = UnsafeRawPointer(target) + MemoryLayout<curl_sockaddr>.offset(of: \.addr)!
        withUnsafeMutableBytes(of: &address.storage) { $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: Int(address.length))) }
        guard let endpoint = address.endpoint, mayConnect(endpoint) else { return CURL_SOCKET_BAD }
        let flags = Int32(bitPattern: SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        return socket(target.pointee.family, target.pointee.socktype | flags, target.pointee.protocol)
    }

    // MARK: the end

    /// Takes the handle out of the multi, whose connection stays for the next request.
    func finish(_ result: CURLcode, on multi: CurlMulti) -> Outcome {
        guard let easy else { preconditionFailure("an end without a handle") }
        let status = ccurl_info_long(easy, CURLINFO_RESPONSE_CODE)
        let next = ccurl_info_string(easy, CURLINFO_REDIRECT_URL).map { String(cString: $0) }
        let retryAfter = ccurl_info_offset(easy, CURLINFO_RETRY_AFTER)
        multi.remove(easy)
        curl_easy_cleanup(easy)
        self.easy = nil
        if let fault { return .failed(fault) }
        if let refused { return .failed(.permanent("\(refused.address) may not be asked from here")) }
        guard result == CURLE_OK else {
            let text = errorText[0] != 0 ? String(cString: errorText) : String(cString: curl_easy_strerror(result))
            return .failed(.temporary(text, retryAfter: nil))
        }
        switch status {
        case 200..<300: return count == length ? .complete : .failed(.permanent("the server sent \(count) bytes where \(length) were asked for"))
        case 300..<400:
            redirects += 1
            guard let next, redirects <= AddressPolicy.redirectLimit else { return .failed(.permanent("more than \(AddressPolicy.redirectLimit) redirects, or one to nowhere")) }
            if let remote { policy.visited(remote) }
            url = next
            return .redirected
        // BEP 17: a busy seed says when to come again.
        case 408, 425, 429, 500..<600: return .failed(.temporary("HTTP \(status)", retryAfter: retryAfter > 0 ? UInt32(clamping: retryAfter) : nil))
        default: return .failed(.permanent("HTTP \(status)"))
        }
    }
}
