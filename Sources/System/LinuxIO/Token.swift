/// Names one operation to its owner: what it is (`kind`), which row (`index`), and which life of the row (`generation`, low
/// 24 bits: it wraps after 16.7 million lives, far longer than an old completion can linger).
///
/// | bits | meaning |
/// |---|---|
/// | 63 ... 56 | kind; 255 is the loop's own |
/// | 55 ... 32 | generation |
/// | 31 ... 0 | index |
package struct Token: Hashable, Sendable, CustomStringConvertible {
    package let raw: UInt64
    @inlinable package init(raw: UInt64) { self.raw = raw }
    @inlinable package init(kind: UInt8, index: UInt32, generation: UInt32) {
        assert(kind != 255, "kind 255 is the loop's own")
        raw = UInt64(kind) << 56 | UInt64(generation & 0xFF_FFFF) << 32 | UInt64(index)
    }
    @inlinable package var kind: UInt8 { UInt8(truncatingIfNeeded: raw >> 56) }
    @inlinable package var index: UInt32 { UInt32(truncatingIfNeeded: raw) }
    @inlinable package var generation: UInt32 { UInt32(truncatingIfNeeded: raw >> 32) & 0xFF_FFFF }
    package var description: String { "\(kind)/\(index)#\(generation)" }
}

/// How one operation ended, or for a multishot one, that it brought something and goes on.
package struct Completion: Hashable, Sendable {
    package let token: Token
    /// >= 0, or -errno.
    package let result: Int32
    /// The operation is still under way under the same token.
    package let more: Bool
    @inlinable package init(token: Token, result: Int32, more: Bool) {
        (self.token, self.result, self.more) = (token, result, more)
    }
    @inlinable package var error: Errno? { result < 0 ? Errno(-result) : nil }
}
