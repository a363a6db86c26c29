import ByteCodec
import Primitives

/// The first 68 bytes each way (BEP 3):
///
///     offset size  meaning
///     0      1     19
///     1      19    "BitTorrent protocol"
///     20     8     reserved: bit 0x10 of byte 5 BEP 10, of byte 7: 0x10 BEP 52, 0x04 BEP 6, 0x01 BEP 5
///     28     20    info-hash
///     48     20    peer id
package struct Handshake: Hashable, Sendable {
    package static var byteCount: Int { 68 }
    /// What every handshake begins with.
    package static var prefixByteCount: Int { 20 }

    /// The eight reserved bytes as one big-endian number.
    package var reserved: UInt64
    package var infoHash: InfoHash
    package var peerID: PeerID

    package static var fastBit: UInt64 { 0x04 }
    package static var dhtBit: UInt64 { 0x01 }
    /// BEP 52, upgrade path: the sender has the torrent's v2 form too, and may be answered with its v2 info-hash.
    package static var version2Bit: UInt64 { 0x10 }
    package static var extensionBit: UInt64 { 0x10 << 16 }

    /// What we say of ourselves: BEP 6 and BEP 10.
    package init(infoHash: InfoHash, peerID: PeerID, reserved: UInt64 = Handshake.fastBit | Handshake.extensionBit) {
        self.reserved = reserved
        self.infoHash = infoHash
        self.peerID = peerID
    }

    package var supportsFast: Bool { reserved & Self.fastBit != 0 }
    package var supportsExtensions: Bool { reserved & Self.extensionBit != 0 }
    package var supportsVersion2: Bool { reserved & Self.version2Bit != 0 }
    package var supportsDHT: Bool { reserved & Self.dhtBit != 0 }

    static let name: [UInt8] = [19] + Array("BitTorrent protocol".utf8)

    /// False as soon as the bytes so far cannot begin a handshake (HTTP or TLS on our port).
    package static func isPlausible(prefix: UnsafeRawBufferPointer) -> Bool {
        for i in 0..<min(prefix.count, 20) where prefix[i] != name[i] { return false }
        return true
    }

    /// Needs at least 68 bytes; reads the first 68.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(WireError) {
        guard bytes.count >= Self.byteCount, Self.isPlausible(prefix: bytes) else { throw .notBitTorrent }
        reserved = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 20, as: UInt64.self))
        infoHash = InfoHash(bytes: UnsafeRawBufferPointer(rebasing: bytes[28..<48]))
        peerID = PeerID(bytes: UnsafeRawBufferPointer(rebasing: bytes[48..<68]))
    }

    package func encode(into out: inout ByteWriter) {
        out.bytes(Self.name)
        out.u64BigEndian(reserved)
        out.digest(infoHash)
        out.digest(peerID)
    }
}
