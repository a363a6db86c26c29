import CCurl
import Discovery
import Glibc
import LinuxIO
import Primitives
import TrackerWire
import WorkerKit

/// A body wanted for its own sake: a .torrent or a feed that the user named.
struct FetchWish {
    /// Bytes, raw and inflated.
    var sizeLimit: Int
    /// Private addresses and the machine itself may be asked.
    var allowsLocal: Bool
    var correlation: UInt64
}

enum FetchOutcome {
    case body([UInt8])
    /// A redirect led to a magnet link.
    case magnet(String)
    case failed(String)
}

/// One announce over HTTP, over all its hops. libcurl's callbacks work on this object; it lives as long as its handle
/// is in the multi.
final class HTTPTransfer {
    let id: RequestID
    let deadline: Instant
    private(set) var url: String
    private(set) var host: String
    private(set) var redirects = 0
    /// Through which this hop goes; nil: directly.
    var proxy: Endpoint?
    /// `CURL_ERROR_SIZE` bytes.
    let errorText: UnsafeMutablePointer<CChar>
    private var path: String
    private var policy = AddressPolicy()
    private var body: [UInt8] = []
    private var isTooLarge = false
    /// An address that was not connected to.
    private var refused: Endpoint?
    /// Who answers.
    private var remote: Endpoint?
    /// nil for both: an announce.
    let fetch: FetchWish?
    let scrape: [InfoHash]?
    private var limit: Int { fetch?.sizeLimit ?? TrackerWire.bodyLimit }

    init(id: RequestID, url: String, host: String, path: String, deadline: Instant, fetch: FetchWish? = nil, scrape: [InfoHash]? = nil) {
        self.id = id
        self.scrape = scrape
        self.fetch = fetch
        self.url = url
        self.host = host
        self.path = path
        self.deadline = deadline
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }
    deinit { errorText.deallocate() }

    func prepareForHop() {
        errorText[0] = 0
        body.removeAll(keepingCapacity: true)
        (refused, remote) = (nil, nil)
    }

    /// nil, and the next hop is set; or why it is not taken.
    func redirect(to next: String) -> String? {
        redirects += 1
        if redirects > AddressPolicy.redirectLimit { return "more than \(AddressPolicy.redirectLimit) redirects" }
        if fetch != nil {
            guard ["http://", "https://"].contains(where: { next.lowercased().hasPrefix($0) }), next.utf8.count <= 8192 else {
                return "redirect to \"\(trackerLine(next.utf8.prefix(80)))\", which is no http or https address"
            }
            if let remote { policy.visited(remote) }
            url = next
            host = ProxyRules.host(of: next)
            return nil
        }
        guard let target = TrackerURL(next), target.scheme != .udp else {
            return "redirect to \"\(trackerLine(next.utf8.prefix(80)))\", which is no http or https address"
        }
        if let remote { policy.visited(remote) }
        url = target.text
        host = target.host
        path = target.path
        return nil
    }

    func outcome(_ result: CURLcode, status: Int, retryAfter: Int64) -> AnnounceOutcome {
        if isTooLarge || result == CURLE_FILESIZE_EXCEEDED {
            return .failed("the answer is larger than \(TrackerWire.bodyLimit >> 20) MiB", hostFault: true, retryAfter: nil)
        }
        guard result == CURLE_OK else {
            if let refused { return .failed("\(refused.address) may not be asked from here", hostFault: false, retryAfter: nil) }
            let text = errorText[0] != 0 ? String(cString: errorText) : String(cString: curl_easy_strerror(result))
            return .failed(trackerLine(text.utf8), hostFault: true, retryAfter: nil)
        }
        return body.withUnsafeBytes { bytes in
            if (200..<300).contains(status) {
                do throws(TrackerFailure) {
                    return .answered(try HTTPTrackerAnswer.announce(bytes), from: remote)
                } catch {
                    return Self.outcome(error)
                }
            }
            // Some trackers send their refusal with an HTTP error.
            if let refusal = HTTPTrackerAnswer.refusal(in: bytes) { return Self.outcome(refusal) }
            return .failed(
                "HTTP \(status)", hostFault: status >= 500 || status == 429 || status == 408,
                retryAfter: retryAfter > 0 ? UInt32(clamping: retryAfter) : nil)
        }
    }

