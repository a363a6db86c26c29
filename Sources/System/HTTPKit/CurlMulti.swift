import CCurl
import Glibc
import LinuxIO
import Primitives

/// libcurl's multi interface inside a ``Loop``: its sockets are polled by the loop and its timer is one of the owner's
/// deadlines, so there is no second event loop. The owner makes the handles, adds them, and takes those that ended.
package final class CurlMulti {
    private let loop: Loop
    private let kind: UInt8
    private let multi: UnsafeMutableRawPointer
    private var timer = Instant.never
    private var polls: [Int32: Poll] = [:]
    private var serial: UInt32 = 0

    private struct Poll {
        var events: Int16
        var serial: UInt32
        var isArmed: Bool
    }
    package struct Unavailable: Error, CustomStringConvertible {
        package var description: String { "libcurl cannot be used: no memory" }
    }

    /// `kind`: of the tokens of this object's polls. `connections`: open at once, and kept for use again.
    package init(loop: Loop, kind: UInt8, connections: Int, connectionsPerHost: Int) throws(Unavailable) {
        self.loop = loop
        self.kind = kind
        guard curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK, let multi = curl_multi_init() else { throw Unavailable() }
        self.multi = multi
        let context = Unmanaged.passUnretained(self).toOpaque()
        Self.must(ccurl_multi_on_socket(multi, socketChanged, context))
        Self.must(ccurl_multi_on_timer(multi, timerChanged, context))
        Self.must(ccurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, connections))
        Self.must(ccurl_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections))
        Self.must(ccurl_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, connectionsPerHost))
    }
    /// The owner has removed its handles before.
    deinit { curl_multi_cleanup(multi) }

    package func add(_ easy: UnsafeMutableRawPointer) {
        let code = curl_multi_add_handle(multi, easy)
        precondition(code == CURLM_OK, "libcurl refused a handle: \(code.rawValue)")
    }
    package func remove(_ easy: UnsafeMutableRawPointer) { curl_multi_remove_handle(multi, easy) }

    package var nextDeadline: Instant { timer }

    /// A poll of this object's kind ended.
    package func completed(_ completion: Completion) {
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

    /// Does what is due; then ``nextEnded()`` gives what has ended.
    package func turn(now: Instant) {
        guard timer <= now else { return }
        timer = .never
        act(CURL_SOCKET_TIMEOUT, 0)
    }

    /// A handle that has ended, and how. It is still in the multi: the owner removes it.
    package func nextEnded() -> (easy: UnsafeMutableRawPointer, result: CURLcode)? {
        var result = CURLE_OK
        guard let easy = ccurl_multi_next_ended(multi, &result) else { return nil }
        return (easy, result)
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

    /// A proxy, or an exception from it, that the environment names would connect past every check of addresses.
    package static func setNoProxy(_ easy: UnsafeMutableRawPointer) { must(ccurl_set_string(easy, CURLOPT_PROXY, "")) }
    package static func setProxy(_ easy: UnsafeMutableRawPointer, isSOCKS5: Bool, _ proxy: Endpoint, user: String?, password: String?) {
        // socks5h: names are looked up by the proxy, so that no packet goes past it.
        must(ccurl_set_string(easy, CURLOPT_PROXY, (isSOCKS5 ? "socks5h://" : "http://") + proxy.description))
        must(ccurl_set_string(easy, CURLOPT_NOPROXY, ""))
        guard let user, let password else { return }
        must(ccurl_set_string(easy, CURLOPT_PROXYUSERNAME, user))
        must(ccurl_set_string(easy, CURLOPT_PROXYPASSWORD, password))
    }

    /// An option that this libcurl does not know is a build that cannot work.
    package static func must(_ code: CURLcode) { precondition(code == CURLE_OK, "libcurl refused an option: \(code.rawValue)") }
    package static func must(_ code: CURLMcode) { precondition(code == CURLM_OK, "libcurl refused an option: \(code.rawValue)") }
}

private func socketChanged(
    _: UnsafeMutableRawPointer?, _ fd: curl_socket_t, _ what: Int32, _ context: UnsafeMutableRawPointer?, _: UnsafeMutableRawPointer?
) -> Int32 {
    Unmanaged<CurlMulti>.fromOpaque(context!).takeUnretainedValue().socketWants(fd, what)
    return 0
}

private func timerChanged(_: UnsafeMutableRawPointer?, _ milliseconds: Int, _ context: UnsafeMutableRawPointer?) -> Int32 {
    Unmanaged<CurlMulti>.fromOpaque(context!).takeUnretainedValue().timerWants(milliseconds)
    return 0
}
