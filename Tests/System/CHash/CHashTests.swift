import CHash
import Glibc
import Testing

// Every kernel against libcrypto's one-shot hash, which itself is held against the FIPS 180 examples.

struct Kernel: Sendable, CustomStringConvertible {
    let value: ccbt_sha1_kernel, description: String
    static let all = [
        Kernel(value: CCBT_SHA1_AUTO, description: "auto"), Kernel(value: CCBT_SHA1_OPENSSL, description: "openssl"),
        Kernel(value: CCBT_SHA1_SHANI, description: "shani"), Kernel(value: CCBT_SHA1_AVX2, description: "avx2"),
        Kernel(value: CCBT_SHA1_AVX512, description: "avx512"),
    ]
    static let here = all.filter { ccbt_sha1_has($0.value) == 1 }
}

private func oneShot(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    var out = [UInt8](repeating: 0, count: 20)
    ccbt_sha1(bytes.baseAddress, bytes.count, &out)
    return out
}

private func hex(_ bytes: [UInt8]) -> String {
    bytes.map { b in
        let s = String(b, radix: 16); return s.count == 1 ? "0" + s : s
    }.joined()
}

/// The same bytes each run: a multiplicative sequence, no two positions near each other equal.
private func noise(_ count: Int) -> [UInt8] {
    var x: UInt64 = 0x9E37_79B9_7F4A_7C15
    return (0..<count).map { _ in
        x = x &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt8(truncatingIfNeeded: x >> 33)
    }
}

@Suite struct CHashTests {
    @Test func oneShotMatchesThePublishedExamples() {
        let abc = Array("abc".utf8)
        #expect(abc.withUnsafeBufferPointer { hex(oneShot($0)) } == "a9993e364706816aba3e25717850c26c9cd0d89d")
        var out = [UInt8](repeating: 0, count: 32)
        ccbt_sha256(abc, abc.count, &out)
        #expect(hex(out) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    @Test(arguments: Kernel.here) func everyShortLengthAndCount(_ kernel: Kernel) {
        let data = noise(20 * 331)
        data.withUnsafeBufferPointer { all in
            for length in 0...300 {
                // Counts around each kernel's width; unaligned starts, since 331 is odd.
                for count in [1, 2, 3, 4, 5, 7, 8, 9, 14, 15, 16, 17, 20] where length % 7 == count % 7 || length < 130 {
                    let messages: [UnsafePointer<UInt8>?] = (0..<count).map { all.baseAddress! + $0 * 331 }
                    var out = [UInt8](repeating: 0, count: 20 * count)
                    ccbt_sha1_many_by(kernel.value, messages, length, count, &out)
                    for i in 0..<count {
                        let wanted = oneShot(UnsafeBufferPointer(start: messages[i], count: length))
                        #expect(Array(out[i * 20..<i * 20 + 20]) == wanted, "\(kernel) length \(length) message \(i) of \(count)")
                    }
                }
            }
        }
    }

    @Test(arguments: Kernel.here) func largeMessagesOfOddLength(_ kernel: Kernel) {
        let length = 262_144 + 77, count = 17
        noise(length * count).withUnsafeBufferPointer { all in
            let messages: [UnsafePointer<UInt8>?] = (0..<count).map { all.baseAddress! + $0 * length }
            var out = [UInt8](repeating: 0, count: 20 * count)
            ccbt_sha1_many_by(kernel.value, messages, length, count, &out)
            for i in 0..<count {
                #expect(Array(out[i * 20..<i * 20 + 20]) == oneShot(UnsafeBufferPointer(start: messages[i], count: length)))
            }
        }
    }

    /// Messages of different length advance together as long as all have blocks, then finish one by one.
    @Test(arguments: Kernel.here) func contextsOfDifferentLengthShareLanes(_ kernel: Kernel) {
        let lengths = (0..<19).map { 64 * 40 + $0 * 997 }
        noise(lengths.reduce(0, +)).withUnsafeBufferPointer { all in
            var contexts = [ccbt_sha1_context](repeating: ccbt_sha1_context(), count: lengths.count)
            contexts.withUnsafeMutableBufferPointer { c in
                var starts: [UnsafePointer<UInt8>?] = [], at = all.baseAddress!
                for i in lengths.indices {
                    ccbt_sha1_start(&c[i])
                    starts.append(at)
                    at += lengths[i]
                }
                let pointers: [UnsafeMutablePointer<ccbt_sha1_context>?] = lengths.indices.map { c.baseAddress! + $0 }
                // 40 blocks in steps of 7, 7, 7, 7, 7, 5.
                var done = 0
                while done < 40 {
                    let step = min(7, 40 - done)
                    let from = starts.map { $0.map { $0 + done * 64 } }
                    ccbt_sha1_advance(kernel.value, pointers, from, step, lengths.count)
                    done += step
                }
                for i in lengths.indices {
                    var out = [UInt8](repeating: 0, count: 20)
                    ccbt_sha1_finish(&c[i], starts[i]! + 40 * 64, lengths[i] - 40 * 64, &out)
                    #expect(out == oneShot(UnsafeBufferPointer(start: starts[i], count: lengths[i])))
                }
            }
        }
    }

    @Test func namesAndBatchesAreSane() {
        #expect(String(cString: ccbt_hash_kernel_name()).hasPrefix("SHA-1 by "))
        #expect([1, 4, 8, 16].contains(ccbt_sha1_best_batch()))
    }

    /// Not a threshold: prints GiB/s a core by kernel and batch, for the release build.
    @Test(.enabled(if: getenv("CCBT_BENCH") != nil)) func rates() {
        let length = 1 << 20, messages = 16
        noise(4096).withUnsafeBufferPointer { seed in
            let memory = UnsafeMutableRawPointer.allocate(byteCount: length * messages, alignment: 4096)
            defer { memory.deallocate() }
            for at in stride(from: 0, to: length * messages, by: 4096) { memcpy(memory + at, seed.baseAddress!, 4096) }
            let data: [UnsafePointer<UInt8>?] = (0..<messages).map { UnsafePointer((memory + $0 * length).assumingMemoryBound(to: UInt8.self)) }
            var out = [UInt8](repeating: 0, count: 20 * messages)
            for kernel in Kernel.here {
                for batch in [1, 2, 4, 8, 12, 14, 16] {
                    var best = Double.infinity
                    for _ in 0..<7 {
                        var t0 = timespec(), t1 = timespec()
                        clock_gettime(CLOCK_MONOTONIC, &t0)
                        ccbt_sha1_many_by(kernel.value, data, length, batch, &out)
                        clock_gettime(CLOCK_MONOTONIC, &t1)
                        best = min(best, Double(t1.tv_sec - t0.tv_sec) + Double(t1.tv_nsec - t0.tv_nsec) / 1e9)
                    }
                    print("\(kernel) \(batch): \(Double(length * batch) / best / Double(1 << 30)) GiB/s")
                }
            }
        }
    }
}
