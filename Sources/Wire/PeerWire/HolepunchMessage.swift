import ByteCodec
import Primitives

/// ut_holepunch (BEP 55), after the extended message's id:
///
/// | bytes | name | meaning |
/// |---|---|---|
/// | 1 | type | 0 rendezvous, 1 connect, 2 error |
/// | 1 | address type | 0 IPv4, 1 IPv6 |
/// | 4 or 16 | address | big-endian |
/// | 2 | port | big-endian |
/// | 4 | error | big-endian; 0 unless an error. Some clients leave it out where it is 0 |
package struct HolepunchMessage: Hashable, Sendable {
    package enum Kind: UInt8, Sendable { case rendezvous = 0, connect, error }
    package enum Failure: UInt32, Sendable {
        case none = 0
        /// The endpoint is no address of a peer.
        case noSuchPeer = 1
        /// The relay is not connected to it.
        case notConnected = 2
        /// The target does not speak the extension.
        case noSupport = 3
        /// The endpoint is the relay's own.
        case noSelf = 4
    }

    package var kind: Kind
    package var endpoint: Endpoint
    package var failure: Failure

    package init(_ kind: Kind, _ endpoint: Endpoint, failure: Failure = .none) {
        self.kind = kind
        self.endpoint = endpoint
        self.failure = failure
    }

    package func encode() -> [UInt8] {
        var w = ByteWriter(capacity: 32)
        w.u8(kind.rawValue)
        w.u8(endpoint.isIPv4 ? 0 : 1)
        if endpoint.isIPv4 {
            w.u32BigEndian(endpoint.ipv4)
        } else {
            w.u64BigEndian(endpoint.high)
            w.u64BigEndian(endpoint.low)
        }
        w.u16BigEndian(endpoint.port)
        w.u32BigEndian(failure.rawValue)
        return w.array
    }

    /// Bytes beyond the message are left alone.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(DecodeError) {
        var r = ByteReader(bytes)
        let type = try r.u8(), family = try r.u8()
        guard let kind = Kind(rawValue: type) else { throw .badValue(field: "type", value: UInt64(type)) }
        switch family {
        case 0:
            let address = try r.u32BigEndian()
            endpoint = Endpoint(ipv4: address, port: try r.u16BigEndian())
        case 1: endpoint = try r.endpoint()
        default: throw .badValue(field: "address type", value: UInt64(family))
        }
        self.kind = kind
        guard kind == .error || r.remaining >= 4 else {
            failure = .none
            return
        }
        let code = try r.u32BigEndian()
        guard let failure = Failure(rawValue: code) else { throw .badValue(field: "error", value: UInt64(code)) }
        self.failure = failure
    }

    package static func fuzz(_ bytes: UnsafeRawBufferPointer) {
        guard let message = try? HolepunchMessage(decoding: bytes) else { return }
        let again = message.encode().withUnsafeBytes { try? HolepunchMessage(decoding: $0) }
        precondition(again == message)
    }
}
