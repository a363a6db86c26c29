/// What a Range header asks of something that is `length` bytes long (RFC 9110, section 14).
package enum ByteRange: Hashable, Sendable {
    case whole
    case part(Range<UInt64>)
    /// 416.
    case none

    /// A header that is no range of bytes, is malformed, or names several ranges is as if it were not there: the RFC lets a server answer
    /// with the whole, and players ask for one range.
    package init(_ header: String?, length: UInt64) {
        self = .whole
        guard let header, let cut = header.firstIndex(of: "="), header[..<cut].lowercased() == "bytes" else { return }
        let spec = Self.trimmed(header[header.index(after: cut)...])
        guard let dash = spec.firstIndex(of: "-") else { return }
        let first = spec[..<dash], last = spec[spec.index(after: dash)...]
        guard !first.isEmpty || !last.isEmpty, let from = Self.number(first), let to = Self.number(last) else { return }
        if first.isEmpty {
            let count = min(to, length)
            self = count == 0 ? .none : .part(length - count..<length)
            return
        }
        guard last.isEmpty || from <= to else { return }
        guard from < length else {
            self = .none
            return
        }
        self = .part(from..<(last.isEmpty || to >= length ? length : to + 1))
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop { $0 == " " || $0 == "\t" }
        return start.prefix((start.lastIndex { $0 != " " && $0 != "\t" }).map { start.distance(from: start.startIndex, to: $0) + 1 } ?? 0)
    }
    /// 0 for no digits, the largest number for one that does not fit; nil for what is none.
    private static func number(_ text: Substring) -> UInt64? {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return text.isEmpty ? 0 : UInt64(text) ?? .max
    }

    /// Whatever the header says: a part is inside and not empty, and asked for as the server names it, it is the same part.
    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        let header = String(decoding: bytes, as: UTF8.self)
        for length in [0, 1, 50, 1 << 40, .max] as [UInt64] {
            guard case .part(let range) = ByteRange(header, length: length) else { continue }
            precondition(!range.isEmpty && range.upperBound <= length, "\(range) of \(length)")
            precondition(ByteRange("bytes=\(range.lowerBound)-\(range.upperBound - 1)", length: length) == .part(range))
        }
    }
}
