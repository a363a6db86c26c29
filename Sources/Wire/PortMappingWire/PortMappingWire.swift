import ByteCodec
import Primitives

package enum TransportProtocol: UInt8, Sendable, Hashable, CaseIterable {
    /// Numbers of IANA, as PCP has them.
    case tcp = 6, udp = 17
    package var name: String { self == .tcp ? "TCP" : "UDP" }
}

/// NAT-PMP (RFC 6886), version 0: 2 to 16 bytes to port 5351 of the gateway.
package enum NATPMP {
    package static let port: UInt16 = 5351

    package enum Answer: Hashable, Sendable {
        case address(Endpoint, epoch: UInt32)
        case mapping(TransportProtocol, internalPort: UInt16, externalPort: UInt16, lifetime: UInt32, epoch: UInt32)
        /// Result code of RFC 6886, 1 ... 5 and what others may come.
        case refused(opcode: UInt8, code: UInt16)
    }

    package static let addressRequest: [UInt8] = [0, 0]

    /// `lifetime` in seconds; 0 ends the mapping.
    package static func mappingRequest(_ transport: TransportProtocol, internalPort: UInt16, externalPort: UInt16, lifetime: UInt32) -> [UInt8] {
        var w = ByteWriter(capacity: 16)
        w.u8(0)
        w.u8(transport == .udp ? 1 : 2)
        w.u16(0)
        w.u16BigEndian(internalPort)
        w.u16BigEndian(lifetime == 0 ? 0 : externalPort)
        w.u32BigEndian(lifetime)
        return w.array
    }

    /// nil for what is no answer of version 0.
    package static func answer(_ bytes: UnsafeRawBufferPointer) -> Answer? {
        var r = ByteReader(bytes)
        do throws(DecodeError) {
            guard try r.u8() == 0 else { return nil }
            let opcode = try r.u8(), code = try r.u16BigEndian()
            guard opcode >= 128 else { return nil }
            guard code == 0 else { return .refused(opcode: opcode & 127, code: code) }
            let epoch = try r.u32BigEndian()
            switch opcode {
            case 128: return .address(Endpoint(ipv4: try r.u32BigEndian(), port: 0), epoch: epoch)
            case 129, 130:
                return .mapping(
                    opcode == 129 ? .udp : .tcp, internalPort: try r.u16BigEndian(), externalPort: try r.u16BigEndian(), lifetime: try r.u32BigEndian(), epoch: epoch)
            default: return nil
            }
        } catch { return nil }
    }
}

/// The MAP request of PCP (RFC 6887), version 2: 60 bytes each way.
package enum PCP {
    package static let version: UInt8 = 2

    package enum Answer: Hashable, Sendable {
        case mapping(TransportProtocol, nonce: [UInt8], internalPort: UInt16, external: Endpoint, lifetime: UInt32, epoch: UInt32)
        /// Result code of RFC 6887, and how long it stands, in seconds. 1: the version is not supported.
        case refused(code: UInt8, lifetime: UInt32, nonce: [UInt8])
    }

    /// `client`: our address as the gateway sees it. `nonce` has 12 bytes, the same over the life of a mapping.
    package static func mapRequest(
        _ transport: TransportProtocol, client: Endpoint, nonce: [UInt8], internalPort: UInt16, external: Endpoint, lifetime: UInt32
    ) -> [UInt8] {
        precondition(nonce.count == 12)
        var w = ByteWriter(capacity: 64)
        w.u8(version)
        w.u8(1)
        w.u16(0)
        w.u32BigEndian(lifetime)
        w.u64BigEndian(client.high)
        w.u64BigEndian(client.low)
        w.bytes(nonce)
        w.u8(transport.rawValue)
        w.bytes([0, 0, 0])
        w.u16BigEndian(internalPort)
        w.u16BigEndian(external.port)
        w.u64BigEndian(external.high)
        w.u64BigEndian(external.low)
        return w.array
    }

    /// nil for what is no answer of version 2 to a MAP request.
    package static func answer(_ bytes: UnsafeRawBufferPointer) -> Answer? {
        var r = ByteReader(bytes)
        do throws(DecodeError) {
            guard try r.u8() == version, try r.u8() == 0x81 else { return nil }
            try r.skip(1)
            let code = try r.u8(), lifetime = try r.u32BigEndian(), epoch = try r.u32BigEndian()
            try r.skip(12)
            guard code == 0 else { return .refused(code: code, lifetime: lifetime, nonce: r.remaining >= 12 ? Array(try r.bytes(12)) : []) }
            let nonce = Array(try r.bytes(12))
            guard let transport = TransportProtocol(rawValue: try r.u8()) else { return nil }
            try r.skip(3)
            let internalPort = try r.u16BigEndian(), externalPort = try r.u16BigEndian()
            let external = Endpoint(high: try r.u64BigEndian(), low: try r.u64BigEndian(), port: externalPort)
            return .mapping(transport, nonce: nonce, internalPort: internalPort, external: external, lifetime: lifetime, epoch: epoch)
        } catch { return nil }
    }
}

/// For the fuzzer: neither reader may trap, and what is mapped has a protocol.
package func exercisePortMapping(_ bytes: UnsafeRawBufferPointer) {
    _ = NATPMP.answer(bytes)
    if case .mapping(_, let nonce, _, _, _, _)? = PCP.answer(bytes) { precondition(nonce.count == 12) }
}
