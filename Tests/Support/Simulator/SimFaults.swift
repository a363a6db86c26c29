import Primitives
import Supervision

/// When a scenario's faults come. All moments are drawn before the first event, from the world's own stream.
extension SimWorld {
    func scheduleFaults() {
        for _ in 0..<scenario.deaths {
            let n = random.below(scenario.nodes), role = scenario.mortals[random.below(scenario.mortals.count)]
            at(someTime()) { world in
                guard world.nodes[n].live[WorkerName(role)] != nil else { return }
                switch role {
                case .session: world.mark(.sessionDeath)
                case .peer: world.mark(.peerDeath)
                case .disk: world.mark(.diskDeath)
                case .discovery: world.mark(.discoveryDeath)
                case .supervisor, .api: break
                }
                world.kill(n, WorkerName(role))
            }
        }
        for i in 0..<scenario.wholeNodeDeaths + scenario.powerCuts {
            let n = random.below(scenario.nodes), cut = i >= scenario.wholeNodeDeaths
            at(someTime()) { world in
                guard !world.gone.contains(n) else { return }
                world.mark(cut ? .powerCut : .nodeDeath)
                world.killNode(n, powerCut: cut)
            }
        }
        for _ in 0..<scenario.stops {
            let n = random.below(scenario.nodes), name = WorkerName(scenario.mortals[random.below(scenario.mortals.count)])
            let (least, most) = scenario.stopTime, time = least + random.jitter(most - least)
            at(someTime()) { $0.stop(n, name, for: time) }
        }
        for _ in 0..<scenario.fullSpells {
            let n = 1 + random.below(scenario.nodes - 1), time = TimeSpan.seconds(1) + random.jitter(.seconds(20))
            at(someTime()) { world in
                world.nodes[n].fullUntil = world.clock.now + time
                world.after(time + SimWorld.spaceNoticed) { $0.checkSpace(n) }
            }
        }
        if scenario.seedLeaves { awaitSecondCopy() }
    }

    /// Within ``SimScenario/chaosTime``, after the first tenth of a second.
    func someTime() -> Instant { Instant(nanoseconds: 1_100_000_000) + random.jitter(scenario.chaosTime) }

    /// SIGSTOP, and SIGCONT later: nothing is handled meanwhile, everything after.
    private func stop(_ n: Int, _ name: WorkerName, for time: TimeSpan) {
        let node = nodes[n]
        guard let generation = node.live[name], node.stopped[name] == nil else { return }
        node.stopped[name] = []
        tell(n, "\(name) stops for \(time.milliseconds) ms")
        let run = node.run
        after(time) { world in
            guard node.run == run, node.live[name] == generation, let missed = node.stopped.removeValue(forKey: name) else { return }
            world.tell(n, "\(name) goes on")
            world.mark(.silenceSurvived)
            world.checkNotForgotten(n, name)
            // Its timer is overdue: the first thing that it does.
            node.heard[name] = world.clock.now
            world.supervise(n, .heartbeat(name, generation, progress: node.progress))
            for action in missed where node.live[name] == generation { action(world) }
        }
    }

    private func awaitSecondCopy() {
        after(.milliseconds(100)) { world in
            let others = world.honest.contains { $0 > 0 && world.nodes[$0].volume.file.synced == world.content && world.isComplete($0) }
            guard others else { return world.awaitSecondCopy() }
            world.mark(.seedLeft)
            world.tell(0, "leaves for good")
            world.killNode(0, powerCut: false, forGood: true)
        }
    }
}
