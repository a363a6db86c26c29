import CCurl
import Glibc
import HTTPKit
import LinuxIO
import Primitives

/// Sends mail over SMTP for the session worker, which has written it. The server is the user's choice, so no address is refused.
///
/// With `tls` the connection is encrypted from its first byte (port 465); else STARTTLS is used where the server has it (RFC 3207), and
/// insisted on before a password is sent.
final class MailTransfer {
    private static let whole = TimeSpan.seconds(60)
    private static let connect = TimeSpan.seconds(20)
    /// Sent at once; the rest waits in the session worker.
    static let limit = 4

    struct Letter {
        let server: String
        let tls: Bool
        let username: String
        let password: String
        let sender: String
        let recipients: [String]
        let text: [UInt8]
        let correlation: UInt64
    }
    struct Ended {
        let correlation: UInt64
        /// Empty: the server has taken it.
        let failure: String
    }

    /// libcurl's callback works on this object; it lives as long as its handle is in the multi.
    private final class Transfer {
        let letter: Letter
        let errorText: UnsafeMutablePointer<CChar>
        var list: UnsafeMutablePointer<curl_slist>?
        private var at = 0

        init(_ letter: Letter) {
            self.letter = letter
            errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
            errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        }
        deinit {
            errorText.deallocate()
            curl_slist_free_all(list)
        }
        func give(_ target: UnsafeMutableRawBufferPointer) -> Int {
            let n = min(target.count, letter.text.count - at)
            letter.text.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[at..<at + n])) }
            at += n
            return n
        }
    }

    private let multi: CurlMulti
    private var transfers: [UnsafeMutableRawPointer: Transfer] = [:]
    private var ended: [Ended] = []

    init(loop: Loop, kind: UInt8) throws { multi = try CurlMulti(loop: loop, kind: kind, connections: Self.limit, connectionsPerHost: Self.limit) }
    deinit {
        for easy in transfers.keys {
            multi.remove(easy)
            curl_easy_cleanup(easy)
        }
    }

    var nextDeadline: Instant { ended.isEmpty ? multi.nextDeadline : .zero }
    func completed(_ completion: Completion) { multi.completed(completion) }

    func begin(_ letter: Letter) {
        guard transfers.count < Self.limit else { return ended.append(Ended(correlation: letter.correlation, failure: "too much mail at once")) }
        guard let easy = curl_easy_init() else { return ended.append(Ended(correlation: letter.correlation, failure: "no memory for a request")) }
        let transfer = Transfer(letter)
        for recipient in letter.recipients { transfer.list = curl_slist_append(transfer.list, "<\(recipient)>") }
        func must(_ code: CURLcode) { CurlMulti.must(code) }
        must(ccurl_set_string(easy, CURLOPT_URL, "\(letter.tls ? "smtps" : "smtp")://\(letter.server)"))
        must(ccurl_set_string(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps"))
        // CURLUSESSL_TRY is 1, CURLUSESSL_ALL 3.
        must(ccurl_set_long(easy, CURLOPT_USE_SSL, letter.username.isEmpty && !letter.tls ? 1 : 3))
        if !letter.username.isEmpty {
            must(ccurl_set_string(easy, CURLOPT_USERNAME, letter.username))
            must(ccurl_set_string(easy, CURLOPT_PASSWORD, letter.password))
        }
        must(ccurl_set_string(easy, CURLOPT_MAIL_FROM, "<\(letter.sender)>"))
        must(ccurl_set_list(easy, CURLOPT_MAIL_RCPT, transfer.list))
        must(ccurl_set_long(easy, CURLOPT_UPLOAD, 1))
        must(ccurl_set_long(easy, CURLOPT_NOSIGNAL, 1))
        must(ccurl_set_long(easy, CURLOPT_TIMEOUT_MS, Int(Self.whole.milliseconds)))
        must(ccurl_set_long(easy, CURLOPT_CONNECTTIMEOUT_MS, Int(Self.connect.milliseconds)))
        must(ccurl_set_error_buffer(easy, transfer.errorText))
        must(
            ccurl_on_read(
                easy,
                { bytes, size, count, context in
                    Unmanaged<Transfer>.fromOpaque(context!).takeUnretainedValue().give(UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
                }, Unmanaged.passUnretained(transfer).toOpaque()))
        transfers[easy] = transfer
        multi.add(easy)
    }

    func turn(now: Instant) -> [Ended] {
        multi.turn(now: now)
        while let (easy, result) = multi.nextEnded() {
            multi.remove(easy)
            guard let transfer = transfers.removeValue(forKey: easy) else { preconditionFailure("an end without its transfer") }
            // What the server said; libcurl's own words where it said nothing.
            let status = ccurl_info_long(easy, CURLINFO_RESPONSE_CODE)
            curl_easy_cleanup(easy)
            var failure = ""
            if result != CURLE_OK {
                failure = transfer.errorText[0] != 0 ? String(cString: transfer.errorText) : String(cString: curl_easy_strerror(result))
                if status >= 400 { failure += " (SMTP \(status))" }
            }
            ended.append(Ended(correlation: transfer.letter.correlation, failure: failure))
        }
        defer { ended = [] }
        return ended
    }
}
