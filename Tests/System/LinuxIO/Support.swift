import Glibc
import LinuxIO
import Primitives
import Testing

/// One at a time: between vfork and exec a child holds every descriptor of the process, and so delays for a moment the end of
/// stream that a test beside it waits for.
@Suite(.serialized) struct SystemLayer {}

/// The back-ends this machine can run: both, or epoll alone where io_uring is refused.
let backends: [LoopBackend] = {
    if (try? Loop(backend: .uring)) != nil { return [.uring, .epoll] }
    return [.epoll]
}()

let moment = TimeSpan.seconds(5)

extension Loop {
    /// Runs until `count` completions have come or 5 s passed.
    func collect(_ count: Int) -> [Completion] {
        let deadline = Clock.monotonic() + moment
        var list: [Completion] = []
        while list.count < count, Clock.monotonic() < deadline {
            wait(until: deadline)
            while let completion = next() { list.append(completion) }
        }
        return list
    }
    func result(of token: Token) -> Int32? { collect(1).first { $0.token == token }?.result }
}

func token(_ index: Int, kind: UInt8 = 20) -> Token { Token(kind: kind, index: UInt32(index), generation: 1) }

func close(_ fds: Int32...) { for fd in fds { Descriptor.close(fd) } }

/// A fresh folder under the system's temporary one, removed afterwards.
func withFolder<R>(_ body: (String) throws -> R) rethrows -> R {
    let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var template = Array("\(base)/ccbt-test-XXXXXX".utf8CString)
    let path = String(cString: mkdtemp(&template)!)
    defer {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
                if name != ".", name != ".." { unlink("\(path)/\(name)") }
            }
            closedir(folder)
        }
        rmdir(path)
    }
    return try body(path)
}

/// Memory for an operation under way, at an address that does not move and suits O_DIRECT.
final class Buffer {
    let raw: UnsafeMutableRawBufferPointer
    init(_ count: Int, fill: UInt8 = 0) {
        raw = .allocate(byteCount: count, alignment: 4096)
        raw.initializeMemory(as: UInt8.self, repeating: fill)
    }
    convenience init(_ bytes: [UInt8]) {
        self.init(max(1, bytes.count))
        raw.copyBytes(from: bytes)
    }
    deinit { raw.deallocate() }
    var p: UnsafeMutableRawPointer { raw.baseAddress! }
    func bytes(_ n: Int) -> [UInt8] { Array(raw[..<n]) }
}

/// An array of iovec at a fixed address.
final class Vector {
    let p: UnsafeMutablePointer<iovec>
    let count: Int
    init(_ parts: [(Buffer, Int)]) {
        count = parts.count
        p = .allocate(capacity: parts.count)
        for (i, part) in parts.enumerated() { (p + i).initialize(to: iovec(iov_base: part.0.p, iov_len: part.1)) }
    }
    deinit { p.deallocate() }
}

/// Two ends of a loopback TCP connection, made without a loop.
func tcpPair() throws -> (Int32, Int32) {
    let listener = try Sockets.listenTCP(Endpoint(ipv4: 0x7F00_0001, port: 0))
    defer { close(listener) }
    let here = try Sockets.streamSocket(for: try Sockets.localEndpoint(listener))
    let address = SocketAddress(try Sockets.localEndpoint(listener))
    _ = address.withSockaddr { connect(here, $0, $1) }
    var ask = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
    #expect(poll(&ask, 1, 5000) == 1)
    let there = accept(listener, nil, nil)
    try #require(there >= 0)
    try Descriptor.setNonblocking(there)
    return (here, there)
}

func openDescriptors() -> Int {
    guard let folder = opendir("/proc/self/fd") else { return -1 }
    defer { closedir(folder) }
    var n = 0
    while readdir(folder) != nil { n += 1 }
    return n
}
