import Glibc

/// One value or key: where it stands in the input and how many tokens it spans.
package struct BencodeToken: Sendable {
    /// First byte of the encoded value.
    @usableFromInline let start: UInt32
    /// One past its last byte.
    @usableFromInline var end: UInt32
    /// Bits 0..<29: tokens in the value, itself counted. Bit 29: a dictionary out of order. Bits 30..<32: kind.
    @usableFromInline var packed: UInt32

    @usableFromInline init(_ kind: BencodeKind, start: Int, end: Int) {
        self.start = UInt32(truncatingIfNeeded: start)
        self.end = UInt32(truncatingIfNeeded: end)
        packed = UInt32(kind.rawValue) << 30 | 1
    }
    @usableFromInline static let outOfOrder: UInt32 = 1 << 29
    @usableFromInline var span: Int { Int(packed & (Self.outOfOrder - 1)) }
    @usableFromInline var kind: BencodeKind { BencodeKind(rawValue: UInt8(packed >> 30))! }
}

/// Iterative parser with memory of its own that is used again at each parse.
///
/// Invariant: `open` is the path of containers from the root to the current byte, at most `limits.depth` long.
package struct BencodeParser {
    private struct Open {
        let token: Int
        let isDictionary: Bool
        var expectsValue = false
        /// Content of the last key; empty before the first (`hasKey` tells).
        var keyStart = 0, keyEnd = 0
        var hasKey = false
    }

    private var tokens: [BencodeToken] = []
    private var open: [Open] = []

    package init() {}

    /// Parses one value from the start of `bytes`. The view borrows `bytes`: the caller keeps them alive and
    /// unchanged while it uses the view.
    package mutating func parse(
        _ bytes: UnsafeRawBufferPointer, limits: BencodeLimits, tolerance: BencodeTolerance = .none
    ) throws(BencodeError) -> BencodeView {
        tokens.removeAll(keepingCapacity: true)
        open.removeAll(keepingCapacity: true)
        if bytes.count > limits.bytes { throw BencodeError(.tooLarge(limit: limits.bytes), at: limits.bytes) }
        var at = 0
        repeat {
            guard at < bytes.count else { throw BencodeError(.truncated, at: at) }
            let c = bytes[at]
            if let top = open.last {
                if c == UInt8(ascii: "e") {
                    if top.expectsValue { throw BencodeError(.missingValue, at: at) }
                    at += 1
                    tokens[top.token].end = UInt32(truncatingIfNeeded: at)
                    tokens[top.token].packed += UInt32(truncatingIfNeeded: tokens.count - top.token - 1)
                    open.removeLast()
                    valueEnded()
                    continue
                }
                if top.isDictionary && !top.expectsValue {
                    guard isDigit(c) else { throw BencodeError(.expectedKey, at: at) }
                    try key(bytes, &at, limits, tolerance)
                    continue
                }
            }
            switch c {
            case UInt8(ascii: "i"): try integer(bytes, &at, limits)
            case UInt8(ascii: "l"): try openContainer(.list, at, limits)
            case UInt8(ascii: "d"): try openContainer(.dictionary, at, limits)
            default:
                guard isDigit(c) else { throw BencodeError(.expectedValue, at: at) }
                _ = try string(bytes, &at, limits)
                valueEnded()
            }
            if c == UInt8(ascii: "l") || c == UInt8(ascii: "d") { at += 1 }
        } while !open.isEmpty
        if at < bytes.count, !tolerance.contains(.trailingBytes) { throw BencodeError(.trailingBytes, at: at) }
        return BencodeView(bytes: bytes, tokens: tokens, index: 0)
    }

    private mutating func valueEnded() {
        if !open.isEmpty { open[open.count - 1].expectsValue = false }
    }

    private mutating func add(_ kind: BencodeKind, _ start: Int, _ end: Int, _ limits: BencodeLimits) throws(BencodeError) {
        if tokens.count >= limits.tokens { throw BencodeError(.tooManyTokens(limit: limits.tokens), at: start) }
        tokens.append(BencodeToken(kind, start: start, end: end))
    }

    private mutating func openContainer(_ kind: BencodeKind, _ at: Int, _ limits: BencodeLimits) throws(BencodeError) {
        if open.count >= limits.depth { throw BencodeError(.tooDeep(limit: limits.depth), at: at) }
        try add(kind, at, at, limits)
        open.append(Open(token: tokens.count - 1, isDictionary: kind == .dictionary))
    }

    private mutating func integer(_ bytes: UnsafeRawBufferPointer, _ at: inout Int, _ limits: BencodeLimits) throws(BencodeError) {
        let start = at
        at += 1
        guard at < bytes.count else { throw BencodeError(.truncated, at: at) }
        let negative = bytes[at] == UInt8(ascii: "-")
        if negative { at += 1 }
        let first = at
        var value: Int64 = 0
        while true {
            guard at < bytes.count else { throw BencodeError(.truncated, at: at) }
            let c = bytes[at]
            if c == UInt8(ascii: "e"), at > first { break }
            guard isDigit(c) else { throw BencodeError(.expectedDigit, at: at) }
            if at > first, bytes[first] == UInt8(ascii: "0") { throw BencodeError(.leadingZero, at: first) }
            // Built as a negative number, since that side reaches one further.
            let (tens, o1) = value.multipliedReportingOverflow(by: 10)
            let (next, o2) = tens.subtractingReportingOverflow(Int64(c - 48))
            if o1 || o2 { throw BencodeError(.integerOverflow, at: start) }
            value = next
            at += 1
        }
        if negative, value == 0 { throw BencodeError(.negativeZero, at: first) }
        if !negative, value == .min { throw BencodeError(.integerOverflow, at: start) }
        at += 1
        try add(.integer, start, at, limits)
        valueEnded()
    }

    /// Leaves `at` after the string; returns where its content starts.
    private mutating func string(
        _ bytes: UnsafeRawBufferPointer, _ at: inout Int, _ limits: BencodeLimits
    ) throws(BencodeError) -> Int {
        let start = at
        var length = 0
        while true {
            guard at < bytes.count else { throw BencodeError(.truncated, at: at) }
            let c = bytes[at]
            if c == UInt8(ascii: ":") { break }
            guard isDigit(c) else { throw BencodeError(.expectedDigit, at: at) }
            if at > start, bytes[start] == UInt8(ascii: "0") { throw BencodeError(.leadingZero, at: start) }
            let (tens, o1) = length.multipliedReportingOverflow(by: 10)
            let (next, o2) = tens.addingReportingOverflow(Int(c - 48))
            if o1 || o2 { throw BencodeError(.integerOverflow, at: start) }
            length = next
            at += 1
        }
        at += 1
        let content = at
        if length > bytes.count - at { throw BencodeError(.truncated, at: bytes.count) }
        at += length
        try add(.string, start, at, limits)
        return content
    }

    private mutating func key(
        _ bytes: UnsafeRawBufferPointer, _ at: inout Int, _ limits: BencodeLimits, _ tolerance: BencodeTolerance
    ) throws(BencodeError) {
        let start = at
        let content = try string(bytes, &at, limits)
        let top = open.count - 1
        if open[top].hasKey {
            let last = UnsafeRawBufferPointer(rebasing: bytes[open[top].keyStart..<open[top].keyEnd])
            if compareBytes(last, UnsafeRawBufferPointer(rebasing: bytes[content..<at])) >= 0 {
                if !tolerance.contains(.keyOrder) { throw BencodeError(.keyOrder, at: start) }
                tokens[open[top].token].packed |= BencodeToken.outOfOrder
            }
        }
        open[top].hasKey = true
        open[top].keyStart = content
        open[top].keyEnd = at
        open[top].expectsValue = true
    }
}

