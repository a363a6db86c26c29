/// A payload that stays where it was read: `offset` counts from the start of the parsed buffer.
package struct PayloadRange: Hashable, Sendable {
    package let offset: UInt32
    package let count: UInt32
    package init(offset: Int, count: Int) {
        self.offset = UInt32(offset)
        self.count = UInt32(count)
    }
    package func slice(of buffer: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: buffer[Int(offset)..<Int(offset) + Int(count)])
    }
}

/// The message ids of BEP 3, BEP 5, BEP 6, BEP 10 and BEP 52.
package enum MessageID {
    package static var choke: UInt8 { 0 }
    package static var unchoke: UInt8 { 1 }
    package static var interested: UInt8 { 2 }
    package static var notInterested: UInt8 { 3 }
    package static var have: UInt8 { 4 }
    package static var bitfield: UInt8 { 5 }
    package static var request: UInt8 { 6 }
    package static var piece: UInt8 { 7 }
    package static var cancel: UInt8 { 8 }
    package static var port: UInt8 { 9 }
    package static var suggest: UInt8 { 13 }
    package static var haveAll: UInt8 { 14 }
    package static var haveNone: UInt8 { 15 }
    package static var reject: UInt8 { 16 }
    package static var allowedFast: UInt8 { 17 }
    package static var extended: UInt8 { 20 }
    package static var hashRequest: UInt8 { 21 }
    package static var hashes: UInt8 { 22 }
    package static var hashReject: UInt8 { 23 }
}

/// One message as read. Numbers are the sender's: nothing is checked against a torrent here.
package enum PeerMessage: Hashable, Sendable {
    case keepAlive
    case choke, unchoke, interested, notInterested
    case have(piece: UInt32)
    case bitfield(PayloadRange)
    case request(piece: UInt32, begin: UInt32, length: UInt32)
    /// Only the 13-byte header: `length` payload bytes follow it in the stream.
    case piece(piece: UInt32, begin: UInt32, length: UInt32)
    case cancel(piece: UInt32, begin: UInt32, length: UInt32)
    case port(UInt16)
    case suggest(piece: UInt32)
    case haveAll, haveNone
    case reject(piece: UInt32, begin: UInt32, length: UInt32)
    case allowedFast(piece: UInt32)
    case extended(id: UInt8, PayloadRange)
    /// BEP 52; ``HashRequest/init(decoding:)`` reads each. By range, so that the messages that carry blocks stay small.
    case hashRequest(PayloadRange), hashes(PayloadRange), hashReject(PayloadRange)
    case unknown(id: UInt8)
}
