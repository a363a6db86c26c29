import IPC
import LinuxIO
import Observe
import Primitives
import Settings

/// Which workers take datagrams on the public port.
package struct DatagramUse: Sendable {
    /// The DHT is on.
    package var discovery: Bool
    /// Peer shards that speak uTP; 0: none does.
    package var shards: Int
    /// Of the DHT alone; 0: the port of the peers.
    package var discoveryPort: UInt16

    package init(discovery: Bool, shards: Int, discoveryPort: UInt16) {
        (self.discovery, self.shards, self.discoveryPort) = (discovery, shards, discoveryPort)
    }
    init(_ settings: Settings) {
        self.init(
            discovery: settings.bool("discovery.enable_dht"), shards: settings.bool("network.enable_utp") ? settings.int("network.peer_shards") : 0,
            discoveryPort: UInt16(settings.int("discovery.dht_port")))
    }
}

/// The datagram sockets of one address and port. uTP is found at the number of the TCP port, and what other clients learn
/// of our DHT node (BEP 5: the PORT message) is that number as well, so both share one port: the kernel steers by the
/// first byte, `d` of bencode to the discovery worker, the rest to the shards. Kept open here, since a socket's place in
/// the group is what the selector counts on.
struct DatagramPort {
    struct Member {
        let kind: ListenerKind
        /// The shard; 0 for discovery.
        let index: UInt16
        var fd: Int32 = -1
    }
    /// The same for the whole run.
    var id = 0
    /// Port 0: that of the TCP socket `follows`, once it is bound.
    let wanted: Endpoint
    var follows: Int?
    let dualStack: Bool
    var members: [Member]
    var bound: Endpoint
    var retryAt = Instant.zero
    var failures = 0
    /// Holds the first place of a group without the DHT.
    private var sink: Int32 = -1

    init(wanted: Endpoint, follows: Int?, dualStack: Bool, discovery: Bool, shards: Int) {
        (self.wanted, self.follows, self.dualStack) = (wanted, follows, dualStack)
        bound = wanted
        // The selector counts the shards behind the discovery worker's socket.
        members = discovery ? [Member(kind: .discoveryUDP, index: 0)] : []
        members += (0..<shards).map { Member(kind: .peerUDP, index: UInt16($0)) }
    }

    var isBound: Bool { members[0].fd >= 0 }

    func close() { for fd in members.map(\.fd) + [sink] where fd >= 0 { Descriptor.close(fd) } }

    mutating func bind(_ endpoint: Endpoint) throws(Errno) {
        let fds: [Int32]
        if members.count == 1 {
            fds = [try Sockets.udpSocket(bind: endpoint, dualStack: dualStack)]
        } else if members[0].kind == .discoveryUDP {
            fds = try Sockets.datagramGroup(bind: endpoint, first: UInt8(ascii: "d"), count: members.count, dualStack: dualStack)
        } else {
            // Several shards and no DHT: a socket that nobody reads holds the first place.
            var group = try Sockets.datagramGroup(bind: endpoint, first: UInt8(ascii: "d"), count: members.count + 1, dualStack: dualStack)
            sink = group.removeFirst()
            fds = group
        }
        for i in members.indices { members[i].fd = fds[i] }
        bound = try Sockets.localEndpoint(fds[0])
        // A burst of a turn's length at 1 Gbit/s; the kernel caps it at net.core.rmem_max. Less works as well.
        for fd in fds { try? Sockets.setBuffers(fd, receive: 1 << 20) }
    }
}
