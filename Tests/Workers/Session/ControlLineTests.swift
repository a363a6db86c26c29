import Control
import Foundation
import Primitives
import Testing

@testable import SessionWorker

/// Aim: whatever bytes come down the control socket, they are cut into the same lines however they arrive, within bounds,
/// and what is no request is refused with its reason.
@Suite struct ControlLineTests {
    private func lines(_ framer: inout LineFramer, _ bytes: some Collection<UInt8>) throws -> [String] {
        Array(bytes).withUnsafeBytes { framer.append($0) }
        var out: [String] = []
        while try framer.next({ out.append(String(decoding: $0, as: UTF8.self)) }) {}
        return out
    }

    @Test(arguments: [1, 2, 3, 7, 1000]) func cutsAreTheSameHoweverTheStreamIsCut(_ step: Int) throws {
        let text = Array("one\n\n two\r\nthree\n\r\nfo".utf8)
        var framer = LineFramer(limit: 100), out: [String] = []
        for at in stride(from: 0, to: text.count, by: step) { out += try lines(&framer, text[at..<min(at + step, text.count)]) }
        #expect(out == ["one", " two", "three"])
        #expect(framer.buffered == 2)
        #expect(try lines(&framer, "ur\n".utf8) == ["four"])
        #expect(framer.buffered == 0)
    }

    @Test func anEndlessLineIsRefusedAtItsBound() throws {
        var framer = LineFramer(limit: 10)
        #expect(try lines(&framer, "123456789\n".utf8) == ["123456789"])
        #expect(throws: LineFramer.Failure.lineTooLong(limit: 10)) { try self.lines(&framer, "1234567890\n".utf8) }
        var endless = LineFramer(limit: 10)
        #expect(try lines(&endless, "123456789".utf8).isEmpty)
        #expect(throws: LineFramer.Failure.lineTooLong(limit: 10)) { try self.lines(&endless, "0".utf8) }
    }

    /// A byte at a time costs a look at each byte once.
    @Test func longLinesAreSearchedOnce() throws {
        var framer = LineFramer(limit: 8 << 20)
        let part = [UInt8](repeating: 65, count: 4096)
        for _ in 0..<1000 { _ = try lines(&framer, part) }
        var length = 0
        part.withUnsafeBytes { framer.append($0) }
        [UInt8(ascii: "\n")].withUnsafeBytes { framer.append($0) }
        while try framer.next({ length = $0.count }) {}
        #expect(length == 4096 * 1001)
    }

