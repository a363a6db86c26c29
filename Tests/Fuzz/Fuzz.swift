import FuzzTargets
import Glibc

/// One program for all parsers; CCBT_FUZZ_TARGET names the one. Tests/Fuzz/run builds and runs it with libFuzzer.
private let target: FuzzTarget = {
    guard let name = getenv("CCBT_FUZZ_TARGET").flatMap({ FuzzTarget(rawValue: String(cString: $0)) }) else {
        fatalError("CCBT_FUZZ_TARGET is one of \(FuzzTarget.allCases.map(\.rawValue).joined(separator: " "))")
    }
    return name
}()

@_cdecl("LLVMFuzzerTestOneInput")
func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    target.run(UnsafeRawBufferPointer(start: start, count: count))
    return 0
}

/// What libFuzzer's own main calls; SwiftPM names the program's entry point itself.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
    _ count: UnsafeMutablePointer<Int32>, _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ input: @convention(c) (UnsafePointer<UInt8>, Int) -> Int32
) -> Int32

@main struct Fuzz {
    static func main() {
        var count = CommandLine.argc, arguments = CommandLine.unsafeArgv
        exit(runDriver(&count, &arguments) { testOneInput($0, $1) })
    }
}
