import CXML
import Control
import Foundation
import Primitives

/// RSS 2.0, RSS 1.0 (RDF) and Atom into articles, through libxml2's pull reader: Foundation's parser crashes on some that are
/// not well-formed. External and own entities are not resolved. At most ``articles`` are read, each text cut at its bound.
struct FeedReading {
    static let articles = 2000
    private static let textLimit = 4096
    private static let depthLimit = 64

    private(set) var title = ""
    private(set) var lastBuildDate = ""
    private(set) var rows: [RSSArticleRow] = []
    private var row: RSSArticleRow?
    private var enclosure = ""
    private var text = ""
    private var depth = 0
    private var hasRoot = false

    struct Refused: Error { let why: String }

    init(_ bytes: [UInt8]) throws(Refused) {
        let line = bytes.withUnsafeBytes { raw -> Int32? in
            guard raw.count > 0, let reader = cxml_open(raw.bindMemory(to: CChar.self).baseAddress, Int32(clamping: raw.count)) else { return 1 }
            defer { cxml_close(reader) }
            while true {
                switch cxml_next(reader) {
                case 1: if !take(reader) { return nil }
                case 0: return nil
                default: return cxml_line(reader)
                }
            }
        }
        guard hasRoot else { throw Refused(why: "it is neither RSS nor Atom") }
        // A feed that ends in the middle keeps what came before.
        if let line, rows.isEmpty { throw Refused(why: "it is not well-formed at line \(line)") }
    }

    /// False: enough was read.
    private mutating func take(_ reader: OpaquePointer) -> Bool {
        switch Int(cxml_kind(reader)) {
        case CXML_START:
            let name = String(cString: cxml_name(reader))
            guard started(name, attribute: { Self.attribute(reader, $0) }) else { return false }
            if cxml_is_empty(reader) != 0 { ended(name) }
        case CXML_TEXT, CXML_CDATA:
            if text.utf8.count < Self.textLimit { text += String(decoding: UnsafeRawBufferPointer(start: cxml_text(reader), count: strnlen(cxml_text(reader), Self.textLimit)), as: UTF8.self) }
        case CXML_END: ended(String(cString: cxml_name(reader)))
        default: break
        }
        return true
    }
    private static func attribute(_ reader: OpaquePointer, _ name: String) -> String? {
        guard let value = cxml_attribute(reader, name) else { return nil }
        defer { cxml_free(value) }
        return String(cString: value)
    }

    private mutating func started(_ element: String, attribute: (String) -> String?) -> Bool {
        depth += 1
        text = ""
        guard depth <= Self.depthLimit, rows.count < Self.articles else { return false }
        switch element {
        case "rss", "feed", "rdf:RDF": hasRoot = true
        case "item", "entry": if hasRoot { (row, enclosure) = (RSSArticleRow(id: "", title: "", date: 0, author: "", description: "", torrentURL: "", link: "", isRead: false), "") }
        case "enclosure":
            if attribute("type") == "application/x-bittorrent" || enclosure.isEmpty { enclosure = Self.cut(attribute("url") ?? "") }
        case "link":
            // Atom; the one without a relation, or the alternate, is the page.
            guard let target = attribute("href") else { break }
            let relation = attribute("rel") ?? "alternate"
            if relation == "enclosure" || attribute("type") == "application/x-bittorrent" { enclosure = Self.cut(target) } else if relation == "alternate" { row?.link = Self.cut(target) }
        default: break
        }
        return true
    }

    private mutating func ended(_ element: String) {
        depth -= 1
        let value = Self.cut(text.trimmingCharacters(in: .whitespacesAndNewlines))
        text = ""
        guard row != nil else {
            switch element {
            case "title": if title.isEmpty { title = value }
            case "lastBuildDate", "updated": if lastBuildDate.isEmpty { lastBuildDate = value }
            default: break
            }
            return
        }
        switch element {
        case "title": row!.title = value
        case "guid", "id": row!.id = value
        case "link": if !value.isEmpty { row!.link = value }
        case "description", "summary", "content": if row!.description.isEmpty { row!.description = value }
        case "author", "dc:creator", "name": if !value.isEmpty { row!.author = value }
        case "pubDate", "dc:date", "updated", "published": row!.date = Self.seconds(value) ?? row!.date
        case "torrent:magnetURI", "magnetURI": if enclosure.isEmpty { enclosure = value }
        case "item", "entry":
            var done = row!
            done.torrentURL = enclosure.isEmpty ? done.link : enclosure
            if done.id.isEmpty { done.id = done.torrentURL.isEmpty ? done.title : done.torrentURL }
            if !done.id.isEmpty { rows.append(done) }
            row = nil
        default: break
        }
    }
    private static func cut(_ s: String) -> String { Text.printable(s, limit: Self.textLimit) }

    /// RFC 822 ("Mon, 02 Jan 2006 15:04:05 GMT") and RFC 3339. Made once: a formatter costs more than the article.
    private static let formatters: [DateFormatter] = [
        "EEE, dd MMM yyyy HH:mm:ss zzz", "EEE, dd MMM yyyy HH:mm:ss Z", "dd MMM yyyy HH:mm:ss zzz", "yyyy-MM-dd'T'HH:mm:ssXXXXX", "yyyy-MM-dd'T'HH:mm:ss.SSSXXXXX",
    ].map { format in
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.dateFormat = format
        return formatter
    }
    static func seconds(_ text: String) -> UInt64? {
        for formatter in formatters { if let date = formatter.date(from: text) { return UInt64(max(0, date.timeIntervalSince1970)) } }
        return nil
    }
}
