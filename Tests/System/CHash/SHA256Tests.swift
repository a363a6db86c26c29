import CHash
import Glibc
import Testing

/// SHA-256 of many messages against OpenSSL's one, and the trees of BEP 52 against a plain recursion.
@Suite struct SHA256Tests {
    struct Kernel: Sendable, CustomStringConvertible {
        let value: ccbt_sha256_kernel
        let description: String
        static let here = [
            Kernel(value: CCBT_SHA256_AUTO, description: "auto"), Kernel(value: CCBT_SHA256_OPENSSL, description: "OpenSSL"),
            Kernel(value: CCBT_SHA256_SHANI, description: "SHA-NI"), Kernel(value: CCBT_SHA256_AVX512, description: "AVX-512"),
        ].filter { ccbt_sha256_has($0.value) != 0 }
    }

    static func noise(_ count: Int) -> [UInt8] {
        var x: UInt64 = 0x9E37_79B9_7F4A_7C15
        return (0..<count).map { _ in
            x ^= x << 13
            x ^= x >> 7
            x ^= x << 17
            return UInt8(truncatingIfNeeded: x)
        }
    }
    static func hash(_ bytes: some Collection<UInt8>) -> [UInt8] {
        let bytes = Array(bytes)
        var out = [UInt8](repeating: 0, count: 32)
        ccbt_sha256(bytes, bytes.count, &out)
        return out
    }

    @Test(arguments: Kernel.here) func everyLengthAndCountAgreesWithOneShot(_ kernel: Kernel) {
        let all = Self.noise(40_000)
        all.withUnsafeBufferPointer { memory in
            for length in Array(0..<200) + [16383, 16384, 16385] {
                for count in [1, 2, 3, 15, 16, 17] {
                    let messages: [UnsafePointer<UInt8>?] = (0..<count).map { memory.baseAddress! + $0 * 1301 }
                    var out = [UInt8](repeating: 0, count: 32 * count)
                    ccbt_sha256_many_by(kernel.value, messages, length, count, &out)
                    for i in 0..<count {
                        #expect(Array(out[32 * i..<32 * i + 32]) == Self.hash(memory[i * 1301..<i * 1301 + length]), "length \(length), message \(i) of \(count)")
                    }
                }
            }
        }
    }

    /// BEP 52 word for word: leaves of 16 KiB, missing ones zero, pairs hashed up to one.
    static func root(_ data: ArraySlice<UInt8>, width: Int) -> [UInt8] {
        if width == 1 { return data.isEmpty ? [UInt8](repeating: 0, count: 32) : hash(data) }
        let half = width / 2 * 16384
        return hash(root(data.prefix(half), width: width / 2) + root(data.dropFirst(half), width: width / 2))
    }

    @Test(arguments: [1, 5, 16383, 16384, 16385, 40_000, 65536, 70_000, 17 * 16384, 33 * 16384 + 9]) func rootsAgreeWithARecursion(_ length: Int) {
        let data = Self.noise(length), blocks = (length + 16383) / 16384
        var width = 1
        while width < blocks { width *= 2 }
        for width in [width, width * 2, width * 16] {
            var scratch = [UInt8](repeating: 0xEE, count: 32 * (blocks + 1)), out = [UInt8](repeating: 0, count: 32)
            ccbt_merkle_root(data, length, width, &scratch, &out)
            #expect(out == Self.root(data[...], width: width), "\(length) bytes in \(width) leaves")
        }
    }

    @Test func theNameIsSane() { #expect(String(cString: ccbt_sha256_kernel_name()).hasPrefix("SHA-256 by ")) }

    /// Not a threshold: prints GiB/s a core, for the release build.
    @Test(.enabled(if: getenv("CCBT_BENCH") != nil)) func rates() {
        let length = 16 << 20, data = Self.noise(length)
        var scratch = [UInt8](repeating: 0, count: 32 * 1025), out = [UInt8](repeating: 0, count: 32 * 16)
        func best(_ body: () -> Void) -> Double {
            var best = Double.infinity
            for _ in 0..<7 {
                var t0 = timespec(), t1 = timespec()
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t0)
                body()
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t1)
                best = min(best, Double(t1.tv_sec - t0.tv_sec) + Double(t1.tv_nsec - t0.tv_nsec) / 1e9)
            }
            return Double(length) / best / Double(1 << 30)
        }
        data.withUnsafeBufferPointer { p in
            for kernel in Kernel.here {
                let rate = best {
                    for first in stride(from: 0, to: 1024, by: 16) {
                        let messages: [UnsafePointer<UInt8>?] = (0..<16).map { p.baseAddress! + (first + $0) * 16384 }
                        ccbt_sha256_many_by(kernel.value, messages, 16384, 16, &out)
                    }
                }
                print("SHA-256 blocks by \(kernel): \(rate) GiB/s")
            }
            print("root of a 16 MiB piece: \(best { ccbt_merkle_root(p.baseAddress, length, 1024, &scratch, &out) }) GiB/s")
        }
    }
}
