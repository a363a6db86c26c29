import CLinux
import Primitives

/// Single datagrams with the address of ours at which they came. A socket bound to no address has all of the machine's;
/// who asked at one of them believes an answer from that one only.
package enum AddressedDatagrams {
    /// Needed once before ``receive(_:into:)`` knows the local address.
    package static func prepare(_ fd: Int32, isIPv6: Bool) { cl_datagram_tell_local(fd, isIPv6) }

    /// nil: there is none now, or an error of one sent earlier (ICMP). `local`: nil where the kernel did not say it; port 0.
    package static func receive(_ fd: Int32, into buffer: UnsafeMutableRawBufferPointer) -> (count: Int, from: Endpoint, local: Endpoint?)? {
        var from = cl_address(), local = cl_address()
        let n = cl_datagram_receive(fd, buffer.baseAddress!, buffer.count, &from, &local)
        guard n >= 0 else { return nil }
        let at = Endpoint(local)
        return (Int(n), Endpoint(from), at.isUnspecified || at.isMulticast ? nil : at)
    }

    /// `isIPv6`: the socket's family; an IPv4 address goes through an IPv6 socket in mapped form. `local`: nil for the kernel's choice.
    package static func send(_ fd: Int32, isIPv6: Bool, _ bytes: [UInt8], to endpoint: Endpoint, from local: Endpoint?) {
        var to = cl_address(endpoint)
        bytes.withUnsafeBytes { raw in
            guard let local else { return _ = cl_datagram_send(fd, isIPv6, raw.baseAddress, raw.count, &to, nil) }
            var own = cl_address(local)
            _ = cl_datagram_send(fd, isIPv6, raw.baseAddress, raw.count, &to, &own)
        }
    }
}
