import Glibc
import Primitives

/// A socket address in the kernel's form.
package struct SocketAddress {
    package var storage = sockaddr_storage()
    package var length: socklen_t

    /// An empty address with room for any: what accept, recvmsg and getsockname fill.
    package init() { length = socklen_t(MemoryLayout<sockaddr_storage>.size) }

    /// AF_INET for IPv4, AF_INET6 otherwise.
    package init(_ endpoint: Endpoint) {
        self.init(ipv6: endpoint, scope: 0)
        if endpoint.isIPv4 {
            storage = sockaddr_storage()
            length = socklen_t(MemoryLayout<sockaddr_in>.size)
            withUnsafeMutableBytes(of: &storage) {
                $0.storeBytes(of: sa_family_t(AF_INET), as: sa_family_t.self)
                $0.storeBytes(of: endpoint.port.bigEndian, toByteOffset: 2, as: UInt16.self)
                $0.storeBytes(of: endpoint.ipv4.bigEndian, toByteOffset: 4, as: UInt32.self)
            }
        }
    }

    /// AF_INET6 always (an IPv4 endpoint in mapped form): what a dual-stack socket needs. `scope` is the interface index of a
    /// link-local address.
    package init(ipv6 endpoint: Endpoint, scope: UInt32) {
        length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        withUnsafeMutableBytes(of: &storage) {
            $0.storeBytes(of: sa_family_t(AF_INET6), as: sa_family_t.self)
            $0.storeBytes(of: endpoint.port.bigEndian, toByteOffset: 2, as: UInt16.self)
            $0.storeBytes(of: endpoint.high.bigEndian, toByteOffset: 8, as: UInt64.self)
            $0.storeBytes(of: endpoint.low.bigEndian, toByteOffset: 16, as: UInt64.self)
            $0.storeBytes(of: scope, toByteOffset: 24, as: UInt32.self)
        }
    }

    /// AF_UNIX; a path of at most 107 bytes, else ENAMETOOLONG. A leading "@" names an abstract address.
    package init(unix path: String) throws(Errno) {
        self.length = 0
        var bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count < 108, !bytes.contains(0) else { throw Errno(bytes.isEmpty ? EINVAL : ENAMETOOLONG) }
        let abstract = bytes[0] == UInt8(ascii: "@")
        if abstract { bytes[0] = 0 }
        withUnsafeMutableBytes(of: &storage) {
            $0.storeBytes(of: sa_family_t(AF_UNIX), as: sa_family_t.self)
            UnsafeMutableRawBufferPointer(rebasing: $0[2...]).copyBytes(from: bytes)
        }
        length = socklen_t(2 + bytes.count + (abstract ? 0 : 1))
    }

    package var family: Int32 { Int32(storage.ss_family) }

    /// The IP address and port; nil for another family or a length too short for its family.
    package var endpoint: Endpoint? {
        withUnsafeBytes(of: storage) { raw in
            let port = UInt16(bigEndian: raw.load(fromByteOffset: 2, as: UInt16.self))
            switch family {
            case AF_INET where Int(length) >= MemoryLayout<sockaddr_in>.size:
                return Endpoint(ipv4: UInt32(bigEndian: raw.load(fromByteOffset: 4, as: UInt32.self)), port: port)
            case AF_INET6 where Int(length) >= 24:
                return Endpoint(
                    high: UInt64(bigEndian: raw.load(fromByteOffset: 8, as: UInt64.self)),
                    low: UInt64(bigEndian: raw.load(fromByteOffset: 16, as: UInt64.self)), port: port)
            default:
                return nil
            }
        }
    }

    /// Calls `body` with the address as libc wants it.
    package func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        withUnsafePointer(to: storage) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) } }
    }

    package mutating func withMutableSockaddr<R>(_ body: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> R) -> R {
        withUnsafeMutablePointer(to: &storage) { address in
            withUnsafeMutablePointer(to: &length) { length in
                address.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
            }
        }
    }
}
