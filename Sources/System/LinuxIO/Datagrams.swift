import CLinux
import Glibc
import Primitives

/// Many datagrams by one system call, on a bound UDP socket. Where the kernel joins datagrams of one sender (UDP_GRO) or cuts one
/// stretch of memory into many (UDP_SEGMENT), a call moves 64 KiB.
package final class Datagrams {
    package let fd: Int32
    let isIPv6: Bool
    /// Joined datagrams are up to 64 KiB.
    private static let bufferSize: UInt32 = 65_536
    private static let batch: UInt32 = 32
    private let arrivals: OpaquePointer
    private let departures: OpaquePointer
    /// The kernel cuts. Turned off when it refuses (a device or path that cannot).
    package private(set) var canSegment = true
    package let joins: Bool
    /// An IPv6 socket that takes IPv4 as well.
    package let takesIPv4: Bool
    /// Datagrams in one segmented message, at most: UDP_MAX_SEGMENTS of all kernels that have it.
    package static let segmentLimit = 64

    /// Takes the use, not the ownership, of `fd`. `buffer`: bytes of socket buffer wanted each way. nil: no memory.
    package init?(fd: Int32, buffer: Int32) {
        var address = SocketAddress()
        guard address.withMutableSockaddr({ getsockname(fd, $0, $1) }) == 0, let arrivals = cl_arrivals_open(Self.batch, Self.bufferSize) else { return nil }
        guard let departures = cl_departures_open() else {
            cl_arrivals_close(arrivals)
            return nil
        }
        self.fd = fd
        isIPv6 = Int32(address.storage.ss_family) == AF_INET6
        (self.arrivals, self.departures) = (arrivals, departures)
        var only: Int32 = 1
        var length = socklen_t(4)
        takesIPv4 = !isIPv6 || (getsockopt(fd, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &only, &length) == 0 && only == 0)
        joins = cl_datagram_socket_prepare(fd, isIPv6, buffer) == 1
    }
    deinit {
        cl_arrivals_close(arrivals)
        cl_departures_close(departures)
    }

    // MARK: In

    /// Calls `body` for each datagram that came, in order; its memory is valid during the call and may be written. Returns the
    /// number of messages taken: 0 when there are none now.
    package func receive(_ body: (UnsafeMutableRawBufferPointer, Endpoint) -> Void) -> Int {
        let n = cl_arrivals_receive(arrivals, fd)
        // An error is of an earlier send (a host that is not there): told once, then the call works again.
        guard n > 0 else { return n == 0 || n == -EAGAIN ? 0 : 1 }
        var arrival = cl_arrival()
        for i in 0..<UInt32(n) {
            cl_arrivals_at(arrivals, i, &arrival)
            let from = Endpoint(arrival.from)
            var at = 0
            let length = Int(arrival.length), segment = max(1, Int(arrival.segment))
            repeat {
                let size = min(segment, length - at)
                body(UnsafeMutableRawBufferPointer(start: arrival.bytes + at, count: size), from)
                at += size
            } while at < length
        }
        return Int(n)
    }

    // MARK: Out

    /// Stretches of memory that still fit into the batch; 0: ``flush(_:)`` first.
    package var room: Int { Int(cl_departures_room(departures)) }
    package var count: Int { Int(cl_departures_count(departures)) }
    package func begin(to endpoint: Endpoint) {
        var address = cl_address(endpoint)
        cl_departures_begin(departures, isIPv6, &address)
    }
    package func add(_ p: UnsafeRawPointer, _ n: Int) { cl_departures_add(departures, p, n) }
    package func segment(_ size: Int) { cl_departures_segment(departures, UInt16(size)) }
    /// Whether what is flushed from now on carries the don't-fragment bit.
    package func setDontFragment(_ on: Bool) { cl_datagram_dont_fragment(fd, isIPv6, on) }

    /// What became of a message that was not sent.
    package enum Refusal { case full, tooLarge, lost }

    /// Sends the batch and empties it; `refused` is told of each message, by its place, that the socket did not take. After
    /// `.full` wait for room (POLLOUT).
    package func flush(_ refused: (Int, Refusal) -> Void) {
        let count = self.count
        var from = 0
        while from < count {
            let n = cl_departures_send(departures, fd, UInt32(from))
            if n > 0 {
                from += Int(n)
                continue
            }
            switch n {
            case -EINTR: continue
            case -EAGAIN, -ENOBUFS:
                while from < count {
                    refused(from, .full)
                    from += 1
                }
            case -EMSGSIZE: refused(from, .tooLarge)
            case -EINVAL, -EIO, -EOPNOTSUPP:
                // A segmented message on a device or path that cannot: never again, and its packets go singly.
                canSegment = false
                refused(from, .full)
            default: refused(from, .lost)
            }
            from += 1
        }
        cl_departures_clear(departures)
    }
}

extension cl_address {
    init(_ endpoint: Endpoint) {
        self.init()
        port = endpoint.port
        withUnsafeMutableBytes(of: &bytes) {
            $0.storeBytes(of: endpoint.high.bigEndian, as: UInt64.self)
            $0.storeBytes(of: endpoint.low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
    }
}
extension Endpoint {
    init(_ address: cl_address) {
        var address = address
        let port = address.port
        let (high, low) = withUnsafeBytes(of: &address.bytes) {
            (UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)), UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
        }
        self.init(high: high, low: low, port: port)
    }
}
