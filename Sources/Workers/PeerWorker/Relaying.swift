import Glibc
import LinuxIO
import Observe
import Primitives
import ProxyWire
import Relaying
import WorkerKit

/// uTP where peers are reached through a SOCKS5 proxy: a socket of its own, connected to the relay that the proxy opens for us
/// (UDP ASSOCIATE), beside the one on which callers and peers of the bypass list are answered.
///
/// The relay is asked for at the start and again whenever it is lost. Its end is that of every connection through it, since the next
/// one has another address in the peers' eyes. While there is none, no datagram is sent for peers behind the proxy, and their dials
/// go through it by TCP.
extension PeerShell {
    /// Once the listening address is known, from which the proxy is called.
    func startRelay() {
        guard proxy.coversPeers, kit.settings.bool("network.enable_utp") else { return }
        guard proxy.kind == .socks5 else {
            // Once, not for each shard.
            if kit.name.index == 0 { Log.log(.warning, "uTP is not dialled: datagrams do not go through an http proxy, and nothing goes past it (proxy.proxy_for_peers)") }
            return
        }
        relay = RelayControl(loop: kit.loop, kind: PeerToken.relay.rawValue, proxy: proxy, source: bindEndpoint(for: proxy.endpoint))
    }

    /// Part of each turn.
    func keepRelay(now: Instant) {
        if let relay, !isDraining { take(relay.keep(now: now), now: now) }
    }

    func relayCompleted(_ completion: Completion, now: Instant) {
        if let relay, !isDraining { take(relay.completed(completion, now: now), now: now) }
    }

    private func take(_ outcome: RelayControl.Outcome, now: Instant) {
        switch outcome {
        case .none: break
        case .opened(let fd, let address):
            let any = address.isIPv4 ? Endpoint(ipv4: 0, port: 0) : Endpoint(high: 0, low: 0, port: 0)
            guard addUTPSocket(fd, any, relay: address, utpConfiguration) else { return Descriptor.close(fd) }
            relayFault = ""
            Log.log(.info, "the proxy \(proxy.endpoint) relays the datagrams of uTP")
        case .lost(let why):
            let text = "\(why); uTP waits for it (proxy.proxy_for_peers)"
            if relayFault != text { Log.log(.warning, text) }
            relayFault = text
            loseRelayed(now: now)
        }
    }

    private func loseRelayed(now: Instant) {
        guard let row = utpSockets.firstIndex(where: { $0.relay != nil }) else { return }
        let socket = utpSockets.remove(at: row)
        kit.loop.cancel(socket.token(.datagrams))
        if socket.isFull { kit.loop.cancel(socket.token(.datagramRoom)) }
        for case let link? in links where link.stream?.core === socket.core {
            guard link.state == .dialing, !dialsTCP, let endpoint = link.stream?.endpoint else {
                link.failedOnOurSide = link.state == .dialing
                close(link, errno: ECONNRESET, now: now)
                continue
            }
            // TCP's turn has not been yet.
            closeStream(link.stream!, now: now)
            dropLink(link)
            dialByTCP(link.peer, endpoint, now: now)
        }
        act(now: now)
        Descriptor.close(socket.io.fd)
    }
}
