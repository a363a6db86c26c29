/// Bencode (BEP 3): integers, byte strings, lists and dictionaries.
///
/// ``BencodeParser`` turns borrowed bytes into a flat array of tokens (offsets only, nothing copied, no
/// recursion), ``BencodeView`` walks them, ``BencodeWriter`` writes. Every use states its bounds in a
/// ``BencodeLimits``, since depth and count are chosen by whoever sent the bytes.
package enum BencodeKind: UInt8, Sendable {
    case integer, string, list, dictionary
}

/// Bounds of one parse.
package struct BencodeLimits: Sendable, Equatable {
    /// Containers open at once.
    package let depth: Int
    /// Values and keys together; a token costs 12 bytes.
    package let tokens: Int
    /// Bytes looked at; more than this is refused before the first is read.
    package let bytes: Int

    package init(depth: Int, tokens: Int, bytes: Int) {
        precondition(tokens < 1 << 29 && bytes <= Int(UInt32.max))
        (self.depth, self.tokens, self.bytes) = (depth, tokens, bytes)
    }

    /// A .torrent file: 2.5 M tokens are 30 MB, and 400,000 files of six tokens each.
    package static let torrent = BencodeLimits(depth: 100, tokens: 2_500_000, bytes: 32 << 20)
    /// A datagram or an extension message.
    package static let packet = BencodeLimits(depth: 100, tokens: 1_000, bytes: 1 << 20)
}

/// Departures from canonical form that a use puts up with. Leading zeros and negative zero never pass: BEP 3
/// calls them invalid, and no writer in the field makes them.
package struct BencodeTolerance: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Keys out of order or repeated; ``BencodeView/isCanonicalDictionary`` tells which dictionary it was.
    package static let keyOrder = BencodeTolerance(rawValue: 1)
    /// Bytes after the value: ``BencodeView/range`` tells where it ended (BEP 9 puts piece data there).
    package static let trailingBytes = BencodeTolerance(rawValue: 2)
    package static let none: BencodeTolerance = []
    package static let lenient: BencodeTolerance = [.keyOrder, .trailingBytes]
}

/// Why bytes are not acceptable bencode, and at which byte.
package struct BencodeError: Error, Equatable, CustomStringConvertible, Sendable {
    package enum Reason: Equatable, Sendable {
        /// The input ended inside a value: more bytes might complete it.
        case truncated
        case expectedValue
        case expectedKey
        case expectedDigit
        case leadingZero
        case negativeZero
        case integerOverflow
        case missingValue
        case keyOrder
        case trailingBytes
        case tooDeep(limit: Int)
        case tooManyTokens(limit: Int)
        case tooLarge(limit: Int)
    }
    package let reason: Reason
    /// From the start of the input.
    package let offset: Int

    package init(_ reason: Reason, at offset: Int) { (self.reason, self.offset) = (reason, offset) }

    package var description: String {
        let what =
            switch reason {
            case .truncated: "the data end in the middle of a value"
            case .expectedValue: "expected an integer, string, list or dictionary"
            case .expectedKey: "expected a dictionary key"
            case .expectedDigit: "expected a digit"
            case .leadingZero: "number with a leading zero"
            case .negativeZero: "negative zero"
            case .integerOverflow: "number does not fit 64 bits"
            case .missingValue: "dictionary key without a value"
            case .keyOrder: "dictionary keys out of order or repeated"
            case .trailingBytes: "bytes after the end"
            case .tooDeep(let limit): "more than \(limit) levels of nesting"
            case .tooManyTokens(let limit): "more than \(limit) values"
            case .tooLarge(let limit): "larger than \(limit) bytes"
            }
        return "\(what) at byte \(offset)"
    }
}