    struct HeadCase: Sendable {
        let line: String
        /// nil: a request.
        let refused: Bool
    }
    @Test(arguments: [
        HeadCase(line: #"{"id":1,"method":"list"}"#, refused: false),
        HeadCase(line: #"{"method":"list","params":{"x":[1,{"y":null}]},"id":18446744073709551615}"#, refused: false),
        HeadCase(line: #"{"id":1,"method":"a[[[[[[[[[[[[[[[[[[[[[[[[[\"[[[[[["}"#, refused: false),
        HeadCase(line: "", refused: true), HeadCase(line: "list", refused: true), HeadCase(line: "[]", refused: true),
        HeadCase(line: #"{"id":-1,"method":"list"}"#, refused: true), HeadCase(line: #"{"id":"1","method":"list"}"#, refused: true),
        HeadCase(line: #"{"id":1}"#, refused: true), HeadCase(line: #"{"id":1,"method":"list""#, refused: true),
        HeadCase(line: "\u{0}\u{1}", refused: true),
        HeadCase(line: #"{"id":1,"method":"list","params":"# + String(repeating: "[", count: 100_000), refused: true),
        HeadCase(line: String(repeating: #"{"a":"#, count: 17) + "1" + String(repeating: "}", count: 17), refused: true),
    ]) func heads(_ c: HeadCase) {
        let bytes = Array(c.line.utf8)
        let error = bytes.withUnsafeBytes { raw -> ControlError? in
            do throws(ControlError) {
                _ = try ControlLine.head(raw)
                return nil
            } catch { return error }
        }
        #expect((error != nil) == c.refused)
        if let error { #expect(error.code == .parseError) }
    }

    @Test(arguments: [
        (#"{"id":1,"method":"pause","params":{"hash":5}}"#, "hash"), (#"{"id":1,"method":"pause","params":{}}"#, "hash"),
        (#"{"id":1,"method":"pause"}"#, "hash"), (#"{"id":1,"method":"pause","params":[]}"#, "params"),
    ]) func wrongParametersAreNamed(_ line: String, _ name: String) {
        let bytes = Array(line.utf8)
        #expect {
            try bytes.withUnsafeBytes { try ControlLine.parameters($0, as: HashParameters.self) }
        } throws: {
            ($0 as? ControlError)?.code == .invalidParameters && "\($0)".contains(name)
        }
    }

    /// Truncations and bit flips of a valid request are refused or read, never a crash.
    @Test func mutatedRequests() {
        let valid = ControlLine.request(
            ControlMethods.Add.self, id: 3, AddParameters(magnet: "magnet:?xt=urn:btih:00", save: "/ä\n\"", paused: true, peers: ["1.2.3.4:5"]))
        var random = SeededRandom(seed: 8), read = 0
        for i in 0..<20_000 {
            var bytes = Array(valid.dropLast())
            if i < bytes.count { bytes.removeLast(i) } else { bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8)) }
            bytes.withUnsafeBytes { raw in
                if i % 8 == 0 { exerciseControlLine(raw) }
                guard (try? ControlLine.head(raw)) != nil else { return }
                if (try? ControlLine.parameters(raw, as: AddParameters.self)) != nil { read += 1 }
            }
        }
        #expect(read > 1000)
    }

    @Test func requestsAndAnswersAreLines() throws {
        let request = ControlLine.request(ControlMethods.Move.self, id: 9, MoveParameters(hash: "ab", save: "/a\nb"))
        #expect(request.filter { $0 == 10 }.count == 1 && request.last == 10)
        let parameters = try request.withUnsafeBytes { try ControlLine.parameters($0, as: MoveParameters.self) }
        #expect(parameters == MoveParameters(hash: "ab", save: "/a\nb"))
        let answer = ControlLine.answer(id: 9, error: ControlError(.notFound, "no"))
        let read = try answer.withUnsafeBytes { try ControlLine.read(ControlMethods.Move.self, $0) }
        #expect(read.id == 9 && read.result == nil && read.error == ControlError(.notFound, "no"))
    }

    /// The summary that is written by hand is the one that Codable reads.
    @Test(arguments: ["plain", "quote\" back\\slash", "tab\tnew\nline\u{1}", "ünï – 🌍", ""]) func summaryByHandIsTheCodableOne(_ name: String) throws {
        for full in [true, false] {
            var summary = TorrentSummary(
                hash: "00ff", hashV2: full ? "11" : nil, name: name, state: .downloading, progress: 1.0 / 3, done: .max, size: 0, downRate: 10, upRate: 9,
                peers: 3, seeds: 0, downloaded: 1, downloadedAgain: 2, uploaded: 1_234_567_890_123, ratio: 1e-7, eta: full ? 5 : nil,
                error: full ? name : nil, savePath: "/" + name, addedAt: 1, completedAt: full ? 2 : nil, isPrivate: full, sequential: !full, pieceCount: 7,
                piecesHave: 0)
            if full {
                summary.category = name
                summary.tags = [name, "b"]
                summary.finalPath = "/f" + name
                summary.seedingTimeLimit = -1
                summary.maxRatio = 1.5
                (summary.lastActivity, summary.seenComplete, summary.nextAnnounce) = (1, 2, 3)
                summary.limitAction = .removeWithData
            }
            var bytes: [UInt8] = []
            summary.append(to: &bytes)
            #expect(!bytes.contains(10))
            #expect(try JSONDecoder().decode(TorrentSummary.self, from: Data(bytes)) == summary)
            let byHand = try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? NSDictionary)
            let encoded = try #require(try JSONSerialization.jsonObject(with: JSONEncoder().encode(summary)) as? NSDictionary)
            #expect(Set(byHand.allKeys.map { "\($0)" }) == Set(encoded.allKeys.map { "\($0)" }))
        }
    }

    @Test(arguments: [("/a//b/./c/", "/a/b/c"), ("/", "/"), ("relative", "relative"), ("/a/../b", "/a/../b")]) func tidyPaths(_ raw: String, _ tidy: String) {
        #expect(SessionShell.tidy(raw) == tidy)
    }

    @Test func textsFromOutsideAreFitForATerminal() {
        #expect(Text.printable("a\u{1B}[31mb\r\n\u{202E}c", limit: 100) == "a\u{FFFD}[31mb\u{FFFD}\u{FFFD}\u{FFFD}c")
        #expect(Text.printable(String(repeating: "x", count: 50), limit: 10).count == 10)
    }
}
