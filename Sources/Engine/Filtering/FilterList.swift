import Glibc
import Primitives

/// A list of ranges as it was read, and what could not be. Lines of a text list may each have their own form:
///
///     192.0.2.0/24   2001:db8::/32   192.0.2.7             CIDR, single addresses
///     192.0.2.1-192.0.2.9   2001:db8::1 - 2001:db8::9      ranges
///     001.002.003.004 - 001.002.003.255 , 000 , Somebody   eMule ipfilter.dat; levels above 127 are not refused
///     Somebody:1.2.3.4-1.2.3.255                           PeerGuardian .p2p
///     # comment   ; comment   // comment
///
/// A file that begins with ff ff ff ff "P2B" is PeerGuardian's binary form, version 1, 2 or 3.
package struct FilterList: Sendable {
    package struct Malformed: Hashable, Sendable {
        /// From 1; of a binary list the number of the record.
        package let line: Int
        /// Printable ASCII, at most 80 characters.
        package let text: String
    }
    package private(set) var ranges = RangeBuilder()
    package private(set) var lines = 0
    package private(set) var malformedCount = 0
    /// The first of them.
    package private(set) var malformed: [Malformed] = []

    /// How many of the malformed lines are kept.
    package static let malformedKept = 5
    /// Longer lines are malformed: a description has no need of more.
    package static let lineLimit = 4096
    /// Bytes of a list, inflated.
    package static let byteLimit = 256 << 20
    /// Ranges of one list.
    package static let rangeLimit = 5_000_000

    package init(_ bytes: UnsafeRawBufferPointer) {
        if bytes.count >= 8, bytes.prefix(7).elementsEqual([0xFF, 0xFF, 0xFF, 0xFF, 0x50, 0x32, 0x42]) {
            readBinary(bytes)
        } else {
            readText(bytes)
        }
    }
    package init(_ text: String) {
        var text = text
        self = text.withUTF8 { FilterList(UnsafeRawBufferPointer($0)) }
    }

    /// One range, CIDR or address; what the user adds by hand.
    package static func isRange(_ text: String) -> Bool {
        var text = text, builder = RangeBuilder()
        return text.withUTF8 { Self.range(UnsafeRawBufferPointer($0), &builder) }
    }

    private mutating func note(_ line: Int, _ bytes: some Sequence<UInt8>) {
        malformedCount += 1
        guard malformed.count < Self.malformedKept else { return }
        let text = bytes.prefix(80).map { $0 >= 0x20 && $0 < 0x7F ? $0 : UInt8(ascii: "?") }
        malformed.append(Malformed(line: line, text: String(decoding: text, as: UTF8.self)))
    }

    // MARK: text

    private mutating func readText(_ bytes: UnsafeRawBufferPointer) {
        var at = 0
        while at < bytes.count, ranges.count < Self.rangeLimit {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
            let length = memchr(rest.baseAddress!, 0x0A, rest.count).map { $0 - UnsafeMutableRawPointer(mutating: rest.baseAddress!) } ?? rest.count
            lines += 1
            let line = Self.trimmed(UnsafeRawBufferPointer(rebasing: rest[0..<length]))
            at += length + 1
            guard let first = line.first, !Self.isComment(line, first) else { continue }
            guard line.count <= Self.lineLimit else {
                note(lines, line)
                continue
            }
            if Self.range(line, &ranges) { continue }
            switch Self.dat(line, &ranges) {
            case true?, false?: continue
            case nil: if !Self.p2p(line, &ranges) { note(lines, line) }
            }
        }
    }

    private static func isComment(_ line: UnsafeRawBufferPointer, _ first: UInt8) -> Bool {
        first == UInt8(ascii: "#") || first == UInt8(ascii: ";") || first == UInt8(ascii: "/") && line.count > 1 && line[1] == UInt8(ascii: "/")
    }

    private static func trimmed(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var low = 0, high = bytes.count
        func isSpace(_ c: UInt8) -> Bool { c == 0x20 || c == 0x09 || c == 0x0D }
        while low < high, isSpace(bytes[low]) { low += 1 }
        while high > low, isSpace(bytes[high - 1]) { high -= 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[low..<high])
    }

    /// "range , level , description": true when it is refused, false when its level says that it is not; nil: another form.
    private static func dat(_ line: UnsafeRawBufferPointer, _ out: inout RangeBuilder) -> Bool? {
        guard let comma = line.firstIndex(of: UInt8(ascii: ",")) else { return nil }
        var builder = RangeBuilder()
        guard range(trimmed(UnsafeRawBufferPointer(rebasing: line[0..<comma])), &builder) else { return nil }
        let rest = line[(comma + 1)...]
        let word = trimmed(UnsafeRawBufferPointer(rebasing: rest.prefix { $0 != UInt8(ascii: ",") }))
        var level = 0
        guard !word.isEmpty, word.count <= 4 else { return nil }
        for c in word {
            guard c >= 48, c <= 57 else { return nil }
            level = level * 10 + Int(c - 48)
        }
        guard level <= 127 else { return false }
        out.add(builder)
        return true
    }

    /// "description:range", the description with any number of colons.
    private static func p2p(_ line: UnsafeRawBufferPointer, _ out: inout RangeBuilder) -> Bool {
        // Two IPv6 addresses have 14 colons at most, and one stands before them.
        var colons: [Int] = []
        var at = line.count - 1
        while at >= 0, colons.count < 16 {
            if line[at] == UInt8(ascii: ":") { colons.append(at) }
            at -= 1
        }
        guard let last = colons.first else { return false }
        if range(trimmed(UnsafeRawBufferPointer(rebasing: line[(last + 1)...])), &out) { return true }
        for colon in colons.reversed()
        where !isHexadecimal(line[..<colon]) && line[colon...].contains(UInt8(ascii: "-")) && range(trimmed(UnsafeRawBufferPointer(rebasing: line[(colon + 1)...])), &out) { return true }
        return false
    }

    /// Would be a part of an address rather than a description.
    private static func isHexadecimal(_ text: some Sequence<UInt8>) -> Bool {
        text.allSatisfy { $0 >= 48 && $0 <= 58 || ($0 | 0x20) >= 97 && ($0 | 0x20) <= 102 }
    }

    /// A range, CIDR or single address that fills all of `text`.
    private static func range(_ text: UnsafeRawBufferPointer, _ out: inout RangeBuilder) -> Bool {
        guard !text.isEmpty, text.count <= 100 else { return false }
        var at = 0
        if let first = narrow(text, &at) {
            if at == text.count {
                out.add(first, first)
                return true
            }
            if text[at] == UInt8(ascii: "/") {
                guard let bits = prefix(text, at + 1, 32) else { return false }
                let mask: UInt32 = bits == 0 ? 0 : .max << UInt32(32 - bits)
                out.add(first & mask, first | ~mask)
                return true
            }
            guard skipDash(text, &at), let last = narrow(text, &at), at == text.count, first <= last else { return false }
            out.add(first, last)
            return true
        }
        return wide(text, &out)
    }

    private static func wide(_ text: UnsafeRawBufferPointer, _ out: inout RangeBuilder) -> Bool {
        guard text.contains(UInt8(ascii: ":")) else { return false }
        if let slash = text.firstIndex(of: UInt8(ascii: "/")) {
            guard let first = address(text[0..<slash]), let bits = prefix(text, slash + 1, 128) else { return false }
            func mask(_ bits: Int) -> UInt64 { bits <= 0 ? 0 : bits >= 64 ? .max : .max << UInt64(64 - bits) }
            let (high, low) = (mask(bits), mask(bits - 64))
            out.add(WideAddress(high: first.high & high, low: first.low & low), WideAddress(high: first.high | ~high, low: first.low | ~low))
            return true
        }
        if let dash = text.firstIndex(of: UInt8(ascii: "-")) {
            guard let first = address(trimmed(UnsafeRawBufferPointer(rebasing: text[0..<dash]))[...]),
                let last = address(trimmed(UnsafeRawBufferPointer(rebasing: text[(dash + 1)...]))[...]), first <= last
            else { return false }
            out.add(first, last)
            return true
        }
        guard let one = address(text[...]) else { return false }
        out.add(one, one)
        return true
    }

    /// Four numbers up to 255, leading zeros allowed (they are decimal in these lists).
    private static func narrow(_ text: UnsafeRawBufferPointer, _ at: inout Int) -> UInt32? {
        var address: UInt32 = 0
        for part in 0..<4 {
            var value: UInt32 = 0, digits = 0
            while at < text.count, digits < 3, text[at] >= 48, text[at] <= 57 {
                value = value * 10 + UInt32(text[at] - 48)
                digits += 1
                at += 1
            }
            guard digits > 0, value <= 255 else { return nil }
            address = address << 8 | value
            if part < 3 {
                guard at < text.count, text[at] == UInt8(ascii: ".") else { return nil }
                at += 1
            }
        }
        return address
    }

    private static func skipDash(_ text: UnsafeRawBufferPointer, _ at: inout Int) -> Bool {
        func spaces() { while at < text.count, text[at] == 0x20 || text[at] == 0x09 { at += 1 } }
        spaces()
        guard at < text.count, text[at] == UInt8(ascii: "-") else { return false }
        at += 1
        spaces()
        return true
    }

    private static func prefix(_ text: UnsafeRawBufferPointer, _ from: Int, _ limit: Int) -> Int? {
        guard from < text.count, text.count - from <= 3 else { return nil }
        var bits = 0
        for i in from..<text.count {
            guard text[i] >= 48, text[i] <= 57 else { return nil }
            bits = bits * 10 + Int(text[i] - 48)
        }
        return bits <= limit ? bits : nil
    }

    private static func address(_ text: Slice<UnsafeRawBufferPointer>) -> WideAddress? {
        // INET6_ADDRSTRLEN.
        guard text.count < 46 else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 46) { buffer in
            var n = 0
            for c in text {
                buffer[n] = CChar(bitPattern: c)
                n += 1
            }
            buffer[n] = 0
            var six = in6_addr()
            guard inet_pton(AF_INET6, buffer.baseAddress!, &six) == 1 else { return nil }
            return withUnsafeBytes(of: &six) {
                WideAddress(
                    high: UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)), low: UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
            }
        }
    }

    // MARK: binary

    private mutating func readBinary(_ bytes: UnsafeRawBufferPointer) {
        var at = 8
        func word() -> UInt32? {
            guard bytes.count - at >= 4 else { return nil }
            defer { at += 4 }
            return UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
        }
        func skipName() -> Bool {
            guard at < bytes.count, let end = memchr(bytes.baseAddress! + at, 0, bytes.count - at) else { return false }
            at = end - UnsafeMutableRawPointer(mutating: bytes.baseAddress!) + 1
            return true
        }
        var left = Int.max
        let version = bytes[7]
        switch version {
        case 1, 2: break
        case 3:
            // Names first, then ranges that number them.
            guard let names = word() else { return note(1, "cut off".utf8) }
            for _ in 0..<names where !skipName() { return note(1, "cut off".utf8) }
            guard let count = word() else { return note(1, "cut off".utf8) }
            left = Int(count)
        default: return note(1, "P2B version \(version)".utf8)
        }
        while at < bytes.count, left > 0, ranges.count < Self.rangeLimit {
            left -= 1
            lines += 1
            let named = version == 3 ? word() != nil : skipName()
            guard named, let first = word(), let last = word() else { return note(lines, "cut off".utf8) }
            if first <= last { ranges.add(first, last) } else { note(lines, "a range from its end".utf8) }
        }
        if version == 3, left > 0, ranges.count < Self.rangeLimit { note(lines + 1, "cut off".utf8) }
    }
}
