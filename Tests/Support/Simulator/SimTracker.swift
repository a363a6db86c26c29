import Catalog
import Discovery
import Primitives
import TrackerWire

/// One tracker for all: it knows who is there, and is sometimes not heard of for 30 s.
extension SimWorld {
    func carryOut(_ n: Int, _ effect: AnnounceCore.Effect) {
        tell(n, "discovery -> \(effect)")
        switch effect {
        case .announce(let id, _, let request):
            let process = nodes[n].process(.discovery), lost = hits(scenario.trackerLoss, .trackerLoss)
            after(lost ? .seconds(30) : transit() + transit()) { world in
                guard world.nodes[n].process(.discovery) == process else { return }
                var outcome = AnnounceOutcome.failed("timed out", hostFault: true, retryAfter: nil)
                if lost {
                    world.trackerMissed(n, request.event)
                } else {
                    world.trackerSaw(n, request.event)
                    if request.event == .stopped { world.announced.remove(n) } else { world.announced.insert(n) }
                    let others = world.announced.sorted().filter { $0 != n }.map { world.nodes[$0].endpoint }
                    outcome = .answered(AnnounceAnswer(interval: 60, minInterval: 60, peers: others), from: nil)
                }
                world.toDiscovery(n) { .ended(id, outcome) }
            }
        case .peers(let id, let endpoints):
            let isVersion2 = foundUnderVersion2(n)
            toSession(n) { _ in .peersFound(id, .tracker, endpoints, isVersion2: isVersion2) }
        case .report(let r):
            var report = Catalog::TrackerReport(
                tier: r.tier, url: r.url, state: r.state.rawValue, startedSent: r.startedSent, seeds: r.seeds, leechers: r.leechers,
                downloads: r.downloads, nextAnnounce: UInt64(max(0, r.next.nanoseconds / 1_000_000_000)), message: r.message)
            report.completedPending = r.completedPending
            toSession(n) { [report] _ in .tracker(r.torrent, report) }
        case .breaker, .drained: break
        }
    }
}
