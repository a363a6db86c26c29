import ByteCodec
import Primitives

/// Which peers are spoken with. Made by the session worker from lists, handed to the workers as a file
/// (``encoded()``), asked at accept, at dial, and of every address that is learned.
package struct AddressFilter: Sendable {
    package enum Mode: UInt8, Sendable, Hashable, CaseIterable {
        /// The ranges are refused.
        case block = 0
        /// Everything else is refused.
        case allow
    }
    package let mode: Mode
    package let ranges: AddressRanges

    package init(mode: Mode, ranges: AddressRanges) { (self.mode, self.ranges) = (mode, ranges) }

    package func blocks(_ endpoint: Endpoint) -> Bool { ranges.contains(endpoint) == (mode == .block) }

    // MARK: file

    private static let magic: [UInt8] = Array("CCBTFLT1".utf8)
    /// 24 bytes of head, then all starts, all ends, 8 bytes an IPv4 range, 32 an IPv6 one.
    private static let headSize = 24
    /// Bytes of a file: 8 million IPv4 ranges.
    package static let byteLimit = 64 << 20

    package func encoded() -> [UInt8] {
        var out = Self.magic
        out.reserveCapacity(Self.headSize + ranges.starts.count * 8 + ranges.wideStarts.count * 32)
        func word(_ n: UInt32) { withUnsafeBytes(of: n.littleEndian) { out.append(contentsOf: $0) } }
        func long(_ n: UInt64) { withUnsafeBytes(of: n.littleEndian) { out.append(contentsOf: $0) } }
        word(UInt32(mode.rawValue))
        word(UInt32(ranges.starts.count))
        word(UInt32(ranges.wideStarts.count))
        word(0)
        for n in ranges.starts { word(n) }
        for n in ranges.ends { word(n) }
        for a in ranges.wideStarts + ranges.wideEnds {
            long(a.high)
            long(a.low)
        }
        return out
    }

    /// nil for anything but what ``encoded()`` makes.
    package init?(decoding bytes: [UInt8]) {
        guard bytes.count >= Self.headSize, bytes.count <= Self.byteLimit, Array(bytes[0..<8]) == Self.magic else { return nil }
        let decoded = bytes.withUnsafeBytes { raw -> (Mode, [UInt32], [UInt32], [WideAddress], [WideAddress])? in
            func word(_ at: Int) -> UInt32 { UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt32.self)) }
            func long(_ at: Int) -> UInt64 { UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
            let narrow = Int(word(12)), wide = Int(word(16))
            guard word(8) <= 1, let mode = Mode(rawValue: UInt8(word(8))), bytes.count == Self.headSize + narrow * 8 + wide * 32 else { return nil }
            let starts = (0..<narrow).map { word(Self.headSize + $0 * 4) }
            let ends = (0..<narrow).map { word(Self.headSize + (narrow + $0) * 4) }
            let from = Self.headSize + narrow * 8
            func address(_ i: Int) -> WideAddress { WideAddress(high: long(from + i * 16), low: long(from + i * 16 + 8)) }
            let wideStarts = (0..<wide).map { address($0) }, wideEnds = (0..<wide).map { address(wide + $0) }
            for i in 0..<narrow where starts[i] > ends[i] || i > 0 && starts[i] <= ends[i - 1] { return nil }
            for i in 0..<wide where wideEnds[i] < wideStarts[i] || i > 0 && wideStarts[i] <= wideEnds[i - 1] { return nil }
            return (mode, starts, ends, wideStarts, wideEnds)
        }
        guard let (mode, starts, ends, wideStarts, wideEnds) = decoded else { return nil }
        self.init(mode: mode, ranges: AddressRanges(starts: starts, ends: ends, wideStarts: wideStarts, wideEnds: wideEnds))
    }
}
