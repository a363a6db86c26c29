/// Cuts a byte stream into lines of at most `limit` bytes. Searches each byte once, however the stream is cut.
package struct LineFramer {
    package enum Failure: Error, Equatable { case lineTooLong(limit: Int) }

    private let limit: Int
    private var buffer: [UInt8] = []
    private var start = 0
    private var searched = 0

    /// `limit` counts the newline.
    package init(limit: Int) { self.limit = limit }

    package var buffered: Int { buffer.count - start }

    package mutating func append(_ bytes: UnsafeRawBufferPointer) { buffer.append(contentsOf: bytes) }

    /// Calls `body` with the next line, newline cut off, and says true; false when more bytes are needed. Empty
    /// lines are skipped. After a throw the stream is useless: close it.
    package mutating func next(_ body: (UnsafeRawBufferPointer) -> Void) throws(Failure) -> Bool {
        while true {
            guard let newline = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) else {
                searched = buffer.count
                if buffer.count - start >= limit { throw .lineTooLong(limit: limit) }
                compact()
                return false
            }
            if newline + 1 - start > limit { throw .lineTooLong(limit: limit) }
            var end = newline
            if end > start, buffer[end - 1] == UInt8(ascii: "\r") { end -= 1 }
            let from = start
            start = newline + 1
            searched = start
            if end > from {
                buffer.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[from..<end])) }
                return true
            }
        }
    }

    private mutating func compact() {
        guard start > 0 else { return }
        buffer.removeFirst(start)
        searched -= start
        start = 0
        // A 32 MiB torrent once must not be held for the rest of the connection.
        if buffer.isEmpty, buffer.capacity > 1 << 20 { buffer = [] }
    }
}
