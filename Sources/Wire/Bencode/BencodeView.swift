/// One value of parsed bencode. Cheap to copy: borrowed bytes, the shared tokens and an index.
/// A question of the wrong kind is answered with nil (or an empty sequence), never with a trap: what is there was
/// chosen by a stranger.
package struct BencodeView {
    /// The whole input that the value is part of.
    package let source: UnsafeRawBufferPointer
    let tokens: [BencodeToken]
    let index: Int

    init(bytes: UnsafeRawBufferPointer, tokens: [BencodeToken], index: Int) {
        (source, self.tokens, self.index) = (bytes, tokens, index)
    }

    package var kind: BencodeKind { tokens[index].kind }

    /// The encoded value's bytes, as offsets in ``source``.
    package var range: Range<Int> { Int(tokens[index].start)..<Int(tokens[index].end) }

    /// The encoded value as it stood: an info-hash is taken over this.
    package var encoded: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: source[range]) }

    package var integer: Int64? {
        guard kind == .integer else { return nil }
        let token = tokens[index]
        var at = Int(token.start) + 1
        let negative = source[at] == UInt8(ascii: "-")
        if negative { at += 1 }
        // Checked for overflow when it was parsed.
        var value: Int64 = 0
        while at < Int(token.end) - 1 {
            value = value &* 10 &- Int64(source[at] - 48)
            at += 1
        }
        return negative ? value : 0 &- value
    }

    /// Content of a string, as offsets in ``source``.
    package var stringRange: Range<Int>? {
        guard kind == .string else { return nil }
        let token = tokens[index]
        var at = Int(token.start)
        while source[at] != UInt8(ascii: ":") { at += 1 }
        return at + 1..<Int(token.end)
    }

    /// Content of a string, borrowed.
    package var string: UnsafeRawBufferPointer? {
        stringRange.map { UnsafeRawBufferPointer(rebasing: source[$0]) }
    }

    /// Content of a string that is valid UTF-8.
    package var text: String? { string.flatMap { String(validating: $0, as: UTF8.self) } }

    /// True unless it is a dictionary whose keys are out of order or repeated.
    package var isCanonicalDictionary: Bool { tokens[index].packed & BencodeToken.outOfOrder == 0 }

    /// The value of a dictionary's `key`; with a repeated key the first one. Linear in the number of keys.
    package subscript(_ key: StaticString) -> BencodeView? {
        let wanted = UnsafeRawBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount)
        return self[bytes: wanted]
    }

    package subscript(bytes wanted: UnsafeRawBufferPointer) -> BencodeView? {
        guard kind == .dictionary else { return nil }
        let end = index + tokens[index].span
        var at = index + 1
        while at < end {
            let key = tokens[at]
            // A string of n bytes has an encoding of at least n + 2: spares a look at most keys.
            if Int(key.end - key.start) >= wanted.count + 2,
                compareBytes(BencodeView(bytes: source, tokens: tokens, index: at).string!, wanted) == 0
            {
                return BencodeView(bytes: source, tokens: tokens, index: at + 1)
            }
            at += 1 + tokens[at + 1].span
        }
        return nil
    }

    /// Values of a list in order; empty for other kinds.
    package var elements: Elements { Elements(view: self) }

    /// Keys and values of a dictionary as they stand; empty for other kinds.
    package var entries: Entries { Entries(view: self) }

    package struct Elements: Sequence, IteratorProtocol {
        let view: BencodeView
        var at: Int, end: Int
        init(view: BencodeView) {
            self.view = view
            at = view.index + 1
            end = view.kind == .list ? view.index + view.tokens[view.index].span : at
        }
        package mutating func next() -> BencodeView? {
            guard at < end else { return nil }
            defer { at += view.tokens[at].span }
            return BencodeView(bytes: view.source, tokens: view.tokens, index: at)
        }
    }

    package struct Entries: Sequence, IteratorProtocol {
        let view: BencodeView
        var at: Int, end: Int
        init(view: BencodeView) {
            self.view = view
            at = view.index + 1
            end = view.kind == .dictionary ? view.index + view.tokens[view.index].span : at
        }
        package mutating func next() -> (key: BencodeView, value: BencodeView)? {
            guard at < end else { return nil }
            let key = BencodeView(bytes: view.source, tokens: view.tokens, index: at)
            let value = BencodeView(bytes: view.source, tokens: view.tokens, index: at + 1)
            at += 1 + view.tokens[at + 1].span
            return (key, value)
        }
    }
}
