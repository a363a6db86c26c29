import Primitives

/// What time does: rates, time-outs, keep-alives, choker rounds, dials.
extension Swarm {
    /// To be called about each 100 ms while anything goes on; see ``nextDeadline``.
    package func tick(now: Instant, into effects: inout EffectBuffer) {
        if now >= nextSlice {
            shareRates(now: now, into: &effects)
            // Slices may come oftener than ticks, which count time in tenths of a second.
            if hasTicked, now < lastTick + .milliseconds(100) { return }
        }
        let elapsed = hasTicked ? max((now - lastTick).seconds, 0.001) : 0.1
        hasTicked = true
        lastTick = now
        let isNewSecond = now - lastSecond >= .seconds(1)
        if isNewSecond {
            if now.nanoseconds / 60_000_000_000 != lastSecond.nanoseconds / 60_000_000_000 { forgetOldDials(now) }
            lastSecond = now
            tickRendezvous(now, &effects)
        }
        // A second's worth may be saved up.
        let perSecond = Double(configuration.maxDialsPerSecond)
        dialBudget = min(perSecond, dialBudget + perSecond * elapsed)

        for i in 0..<peerRows where peers[i].stage != .free && peers[i].stage != .closing {
            if peers[i].stage == .open {
                updateRate(i, elapsed)
                checkRequests(i, now, &effects)
            }
            if isNewSecond { checkSilence(i, now, &effects) }
        }
        forEachActive { t in
            updateRate(torrent: t, elapsed)
            guard isNewSecond else { return }
            if !torrents[t].peers.isEmpty, now >= torrents[t].nextUnchoke {
                torrents[t].nextUnchoke = now + configuration.unchokeInterval
                chokerRound(t, now, &effects)
            }
            retryParked(t, now, &effects)
            if torrents[t].metadata != nil || torrents[t].geometry == nil { fetchMetadata(t, now, &effects) }
            if torrents[t].layers != nil { fetchLayers(t, now, &effects) }
            askForPeers(t, now, &effects)
            exchangePeers(t, now, &effects)
            abandonUnwanted(t, &effects)
            superSeedRound(t, now, &effects)
            endStream(t, now)
        }
        if isNewSecond { checkSuspects(now, &effects) }
        if isNewSecond { askForLonely(now, &effects) }
        if hasNewBans { dropBanned(now, &effects) }
        feedStarved(now, &effects)
        dialSome(now, &effects)
    }

    /// When ``tick(now:into:)`` is due next.
    package var nextDeadline: Instant {
        if !hasTicked { return .zero }
        if livePeers > 0 || !dialQueue.isEmpty || !activeRows.isEmpty { return min(lastTick + .milliseconds(100), nextSlice) }
        if !newlyLonely.isEmpty { return lastTick + .seconds(1) }
        if let next = lonely.first { return max(lastTick + .seconds(1), next.due) }
        // What dials are limited by is forgotten in time.
        return recentDials.isEmpty && rendezvous.recent.isEmpty && proven.isEmpty ? .never : lastTick + .minutes(1)
    }

    /// Rates are smoothed over about a second; what shows nothing costs nothing.
    private func updateRate(_ i: Int, _ elapsed: Double) {
        let alpha = min(1, elapsed / 0.4)
        if peers[i].downTick > 0 || peers[i].downRate > 0 {
            let sample = Double(peers[i].downTick) / elapsed
            peers[i].downRate += alpha * (sample - peers[i].downRate)
            if peers[i].downRate < 1 { peers[i].downRate = 0 }
            peers[i].downTick = 0
            adjustDepth(i)
        }
        if peers[i].upTick > 0 || peers[i].upRate > 0 {
            peers[i].upRate += alpha * (Double(peers[i].upTick) / elapsed - peers[i].upRate)
            if peers[i].upRate < 1 { peers[i].upRate = 0 }
            peers[i].upTick = 0
        }
    }

    /// Depth = what arrives in one request-to-block delay (at least a second), half as much again so that a faster
    /// peer shows itself. A second, as some answer in bursts: Transmission fills its send buffer each 500 ms, so its
    /// shortest delay is next to nothing, and a depth made from that keeps its rate down, which keeps the depth down.
    /// Slow start ends when five ticks brought no tenth more.
    private func adjustDepth(_ i: Int) {
        if peers[i].slowStart {
            if peers[i].downRate > peers[i].slowStartRate * 1.1 {
                peers[i].slowStartRate = peers[i].downRate
                peers[i].slowStartTicks = 0
            } else {
                peers[i].slowStartTicks += 1
                if peers[i].slowStartTicks >= 5 { peers[i].slowStart = false }
            }
            return
        }
        let delay = max(TimeSpan.seconds(1), windowedShortestDelay(i)).seconds
        let wanted = Int(peers[i].downRate * delay * 1.5 / Double(PieceGeometry.blockLength)) + 2
        let floor = peers[i].isSnubbed ? 1 : peers[i].isWebSeed ? Self.webSeedRequests : configuration.pipelineMinDepth
        peers[i].depth = min(max(wanted, floor), depthLimit(i))
    }

