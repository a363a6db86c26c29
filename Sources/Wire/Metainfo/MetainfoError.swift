import Bencode

/// Why a .torrent or an info dictionary is not acceptable, and at which byte.
package struct MetainfoError: Error, Equatable, CustomStringConvertible, Sendable {
    package enum Reason: Equatable, Sendable {
        case bencode(BencodeError.Reason)
        /// Valid bencode, but not the dictionary that a torrent is.
        case notDictionary
        /// A key that must be there is not; the name is the key's.
        case missing(String)
        /// A key has a value that it may not have: wrong type, or out of range.
        case invalid(String)
        case duplicateKey(String)
        case unsupportedVersion(Int64)
        /// Length of `pieces` against what the files' lengths ask for.
        case pieceHashCount(expected: UInt64, found: UInt64)
        case tooManyFiles(limit: Int)
        case tooManyPieces(limit: Int)
        case tooLong(limit: UInt64)
        case noContent
        case pathTooDeep(limit: Int)
        case pathTooLong(limit: Int)
        case allPathsTooLong(limit: Int)
        /// Hybrid torrents (BEP 52): both descriptions must name the same files in the same places.
        case versionsDisagree
        case pieceLayer(String)
    }
    package let reason: Reason
    /// From the start of the input; nil when no one place is to blame.
    package let offset: Int?

    package init(_ reason: Reason, at offset: Int? = nil) { (self.reason, self.offset) = (reason, offset) }
    init(_ error: BencodeError) { self.init(.bencode(error.reason), at: error.offset) }

    package var description: String {
        if case .bencode(let reason) = reason { return "not valid bencode: \(BencodeError(reason, at: offset ?? 0))" }
        let what =
            switch reason {
            case .bencode: ""
            case .notDictionary: "the outermost value is not a dictionary"
            case .missing(let key): "'\(key)' is missing"
            case .invalid(let key): "'\(key)' has an invalid value"
            case .duplicateKey(let key): "'\(key)' stands twice"
            case .unsupportedVersion(let version): "meta version \(version) is not supported"
            case .pieceHashCount(let expected, let found): "'pieces' has \(found) bytes where the files need \(expected)"
            case .tooManyFiles(let limit): "more than \(limit) files"
            case .tooManyPieces(let limit): "more than \(limit) pieces"
            case .tooLong(let limit): "a length is above \(limit) bytes"
            case .noContent: "there is no content: all lengths are 0"
            case .pathTooDeep(let limit): "a path has more than \(limit) components"
            case .pathTooLong(let limit): "a path is longer than \(limit) bytes"
            case .allPathsTooLong(let limit): "the paths together are longer than \(limit) bytes"
            case .versionsDisagree: "the v1 and the v2 list of files disagree"
            case .pieceLayer(let why): "'piece layers' is invalid: \(why)"
            }
        return offset.map { "\(what) at byte \($0)" } ?? what
    }
}
