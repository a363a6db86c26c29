import Foundation
import Testing

@testable import SessionWorker

/// Letters as they go over the wire: whatever a torrent is called, it stays in its header and in its body.
@Suite struct MailTests {
    private func message(_ subject: String, _ body: String = "x\n") -> [String] {
        String(decoding: MailText.message(from: "a@b.org", to: ["c@d.org", "e@f.org"], subject: subject, body: body, at: 1_795_400_860, id: "1"), as: UTF8.self).components(separatedBy: "\r\n")
    }
    /// Headers by name, folded lines joined.
    private func headers(_ lines: [String]) -> [(String, String)] {
        var out: [(String, String)] = []
        for line in lines.prefix(while: { !$0.isEmpty }) {
            if line.hasPrefix(" ") { out[out.count - 1].1 += "\n" + line.dropFirst() } else { out.append((String(line.prefix { $0 != ":" }), String(line.drop { $0 != ":" }.dropFirst(2)))) }
        }
        return out
    }

    @Test(arguments: [
        "plain words", "größe", "a\r\nBcc: <victim@example.org>\r\n\r\nbody", "=?UTF-8?B?eA==?=", String(repeating: "x", count: 500), String(repeating: "→é", count: 100), "", "\u{0}\u{7F}",
        String(repeating: "👨‍👩‍👧‍👦", count: 30),
    ])
    func subjectsStayInTheirHeader(_ subject: String) throws {
        let lines = message(subject), found = headers(lines)
        #expect(
            found.map(\.0) == ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Auto-Submitted"])
        #expect(lines.allSatisfy { $0.utf8.count <= 78 && $0.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F } })
        // Read back as a mail program does.
        let text = found[2].1
        let read =
            !text.contains("=?")
            ? text
            : String(
                decoding: text.split(separator: "\n").flatMap { word in Array(Data(base64Encoded: String(word.dropFirst("=?UTF-8?B?".count).dropLast(2))) ?? Data()) }, as: UTF8.self)
        let wanted = subject.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : String($0) }.joined()
        #expect(wanted.hasPrefix(read) && (read == wanted || read.unicodeScalars.count >= 290))
    }

    @Test func bodiesAreWholeAndDatesAreRight() throws {
        let body = "größe\n.\n.dot\n" + String(repeating: "long ", count: 300) + "\n"
        let lines = message("s", body), at = try #require(lines.firstIndex(of: ""))
        let text = try #require(Data(base64Encoded: lines[(at + 1)...].joined()))
        #expect(String(decoding: text, as: UTF8.self) == body.replacingOccurrences(of: "\n", with: "\r\n"))
        #expect(headers(lines)[3].1 == "Mon, 23 Nov 2026 02:27:40 +0000")
    }

    @Test(arguments: [
        ("a@b", true), ("a.b+c@d.example", true), ("", false), ("a", false), ("a@b@c", false), ("@b", false), ("a@", false), ("a b@c", false), ("<a@b>", false), ("a@b\r\nX: y", false), ("ä@b", false),
    ])
    func addresses(_ text: String, _ is_: Bool) { #expect(MailText.isAddress(text) == is_) }
}
