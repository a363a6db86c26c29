import BlockArena
import Glibc
import LinuxIO
import MicroTransport
import Observe
import PeerWire
import Primitives
import Swarm

/// Links over uTP: the same stages, parsing and decisions as over TCP; only the bytes come from datagrams and go into packets.
///
///     datagrams ─▶ MicroTransport ─▶ deliver ─▶ slot or inbox ─▶ as Inbound.swift
///     Outbound.swift ─▶ SendBatch ─▶ hand ─▶ UTPStream ─▶ packets
extension PeerShell {
    /// Wake-ups a turn before the others get theirs: 8 × 32 messages.
    private static let readRounds = 8
    /// 64 × 64 KiB.
    private static let sendBursts = 64

    func utpSocketGiven(_ fd: Int32, _ endpoint: Endpoint) {
        guard kit.settings.bool("network.enable_utp") else { return Descriptor.close(fd) }
        var configuration = utpConfiguration
        configuration.shards = kit.settings.int("network.peer_shards")
        configuration.shard = Int(kit.name.index)
        if !addUTPSocket(fd, endpoint, relay: nil, configuration) { Descriptor.close(fd) }
    }

    var utpConfiguration: UTPConfiguration {
        var configuration = UTPConfiguration()
        configuration.maxConnections = kit.settings.int("network.max_global_peers")
        return configuration
    }

    /// False: there is no memory.
    func addUTPSocket(_ fd: Int32, _ endpoint: Endpoint, relay: Endpoint?, _ configuration: UTPConfiguration) -> Bool {
        guard let socket = UTPSocket(id: nextUTPSocket, fd: fd, endpoint: endpoint, relay: relay, configuration: configuration, seed: Entropy.seed()) else {
            Log.log(.error, "no memory for the buffers of uTP")
            return false
        }
        nextUTPSocket += 1
        utpSockets.append(socket)
        pollForDatagrams(socket)
        return true
    }

    private func pollForDatagrams(_ socket: UTPSocket) {
        kit.loop.poll(socket.io.fd, events: Int16(POLLIN), multishot: true, token: socket.token(.datagrams))
    }

    // A socket that is gone has no row.
    func datagramsReady(_ completion: Completion) {
        guard let socket = utpSockets.first(where: { $0.id == completion.token.index }) else { return }
        socket.mayRead = true
        if !completion.more, !isDraining { pollForDatagrams(socket) }
    }
    func datagramRoom(_ completion: Completion) { utpSockets.first { $0.id == completion.token.index }?.isFull = false }

    // MARK: Turn

    /// Reads what came. Part of each turn, before the links are flushed.
    func receiveDatagrams(now: Instant) {
        for socket in utpSockets where socket.mayRead && !isDraining {
            socket.mayRead = false
            for round in 1...Self.readRounds {
                let n = socket.receive { datagram, from in received(datagram, from, on: socket, now: now) }
                if n == 0 { break }
                completions += UInt64(n)
                if round == Self.readRounds { socket.mayRead = true }
            }
            act(now: now)
        }
    }

    /// Time-outs, and what there is to send. Returns when it wants the next turn.
    func sendDatagrams(now: Instant) -> Instant {
        var next = Instant.never
        for socket in utpSockets {
            if socket.core.nextDeadline <= now {
                socket.core.expire(now: now)
                takeEvents(socket, now: now)
                act(now: now)
                flushDirty(now: now)
            }
            let wasFull = socket.isFull
            // The time that the packets carry is the time at which they leave.
            if socket.send(now: Clock.monotonic(), limit: Self.sendBursts) || socket.mayRead { next = now }
            if socket.isFull, !wasFull {
                kit.loop.poll(socket.io.fd, events: Int16(POLLOUT), multishot: false, token: socket.token(.datagramRoom))
            }
            next = min(next, socket.core.nextDeadline)
        }
        return next
    }

    // MARK: In

    private func received(_ datagram: UnsafeMutableRawBufferPointer, _ from: Endpoint, on socket: UTPSocket, now: Instant) {
        let arrival = socket.core.received(datagram, from: from, now: now)
        if let handle = arrival.connection {
            switch arrival.opening {
            case .none: break
            case .incoming: accepted(handle, from, on: socket, now: now)
            case .connected: connected(handle, on: socket, now: now)
            }
            if let stream = socket.stream(handle), let link = links[Int(stream.link)], link.stream === stream {
                if arrival.payload.count > 0 { deliver(link, arrival.payload, now: now) }
                if arrival.hasMore {
                    while let more = socket.core.takeReordered(handle) { deliver(link, more, now: now) }
                }
            }
        }
        takeEvents(socket, now: now)
    }

    private func takeEvents(_ socket: UTPSocket, now: Instant) {
        var i = 0
        while i < socket.core.events.count {
            switch socket.core.events[i] {
            case .progress(let handle): if let stream = socket.stream(handle) { progressed(stream) }
            case .ended(let handle): if let link = link(handle, socket) { close(link, errno: 0, now: now) }
            case .closed(let handle, let reason):
                if let link = link(handle, socket) { utpClosed(link, reason, now: now) }
            }
            i += 1
        }
        socket.core.events.removeAll(keepingCapacity: true)
    }

