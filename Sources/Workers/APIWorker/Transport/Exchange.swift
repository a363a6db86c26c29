import Foundation
import HTTPTypes
import HummingbirdCore
import NIOCore
import Primitives

/// Names and values of a query string or a form, in their order.
package struct Parameters: Sendable, Equatable {
    /// More fields than any client sends; each costs an entry.
    static let limit = 1000
    package var pairs: [(name: String, value: String)] = []

    package init() {}

    /// `application/x-www-form-urlencoded`.
    package init(encoded bytes: some Collection<UInt8>) {
        for field in bytes.split(separator: UInt8(ascii: "&")).prefix(Self.limit) {
            let cut = field.firstIndex(of: UInt8(ascii: "="))
            let name = PercentCoding.decode(field[..<(cut ?? field.endIndex)], plus: true)
            let value = cut.map { PercentCoding.decode(field[field.index(after: $0)...], plus: true) } ?? ""
            pairs.append((name, value))
        }
    }

    package subscript(_ name: String) -> String? { pairs.first { $0.name == name }?.value }
    package static func == (a: Self, b: Self) -> Bool { a.pairs.map(\.name) == b.pairs.map(\.name) && a.pairs.map(\.value) == b.pairs.map(\.value) }

    /// Clients write True, true and 1; anything else is as if it were not there.
    package func flag(_ name: String) -> Bool? {
        switch self[name]?.lowercased() {
        case "true", "1": true
        case "false", "0": false
        default: nil
        }
    }
}

package struct UploadedFile: Sendable, Equatable {
    package var field: String
    package var name: String
    package var bytes: [UInt8]
}

/// One request as handlers see it. The body has been read.
package struct Exchange: Sendable {
    package var method: HTTPRequest.Method
    /// Decoded, without the query.
    package var path: String
    package var query: Parameters
    package var headers: HTTPFields
    /// As the client or, behind a trusted proxy, the proxy says it.
    package var address: Endpoint
    package var isSecure: Bool
    /// Host and port under which the client knows us: letters, digits and `.:[]-_` only.
    package var authority = ""
    package var body: [UInt8] = []
    package var form = Parameters()
    package var files: [UploadedFile] = []

    /// qBittorrent's rule: GET and HEAD have their parameters in the query, everything else in the body.
    package var parameters: Parameters { method == .get || method == .head ? query : form }
    package subscript(_ name: String) -> String? { parameters[name] }
    package func flag(_ name: String) -> Bool? { parameters.flag(name) }

    package func required(_ name: String) throws(Refusal) -> String {
        guard let value = self[name] else { throw Refusal(.badRequest, "missing parameter: \(name)") }
        return value
    }

    package var cookies: [(name: String, value: String)] {
        // Some clients replay the whole Set-Cookie line: its attributes read as cookies that nobody asks for.
        headers[values: .cookie].flatMap { $0.split(separator: ";") }.compactMap { part in
            let text = part.drop { $0 == " " }
            guard let cut = text.firstIndex(of: "=") else { return nil }
            return (String(text[..<cut]), String(text[text.index(after: cut)...]))
        }
    }
}

/// An answer that is no 200.
package struct Refusal: Error, Sendable {
    package let status: HTTPResponse.Status
    package let text: String
    package init(_ status: HTTPResponse.Status, _ text: String = "") { (self.status, self.text) = (status, text) }
}

package struct Reply: Sendable {
    package enum Body: Sendable {
        case bytes([UInt8])
        case stream(length: Int?, @Sendable (inout any ResponseBodyWriter) async throws -> Void)
    }
    package var status: HTTPResponse.Status = .ok
    package var headers = HTTPFields()
    package var body: Body

    package init(_ status: HTTPResponse.Status = .ok, type: String, _ bytes: [UInt8]) {
        self.status = status
        body = .bytes(bytes)
        headers[.contentType] = type
    }
    package init(_ status: HTTPResponse.Status = .ok, stream type: String, length: Int? = nil, _ write: @escaping @Sendable (inout any ResponseBodyWriter) async throws -> Void) {
        self.status = status
        body = .stream(length: length, write)
        headers[.contentType] = type
    }
    package static func text(_ text: String, _ status: HTTPResponse.Status = .ok) -> Reply { Reply(status, type: "text/plain; charset=UTF-8", Array(text.utf8)) }
    package static func json(_ bytes: [UInt8], _ status: HTTPResponse.Status = .ok) -> Reply { Reply(status, type: "application/json", bytes) }
    package static func json(_ body: (inout JSONBytes) -> Void) -> Reply { .json(JSONBytes.object(body)) }
    /// 200 with nothing in it: what actions answer.
    package static var done: Reply { Reply(type: "text/plain; charset=UTF-8", []) }

    package var bytes: [UInt8] {
        if case .bytes(let bytes) = body { return bytes }
        return []
    }
}

extension HTTPField.Name {
    static let setCookie2 = HTTPField.Name("Set-Cookie")!
    static let forwardedFor = HTTPField.Name("X-Forwarded-For")!
    static let forwardedHost = HTTPField.Name("X-Forwarded-Host")!
    static let forwardedProto = HTTPField.Name("X-Forwarded-Proto")!
    static let frameOptions = HTTPField.Name("X-Frame-Options")!
    static let referrerPolicy = HTTPField.Name("Referrer-Policy")!
    static let openerPolicy = HTTPField.Name("Cross-Origin-Opener-Policy")!
    static let fetchSite = HTTPField.Name("Sec-Fetch-Site")!
    static let hostName = HTTPField.Name("Host")!
    static let transmissionSession = HTTPField.Name("X-Transmission-Session-Id")!
    static let transmissionVersion = HTTPField.Name("X-Transmission-Rpc-Version")!
    static let apiKey = HTTPField.Name("X-API-Key")!
}

