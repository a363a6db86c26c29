import ByteCodec
import LinuxIO
import Observe
import Primitives
import ProxyWire
import Swarm

/// Dials that go through the proxy: connect to it, ask it for the peer, and only then greet. Nothing of this file ever falls
/// back to a direct dial: what the proxy does not reach by TCP is dialled through its relay (Relaying.swift), if there is one. The
/// swarm's connection time-out covers all of it.
extension PeerShell {
    func askProxy(_ link: Link, for target: Endpoint) {
        link.proxyHandshake = ProxyHandshake(proxy.kind, to: target, credentials: proxy.credentials, into: &link.outbox)
        link.state = .proxying
        markDirty(link)
    }

    /// Takes the proxy's answers from the inbox. False: more bytes are needed, or the connection is over.
    func hearProxy(_ link: Link, now: Instant) -> Bool {
        let (consumed, step) = link.proxyHandshake!.receive(link.inbox.readable, into: &link.outbox)
        link.inbox.consume(consumed)
        if link.outbox.count > 0 { markDirty(link) }
        switch step {
        case .needMore(let needed):
            link.inbox.reserve(needed)
            return false
        case .failed(let failure):
            if failure.isOfProxy { proxyFailed(link, failure.description, now: now) }
            link.turnsToUTP = !failure.isOfProxy
            close(link, errno: Errno.connectionRefused.code, now: now)
            return false
        case .done:
            link.proxyHandshake = nil
            reached(link, now: now)
            return link.state != .closing
        }
    }

    /// Not the peer's fault; said once a minute.
    func proxyFailed(_ link: Link, _ why: String, now: Instant) {
        link.failedOnOurSide = true
        guard now - proxyFaultToldAt >= .minutes(1) else { return }
        proxyFaultToldAt = now
        Log.log(.warning, "proxy \(proxy.endpoint): \(why); no peer is dialled past it")
    }
}
