import Glibc
import LinuxIO
import Observe
import PeerWire
import Primitives
import Swarm

/// Opening and closing connections, up to the handshake.
extension PeerShell {
    // MARK: In

    func accepted(_ completion: Completion, now: Instant) {
        let row = Int(completion.token.index)
        if !completion.more, row < listeners.count { rearm(row) }
        guard completion.result >= 0 else {
            // Out of descriptors: pause, so that the loop does not spin on a full queue (RELIABILITY D15).
            if completion.result == -EMFILE || completion.result == -ENFILE { acceptPausedUntil = now + .milliseconds(500) }
            return
        }
        let fd = completion.result
        // Without TCP a caller is told at once; the socket stays the supervisor's.
        guard dialsTCP, let endpoint = Sockets.peerEndpoint(fd), let peer = acceptPeer(endpoint, now: now) else {
            _ = Glibc.close(fd)
            return
        }
        Sockets.setNoDelay(fd)
        let link = addLink(peer, fd, .greeting)
        link.isAccepted = true
        postReceive(link, now: now)
        act(now: now)
    }

    private func acceptPeer(_ endpoint: Endpoint, now: Instant) -> PeerHandle? {
        let before = swarm.filterCounts.accepts
        let peer = swarm.accepted(from: endpoint, now: now, into: &effects)
        if logsFiltered, swarm.filterCounts.accepts != before { Log.log(.info, "\(endpoint) is refused by the IP filter") }
        return peer
    }

    func rearm(_ row: Int) {
        guard !isDraining else { return }
        if acceptPausedUntil > kit.loop.now {
            pausedListeners.append(row)
            return
        }
        kit.loop.accept(listeners[row].fd, token: Token(kind: PeerToken.accept.rawValue, index: UInt32(row), generation: 0))
    }
    func resumeAccepting(now: Instant) {
        guard !pausedListeners.isEmpty, now >= acceptPausedUntil else { return }
        let rows = pausedListeners
        pausedListeners.removeAll()
        for row in rows { rearm(row) }
    }

    // MARK: Out

    /// TCP first, which costs less; uTP when that fails, or has no answer in the time that a handshake across the world takes three
    /// times: the peer may be behind a NAT that lets datagrams in only, or take uTP only.
    func dial(_ peer: PeerHandle, _ endpoint: Endpoint, now: Instant) {
        if dialsTCP { dialByTCP(peer, endpoint, now: now) } else { dialByUTP(peer, endpoint, now: now) }
    }
    func dialByTCP(_ peer: PeerHandle, _ endpoint: Endpoint, now: Instant) {
        do throws(Errno) {
            let usesProxy = proxy.isFor(peer: endpoint), first = usesProxy ? proxy.endpoint : endpoint
            let fd = try Sockets.streamSocket(for: first, bind: bindEndpoint(for: first))
            Sockets.setNoDelay(fd)
            let link = addLink(peer, fd, .dialing)
            link.proxyTarget = usesProxy ? endpoint : nil
            link.connectPosted = true
            link.dialled = endpoint
            if utpSocket(for: endpoint) != nil { patience.append((now + Self.tcpPatience, link.index, link.generation)) }
            kit.loop.connect(fd, SocketAddress(first), token: link.token(.connect))
        } catch {
            swarm.dialFailed(peer, errno: error.code, now: now, into: &effects)
        }
    }
    private static let tcpPatience = TimeSpan.seconds(4)

    /// Connects that had no answer are given up in favour of uTP.
    func losePatience(now: Instant) {
        while let first = patience.first, first.at <= now {
            patience.removeFirst()
            guard let link = links[Int(first.link)], link.generation == first.generation else { continue }
            switch link.state {
            case .dialing: if link.connectPosted { kit.loop.cancel(link.token(.connect)) }
            case .proxying:
                link.turnsToUTP = true
                close(link, errno: ETIMEDOUT, now: now)
            default: break
            }
        }
    }

    /// Connections leave from the listening address when it is a particular one.
    func bindEndpoint(for remote: Endpoint) -> Endpoint? {
        for listener in listeners where !listener.endpoint.isUnspecified && listener.endpoint.isIPv4 == remote.isIPv4 {
            return Endpoint(high: listener.endpoint.high, low: listener.endpoint.low, port: 0)
        }
        return nil
    }

    func connectCompleted(_ link: Link, _ result: Int32, now: Instant) {
        link.connectPosted = false
        guard link.state != .closing else { return finishClosing(link, now: now) }
        // A proxy that does not answer relays nothing either.
        let isPeers = link.proxyTarget == nil || result == -ECANCELED
        if result < 0, isPeers, let endpoint = link.dialled, utpSocket(for: endpoint) != nil {
            _ = Glibc.close(link.fd)
            dropLink(link)
            dialByUTP(link.peer, endpoint, now: now)
        } else if result < 0 {
            if link.proxyTarget != nil { proxyFailed(link, "\(Errno(-result))", now: now) }
            close(link, errno: -result, now: now)
        } else if let target = link.proxyTarget {
            askProxy(link, for: target)
            postReceive(link, now: now)
        } else {
            reached(link, now: now)
            postReceive(link, now: now)
        }
        act(now: now)
    }

