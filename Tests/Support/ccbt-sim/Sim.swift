import Glibc
import Primitives
import Simulator

/// `ccbt-sim --seed N [--story]` runs one seed and tells of it; `ccbt-sim --seeds A..B` (or `--seeds N`: 1..N) many.
/// `--only disk`: a quiet network, and only workers of that kind die. The last line is "N passed, N failed"; exit 1 when one failed.
@main struct Sim {
    static func main() async {
        var seeds: [UInt64] = Array(1...200), story = false, one = false, mortal: WorkerRole?
        var arguments = CommandLine.arguments.dropFirst()[...]
        while let option = arguments.popFirst() {
            switch option {
            case "--story": story = true
            case "--seed":
                guard let seed = arguments.popFirst().flatMap({ UInt64($0) }) else { usage() }
                (seeds, one) = ([seed], true)
            case "--seeds":
                let ends = (arguments.popFirst() ?? "").split(separator: ".", omittingEmptySubsequences: true).compactMap { UInt64($0) }
                guard let last = ends.last, ends.count <= 2 else { usage() }
                let first = ends.count == 2 ? ends[0] : 1
                guard first <= last else { usage() }
                seeds = Array(first...last)
            case "--only":
                mortal = arguments.popFirst().flatMap { name in WorkerRole.allCases.first { "\($0)" == name } }
                if mortal == nil { usage() }
            default: usage()
            }
        }
        let scenarios = seeds.map { seed in mortal.map { .only($0, seed: seed) } ?? SimScenario(seed: seed) }
        if story {
            for scenario in scenarios {
                let world = SimWorld(scenario)
                world.story = { print($0) }
                tell(world.run())
            }
            return
        }
        let tellAll = one
        let results = await SimRunner.run(scenarios) { result in
            if tellAll { tell(result) } else if !result.failure.isEmpty { print("make sim SEED=\(result.seed): \(result.failure)") }
            fflush(nil)
        }
        var marks = SimMarks(), deaths = 0, events: UInt64 = 0, received: UInt64 = 0
        for result in results {
            marks.add(result.marks)
            deaths += result.deaths
            events += result.events
            received += result.received
            if mortal != nil, result.received != result.needed {
                print("seed \(result.seed): \(result.received) bytes received of \(result.needed), \(result.blocksInFlightAtDeath) blocks in flight at deaths")
            }
        }
        if !one {
            print(SimMark.allCases.map { "\($0.rawValue) \(marks.count($0))" }.joined(separator: ", "))
            print("\(seeds.count) seeds, \(events) events, \(deaths) deaths, \(received >> 20) MiB received")
            if !marks.never.isEmpty { print("never: \(marks.never.map(\.rawValue).joined(separator: ", "))") }
        }
        let failed = results.count { !$0.failure.isEmpty }
        print("sim: \(results.count - failed) passed, \(failed) failed")
        exit(failed == 0 ? 0 : 1)
    }

    static func tell(_ r: SimResult) {
        print(
            "seed \(r.seed): \(r.failure.isEmpty ? "passed" : r.failure); trace \(String(r.trace, radix: 16)), \(r.virtualTime.milliseconds) ms, \(r.events) events, \(r.deaths) deaths, \(r.received) bytes received of \(r.needed)"
        )
    }
    static func usage() -> Never {
        print("usage: ccbt-sim [--seed N | --seeds A..B] [--only session|peer|disk|discovery] [--story]")
        exit(2)
    }
}