@inline(__always) private func isDigit(_ c: UInt8) -> Bool { c >= 48 && c <= 57 }

/// Order of raw bytes, as BEP 3 wants keys: below, equal to or above zero.
package func compareBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Int {
    let n = min(a.count, b.count)
    if n > 0 {
        let order = memcmp(a.baseAddress!, b.baseAddress!, n)
        if order != 0 { return Int(order) }
    }
    return a.count - b.count
}

/// Parses whatever it is given and walks all of it: what a fuzzer drives.
package func exerciseBencode(_ bytes: UnsafeRawBufferPointer) {
    var parser = BencodeParser()
    for (limits, tolerance) in [(BencodeLimits.torrent, BencodeTolerance.lenient), (.packet, .none)] {
        guard let root = try? parser.parse(bytes, limits: limits, tolerance: tolerance) else { continue }
        var pending = [root], seen = 0
        while let view = pending.popLast() {
            seen += 1
            precondition(view.range.lowerBound >= 0 && view.range.upperBound <= bytes.count && !view.range.isEmpty)
            switch view.kind {
            case .integer: precondition(view.integer != nil)
            case .string: precondition(view.string!.count < view.range.count)
            case .list: for element in view.elements { pending.append(element) }
            case .dictionary: for (_, value) in view.entries { pending.append(value) }
            }
        }
        precondition(seen <= limits.tokens)
    }
}
