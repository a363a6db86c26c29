import Control
import Foundation
import FoundationXML
import Primitives

/// RSS 2.0, RSS 1.0 (RDF) and Atom into articles, with Foundation's parser (libxml2, which bounds entities by itself).
/// External entities are not resolved. At most ``articles`` are read, each text cut at its bound.
final class FeedReading: NSObject, XMLParserDelegate {
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
        super.init()
        let parser = XMLParser(data: Data(bytes))
        parser.shouldResolveExternalEntities = false
        parser.delegate = self
        let isWhole = parser.parse()
        guard hasRoot else { throw Refused(why: "it is neither RSS nor Atom") }
        // A feed that ends in the middle keeps what came before.
        guard isWhole || !rows.isEmpty else { throw Refused(why: "it is not well-formed at line \(parser.lineNumber)") }
    }

    func parser(_ parser: XMLParser, didStartElement element: String, namespaceURI: String?, qualifiedName: String?, attributes: [String: String]) {
        depth += 1
        text = ""
        guard depth <= Self.depthLimit, rows.count < Self.articles else { return parser.abortParsing() }
        switch element {
        case "rss", "feed", "rdf:RDF": hasRoot = true
        case "item", "entry": if hasRoot { (row, enclosure) = (RSSArticleRow(id: "", title: "", date: 0, author: "", description: "", torrentURL: "", link: "", isRead: false), "") }
        case "enclosure":
            let type = attributes["type"] ?? ""
            if type == "application/x-bittorrent" || enclosure.isEmpty { enclosure = cut(attributes["url"] ?? "") }
        case "link":
            // Atom; the one without a relation, or the alternate, is the page.
            guard let target = attributes["href"] else { return }
            let relation = attributes["rel"] ?? "alternate"
            if relation == "enclosure" || attributes["type"] == "application/x-bittorrent" { enclosure = cut(target) } else if relation == "alternate" { row?.link = cut(target) }
        default: break
        }
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) { if text.utf8.count < Self.textLimit { text += string } }
    func parser(_ parser: XMLParser, foundCDATA block: Data) { if text.utf8.count < Self.textLimit { text += String(decoding: block.prefix(Self.textLimit), as: UTF8.self) } }

    func parser(_ parser: XMLParser, didEndElement element: String, namespaceURI: String?, qualifiedName: String?) {
        depth -= 1
        let value = cut(text.trimmingCharacters(in: .whitespacesAndNewlines))
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
    private func cut(_ s: String) -> String { Text.printable(s, limit: Self.textLimit) }

    /// RFC 822 ("Mon, 02 Jan 2006 15:04:05 GMT") and RFC 3339.
    static func seconds(_ text: String) -> UInt64? {
        for format in ["EEE, dd MMM yyyy HH:mm:ss zzz", "EEE, dd MMM yyyy HH:mm:ss Z", "dd MMM yyyy HH:mm:ss zzz", "yyyy-MM-dd'T'HH:mm:ssXXXXX", "yyyy-MM-dd'T'HH:mm:ss.SSSXXXXX"] {
            let formatter = DateFormatter()
            formatter.locale = Locale(identifier: "en_US_POSIX")
            formatter.dateFormat = format
            if let date = formatter.date(from: text) { return UInt64(max(0, date.timeIntervalSince1970)) }
        }
        return nil
    }
}