    /// nil when the answer is none to a scrape; ``outcome(_:status:retryAfter:)`` then says why.
    func scraped(_ result: CURLcode, status: Int) -> [ScrapeEntry?]? {
        guard let scrape, result == CURLE_OK, !isTooLarge, (200..<300).contains(status) else { return nil }
        return body.withUnsafeBytes { try? HTTPTrackerAnswer.scrape($0, of: scrape) }
    }

    func fetched(_ result: CURLcode, status: Int) -> FetchOutcome {
        if isTooLarge || result == CURLE_FILESIZE_EXCEEDED { return .failed("the answer is larger than \(limit) bytes") }
        guard result == CURLE_OK else {
            if let refused { return .failed("\(refused.address) may not be asked from here (rss.allow_local)") }
            let text = errorText[0] != 0 ? String(cString: errorText) : String(cString: curl_easy_strerror(result))
            return .failed(trackerLine(text.utf8))
        }
        return (200..<300).contains(status) ? .body(body) : .failed("HTTP \(status)")
    }

    private static func outcome(_ failure: TrackerFailure) -> AnnounceOutcome {
        switch failure {
        case .refused(let reason, let retry): .refused(reason, retry)
        case .malformed(let why): .failed(why, hostFault: true, retryAfter: nil)
        }
    }

    // MARK: libcurl's questions

    fileprivate func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard body.count + bytes.count <= limit else {
            isTooLarge = true
            return false
        }
        body.append(contentsOf: bytes)
        return true
    }

    /// `raw`: bytes of the body as they came, before inflating.
    fileprivate func mayGoOn(raw: Int64) -> Bool {
        if raw > Int64(limit) { isTooLarge = true }
        return !isTooLarge
    }

    /// Before each connect: no packet goes to an address that the policy refuses.
    fileprivate func mayConnect(_ address: Endpoint) -> Bool {
        if let proxy {
            // What a name stands for is the proxy's to know; an address that a URL names is judged here.
            guard address == proxy else { return false }
            guard let literal = Endpoint(address: host, port: 0), !admits(literal) else { return true }
            refused = literal
            return false
        }
        if admits(address) { return true }
        refused = address
        return false
    }

    private func admits(_ address: Endpoint) -> Bool {
        guard let fetch else { return policy.admits(address, path: path) }
        // What a stranger's feed names must not reach into our network unless the user has a server there.
        let kind = AddressClass(address)
        return kind == .global || fetch.allowsLocal && kind != .forbidden
    }

    /// Before each request: a connection that is used again was opened under another announce's policy.
    fileprivate func mayRequest(_ address: Endpoint?) -> Bool {
        guard let address, mayConnect(address) else { return false }
        remote = proxy == nil ? address : Endpoint(address: host, port: 0)
        return true
    }
}

private func transfer(_ context: UnsafeMutableRawPointer?) -> HTTPTransfer {
    Unmanaged<HTTPTransfer>.fromOpaque(context!).takeUnretainedValue()
}

/// Anything but the full count ends the transfer.
func bodyArrived(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?) -> Int {
    transfer(context).take(UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
}

func progressed(
    _ context: UnsafeMutableRawPointer?, _: curl_off_t, _ down: curl_off_t, _: curl_off_t, _: curl_off_t
) -> Int32 {
    transfer(context).mayGoOn(raw: Int64(down)) ? 0 : 1
}

func openSocket(
    _ context: UnsafeMutableRawPointer?, _ purpose: curlsocktype, _ target: UnsafeMutablePointer<curl_sockaddr>?
) -> curl_socket_t {
    guard let target else { return CURL_SOCKET_BAD }
    var address = SocketAddress()
    address.length = min(socklen_t(target.pointee.addrlen), socklen_t(MemoryLayout<sockaddr_storage>.size))
    let raw = UnsafeRawPointer(target) + MemoryLayout<curl_sockaddr>.offset(of: \.addr)!
    withUnsafeMutableBytes(of: &address.storage) { $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: Int(address.length))) }
    guard let endpoint = address.endpoint, transfer(context).mayConnect(endpoint) else { return CURL_SOCKET_BAD }
    let flags = Int32(bitPattern: SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    return socket(target.pointee.family, target.pointee.socktype | flags, target.pointee.protocol)
}

func requestComing(
    _ context: UnsafeMutableRawPointer?, _ remote: UnsafeMutablePointer<CChar>?, _: UnsafeMutablePointer<CChar>?, _ port: Int32, _: Int32
) -> Int32 {
    let address = remote.flatMap { Endpoint(address: String(cString: $0), port: UInt16(truncatingIfNeeded: port)) }
    return transfer(context).mayRequest(address) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT
}
