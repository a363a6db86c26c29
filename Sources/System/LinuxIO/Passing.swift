import CLinux
import Glibc

/// One packet of a Unix socket with up to 16 descriptors (SCM_RIGHTS), in memory that does not move: for
/// ``Loop/receiveMessage(_:_:token:)`` and ``Loop/sendMessage(_:_:token:)``, or at once with the calls of ``Passing``.
/// Reusable; not for two operations at a time.
package final class Packet {
    package static let descriptorLimit = Int(CL_PASS_LIMIT)

    package let bytes: UnsafeMutableRawBufferPointer
    /// Hand this to the loop.
    package let header: UnsafeMutablePointer<msghdr>
    private let vector: UnsafeMutablePointer<iovec>
    private let control: UnsafeMutableRawPointer

    package init(capacity: Int) {
        precondition(capacity > 0)
        bytes = .allocate(byteCount: capacity, alignment: 16)
        header = .allocate(capacity: 1)
        header.initialize(to: msghdr())
        vector = .allocate(capacity: 1)
        vector.initialize(to: iovec())
        control = .allocate(byteCount: Int(CL_PASS_CONTROL), alignment: 16)
    }

    deinit {
        bytes.deallocate()
        header.deallocate()
        vector.deallocate()
        control.deallocate()
    }

    /// Room for a whole packet and a full set of descriptors.
    package func prepareReceive() {
        vector.pointee = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
        header.pointee = msghdr()
        header.pointee.msg_iov = vector
        header.pointee.msg_iovlen = 1
        header.pointee.msg_control = control
        header.pointee.msg_controllen = Int(CL_PASS_CONTROL)
    }

    /// The first `count` of ``bytes`` with `descriptors`, which stay the caller's and must be open until the completion.
    package func prepareSend(count: Int, descriptors: [Int32] = []) {
        precondition(count > 0 && count <= bytes.count && descriptors.count <= Packet.descriptorLimit)
        vector.pointee = iovec(iov_base: bytes.baseAddress, iov_len: count)
        header.pointee = msghdr()
        header.pointee.msg_iov = vector
        header.pointee.msg_iovlen = 1
        cl_pass_prepare(header, control, descriptors, UInt32(descriptors.count))
    }

    /// After a receive: the packet was longer than the buffer, or carried more descriptors than fit.
    package var isTruncated: Bool { header.pointee.msg_flags & Int32(MSG_TRUNC | MSG_CTRUNC) != 0 }

    /// After a receive: the descriptors, now the caller's to close. Call exactly once for each packet, or they leak.
    package func takeDescriptors() -> [Int32] {
        guard header.pointee.msg_controllen > 0 else { return [] }
        return [Int32](unsafeUninitializedCapacity: Packet.descriptorLimit) { buffer, count in
            count = Int(cl_pass_take(header, buffer.baseAddress, UInt32(Packet.descriptorLimit)))
        }
    }
}

/// Sending and receiving one packet at once, without a loop.
package enum Passing {
    /// One packet; EAGAIN when the other end's buffer is full, EPIPE when it is gone, EMSGSIZE when it is too long.
    package static func send(_ fd: Int32, _ bytes: UnsafeRawBufferPointer, descriptors: [Int32] = []) throws(Errno) {
        precondition(!bytes.isEmpty && descriptors.count <= Packet.descriptorLimit)
        var vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
        let error: Errno? = withUnsafeTemporaryAllocation(byteCount: Int(CL_PASS_CONTROL), alignment: 16) { control in
            withUnsafeMutablePointer(to: &vector) { vector in
                var header = msghdr()
                header.msg_iov = vector
                header.msg_iovlen = 1
                cl_pass_prepare(&header, control.baseAddress, descriptors, UInt32(descriptors.count))
                while sendmsg(fd, &header, Int32(MSG_NOSIGNAL)) < 0 { if errno != EINTR { return .current } }
                return nil
            }
        }
        if let error { throw error }
    }

    /// One packet into `packet`; returns its length, 0 at the end of the stream, nil when none waits (EAGAIN). A packet
    /// longer than the buffer is EMSGSIZE and its descriptors are closed.
    package static func receive(_ fd: Int32, _ packet: Packet) throws(Errno) -> Int? {
        packet.prepareReceive()
        var n = -1
        repeat { n = recvmsg(fd, packet.header, Int32(MSG_CMSG_CLOEXEC | MSG_DONTWAIT)) } while n < 0 && errno == EINTR
        if n < 0 {
            if errno == EAGAIN { return nil }
            throw .current
        }
        if packet.isTruncated {
            for descriptor in packet.takeDescriptors() { Descriptor.close(descriptor) }
            throw .messageTooLong
        }
        return n
    }
}
