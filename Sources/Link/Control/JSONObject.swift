/// Writes one flat JSON object into a growing byte array: for the answers that are too many for an encoder.
package struct JSONObject {
    private var isFirst = true
    package init() {}

    package mutating func field(_ out: inout [UInt8], _ name: StaticString, _ value: String) {
        key(&out, name)
        JSONObject.append(value, to: &out)
    }
    package mutating func field(_ out: inout [UInt8], _ name: StaticString, _ value: UInt64) {
        key(&out, name)
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &digits) { raw in
            var at = 24, rest = value
            repeat {
                at -= 1
                raw[at] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            out.append(contentsOf: raw[at..<24])
        }
    }
    package mutating func field(_ out: inout [UInt8], _ name: StaticString, _ value: Int64) {
        key(&out, name)
        out.append(contentsOf: value.description.utf8)
    }
    package mutating func field(_ out: inout [UInt8], _ name: StaticString, _ values: [String]) {
        key(&out, name)
        out.append(UInt8(ascii: "["))
        for (i, value) in values.enumerated() {
            if i > 0 { out.append(UInt8(ascii: ",")) }
            JSONObject.append(value, to: &out)
        }
        out.append(UInt8(ascii: "]"))
    }
    /// Needs a finite value.
    package mutating func field(_ out: inout [UInt8], _ name: StaticString, _ value: Double) {
        precondition(value.isFinite)
        key(&out, name)
        out.append(contentsOf: value.description.utf8)
    }
    package mutating func field(_ out: inout [UInt8], _ name: StaticString, _ value: Bool) {
        key(&out, name)
        out.append(contentsOf: (value ? "true" : "false").utf8)
    }
    package mutating func close(_ out: inout [UInt8]) {
        if isFirst { out.append(UInt8(ascii: "{")) }
        out.append(UInt8(ascii: "}"))
    }

    private mutating func key(_ out: inout [UInt8], _ name: StaticString) {
        out.append(isFirst ? UInt8(ascii: "{") : UInt8(ascii: ","))
        isFirst = false
        out.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { out.append(contentsOf: $0) }
        out.append(UInt8(ascii: "\""))
        out.append(UInt8(ascii: ":"))
    }

    /// A JSON string, RFC 8259 section 7.
    package static func append(_ text: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case 0x22, 0x5C:
                out.append(0x5C)
                out.append(byte)
            case 0..<0x20:
                out.append(contentsOf: "\\u00".utf8)
                out.append(hexadecimal(byte >> 4))
                out.append(hexadecimal(byte & 15))
            default: out.append(byte)
            }
        }
        out.append(UInt8(ascii: "\""))
    }
    private static func hexadecimal(_ n: UInt8) -> UInt8 { n < 10 ? UInt8(ascii: "0") + n : UInt8(ascii: "a") + n - 10 }
}
