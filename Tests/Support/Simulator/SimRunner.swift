import Glibc
import Primitives

/// Many seeds on all cores. Each is a world of its own: how many run beside it changes nothing in it.
package enum SimRunner {
    /// In the order of `scenarios`.
    package static func run(_ scenarios: [SimScenario], done: @escaping @Sendable (SimResult) -> Void = { _ in }) async -> [SimResult] {
        CrashNote.install()
        let width = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        return await withTaskGroup(of: (Int, SimResult).self) { group in
            var results = [SimResult?](repeating: nil, count: scenarios.count), next = 0
            func begin() {
                guard next < scenarios.count else { return }
                let i = next, scenario = scenarios[i]
                next += 1
                group.addTask { (i, CrashNote.around(scenario.seed) { SimWorld(scenario).run() }) }
            }
            for _ in 0..<width { begin() }
            while let (i, result) = await group.next() {
                results[i] = result
                done(result)
                begin()
            }
            return results.map { $0! }
        }
    }
}

/// A core that finds its own bug ends the process: then this says which seeds were running.
private enum CrashNote {
    private static let width = 256
    /// 0: free. Written by the runners, read by the signal handler, which may allocate nothing and take no lock.
    nonisolated(unsafe) private static let running = {
        let p = UnsafeMutablePointer<UInt64>.allocate(capacity: width)
        p.initialize(repeating: 0, count: width)
        return p
    }()
    nonisolated(unsafe) private static var claimed = [Bool](repeating: false, count: width)
    nonisolated(unsafe) private static let lock = {
        let p = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        pthread_mutex_init(p, nil)
        return p
    }()

    static func install() {
        _ = running
        for number in [SIGILL, SIGTRAP, SIGABRT, SIGSEGV] {
            signal(number) { number in
                for i in 0..<CrashNote.width where CrashNote.running[i] != 0 { CrashNote.say(CrashNote.running[i]) }
                signal(number, SIG_DFL)
                raise(number)
            }
        }
    }
    static func around<T>(_ seed: UInt64, _ body: () -> T) -> T {
        pthread_mutex_lock(lock)
        let place = claimed.firstIndex(of: false)
        if let place { claimed[place] = true }
        pthread_mutex_unlock(lock)
        if let place { running[place] = seed }
        defer {
            if let place {
                running[place] = 0
                pthread_mutex_lock(lock)
                claimed[place] = false
                pthread_mutex_unlock(lock)
            }
        }
        return body()
    }
    private static func say(_ seed: UInt64) {
        // "crashed while it ran: make sim SEED=" and at most 20 digits, without the allocator.
        let text: StaticString = "crashed while it ran: make sim SEED="
        _ = write(2, text.utf8Start, text.utf8CodeUnitCount)
        var power: UInt64 = 10_000_000_000_000_000_000
        while power > 1, seed / power == 0 { power /= 10 }
        while power > 0 {
            var digit = UInt8(48 + seed / power % 10)
            _ = write(2, &digit, 1)
            power /= 10
        }
        var newline: UInt8 = 10
        _ = write(2, &newline, 1)
    }
}
