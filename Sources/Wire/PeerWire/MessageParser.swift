/// Cuts a stream into messages. Stateless but for what bounds it: call ``next(_:at:)`` over whatever linear
/// buffer holds the stream.
///
/// A length prefix is judged as soon as its four bytes are there, and again with the id, so nobody makes us keep
/// more than the limit of the message announced.
package struct MessageParser: Sendable {
    /// Bytes that a bitfield must have; nil while the number of pieces is unknown.
    package var bitfieldLength: Int?

    /// `pieceCount` nil: not known yet (magnet link).
    package init(pieceCount: Int? = nil) { bitfieldLength = pieceCount.map { ($0 + 7) / 8 } }

    package enum Step: Hashable, Sendable {
        /// `consumed` bytes from `at` are the message. Of a `piece` they are the 13 bytes of the header only.
        case message(PeerMessage, consumed: Int)
        /// So many bytes must be there from `at` on before another try can succeed; always more than there are.
        case needMore(Int)
    }

    private var bitfieldLimit: Int { 1 + (bitfieldLength ?? (WireLimit.pieceCount + 7) / 8) }

    /// The largest message that can be accepted now, prefix included: the size that makes a receive buffer big enough.
    package var longestMessage: Int { 4 + max(WireLimit.extended, bitfieldLimit) }

    package func next(_ bytes: UnsafeRawBufferPointer, at start: Int) throws(WireError) -> Step {
        let available = bytes.count - start
        guard available >= 4 else { return .needMore(4) }
        let length = Int(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
        if length == 0 { return .message(.keepAlive, consumed: 4) }
        let longest = longestMessage - 4
        guard length <= longest else { throw .tooLong(id: nil, length: length, limit: longest) }
        guard available >= 5 else { return .needMore(5) }
        let id = bytes[start + 4]

        switch id {
        case MessageID.choke, MessageID.unchoke, MessageID.interested, MessageID.notInterested, MessageID.haveAll, MessageID.haveNone:
            guard length == 1 else { throw .badLength(id: id, length: length) }
            return .message(Self.bare(id), consumed: 5)

        case MessageID.have, MessageID.suggest, MessageID.allowedFast:
            guard length == 5 else { throw .badLength(id: id, length: length) }
            guard available >= 9 else { return .needMore(9) }
            let piece = Self.u32(bytes, start + 5)
            let message: PeerMessage =
                id == MessageID.have ? .have(piece: piece) : id == MessageID.suggest ? .suggest(piece: piece) : .allowedFast(piece: piece)
            return .message(message, consumed: 9)

        case MessageID.request, MessageID.cancel, MessageID.reject:
            guard length == 13 else { throw .badLength(id: id, length: length) }
            guard available >= 17 else { return .needMore(17) }
            let (piece, begin, count) = (Self.u32(bytes, start + 5), Self.u32(bytes, start + 9), Self.u32(bytes, start + 13))
            let message: PeerMessage =
                id == MessageID.request
                ? .request(piece: piece, begin: begin, length: count)
                : id == MessageID.cancel
                    ? .cancel(piece: piece, begin: begin, length: count) : .reject(piece: piece, begin: begin, length: count)
            return .message(message, consumed: 17)

        case MessageID.piece:
            guard length > 9 else { throw .badLength(id: id, length: length) }
            guard length <= WireLimit.piece else { throw .tooLong(id: id, length: length, limit: WireLimit.piece) }
            guard available >= 13 else { return .needMore(13) }
            return .message(
                .piece(piece: Self.u32(bytes, start + 5), begin: Self.u32(bytes, start + 9), length: UInt32(length - 9)), consumed: 13)

        case MessageID.port:
            guard length == 3 else { throw .badLength(id: id, length: length) }
            guard available >= 7 else { return .needMore(7) }
            return .message(
                .port(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: start + 5, as: UInt16.self))), consumed: 7)

        case MessageID.bitfield:
            if let bitfieldLength, length != 1 + bitfieldLength { throw .badLength(id: id, length: length) }
            guard length <= bitfieldLimit else { throw .tooLong(id: id, length: length, limit: bitfieldLimit) }
            guard available >= 4 + length else { return .needMore(4 + length) }
            return .message(.bitfield(PayloadRange(offset: start + 5, count: length - 1)), consumed: 4 + length)

        case MessageID.extended:
            guard length >= 2 else { throw .badLength(id: id, length: length) }
            guard length <= WireLimit.extended else { throw .tooLong(id: id, length: length, limit: WireLimit.extended) }
            guard available >= 4 + length else { return .needMore(4 + length) }
            return .message(
                .extended(id: bytes[start + 5], PayloadRange(offset: start + 6, count: length - 2)), consumed: 4 + length)

        case MessageID.hashRequest, MessageID.hashReject, MessageID.hashes:
            let fixed = 1 + HashRequest.byteCount
            guard length == fixed || id == MessageID.hashes && length > fixed && (length - fixed) % 32 == 0 else {
                throw .badLength(id: id, length: length)
            }
            guard length <= WireLimit.hashes else { throw .tooLong(id: id, length: length, limit: WireLimit.hashes) }
            guard available >= 4 + length else { return .needMore(4 + length) }
            let range = PayloadRange(offset: start + 5, count: length - 1)
            return .message(
                id == MessageID.hashRequest ? .hashRequest(range) : id == MessageID.hashes ? .hashes(range) : .hashReject(range),
                consumed: 4 + length)

        default:
            guard length <= WireLimit.unknown else { throw .tooLong(id: id, length: length, limit: WireLimit.unknown) }
            guard available >= 4 + length else { return .needMore(4 + length) }
            return .message(.unknown(id: id), consumed: 4 + length)
        }
    }

    private static func bare(_ id: UInt8) -> PeerMessage {
        switch id {
        case MessageID.choke: .choke
        case MessageID.unchoke: .unchoke
        case MessageID.interested: .interested
        case MessageID.notInterested: .notInterested
        case MessageID.haveAll: .haveAll
        default: .haveNone
        }
    }

    @inline(__always) private static func u32(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
        UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }
}

extension MessageParser {
    /// Parses the whole buffer as a stream would be; what a fuzzer calls.
    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        for parser in [MessageParser(), MessageParser(pieceCount: 16)] {
            var at = 0
            while at < bytes.count {
                guard let step = try? parser.next(bytes, at: at) else { break }
                switch step {
                case .needMore(let n):
                    precondition(n > bytes.count - at && n <= parser.longestMessage)
                    at = bytes.count
                case .message(let message, let consumed):
                    precondition(consumed > 0 && consumed <= bytes.count - at)
                    switch message {
                    case .bitfield(let range), .extended(_, let range): precondition(range.slice(of: bytes).count == Int(range.count))
                    case .hashRequest(let range), .hashes(let range), .hashReject(let range):
                        precondition(HashRequest(decoding: range.slice(of: bytes)) != nil)
                    case .piece(_, _, let length): at += min(Int(length), bytes.count - at - consumed)
                    default: break
                    }
                    at += consumed
                }
            }
        }
    }
}
