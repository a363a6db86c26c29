import CLinux
import Glibc
import Primitives

/// The two clocks. Intervals and deadlines use the monotonic one only; wall-clock seconds are for display, the store and
/// the network's dates.
package enum Clock {
    /// CLOCK_MONOTONIC: stands still during suspend, never jumps, the same in all processes of the machine.
    package static func monotonic() -> Instant {
        var t = timespec()
        clock_gettime(CLOCK_MONOTONIC, &t)
        return Instant(nanoseconds: Int64(t.tv_sec) &* 1_000_000_000 &+ Int64(t.tv_nsec))
    }
    /// Seconds since 1970-01-01 UTC.
    package static func wallSeconds() -> Int64 {
        var t = timespec()
        clock_gettime(CLOCK_REALTIME, &t)
        return Int64(t.tv_sec)
    }
    /// CPU time of the calling thread.
    package static func threadTime() -> TimeSpan {
        var t = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t)
        return TimeSpan(nanoseconds: Int64(t.tv_sec) &* 1_000_000_000 &+ Int64(t.tv_nsec))
    }
}

/// Randomness from the kernel: for keys, tokens and the seeds of ``SeededRandom``.
package enum Entropy {
    package static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        var done = 0
        while done < buffer.count {
            let n = cl_random(buffer.baseAddress! + done, buffer.count - done)
            precondition(n > 0, "the kernel gives no randomness")
            done += Int(n)
        }
    }
    package static func bytes(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            fill(UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count))
            filled = count
        }
    }
    package static func seed() -> UInt64 {
        var seed: UInt64 = 0
        withUnsafeMutableBytes(of: &seed) { fill($0) }
        return seed
    }
}
