import ByteCodec
import IPC
import Primitives
import Testing

protocol GoldenMessage: IPCMessage, Equatable {}

/// Aim: the Swift codecs agree with the schema as the generator (another program) lays it out, and no input traps.
/// Method: each golden payload is decoded and compared, encoded and compared, then cut at every length.
@Suite struct IPCCodecTests {
    private func check<M: GoldenMessage>(_ message: M, _ hex: String) throws {
        var w = ByteWriter()
        message.encodePayload(into: &w)
        #expect(Hex.encode(w.array) == hex, "\(M.self) encodes otherwise than the schema says")
        let bytes = Hex.decode(hex)!
        try bytes.withUnsafeBytes { raw in
            var r = try PayloadReader(raw)
            #expect(try M(from: &r) == message)
        }
        for n in 0..<bytes.count {
            Array(bytes[..<n]).withUnsafeBytes { raw in
                guard var r = try? PayloadReader(raw) else { return }
                _ = try? M(from: &r)
            }
        }
    }

    @Test func everyMessageMatchesItsGoldenVector() throws {
        for (message, hex) in goldenVectors { try check(message, hex) }
        #expect(goldenVectors.count == MessageType.allCases.count)
    }

    @Test func aShorterFixedPartReadsAsZerosAndALongerOneIsSkipped() throws {
        // Heartbeat without `progress`, as an older build would send it.
        let old: [UInt8] = [8, 0] + [7, 0, 0, 0, 0, 0, 0, 0]
        try old.withUnsafeBytes {
            var r = try PayloadReader($0)
            #expect(try Heartbeat(from: &r) == Heartbeat(sequence: 7, progress: 0))
        }
        let new: [UInt8] = [20, 0] + [7, 0, 0, 0, 0, 0, 0, 0] + [9, 0, 0, 0, 0, 0, 0, 0] + [1, 2, 3, 4]
        try new.withUnsafeBytes {
            var r = try PayloadReader($0)
            #expect(try Heartbeat(from: &r) == Heartbeat(sequence: 7, progress: 9))
        }
    }

    @Test func aStreamIsCutIntoFramesWhereverTheReadsFall() throws {
        var w = ByteWriter()
        for i in 0..<50 { Heartbeat(sequence: UInt64(i), progress: 1).encode(into: &w, generation: Generation(3), correlation: UInt64(i)) }
        let all = w.array
        for step in [1, 7, 19, 20, 21, 333, all.count] {
            var reader = FrameReader(), seen: UInt64 = 0
            for at in stride(from: 0, to: all.count, by: step) {
                let part = all[at..<min(at + step, all.count)]
                reader.free().copyBytes(from: part)
                reader.filled(part.count)
                while let frame = try reader.next() {
                    #expect(frame.correlation == seen && frame.header.generation == Generation(3))
                    #expect(try frame.decode(Heartbeat.self).sequence == seen)
                    seen += 1
                }
            }
            #expect(seen == 50)
        }
    }

    @Test func aFrameOverTheBoundIsRefusedAtItsHeader() {
        var w = ByteWriter()
        w.u32(UInt32(IPC.frameLimit + 1))
        for _ in 0..<4 { w.u32(0) }
        var reader = FrameReader()
        reader.free().copyBytes(from: w.bytes)
        reader.filled(w.count)
        do {
            _ = try reader.next()
            Issue.record("accepted")
        } catch {
            #expect(error == .tooLong(length: IPC.frameLimit + 1, limit: IPC.frameLimit))
        }
    }
}
