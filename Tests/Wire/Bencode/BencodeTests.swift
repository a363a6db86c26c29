import Primitives
import Testing

@testable import Bencode

struct BencodeCase: Sendable, CustomTestStringConvertible {
    enum Verdict: Sendable, Equatable { case accept, reject(BencodeError.Reason, Int), strictReject(BencodeError.Reason, Int) }
    let text: String
    let verdict: Verdict
    init(_ text: String, _ verdict: Verdict = .accept) { (self.text, self.verdict) = (text, verdict) }
    var testDescription: String { text.debugDescription }

    static let all: [BencodeCase] = [
        .init("i0e"), .init("i-3e"), .init("i9223372036854775807e"), .init("i-9223372036854775808e"), .init("0:"), .init("4:spam"), .init("le"),
        .init("de"), .init("llleee"), .init("d0:i1e1:\u{0}i2ee"), .init("d5:greenli1ei2ei3ee4:spamd1:ai123e3:keyi214eee"),
        .init("", .reject(.truncated, 0)), .init("i", .reject(.truncated, 1)), .init("i12", .reject(.truncated, 3)), .init("ie", .reject(.expectedDigit, 1)),
        .init("i-e", .reject(.expectedDigit, 2)), .init("i-0e", .reject(.negativeZero, 2)), .init("i01e", .reject(.leadingZero, 1)), .init("i00e", .reject(.leadingZero, 1)),
        .init("i+1e", .reject(.expectedDigit, 1)), .init("i 1e", .reject(.expectedDigit, 1)), .init("i1.0e", .reject(.expectedDigit, 2)),
        .init("i9223372036854775808e", .reject(.integerOverflow, 0)), .init("i-9223372036854775809e", .reject(.integerOverflow, 0)),
        .init("5:spam", .reject(.truncated, 6)), .init("06:foobar", .reject(.leadingZero, 0)), .init("99999999999999999999:x", .reject(.integerOverflow, 0)),
        .init("e", .reject(.expectedValue, 0)), .init("x", .reject(.expectedValue, 0)), .init("l-e", .reject(.expectedValue, 1)), .init("di1ei2ee", .reject(.expectedKey, 1)),
        .init("d1:ae", .reject(.missingValue, 4)), .init("d1:a", .reject(.truncated, 4)), .init("l", .reject(.truncated, 1)),
        .init("i1ei2e", .strictReject(.trailingBytes, 3)), .init("de\n", .strictReject(.trailingBytes, 2)),
        .init("d1:bi1e1:ai2ee", .strictReject(.keyOrder, 7)), .init("d1:ai1e1:ai2ee", .strictReject(.keyOrder, 7)),
    ]
}

@Suite struct BencodeTests {
    /// Copies to memory of its exact size, so that a sanitizer sees any read beyond it.
    private func parse(
        _ bytes: [UInt8], _ tolerance: BencodeTolerance, _ limits: BencodeLimits = .torrent, _ body: (BencodeView) -> Void = { _ in }
    ) -> BencodeError? {
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        copy.copyBytes(from: bytes)
        defer { copy.deallocate() }
        var parser = BencodeParser()
        do {
            body(try parser.parse(UnsafeRawBufferPointer(copy), limits: limits, tolerance: tolerance))
            return nil
        } catch { return error }
    }

    @Test(arguments: BencodeCase.all) func verdict(_ c: BencodeCase) {
        let strict = parse(Array(c.text.utf8), .none), lenient = parse(Array(c.text.utf8), .lenient)
        switch c.verdict {
        case .accept:
            #expect(strict == nil)
            #expect(lenient == nil)
        case .reject(let reason, let offset):
            #expect(strict == BencodeError(reason, at: offset))
            #expect(lenient == BencodeError(reason, at: offset))
        case .strictReject(let reason, let offset):
            #expect(strict == BencodeError(reason, at: offset))
            #expect(lenient == nil)
        }
    }

