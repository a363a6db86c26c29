import Bencode
import ByteCodec
import Primitives

/// ut_metadata (BEP 9): the info dictionary in blocks of 16 KiB.
package enum MetadataMessage: Hashable, Sendable {
    case request(block: UInt32)
    /// `totalSize` is the sender's claim; the payload follows the dictionary.
    case data(block: UInt32, totalSize: Int, PayloadRange)
    case reject(block: UInt32)

    /// nil: a message type that BEP 9 says to ignore. Offsets count from the start of `bytes`.
    package static func decode(_ bytes: UnsafeRawBufferPointer) throws(WireError) -> MetadataMessage? {
        var parser = BencodeParser()
        guard let root = try? parser.parse(bytes, limits: .packet, tolerance: .lenient), root.kind == .dictionary,
            let type = root["msg_type"]?.integer, let piece = root["piece"]?.integer,
            piece >= 0, piece < Int64((WireLimit.metadata + WireLimit.metadataBlock - 1) / WireLimit.metadataBlock)
        else { throw .badDictionary }
        let block = UInt32(piece), end = root.range.upperBound
        switch type {
        case 0: return .request(block: block)
        case 1:
            guard let size = root["total_size"]?.integer, size > 0, size <= Int64(WireLimit.metadata),
                bytes.count - end <= WireLimit.metadataBlock
            else { throw .badDictionary }
            return .data(block: block, totalSize: Int(size), PayloadRange(offset: end, count: bytes.count - end))
        case 2: return .reject(block: block)
        default: return nil
        }
    }

    package static func encodeRequest(block: UInt32) -> [UInt8] { encode(type: 0, block: block, totalSize: nil) }
    package static func encodeReject(block: UInt32) -> [UInt8] { encode(type: 2, block: block, totalSize: nil) }
    package static func encodeData(block: UInt32, totalSize: Int, _ payload: [UInt8]) -> [UInt8] {
        encode(type: 1, block: block, totalSize: totalSize) + payload
    }

    private static func encode(type: Int, block: UInt32, totalSize: Int?) -> [UInt8] {
        var w = BencodeWriter()
        w.beginDictionary()
        w.key("msg_type")
        w.integer(type)
        w.key("piece")
        w.integer(block)
        if let totalSize {
            w.key("total_size")
            w.integer(totalSize)
        }
        w.end()
        return w.array
    }

    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        if case .data(_, _, let range)? = try? decode(bytes) { precondition(range.slice(of: bytes).count <= WireLimit.metadataBlock) }
    }
}
