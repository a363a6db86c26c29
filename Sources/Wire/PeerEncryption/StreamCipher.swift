import CCipher

/// One direction of an encrypted stream. Every byte must pass through once, in order.
package final class StreamCipher {
    private let state: UnsafeMutablePointer<ccbt_rc4>

    init(key: [UInt8]) {
        state = .allocate(capacity: 1)
        ccbt_rc4_start(state, key, key.count, MSE.droppedKeyStream)
    }
    deinit { state.deallocate() }

    /// Encrypts or decrypts in place; the two are the same.
    package func apply(_ bytes: UnsafeMutableRawPointer, _ count: Int) {
        let p = bytes.assumingMemoryBound(to: UInt8.self)
        ccbt_rc4_apply(state, p, p, count)
    }
    /// Into other memory that does not overlap.
    package func apply(_ bytes: UnsafeRawPointer, to target: UnsafeMutableRawPointer, _ count: Int) {
        ccbt_rc4_apply(state, bytes.assumingMemoryBound(to: UInt8.self), target.assumingMemoryBound(to: UInt8.self), count)
    }
    package func apply(_ bytes: UnsafeMutableRawBufferPointer) {
        if let base = bytes.baseAddress { apply(base, bytes.count) }
    }
}