    /// The stream is the other side's: what was decided about it goes out.
    func reached(_ link: Link, now: Instant) {
        link.state = .greeting
        swarm.connected(link.peer, now: now, into: &effects)
        act(now: now)
        if link.state == .greeting, swarm.dialsEncrypted(link.peer) { beginEncryption(link) }
    }

    // MARK: Handshake

    /// Takes the handshake from the inbox. False: more bytes are needed, or the connection is over.
    func greet(_ link: Link, now: Instant) -> Bool {
        let bytes = link.inbox.readable
        let isPlain = Handshake.isPlausible(prefix: bytes)
        if link.isAccepted, link.encryption == .none, bytes.count > 0 {
            // The first twenty bytes tell a plain handshake from an encrypted one, whose first are a random number's.
            if !isPlain, encryption.takesEncrypted { return expectEncryption(link) }
            if isPlain, !encryption.takesPlain {
                // Fewer may still be the start of a random number.
                guard bytes.count >= Handshake.prefixByteCount else { return false }
                swarm.encryptionRefused(link.peer, now: now, into: &effects)
                link.inbox.consume(link.inbox.count)
                return false
            }
        }
        guard isPlain else {
            swarm.streamFailed(link.peer, now: now, into: &effects)
            link.inbox.consume(link.inbox.count)
            return false
        }
        guard bytes.count >= Handshake.byteCount, let handshake = try? Handshake(decoding: bytes) else { return false }
        link.inbox.consume(Handshake.byteCount)
        link.state = .open
        swarm.handshakeReceived(link.peer, handshake, now: now, into: &effects)
        act(now: now)
        link.parser = MessageParser(pieceCount: swarm.pieceCount(of: link.peer))
        return link.state == .open
    }

    // MARK: Links

    func addLink(_ peer: PeerHandle, _ fd: Int32, _ state: Link.State) -> Link {
        let row: Int
        if let free = freeLinks.popLast() {
            row = free
        } else {
            row = links.count
            links.append(nil)
            linkGenerations.append(0)
        }
        linkGenerations[row] = (linkGenerations[row] + 1) & 0xFF_FFFF
        let link = Link(index: UInt32(row), generation: linkGenerations[row], peer: peer, fd: fd, state: state)
        links[row] = link
        while linkOfPeer.count <= Int(peer.index) { linkOfPeer.append(-1) }
        linkOfPeer[Int(peer.index)] = Int32(row)
        return link
    }

    func link(of peer: PeerHandle) -> Link? {
        guard Int(peer.index) < linkOfPeer.count, linkOfPeer[Int(peer.index)] >= 0,
            let link = links[Int(linkOfPeer[Int(peer.index)])], link.peer == peer, link.state != .closing
        else { return nil }
        return link
    }

    /// The link of a completion; nil when the row was given to another meanwhile.
    func link(of token: Token) -> Link? {
        guard Int(token.index) < links.count, let link = links[Int(token.index)], link.generation == token.generation else { return nil }
        return link
    }

    /// `errno` 0: because we want it, or the other side ended the stream.
    func close(_ link: Link, errno: Int32, now: Instant) {
        guard link.state != .closing else { return }
        link.neverConnected = link.state == .dialing || link.state == .proxying
        link.state = .closing
        link.closeErrno = errno
        link.serves.removeAll()
        if link.receivePosted { kit.loop.cancel(link.token(.receive)) }
        if link.sendPosted { kit.loop.cancel(link.token(.send)) }
        if link.connectPosted { kit.loop.cancel(link.token(.connect)) }
        if let stream = link.stream { closeStream(stream, now: now) } else { shutdown(link.fd, Int32(SHUT_RDWR)) }
        finishClosing(link, now: now)
    }

    /// Once nothing is in flight: releases all, and only then tells the core, which may give the slots to others.
    func finishClosing(_ link: Link, now: Instant) {
        guard link.state == .closing, link.isIdle, links[Int(link.index)] === link else { return }
        link.batch.abandon()
        releasePins(link)
        if link.stream == nil { _ = Glibc.close(link.fd) }
        dropLink(link)
        if link.turnsToUTP, let endpoint = link.dialled, utpSocket(for: endpoint) != nil, swarm.isDialling(link.peer) {
            dialByUTP(link.peer, endpoint, now: now)
        } else if link.neverConnected {
            swarm.dialFailed(link.peer, errno: link.closeErrno, isOurs: link.failedOnOurSide, now: now, into: &effects)
        } else {
            swarm.closed(link.peer, errno: link.closeErrno, now: now, into: &effects)
        }
        act(now: now)
    }

    func dropLink(_ link: Link) {
        links[Int(link.index)] = nil
        freeLinks.append(Int(link.index))
        if linkOfPeer[Int(link.peer.index)] == Int32(link.index) { linkOfPeer[Int(link.peer.index)] = -1 }
    }
}
