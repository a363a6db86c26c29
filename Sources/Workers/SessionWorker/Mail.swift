import Catalog
import Control
import Foundation
import IPC
import Observe
import Primitives
import Settings
import WorkerKit

/// Mail that says that a download has finished. It is written here and sent by the discovery worker; what the server does not take is
/// tried again after ``pauses``.
struct MailQueue {
    /// Letters that wait; more are not written.
    static let waiting = 1000
    /// Under way at once: as many as the discovery worker sends.
    static let atOnce = 4
    static let pauses: [TimeSpan] = [.minutes(1), .minutes(5), .minutes(30)]
    /// The discovery worker ends its own attempt after 60 s.
    static let answerTime = TimeSpan.seconds(75)

    struct Letter {
        let subject: String
        let body: String
        var attempts = 0
        var due: Instant
    }
    struct UnderWay {
        var letter: Letter?
        /// Of a test: who waits for its end.
        let token: UInt64?
        let deadline: Instant
    }
    var letters: [Letter] = []
    var underWay: [UInt64: UnderWay] = [:]
}

extension SessionShell {
    func mailFinished(_ row: CatalogRow) {
        guard mails.letters.count < MailQueue.waiting else { return log.warning("mail: \(MailQueue.waiting) letters wait already, none is written for \(row.record.name)") }
        let r = row.record, total = r.counters.total
        let body = """
            \(r.name) has been downloaded.

            Folder: \(r.savePath)
            Size: \(r.facts.totalLength) bytes in \(r.facts.fileCount) files
            Received: \(total.downloaded) bytes, sent: \(total.uploaded) bytes
            Time: \(r.completedAt > r.addedAt ? r.completedAt - r.addedAt : 0) s since it was added
            Info-hash: \(r.facts.infoHash.hex)

            """
        mails.letters.append(.init(subject: "\(r.name) has finished downloading", body: body, due: loop.now))
    }

    /// `mail.test`: answered when the server has taken it, or why it has not.
    func testMail(_ from: Asker) throws(ControlError) {
        let letter = MailQueue.Letter(subject: "Test of the mail settings", body: "This daemon can send mail.\n", due: loop.now)
        let message = try message(letter)
        guard let edge = kit.edge(.discovery) else { throw ControlError(.unavailable, "the discovery worker is restarting") }
        guard mails.underWay.count < MailQueue.atOnce else { throw ControlError(.unavailable, "other mail is being sent; try again") }
        let token = wait(from, .discovery, for: MailQueue.answerTime)
        mails.underWay[token] = .init(letter: nil, token: token, deadline: loop.now + MailQueue.answerTime)
        kit.send(message, to: edge, correlation: token)
    }

    func turnMail(_ now: Instant) -> Instant {
        for (id, mail) in mails.underWay where mail.deadline <= now { mailEnded(id, "no answer") }
        guard !mails.letters.isEmpty, !isClosing, settings.bool("mail.enable") else { return mails.underWay.values.map(\.deadline).min() ?? .never }
        while mails.underWay.count < MailQueue.atOnce, let edge = kit.edge(.discovery), let i = mails.letters.firstIndex(where: { $0.due <= now }) {
            var letter = mails.letters.remove(at: i)
            letter.attempts += 1
            do throws(ControlError) {
                let message = try message(letter), token = nextToken
                nextToken += 1
                mails.underWay[token] = .init(letter: letter, token: nil, deadline: now + MailQueue.answerTime)
                kit.send(message, to: edge, correlation: token)
            } catch {
                log.error("mail: \(error.message); \"\(letter.subject)\" is not sent")
            }
        }
        let next = mails.letters.map { max($0.due, now + .seconds(1)) }.min() ?? .never
        return min(next, mails.underWay.values.map(\.deadline).min() ?? .never)
    }

