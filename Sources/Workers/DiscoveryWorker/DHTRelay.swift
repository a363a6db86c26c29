import DHT
import KRPC
import LinuxIO
import Observe
import Primitives
import ProxyWire
import WorkerKit

/// The DHT's way through a SOCKS5 proxy: one association (UDP ASSOCIATE), asked for at the start and again whenever it is
/// lost. While there is none, nothing is sent at all.
///
/// Hosts that are known by name have a stand-in address here, since the proxy looks the name up. Their answer comes from an
/// address that nobody asked: it is known by the transaction of our query.
final class DHTRelay {
    private static let hostLimit = 64
    /// Open queries to named hosts.
    private static let queryLimit = 64

    private let relay: UDPRelay
    private let proxy: ProxyRules
    private let log: Log
    private var hosts: [(name: String, port: UInt16)] = []
    private var queries: [(transaction: [UInt8], to: Endpoint)] = []
    private var reader = KRPCReader()
    /// Why there is no association.
    private(set) var fault: String

    init(loop: Loop, kind: UInt8, proxy: ProxyRules, log: Log) {
        (self.proxy, self.log) = (proxy, log)
        relay = UDPRelay(loop: loop, kind: kind, proxy: proxy)
        fault = "proxy \(proxy.endpoint): it is being asked for a relay (proxy.proxy_for_peers)"
        log.info("the DHT goes through the proxy \(proxy.endpoint)")
    }

    var isOpen: Bool { relay.isOpen }
    var nextDeadline: Instant { relay.nextKeep }
    /// A proxy that is spoken to over IPv6 is taken to reach IPv6.
    var families: [AddressFamily] { proxy.endpoint.isIPv4 ? [.ipv4] : [.ipv4, .ipv6] }

    func turn(now: Instant) {
        if let why = relay.keep(now: now) { lost(why) }
    }

    func completed(_ completion: Completion, now: Instant, _ body: (UnsafeRawBufferPointer, Endpoint) -> Void) {
        let wasOpen = relay.isOpen
        let gone = relay.completed(completion, now: now) { packet, source in
            guard let source = standIn(for: packet) ?? source else { return }
            body(packet, source)
        }
        if let gone { return lost(gone) }
        guard !wasOpen, relay.isOpen else { return }
        fault = ""
        log.info("the proxy \(proxy.endpoint) relays the DHT's datagrams")
    }

    private func lost(_ why: String) {
        let text = "\(why); the DHT waits for it (proxy.proxy_for_peers)"
        if fault != text { log.warning(text) }
        fault = text
    }

    // MARK: sending

    /// What finds no association is lost, as any datagram may be.
    func send(_ bytes: [UInt8], to endpoint: Endpoint) {
        guard relay.isOpen else { return }
        var name = endpoint.address, port = endpoint.port
        if let at = Self.place(endpoint) {
            guard at < hosts.count else { return }
            (name, port) = hosts[at]
            if case .query(let transaction, _, _, _)? = bytes.withUnsafeBytes({ reader.read($0) }) {
                if queries.count == Self.queryLimit { queries.removeFirst() }
                queries.append((transaction, endpoint))
            }
        }
        guard let packet = ProxyDatagram.wrap(bytes, to: name, port: port) else { return }
        // An open relay takes it or loses it.
        _ = relay.send(packet, now: .zero)
    }

    // MARK: hosts by name

    /// Where a host is asked; nil when there are too many.
    func contact(_ name: String, _ port: UInt16) -> Endpoint? {
        if let literal = Endpoint(address: name, port: port) { return literal }
        let at = hosts.firstIndex { $0 == (name, port) } ?? hosts.count
        if at == hosts.count {
            guard hosts.count < Self.hostLimit else { return nil }
            hosts.append((name, port))
        }
        // A network for each, since a lookup asks one node of a /24.
        return Endpoint(ipv4: 0xC612_0001 + UInt32(at) << 8, port: port)
    }
    /// Which host an address stands for; nil: it is a real one (nothing else lives in 198.18.0.0/15, RFC 2544).
    private static func place(_ endpoint: Endpoint) -> Int? {
        endpoint.isIPv4 && endpoint.ipv4 >> 17 == 0xC612_0000 >> 17 ? Int((endpoint.ipv4 - 0xC612_0000) >> 8) : nil
    }

    private func standIn(for packet: UnsafeRawBufferPointer) -> Endpoint? {
        guard !queries.isEmpty else { return nil }
        let transaction: [UInt8]
        switch reader.read(packet) {
        case .answer(let t, _, _, _)?, .error(let t, _)?: transaction = t
        default: return nil
        }
        return queries.first { $0.transaction == transaction }?.to
    }
}
