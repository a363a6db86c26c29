/// Makes one path component safe to create. The rules are libtorrent's (2.1), character for character, so that data
/// on disk can be shared with clients built on it:
/// - separators, NUL, zero-width and direction-changing characters are dropped;
/// - control characters and broken UTF-8 sequences become one "_" each;
/// - from the 240th byte on only the extension is kept, when it is shorter than 10 bytes;
/// - "", "." and ".." become "_".
/// NAME_MAX is 255 bytes: 240 + 3 (rest of a character) + 9 (extension) leaves room for the "." and two digits of a
/// duplicate; longer numbers cut the stem (see ``PathTreeBuilder``).
package enum PathSanitiser {
    static let cut = 240
    static let longestExtension = 9
    package static let longestComponent = 255

    /// The clean form, or nothing when `raw` had no character that can stay.
    package static func clean(_ raw: UnsafeRawBufferPointer, into out: inout [UInt8]) {
        out.removeAll(keepingCapacity: true)
        var i = 0
        var cutDone = false
        var onlyDots = true
        while i < raw.count {
            let (scalar, length) = codePoint(raw, i)
            if let scalar, isDropped(scalar) {
                i += length
                continue
            }
            if let scalar, scalar >= 32, !(0x7F...0x9F).contains(scalar) {
                for k in i..<i + length { out.append(raw[k]) }
                if scalar != 0x2E { onlyDots = false }
            } else {
                out.append(UInt8(ascii: "_"))
                onlyDots = false
            }
            if out.count >= cut, !cutDone {
                let first = max(raw.count - longestExtension, i + 1)
                guard let dot = (first..<max(first, raw.count)).last(where: { raw[$0] == UInt8(ascii: ".") }) else { return }
                cutDone = true
                i = dot
                continue
            }
            // An extension of broken bytes can't grow past its own length, so this ends the loop within NAME_MAX.
            i += length
        }
        if onlyDots, out.count <= 2 { out.removeAll(keepingCapacity: true) }
    }

    package static func clean(_ raw: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        raw.withUnsafeBytes { clean($0, into: &out) }
        return out
    }

    private static func isDropped(_ c: UInt32) -> Bool {
        switch c {
        case 0, 0x2F, 0x5C: true
        case 0x061C, 0x200B...0x200F, 0x202A...0x202E, 0x2060...0x2064, 0x2066...0x2069, 0xFEFF: true
        default: false
        }
    }

    /// nil for a sequence that is not UTF-8; its length is then what its first byte promised, so that the cleaned
    /// names come out as libtorrent's do.
    private static func codePoint(_ raw: UnsafeRawBufferPointer, _ i: Int) -> (UInt32?, Int) {
        let first = raw[i]
        if first < 0x80 { return (UInt32(first), 1) }
        let length = first & 0xE0 == 0xC0 ? 2 : first & 0xF0 == 0xE0 ? 3 : first & 0xF8 == 0xF0 ? 4 : 1
        if length == 1 { return (nil, 1) }
        if length > raw.count - i { return (nil, raw.count - i) }
        var value = UInt32(first) & (0x7F >> UInt32(length))
        for k in i + 1..<i + length {
            if raw[k] & 0xC0 != 0x80 { return (nil, length) }
            value = value << 6 | UInt32(raw[k] & 0x3F)
        }
        let smallest: UInt32 = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000
        if value < smallest || value > 0x10FFFF || (0xD800...0xDFFF).contains(value) { return (nil, length) }
        return (value, length)
    }
}
