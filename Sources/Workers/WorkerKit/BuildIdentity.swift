import IPC

/// Which build a process is of. Programs of two builds do not share an arena: its layout is promised only to code
/// that was compiled together.
package enum BuildIdentity {
    package static let version = "0.1.0"

    /// FNV-1a over what two ends must agree on: the version, the frame layout and every message number.
    package static let id: UInt64 = {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        for byte in version.utf8 { mix(byte) }
        for number in [IPC.protocolVersion, UInt16(IPC.headerSize)] + MessageType.allCases.map(\.rawValue) {
            mix(UInt8(number & 0xFF))
            mix(UInt8(number >> 8))
        }
        return hash
    }()
}