    @Test func everyTruncationAsksForMore() {
        for c in BencodeCase.all where c.verdict == .accept {
            let bytes = Array(c.text.utf8)
            for n in 0..<bytes.count { #expect(parse(Array(bytes[..<n]), .none)?.reason == .truncated, "\(c.text) cut at \(n)") }
        }
    }

    @Test func viewFindsWhatIsThere() {
        let fault = parse(Array("d4:dictd1:xi-7ee5:emptyle3:inti42e4:listli1e3:twoe6:string4:\u{1}abc4:tail0:e".utf8), .keyOrder) { root in
            #expect(root.kind == .dictionary)
            #expect(root["int"]?.integer == 42)
            #expect(root["dict"]?["x"]?.integer == -7)
            #expect(root["string"]?.text == "\u{1}abc")
            #expect(root["tail"]?.string?.count == 0)
            #expect(root["list"].map { $0.elements.map(\.kind) } == [.integer, .string])
            #expect(root["empty"].map { Array($0.elements).count } == 0)
            #expect(root["lis"] == nil && root["listx"] == nil && root["one"] == nil)
            #expect(root.entries.map { $0.key.text } == ["dict", "empty", "int", "list", "string", "tail"])
            #expect(root["dict"].map { String(decoding: $0.encoded, as: UTF8.self) } == "d1:xi-7ee")
            #expect(!root["dict"]!.range.isEmpty && root["dict"]!.isCanonicalDictionary)
            // Questions of the wrong kind.
            #expect(root.integer == nil && root.string == nil && root["int"]?.string == nil && root["int"]?["x"] == nil)
            #expect(Array(root["int"]!.elements).isEmpty && Array(root["list"]!.entries).isEmpty)
        }
        #expect(fault == nil)
    }

    @Test func marksOnlyTheDictionaryThatIsOutOfOrder() {
        let fault = parse(Array("d1:ad1:yi1e1:xi2ee1:bdee".utf8), .keyOrder) { root in
            #expect(root.isCanonicalDictionary)
            #expect(root["a"]?.isCanonicalDictionary == false)
            #expect(root["b"]?.isCanonicalDictionary == true)
        }
        #expect(fault == nil)
    }

    @Test func trailingBytesStayOutsideTheValue() {
        let fault = parse(Array("d8:msg_typei1eeDATA".utf8), .trailingBytes) { #expect($0.range == 0..<15) }
        #expect(fault == nil)
    }

    @Test func limitsHold() {
        let deep = [UInt8](repeating: UInt8(ascii: "l"), count: 1_000_000)
        #expect(parse(deep, .lenient)?.reason == .tooDeep(limit: 100))
        let level = Array(String(repeating: "l", count: 100).utf8) + Array(String(repeating: "e", count: 100).utf8)
        #expect(parse(level, .none) == nil)
        let wide = Array("l".utf8) + Array(repeatElement(Array("i0e".utf8), count: 1000).joined()) + Array("e".utf8)
        #expect(parse(wide, .none, .packet) == BencodeError(.tooManyTokens(limit: 1000), at: 1 + 3 * 999))
        #expect(parse(wide, .none) == nil)
        #expect(parse([0x30, 0x3A], .none, BencodeLimits(depth: 1, tokens: 1, bytes: 1))?.reason == .tooLarge(limit: 1))
    }

    /// What the writer writes is what the parser reads.
    @Test func writerRoundTrip() {
        var w = BencodeWriter()
        w.beginDictionary()
        w.key("")
        w.integer(Int64.min)
        w.key("a")
        w.beginList()
        w.integer(UInt64.max >> 1)
        w.string([0, 255])
        w.beginDictionary()
        w.end()
        w.encoded(Array("i5e".utf8))
        w.end()
        w.key("b")
        w.string("é")
        w.end()
        #expect(w.array == Array("d0:i-9223372036854775808e1:ali9223372036854775807e2:".utf8) + [0, 255] + Array("dei5ee1:b2:é".utf8) + Array("e".utf8))
        #expect(parse(w.array, .none) == nil)
    }

    @Test func writerRefusesKeysOutOfOrder() async {
        await #expect(processExitsWith: .failure) {
            var w = BencodeWriter()
            w.beginDictionary()
            w.key("b")
            w.integer(1)
            w.key("a")
        }
        await #expect(processExitsWith: .failure) {
            var w = BencodeWriter()
            w.beginDictionary()
            w.string("a value without a key")
        }
    }

    @Test func mutationsNeverTrap() {
        var random = SeededRandom(seed: 20_26)
        let seeds = BencodeCase.all.filter { $0.verdict == .accept }.map { Array($0.text.utf8) }
        let marks = Array("ilde0123456789:-".utf8)
        for _ in 0..<20_000 {
            var bytes = seeds[random.below(seeds.count)]
            for _ in 0...random.below(4) where !bytes.isEmpty {
                let at = random.below(bytes.count)
                switch random.below(4) {
                case 0: bytes[at] ^= 1 << UInt8(random.below(8))
                case 1: bytes[at] = marks[random.below(marks.count)]
                case 2: bytes.removeSubrange(at...)
                default: bytes.insert(marks[random.below(marks.count)], at: at)
                }
            }
            bytes.withUnsafeBytes(exerciseBencode)
        }
    }
}
