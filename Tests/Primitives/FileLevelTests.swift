import Primitives
import Testing

@Suite struct FileLevelTests {
    /// Against an array, whatever is set in whatever order; the text reads back.
    @Test(arguments: 1...10 as ClosedRange<UInt64>) func itFollowsAnArray(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var levels = FileLevels(), model = [UInt8](repeating: FileLevel.normal, count: 40)
        for _ in 0..<300 {
            let first = random.below(40), last = min(39, first + random.below(12)), level = UInt8(random.below(4))
            let isTaken = levels.set(UInt32(first), UInt32(last), to: level)
            #expect(isTaken)
            for i in first...last { model[i] = level }
            #expect(levels.levels(count: 40) == model)
            #expect((0..<40).map { levels.level(of: $0) } == model)
            #expect(FileLevels(levels.text) == levels && FileLevels(runs: levels.runs) == levels)
            #expect(levels.complement(count: 40).flatMap { Array($0) } == (0..<40).filter { model[$0] != FileLevel.skip })
            for (a, b) in zip(levels.runs, levels.runs.dropFirst()) { #expect(a.end < UInt64(b.first) || a.end == UInt64(b.first) && a.level != b.level) }
        }
    }

    @Test func onlyNamesWhatIsLeft() {
        let only = FileLevels.only([1...2, 5...5])
        #expect(only.levels(count: 7) == [0, 2, 2, 0, 0, 2, 0])
        #expect(only.skipsAny && !only.isDefault)
        #expect(only.clipped(to: 7).text == "0=skip,3-4=skip,6=skip" && only.clipped(to: 6).text == "0=skip,3-4=skip")
        #expect(only.clipped(to: 1).text == "0=skip" && only.clipped(to: 0).isDefault && FileLevels("1=high")!.clipped(to: 5).text == "1=high")
        #expect(FileLevels().isDefault && FileLevels().text.isEmpty)
        for text in ["x", "1=much", "3-1=skip", "1-2-3=skip", "=skip", "1"] { #expect(FileLevels(text) == nil) }
        #expect(FileLevels("0-3=skip,7=high")?.text == "0-3=skip,7=high")
    }
}
