import CCurl
import Discovery
import Glibc
import LinuxIO
import Primitives
import TrackerWire

/// Name lookups for UDP trackers: getaddrinfo on the loop's thread pool, answers kept by ``AddressCache``.
final class Resolver {
    /// Lookups under way at once: the pool's other users must not wait for a dead name server.
    private static let limit = 4

    private let loop: Loop
    private let kind: UInt8
    private(set) var cache = AddressCache()
    private var lookups: [UInt32: Lookup] = [:]
    private var waiting: [String] = []
    private var serial: UInt32 = 0

    init(loop: Loop, kind: UInt8) {
        self.loop = loop
        self.kind = kind
    }

    /// ``AddressCache/Answer/wait`` when a lookup is under way (it is begun where necessary): its end comes from
    /// ``completed(_:now:)``.
    func find(_ host: String, now: Instant) -> AddressCache.Answer {
        let answer = cache.find(host, now: now)
        guard answer == .lookUp else { return answer }
        waiting.append(host)
        beginNext()
        return .wait
    }

    func demote(_ host: String, _ address: Endpoint) { cache.demote(host, address) }

    /// The name that was looked up, and what those that wait for it get.
    func completed(_ completion: Completion, now: Instant) -> (host: String, answer: AddressCache.Answer)? {
        guard let lookup = lookups.removeValue(forKey: completion.token.index) else { return nil }
        beginNext()
        // Written by the pool's thread before it completed the work.
        let answer =
            completion.result == 0
            ? cache.resolved(lookup.host, lookup.addresses, now: now) : cache.failed(lookup.host, lookup.reason, now: now)
        return (lookup.host, answer)
    }

    private func beginNext() {
        while lookups.count < Self.limit, !waiting.isEmpty {
            let lookup = Lookup(waiting.removeFirst())
            serial &+= 1
            lookups[serial] = lookup
            loop.work(token: Token(kind: kind, index: serial, generation: 0)) { lookup.run() }
        }
    }
}

/// Handed to the thread pool and back: one thread at a time has it.
private final class Lookup: @unchecked Sendable {
    let host: String
    var addresses: [Endpoint] = []
    var reason = ""

    init(_ host: String) { self.host = host }

    /// 0, or -1 with ``reason``.
    func run() -> Int32 {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        // Only families that this machine has an address of.
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        guard code == 0 else {
            reason = "name lookup: \(String(cString: gai_strerror(code)))"
            return -1
        }
        defer { freeaddrinfo(list) }
        var item = list
        while let entry = item {
            var address = SocketAddress()
            if let raw = entry.pointee.ai_addr, Int(entry.pointee.ai_addrlen) <= MemoryLayout<sockaddr_storage>.size {
                address.length = entry.pointee.ai_addrlen
                withUnsafeMutableBytes(of: &address.storage) {
                    $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: Int(entry.pointee.ai_addrlen)))
                }
                if let endpoint = address.endpoint { addresses.append(endpoint) }
            }
            item = entry.pointee.ai_next
        }
        return 0
    }
}

extension Resolver {
    /// Addresses of this machine's interfaces: what a tracker may tell us about ourselves.
    static func localAddresses() -> [Endpoint] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var out: [Endpoint] = [], item = list
        while let entry = item {
            if let raw = entry.pointee.ifa_addr {
                let family = Int32(raw.pointee.sa_family)
                let length = family == AF_INET ? MemoryLayout<sockaddr_in>.size : family == AF_INET6 ? MemoryLayout<sockaddr_in6>.size : 0
                if length > 0 {
                    var address = SocketAddress()
                    address.length = socklen_t(length)
                    withUnsafeMutableBytes(of: &address.storage) { $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: length)) }
                    if let endpoint = address.endpoint { out.append(endpoint) }
                }
            }
            item = entry.pointee.ifa_next
        }
        return out
    }
}