/// Bytes of request bodies that are held at once, over all connections.
package actor UploadBudget {
    /// Two of the largest bodies.
    static let limit = 2 * BodyReading.uploadLimit
    private var used = 0
    package init() {}
    func take(_ n: Int) -> Bool {
        guard used + n <= Self.limit else { return false }
        used += n
        return true
    }
    func give(_ n: Int) { used -= n }
}

package enum BodyReading {
    /// Of anything but uploads.
    package static let bodyLimit = 4 << 20
    /// One request's .torrent files together: a file may have 32 MiB, and Transmission's comes in base64.
    package static let uploadLimit = 64 << 20

    /// Fills in body, form and files. Throws 413 or 400.
    static func read(_ request: Request, into exchange: inout Exchange, limit: Int, budget: UploadBudget) async throws {
        var held = 0
        do {
            var bytes: [UInt8] = []
            for try await part in request.body {
                guard bytes.count + part.readableBytes <= limit else { throw Refusal(.contentTooLarge, "at most \(limit) bytes") }
                guard await budget.take(part.readableBytes) else { throw Refusal(.serviceUnavailable, "too many uploads at once") }
                held += part.readableBytes
                part.withUnsafeReadableBytes { bytes.append(contentsOf: $0) }
            }
            await budget.give(held)
            held = 0
            try parse(bytes, into: &exchange)
        } catch {
            await budget.give(held)
            throw error
        }
    }

    static func parse(_ bytes: [UInt8], into exchange: inout Exchange) throws(Refusal) {
        exchange.body = bytes
        let type = exchange.headers[.contentType] ?? ""
        let kind = type.prefix { $0 != ";" }.lowercased()
        if kind == "multipart/form-data" {
            guard let boundary = Multipart.boundary(of: type), let parts = Multipart.parse(bytes, boundary: boundary) else {
                throw Refusal(.badRequest, "the multipart body cannot be read")
            }
            for part in parts {
                if let file = part.file {
                    exchange.files.append(UploadedFile(field: part.name, name: file, bytes: Array(part.bytes)))
                } else {
                    exchange.form.pairs.append((part.name, String(decoding: part.bytes, as: UTF8.self)))
                }
            }
            exchange.body = []
        } else if kind == "application/x-www-form-urlencoded" || (kind.isEmpty && !bytes.isEmpty) {
            exchange.form = Parameters(encoded: bytes)
        }
    }
}

/// RFC 7578.
package enum Multipart {
    package struct Part {
        package var name: String
        /// The file's name; nil for an ordinary field.
        package var file: String?
        package var bytes: ArraySlice<UInt8>
    }
    /// Files and fields of one body.
    static let partLimit = 2000

    package static func boundary(of type: String) -> [UInt8]? {
        for part in type.split(separator: ";").dropFirst() {
            let text = part.drop { $0 == " " }
            guard text.lowercased().hasPrefix("boundary=") else { continue }
            var value = text.dropFirst(9)
            if value.hasPrefix("\""), value.hasSuffix("\""), value.count >= 2 { value = value.dropFirst().dropLast() }
            // RFC 2046: 1 to 70 characters.
            guard (1...70).contains(value.utf8.count) else { return nil }
            return Array(value.utf8)
        }
        return nil
    }

    /// nil for what is not multipart with that boundary, or has too many parts.
    package static func parse(_ bytes: [UInt8], boundary: [UInt8]) -> [Part]? {
        let mark = Array("--".utf8) + boundary
        guard var at = find(mark, in: bytes, from: 0) else { return nil }
        var parts: [Part] = []
        while true {
            at += mark.count
            // "--" after the last one; what follows is no part of it.
            if bytes[at...].starts(with: "--".utf8) { return parts }
            guard bytes[at...].starts(with: "\r\n".utf8), parts.count < partLimit else { return nil }
            at += 2
            guard let bodyStart = find(Array("\r\n\r\n".utf8), in: bytes, from: max(0, at - 2)), let end = find(Array("\r\n".utf8) + mark, in: bytes, from: bodyStart + 2) else {
                return nil
            }
            let head = String(decoding: bytes[min(at, bodyStart)..<bodyStart], as: UTF8.self)
            let from = min(bodyStart + 4, end)
            if let part = part(head, bytes[from..<end]) { parts.append(part) }
            at = end + 2
        }
    }

    private static func part(_ head: String, _ body: ArraySlice<UInt8>) -> Part? {
        for line in head.split(separator: "\r\n") {
            guard line.lowercased().hasPrefix("content-disposition:") else { continue }
            guard let name = attribute("name", of: line) else { return nil }
            return Part(name: name, file: attribute("filename", of: line) ?? attribute("filename*", of: line), bytes: body)
        }
        return nil
    }

    private static func attribute(_ name: String, of line: Substring) -> String? {
        for piece in line.split(separator: ";").dropFirst() {
            let text = piece.drop { $0 == " " }
            guard text.lowercased().hasPrefix(name + "=") else { continue }
            var value = text.dropFirst(name.count + 1)
            if value.hasPrefix("\"") { value = value.dropFirst().prefix { $0 != "\"" } }
            return String(value)
        }
        return nil
    }

    private static func find(_ needle: [UInt8], in bytes: [UInt8], from: Int) -> Int? {
        bytes.withUnsafeBytes { hay in
            var at = from
            while hay.count - at >= needle.count, let hit = memchr(hay.baseAddress! + at, Int32(needle[0]), hay.count - at - needle.count + 1) {
                at = UnsafeRawPointer(hit) - hay.baseAddress!
                if memcmp(hit, needle, needle.count) == 0 { return at }
                at += 1
            }
            return nil
        }
    }
}