    private func link(_ handle: UTPHandle, _ socket: UTPSocket) -> Link? {
        guard let stream = socket.stream(handle), let link = links[Int(stream.link)], link.stream === stream, link.state != .closing else { return nil }
        return link
    }

    private func progressed(_ stream: UTPStream) {
        guard let released = stream.core.released(stream.handle) else { return }
        stream.release(upTo: released) { buffers.unpin($0) }
        guard stream.waitsForRoom, let link = links[Int(stream.link)] else { return }
        stream.waitsForRoom = false
        markDirty(link)
    }

    /// The next bytes of the stream: into the slot of the block that they belong to, or into the inbox to be parsed.
    ///
    /// Between two packets the core may give a slot to somebody else, so nothing is armed here and each delivery asks again
    /// where the rest of the current block goes.
    private func deliver(_ link: Link, _ bytes: UnsafeMutableRawBufferPointer, now: Instant) {
        if let decipher = link.decipher { decipher.apply(bytes) }
        var rest = UnsafeRawBufferPointer(bytes)
        while !rest.isEmpty, link.state != .closing {
            if link.inbox.isEmpty, link.state == .open, planOne(link) {
                let taken = link.plan.take(rest)
                rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
                receiveByPlan(link, taken, now: now)
            } else {
                link.inbox.reserve(link.inbox.count + rest.count)
                link.inbox.free().copyMemory(from: rest)
                link.inbox.filled(rest.count)
                rest = UnsafeRawBufferPointer(rebasing: rest[rest.count...])
                parse(link, now: now)
            }
        }
    }

    // MARK: Opening and closing

    /// The socket that reaches the address; nil: none does, or uTP is off. What goes through the proxy goes through nothing else.
    func utpSocket(for endpoint: Endpoint) -> UTPSocket? {
        guard !isDraining else { return nil }
        let isRelayed = proxy.isFor(peer: endpoint)
        return utpSockets.first { ($0.relay != nil) == isRelayed && $0.reaches(endpoint) }
    }

    /// While a proxy relays no datagrams, the dial goes through it by TCP.
    func dialByUTP(_ peer: PeerHandle, _ endpoint: Endpoint, now: Instant) {
        let socket = utpSocket(for: endpoint)
        if socket == nil, proxy.isFor(peer: endpoint), !isDraining { return dialByTCP(peer, endpoint, now: now) }
        guard let socket, let handle = socket.core.connect(to: endpoint, now: now) else {
            return swarm.dialFailed(peer, errno: EADDRNOTAVAIL, now: now, into: &effects)
        }
        addStream(addLink(peer, -1, .dialing), handle, endpoint, socket)
    }

    private func addStream(_ link: Link, _ handle: UTPHandle, _ endpoint: Endpoint, _ socket: UTPSocket) {
        let stream = UTPStream(core: socket.core, handle: handle, endpoint: endpoint, link: link.index)
        link.stream = stream
        socket.add(stream)
    }

    private func connected(_ handle: UTPHandle, on socket: UTPSocket, now: Instant) {
        guard let link = link(handle, socket), link.state == .dialing else { return }
        link.state = .greeting
        swarm.connected(link.peer, overUTP: true, now: now, into: &effects)
        act(now: now)
        if link.state == .greeting, swarm.dialsEncrypted(link.peer) { beginEncryption(link) }
    }

    private func accepted(_ handle: UTPHandle, _ endpoint: Endpoint, on socket: UTPSocket, now: Instant) {
        guard !isDraining, let peer = swarm.accepted(from: endpoint, overUTP: true, now: now, into: &effects) else {
            return socket.core.close(handle, now: now)
        }
        let link = addLink(peer, -1, .greeting)
        link.isAccepted = true
        addStream(link, handle, endpoint, socket)
        act(now: now)
    }

    private func utpClosed(_ link: Link, _ reason: UTPCloseReason, now: Instant) {
        close(link, errno: reason == .reset ? ECONNRESET : ETIMEDOUT, now: now)
    }

    /// Part of closing a link: packets of it are no longer gathered.
    func closeStream(_ stream: UTPStream, now: Instant) {
        stream.core.close(stream.handle, now: now)
        for socket in utpSockets where socket.core === stream.core { socket.remove(stream) }
        stream.releaseAll { buffers.unpin($0) }
    }

    // MARK: Out

    /// What ``Outbound`` made ready becomes part of the stream: payload by reference, the rest by copy; encrypted, all by copy.
    func hand(_ link: Link, to stream: UTPStream, now: Instant) {
        let before = stream.end
        if link.encipher == nil {
            link.batch.moveAll { memory, count, pin in
                if let pin { stream.append(pinned: memory, count, pin) } else { stream.append(copying: memory, count) }
            }
        } else {
            while !link.batch.isEmpty {
                let (vectors, count) = link.batch.pending(with: link.encipher)
                var bytes = 0
                for i in 0..<count {
                    stream.append(copying: vectors[i].iov_base, vectors[i].iov_len)
                    bytes += vectors[i].iov_len
                }
                link.batch.sent(bytes)
            }
            releasePins(link)
        }
        stream.core.supply(stream.handle, bytes: Int(stream.end - before))
        if link.batch.payloadBytes > 0 {
            swarm.blockSent(link.peer, bytes: link.batch.payloadBytes, blocks: link.batch.blockCount, now: now, into: &effects)
        }
    }
}
