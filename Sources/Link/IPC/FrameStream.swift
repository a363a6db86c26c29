import ByteCodec
import Primitives

/// Cuts a byte stream into frames. The owner reads into ``free``, says how much with ``filled(_:)`` and takes
/// frames until nil. Holds at most two frames' worth.
package struct FrameReader: ~Copyable {
    private let base: UnsafeMutableRawPointer
    private let capacity = 2 * IPC.frameLimit
    private var start = 0
    private var end = 0

    package init() { base = .allocate(byteCount: capacity, alignment: 16) }
    deinit { base.deallocate() }

    /// Where the next bytes go. Moves what is left to the front when the room behind it is short; frames taken
    /// before are invalid then.
    package mutating func free() -> UnsafeMutableRawBufferPointer {
        if start == end { (start, end) = (0, 0) }
        if capacity - end < IPC.frameLimit, start > 0 {
            base.copyMemory(from: base + start, byteCount: end - start)
            (start, end) = (0, end - start)
        }
        return UnsafeMutableRawBufferPointer(start: base + end, count: capacity - end)
    }
    package mutating func filled(_ n: Int) {
        precondition(n >= 0 && end + n <= capacity)
        end += n
    }
    /// The next whole frame, nil when more bytes are needed. Throws when the sender broke the protocol: close the link.
    package mutating func next() throws(DecodeError) -> Frame? {
        guard end - start >= IPC.headerSize else { return nil }
        var r = ByteReader(UnsafeRawBufferPointer(start: base + start, count: end - start))
        let header = try FrameHeader(from: &r)
        guard end - start >= Int(header.length) else { return nil }
        let payload = UnsafeRawBufferPointer(start: base + start + IPC.headerSize, count: Int(header.length) - IPC.headerSize)
        start += Int(header.length)
        return Frame(header: header, payload: payload)
    }
}
