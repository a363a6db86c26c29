import LinuxIO
import Primitives
import Testing

extension SystemLayer {
    @Suite struct TimersTests {
        @Test func theyExpireByDeadlineThenInTheOrderSet() {
            var timers = Timers()
            #expect(timers.next == .never)
            for (i, at) in [50, 10, 30, 10, 20].enumerated() { timers.set(token(i), at: Instant(nanoseconds: Int64(at))) }
            #expect(timers.next == Instant(nanoseconds: 10))
            #expect(timers.popExpired(now: Instant(nanoseconds: 9)) == nil)
            var order: [UInt32] = []
            while let t = timers.popExpired(now: Instant(nanoseconds: 30)) { order.append(t.index) }
            #expect(order == [1, 3, 4, 2] && timers.count == 1)
            timers.set(token(0), at: .never)
            #expect(timers.count == 0 && timers.next == .never)
        }

        /// Against a plain list: 6,000 random steps of set, move, cancel and pop.
        @Test func theyAgreeWithAPlainListUnderRandomUse() {
            var random = SeededRandom(seed: 11)
            var timers = Timers(), model: [Token: (Int64, Int)] = [:]
            for step in 0..<6000 {
                let t = token(random.below(100))
                switch random.below(4) {
                case 0, 1:
                    let at = Int64(random.below(1000))
                    timers.set(t, at: Instant(nanoseconds: at))
                    model[t] = (at, step)
                case 2:
                    timers.cancel(t)
                    model[t] = nil
                default:
                    let now = Int64(random.below(400))
                    let first = model.min { $0.value < $1.value }
                    let expected = first.flatMap { $0.value.0 <= now ? $0.key : nil }
                    #expect(timers.popExpired(now: Instant(nanoseconds: now)) == expected)
                    if let expected { model[expected] = nil }
                }
                #expect(timers.count == model.count)
                #expect(timers.deadline(of: t)?.nanoseconds == model[t]?.0)
                #expect(timers.next.nanoseconds == model.values.map(\.0).min() ?? .max)
            }
        }
    }
}