    private func windowedShortestDelay(_ i: Int) -> TimeSpan {
        let (a, b) = (peers[i].shortestDelay, peers[i].shortestDelayBefore)
        return b == .zero ? a : min(a, b)
    }

    private func updateRate(torrent t: Int, _ elapsed: Double) {
        let alpha = min(1, elapsed / 1.0)
        if torrents[t].downTick > 0 || torrents[t].downRate > 0 {
            torrents[t].downRate += alpha * (Double(torrents[t].downTick) / elapsed - torrents[t].downRate)
            if torrents[t].downRate < 16 { torrents[t].downRate = 0 }
            torrents[t].downTick = 0
            noteChange(t)
        }
        if torrents[t].upTick > 0 || torrents[t].upRate > 0 {
            torrents[t].upRate += alpha * (Double(torrents[t].upTick) / elapsed - torrents[t].upRate)
            if torrents[t].upRate < 16 { torrents[t].upRate = 0 }
            torrents[t].upTick = 0
            noteChange(t)
        }
    }

    /// Four times its usual delay, 2 ... 60 s; 10 s for a peer that never answered. Doubled with each time-out in a row.
    private func requestTimeout(_ i: Int) -> TimeSpan {
        let usual = peers[i].averageDelay == .zero ? .seconds(10) : peers[i].averageDelay * 4
        let backedOff = usual * (1 << min(peers[i].timeouts, 4))
        return min(max(backedOff, configuration.requestTimeoutMinimum), configuration.requestTimeoutMaximum)
    }

    private func checkRequests(_ i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        guard peers[i].requests.count > 0 else {
            fill(i, now, &effects)
            return
        }
        if peers[i].cancelled > (peers[i].inBlock && peers[i].requests[0].isCancelled ? 1 : 0), now - max(peers[i].cancelledAt, peers[i].lastBlockAt) > Self.cancelPatience {
            if peers[i].pinnedCount > 0 { return disarm(i, for: .cancelled, &effects) }
            forgetCancelled(i, &effects)
            return fill(i, now, &effects)
        }
        if peers[i].inBlock {
            if peers[i].inBlockSince == .never { peers[i].inBlockSince = now }
            // A block half received holds its slot; a trickle may not hold it for ever.
            if now - peers[i].inBlockSince > configuration.requestTimeoutMaximum {
                return close(i, .stalled, now, &effects)
            }
        }
        let since = max(peers[i].requests[0].askedAt, peers[i].lastBlockAt, peers[i].waitingSince)
        if now - since > requestTimeout(i) {
            if peers[i].inBlock, now - peers[i].lastReceived > .seconds(10) { return close(i, .stalled, now, &effects) }
            peers[i].timeouts += 1
            peers[i].slowStart = false
            peers[i].depth = max(1, peers[i].depth / 2)
            peers[i].waitingSince = now
            // Others get their turn before it is tried again.
            peers[i].pausedUntil = now + min(.seconds(5 << min(peers[i].timeouts - 1, 4)), .seconds(60))
            if now - peers[i].lastBlockAt > configuration.snubTimeout, now - peers[i].stageSince > configuration.snubTimeout {
                peers[i].isSnubbed = true
                peers[i].depth = 1
            }
            if peers[i].pinnedCount > 0 { disarm(i, for: .timeout, &effects) } else { giveUpRequests(i, now, &effects) }
        } else {
            fill(i, now, &effects)
        }
    }

    private func checkSilence(_ i: Int, _ now: Instant, _ effects: inout EffectBuffer) {
        switch peers[i].stage {
        case .dialling:
            guard now - peers[i].stageSince > configuration.connectionTimeout else { return }
            let t = Int(peers[i].torrent)
            close(i, .connectTimeout, now, &effects)
            dialEnded(i, t, now, &effects)
        case .handshaking:
            if now - peers[i].stageSince > configuration.handshakeTimeout { close(i, .handshakeTimeout, now, &effects) }
        case .open:
            // A connection to a web seed is made for each request.
            if peers[i].isWebSeed { return }
            if now - peers[i].lastReceived > configuration.peerTimeout { return close(i, .inactive, now, &effects) }
            if now - peers[i].lastSent >= configuration.keepAliveInterval { send(i, .keepAlive, now, &effects) }
        case .free, .closing: break
        }
    }
}
