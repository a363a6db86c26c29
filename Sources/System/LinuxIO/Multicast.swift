import CLinux
import Glibc
import Primitives

/// Multicast over IPv4 and IPv6, interface by interface.
extension Sockets {
    /// A datagram socket on a port that other programs of this machine have as well.
    package static func multicastSocket(bind endpoint: Endpoint, hops: Int32) throws(Errno) -> Int32 {
        let fd = try make(endpoint.isIPv4 ? AF_INET : AF_INET6, SOCK_DGRAM)
        return try closing(fd) { () throws(Errno) in
            try set(fd, SOL_SOCKET, SO_REUSEADDR, 1)
            if endpoint.isIPv4 {
                try set(fd, Int32(IPPROTO_IP), IP_MULTICAST_TTL, hops)
                try set(fd, Int32(IPPROTO_IP), IP_MULTICAST_ALL, 0)
            } else {
                try set(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1)
                try set(fd, Int32(IPPROTO_IPV6), IPV6_MULTICAST_HOPS, hops)
            }
            try bind(fd, SocketAddress(endpoint))
        }
    }

    package static func joinGroup(_ fd: Int32, _ group: Endpoint, interface: UInt32) throws(Errno) {
        let address = SocketAddress(group)
        try checked(address.withSockaddr { cl_join_group(fd, $0, $1, interface) })
    }

    /// Datagrams to groups go out of that interface, from `address` where it is IPv4.
    package static func sendFrom(_ fd: Int32, interface: UInt32, _ address: Endpoint) throws(Errno) {
        if address.isIPv4 {
            try checked(cl_multicast_source(fd, address.ipv4.bigEndian, interface))
        } else {
            try set(fd, Int32(IPPROTO_IPV6), IPV6_MULTICAST_IF, Int32(bitPattern: interface))
        }
    }
}

package enum NetworkInterfaces {
    /// An address of each family on every interface that is up and takes multicast; loopback left out.
    package static func multicast() -> [(index: UInt32, address: Endpoint)] {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var out: [(index: UInt32, address: Endpoint)] = [], item = list
        let wanted = UInt32(IFF_UP | IFF_MULTICAST), loopback = UInt32(IFF_LOOPBACK)
        while let entry = item {
            item = entry.pointee.ifa_next
            guard entry.pointee.ifa_flags & wanted == wanted, entry.pointee.ifa_flags & loopback == 0, let raw = entry.pointee.ifa_addr else { continue }
            let family = Int32(raw.pointee.sa_family)
            let length = family == AF_INET ? MemoryLayout<sockaddr_in>.size : family == AF_INET6 ? MemoryLayout<sockaddr_in6>.size : 0
            guard length > 0 else { continue }
            var address = SocketAddress()
            address.length = socklen_t(length)
            withUnsafeMutableBytes(of: &address.storage) { $0.copyMemory(from: UnsafeRawBufferPointer(start: raw, count: length)) }
            guard let endpoint = address.endpoint else { continue }
            out.append((if_nametoindex(entry.pointee.ifa_name), Endpoint(high: endpoint.high, low: endpoint.low, port: 0)))
        }
        return out
    }
}
