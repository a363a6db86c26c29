import ByteCodec

/// Writes canonical bencode. Keys must come in rising byte order and each but once, which is checked: a wrong order
/// would change an info-hash, and is our own bug.
///
///     var w = BencodeWriter()
///     w.beginDictionary()
///     w.key("a"); w.integer(1)
///     w.key("b"); w.string("text")
///     w.end()
///     let bytes = w.array
package struct BencodeWriter: ~Copyable {
    private struct Open {
        let isDictionary: Bool
        var expectsValue = false
        var hasKey = false
        var keyStart = 0, keyEnd = 0
    }
    private var out: ByteWriter
    private var open: [Open] = []

    /// Appends to what `writer` holds already (a message header, say).
    package init(appendingTo writer: consuming ByteWriter = ByteWriter()) { out = writer }

    package var bytes: UnsafeRawBufferPointer { out.bytes }
    package var array: [UInt8] { out.array }
    package var count: Int { out.count }
    package consuming func finish() -> ByteWriter {
        precondition(open.isEmpty, "a container is still open")
        return out
    }

    package mutating func integer(_ value: some FixedWidthInteger) {
        beginValue()
        out.u8(UInt8(ascii: "i"))
        decimal(value)
        out.u8(UInt8(ascii: "e"))
    }
    package mutating func string(_ value: UnsafeRawBufferPointer) {
        beginValue()
        rawString(value)
    }
    package mutating func string(_ value: [UInt8]) { value.withUnsafeBytes { string($0) } }
    package mutating func string(_ value: String) {
        var text = value
        text.withUTF8 { string(UnsafeRawBufferPointer($0)) }
    }
    /// A value that is encoded already.
    package mutating func encoded(_ value: UnsafeRawBufferPointer) {
        beginValue()
        out.bytes(value)
    }
    package mutating func encoded(_ value: [UInt8]) { value.withUnsafeBytes { encoded($0) } }

    package mutating func beginList() {
        beginValue()
        out.u8(UInt8(ascii: "l"))
        open.append(Open(isDictionary: false))
    }
    package mutating func beginDictionary() {
        beginValue()
        out.u8(UInt8(ascii: "d"))
        open.append(Open(isDictionary: true))
    }
    package mutating func end() {
        guard let top = open.popLast() else { preconditionFailure("nothing is open") }
        precondition(!top.expectsValue, "a key has no value")
        out.u8(UInt8(ascii: "e"))
    }

    package mutating func key(_ key: StaticString) {
        self.key(UnsafeRawBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount))
    }
    package mutating func key(_ key: UnsafeRawBufferPointer) {
        precondition(open.last?.isDictionary == true && open.last?.expectsValue == false, "no key is due here")
        let top = open.count - 1
        if open[top].hasKey {
            let last = UnsafeRawBufferPointer(rebasing: out.bytes[open[top].keyStart..<open[top].keyEnd])
            precondition(compareBytes(last, key) < 0, "keys out of order")
        }
        rawString(key)
        open[top].keyEnd = out.count
        open[top].keyStart = out.count - key.count
        open[top].hasKey = true
        open[top].expectsValue = true
    }
    package mutating func key(_ key: [UInt8]) { key.withUnsafeBytes { self.key($0) } }

    private mutating func beginValue() {
        guard let top = open.last, top.isDictionary else { return }
        precondition(top.expectsValue, "a value without a key")
        open[open.count - 1].expectsValue = false
    }
    private mutating func rawString(_ value: UnsafeRawBufferPointer) {
        decimal(value.count)
        out.u8(UInt8(ascii: ":"))
        out.bytes(value)
    }
    private mutating func decimal(_ value: some FixedWidthInteger) {
        if value < 0 { out.u8(UInt8(ascii: "-")) }
        var rest = UInt64(value.magnitude)
        // 20 digits hold every 64-bit number.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var at = 20
            repeat {
                at -= 1
                digits[at] = UInt8(48 + rest % 10)
                rest /= 10
            } while rest > 0
            out.bytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[at...]))
        }
    }
}
