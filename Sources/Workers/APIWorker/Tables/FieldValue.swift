import Control

/// A value as JSON shows it. Integers stay integers: decoders of Go and .NET refuse 1.0 for 1.
package enum FieldValue: Equatable, Sendable {
    case integer(Int64)
    case number(Double)
    case flag(Bool)
    case text(String)
    case texts([String])
    case null
    /// `{}`.
    case object
}

/// JSON into a byte array, by hand: a full table of 10,000 torrents is 600,000 values, and Foundation's encoder is some
/// thirty times slower.
package struct JSONBytes: Sendable {
    package private(set) var bytes: [UInt8] = []
    private var needsComma = false

    package init(reserving: Int = 0) { bytes.reserveCapacity(reserving) }

    private mutating func separate() {
        if needsComma { bytes.append(UInt8(ascii: ",")) }
        needsComma = true
    }
    package mutating func open(_ bracket: Character = "{") {
        separate()
        bytes.append(bracket.asciiValue!)
        needsComma = false
    }
    package mutating func close(_ bracket: Character = "}") {
        bytes.append(bracket.asciiValue!)
        needsComma = true
    }
    package mutating func key(_ name: String) {
        separate()
        JSONObject.append(name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        needsComma = false
    }
    /// `quoted` is the key with quotes and colon.
    package mutating func key(quoted: [UInt8]) {
        separate()
        bytes.append(contentsOf: quoted)
        needsComma = false
    }
    /// A value that is JSON already.
    package mutating func raw(_ bytes: [UInt8]) {
        separate()
        self.bytes.append(contentsOf: bytes)
    }
    package mutating func value(_ value: FieldValue) {
        switch value {
        case .integer(let n): integer(n)
        case .number(let d):
            separate()
            bytes.append(contentsOf: (d.isFinite ? d.description : "0").utf8)
        case .flag(let b):
            separate()
            bytes.append(contentsOf: (b ? "true" : "false").utf8)
        case .text(let s):
            separate()
            JSONObject.append(s, to: &bytes)
        case .texts(let list):
            open("[")
            for text in list { self.value(.text(text)) }
            close("]")
        case .null:
            separate()
            bytes.append(contentsOf: "null".utf8)
        case .object:
            separate()
            bytes.append(contentsOf: "{}".utf8)
        }
    }
    private mutating func integer(_ n: Int64) {
        separate()
        if n < 0 { bytes.append(UInt8(ascii: "-")) }
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { raw in
            var at = 24, rest = n.magnitude
            repeat {
                at -= 1
                raw[at] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            bytes.append(contentsOf: raw[at..<24])
        }
    }
    package mutating func field(_ name: String, _ value: FieldValue) {
        key(name)
        self.value(value)
    }
    package mutating func field(_ name: String, _ n: some BinaryInteger) { field(name, .integer(Int64(clamping: n))) }
    package mutating func field(_ name: String, _ text: String) { field(name, .text(text)) }
    package mutating func field(_ name: String, _ flag: Bool) { field(name, .flag(flag)) }
    package mutating func field(_ name: String, _ number: Double) { field(name, .number(number)) }
    package mutating func object(_ name: String, _ body: (inout JSONBytes) -> Void) {
        key(name)
        open()
        body(&self)
        close()
    }
    package mutating func array(_ name: String, _ body: (inout JSONBytes) -> Void) {
        key(name)
        open("[")
        body(&self)
        close("]")
    }
    package static func object(_ body: (inout JSONBytes) -> Void) -> [UInt8] {
        var json = JSONBytes()
        json.open()
        body(&json)
        json.close()
        return json.bytes
    }
    package static func array(_ body: (inout JSONBytes) -> Void) -> [UInt8] {
        var json = JSONBytes()
        json.open("[")
        body(&json)
        json.close("]")
        return json.bytes
    }
}
