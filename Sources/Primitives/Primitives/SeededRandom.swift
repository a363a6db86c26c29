/// xoshiro256** seeded through splitmix64: the only source of randomness in the engines, so that a seed
/// replays a run. Not for secrets: keys and tokens come from the kernel.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    @usableFromInline var s0: UInt64, s1: UInt64, s2: UInt64, s3: UInt64

    package init(seed: UInt64) {
        var x = seed
        func next() -> UInt64 {
            x &+= 0x9E37_79B9_7F4A_7C15
            var z = x
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
        (s0, s1, s2, s3) = (next(), next(), next(), next())
    }

    @inlinable package mutating func next() -> UInt64 {
        let r = s1 &* 5
        let result = ((r << 7) | (r >> 57)) &* 9
        let t = s1 << 17
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= t
        s3 = (s3 << 45) | (s3 >> 19)
        return result
    }

    /// Uniform in 0 ..< bound. Needs bound > 0.
    @inlinable package mutating func below(_ bound: Int) -> Int { Int(next(upperBound: UInt64(bound))) }
    /// Uniform in 0 ..< 1.
    @inlinable package mutating func fraction() -> Double { Double(next() >> 11) * 0x1p-53 }
    /// True with probability `p`.
    @inlinable package mutating func chance(_ p: Double) -> Bool { fraction() < p }
    /// Full jitter: uniform between zero and `span`.
    package mutating func jitter(_ span: TimeSpan) -> TimeSpan {
        TimeSpan(nanoseconds: Int64(fraction() * Double(span.nanoseconds)))
    }
}