    func mailEnded(_ id: UInt64, _ failure: String) {
        guard let mail = mails.underWay.removeValue(forKey: id) else { return }
        let why = Text.printable(failure, limit: 300)
        if let token = mail.token { return failure.isEmpty ? finish(token, Empty()) : finish(token, error: ControlError(.conflict, "the mail was not sent: \(why)")) }
        guard var letter = mail.letter else { return }
        if failure.isEmpty { return log.info("mail: \"\(letter.subject)\" is sent") }
        guard letter.attempts <= MailQueue.pauses.count, mails.letters.count < MailQueue.waiting else {
            return log.error("mail: \"\(letter.subject)\" is given up after \(letter.attempts) attempts: \(why)")
        }
        log.warning("mail: \"\(letter.subject)\" is not sent: \(why)")
        letter.due = loop.now + MailQueue.pauses[letter.attempts - 1]
        mails.letters.append(letter)
    }

    /// The discovery worker is gone: what it had is tried again, a test is told.
    func mailLost() { for id in mails.underWay.keys.sorted() { mailEnded(id, "the discovery worker restarted") } }

    private func message(_ letter: MailQueue.Letter) throws(ControlError) -> SendMail {
        let server = settings.string("mail.server"), sender = settings.string("mail.sender")
        let recipients = settings.string("mail.recipient").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        guard !server.isEmpty, server.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !"/?#@\\".utf8.contains($0) }) else {
            throw ControlError(.conflict, "mail.server is no HOST or HOST:PORT")
        }
        guard let first = recipients.first, recipients.count <= 20, ([sender, first] + recipients).allSatisfy(MailText.isAddress) else {
            throw ControlError(.conflict, "mail.sender and mail.recipient are addresses, as me@example.org")
        }
        let text = MailText.message(
            from: sender, to: recipients, subject: letter.subject, body: letter.body, at: core.wallSeconds, id: "\(UInt64.random(in: 0 ... .max)).\(peerID.hex)")
        return SendMail(
            server: server, tls: settings.bool("mail.tls") ? 1 : 0, username: settings.string("mail.username"), password: settings.string("mail.password"),
            sender: sender, recipients: recipients.joined(separator: ","), text: text)
    }
}

/// A letter as it goes over the wire: RFC 5322 headers, a plain text body in base64, so that no line of it can be taken for anything else.
package enum MailText {
    /// One that needs no quoting anywhere.
    package static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { !$0.isEmpty } && text.utf8.count <= 254
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"<>()[]\\,;:\"".utf8.contains($0) }
    }

    package static func message(from: String, to: [String], subject: String, body: String, at seconds: UInt64, id: String) -> [UInt8] {
        let host = from.split(separator: "@").last ?? "localhost"
        let headers = [
            "From: <\(from)>", "To: " + to.map { "<\($0)>" }.joined(separator: ",\r\n "), "Subject: \(encoded(subject))", "Date: \(date(seconds))", "Message-ID: <\(id)@\(host)>",
            "MIME-Version: 1.0", "Content-Type: text/plain; charset=UTF-8", "Content-Transfer-Encoding: base64", "Auto-Submitted: auto-generated",
        ]
        let text = body.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n")
        let base = Data(text.utf8).base64EncodedString(options: [.lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed])
        return Array((headers.joined(separator: "\r\n") + "\r\n\r\n" + base + "\r\n").utf8)
    }

    /// RFC 2047: lines with such words have at most 76 characters, and a word holds whole characters of UTF-8; plain text stays as it is.
    static func encoded(_ subject: String) -> String {
        let clean = String(subject.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : Character($0) }.prefix(300))
        if clean.utf8.allSatisfy({ $0 < 0x7F }), clean.utf8.count <= 60, !clean.contains("=?") { return clean }
        var words: [String] = [], part = ""
        // 76 less "Subject: ", "=?UTF-8?B?" and "?=" are 55 characters of base64: 39 bytes.
        for c in clean {
            if part.utf8.count + c.utf8.count > 39, !part.isEmpty {
                words.append(part)
                part = ""
            }
            part.append(c)
        }
        if !part.isEmpty { words.append(part) }
        return words.map { "=?UTF-8?B?\(Data($0.utf8).base64EncodedString())?=" }.joined(separator: "\r\n ")
    }

    /// "Mon, 23 Nov 2026 02:27:40 +0000".
    static func date(_ seconds: UInt64) -> String {
        var time = time_t(clamping: seconds), parts = tm()
        gmtime_r(&time, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"], months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ n: Int32) -> String { (n < 10 ? "0" : "") + String(n) }
        let day = "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(parts.tm_year + 1900)"
        return "\(day) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) +0000"
    }
}
