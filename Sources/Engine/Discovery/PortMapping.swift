import PortMappingWire
import Primitives

/// Ports of ours opened at the gateway: asks by PCP, by NAT-PMP and by UPnP until one of them gives all, renews at half of
/// the lease, and begins anew when a renewal fails.
///
///     start ─▶ .pcp ──no answer, refused──▶ .natpmp ──▶ .upnp ──▶ .none: again after `retry`
///                └─────────────── all mapped ───────────────▶ renew at half of the lifetime
package struct PortMapping: Sendable {
    package enum Method: UInt8, Sendable, Hashable, CaseIterable {
        case pcp = 1, natpmp, upnp
        package var name: String {
            switch self {
            case .pcp: "PCP"
            case .natpmp: "NAT-PMP"
            case .upnp: "UPnP"
            }
        }
    }
    package struct Row: Sendable, Equatable {
        package var transport: TransportProtocol
        package var internalPort: UInt16
        /// 0: not mapped.
        package var externalPort: UInt16 = 0
        package var expires = Instant.zero
        var nonce: [UInt8]
    }
    package typealias Wish = (transport: TransportProtocol, internalPort: UInt16, externalPort: UInt16)
    package enum Effect: Sendable {
        /// To port 5351 of the gateway.
        case send([UInt8])
        /// Ends in ``upnpEnded(_:external:error:now:)``. External ports are what is wished for.
        case upnp([Wish])
        case note(String)
    }
    /// RFC 6886 and 6887 begin with 250 ms and double; five tries are 8 s.
    private static let firstWait = TimeSpan.milliseconds(250)
    private static let tries = 5
    private static let upnpPatience = TimeSpan.seconds(30)

    package private(set) var rows: [Row] = []
    package private(set) var method: Method?
    package private(set) var external: Endpoint?
    /// Why nothing is mapped; empty when all is, or is being tried.
    package private(set) var failure = ""
    package private(set) var nextDeadline = Instant.never
    private let allowed: [Method]
    private let lease: UInt32
    private let retry: TimeSpan
    private var client: Endpoint?
    private var attempt = 0
    private var open: Set<Int> = []
    private var isWorking = false
    private var random: SeededRandom

    /// `lease` in seconds.
    package init(allowed: [Method], lease: UInt32, retry: TimeSpan, random: SeededRandom) {
        (self.allowed, self.lease, self.retry, self.random) = (allowed, lease, retry, random)
    }

    package var isMapped: Bool { !rows.isEmpty && rows.allSatisfy { $0.externalPort != 0 } }

    /// `client`: our address towards the gateway; nil when there is no gateway. Asks anew when anything changed.
    package mutating func want(_ ports: [(TransportProtocol, UInt16)], client: Endpoint?, now: Instant, into effects: inout [Effect]) {
        let same = ports.count == rows.count && zip(ports, rows).allSatisfy { $0.0 == $1.transport && $0.1 == $1.internalPort } && client == self.client
        guard !same else { return }
        self.client = client
        rows = ports.map { transport, port in
            Row(transport: transport, internalPort: port, nonce: (0..<12).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        }
        begin(now, &effects)
    }

    package mutating func tick(now: Instant, into effects: inout [Effect]) {
        guard now >= nextDeadline else { return }
        if isWorking { timedOut(now, &effects) } else { renew(now, &effects) }
    }

    private mutating func begin(_ now: Instant, _ effects: inout [Effect]) {
        (isWorking, method, nextDeadline) = (false, nil, .never)
        guard !rows.isEmpty else { return }
        next(after: nil, now, &effects)
    }

    private mutating func next(after last: Method?, _ now: Instant, _ effects: inout [Effect]) {
        let rest = last.map { last in allowed.drop { $0 != last }.dropFirst() } ?? allowed[...]
        // Without a gateway's address only UPnP, which finds one itself, is left.
        guard let method = rest.first(where: { client != nil || $0 == .upnp }) else {
            isWorking = false
            self.method = nil
            for i in rows.indices { rows[i].externalPort = 0 }
            if failure.isEmpty { failure = "no gateway answers" }
            nextDeadline = now + retry
            return
        }
        self.method = method
        ask(now, &effects)
    }

    private mutating func renew(_ now: Instant, _ effects: inout [Effect]) {
        guard method != nil else { return begin(now, &effects) }
        ask(now, &effects)
    }

    private mutating func ask(_ now: Instant, _ effects: inout [Effect]) {
        (isWorking, attempt) = (true, 0)
        open = Set(rows.indices)
        if method == .upnp {
            effects.append(.upnp(rows.map { ($0.transport, $0.internalPort, $0.externalPort == 0 ? $0.internalPort : $0.externalPort) }))
            nextDeadline = now + Self.upnpPatience
        } else {
            send(now, &effects)
        }
    }

    private mutating func send(_ now: Instant, _ effects: inout [Effect]) {
        nextDeadline = now + Self.firstWait * (1 << attempt)
        attempt += 1
        if method == .natpmp { effects.append(.send(NATPMP.addressRequest)) }
        for i in open.sorted() {
            let row = rows[i], wished = row.externalPort == 0 ? row.internalPort : row.externalPort
            if method == .pcp {
                effects.append(
                    .send(
                        PCP.mapRequest(
                            row.transport, client: client!, nonce: row.nonce, internalPort: row.internalPort,
                            external: Endpoint(ipv4: external.map(\.ipv4) ?? 0, port: wished), lifetime: lease)))
            } else {
                effects.append(.send(NATPMP.mappingRequest(row.transport, internalPort: row.internalPort, externalPort: wished, lifetime: lease)))
            }
        }
    }

    private mutating func timedOut(_ now: Instant, _ effects: inout [Effect]) {
        guard method != .upnp, attempt < Self.tries else { return failed("\(method!.name): no answer", now, &effects) }
        send(now, &effects)
    }

    private mutating func failed(_ why: String, _ now: Instant, _ effects: inout [Effect]) {
        failure = why
        for i in rows.indices { rows[i].externalPort = 0 }
        next(after: method, now, &effects)
    }

    // MARK: answers

    /// From the gateway's port 5351 only; the shell's socket is connected to it.
    package mutating func received(_ bytes: UnsafeRawBufferPointer, now: Instant, into effects: inout [Effect]) {
        guard isWorking, let method, method != .upnp else { return }
        switch method {
        case .pcp: receivedPCP(bytes, now, &effects)
        case .natpmp: receivedNATPMP(bytes, now, &effects)
        case .upnp: break
        }
    }

    private mutating func receivedPCP(_ bytes: UnsafeRawBufferPointer, _ now: Instant, _ effects: inout [Effect]) {
        switch PCP.answer(bytes) {
        case .mapping(let transport, let nonce, let port, let address, let lifetime, _)?:
            guard let i = rows.firstIndex(where: { $0.transport == transport && $0.internalPort == port && $0.nonce == nonce }) else { return }
            external = Endpoint(high: address.high, low: address.low, port: 0)
            mapped(i, address.port, lifetime, now, &effects)
        case .refused(let code, _, let nonce)?:
            guard nonce.isEmpty || rows.contains(where: { $0.nonce == nonce }) else { return }
            failed("PCP: refused with code \(code)", now, &effects)
        case nil:
            // A gateway of NAT-PMP alone answers in its own version (RFC 6886, 3.5).
            if NATPMP.answer(bytes) != nil { failed("PCP: the gateway speaks NAT-PMP", now, &effects) }
        }
    }

    private mutating func receivedNATPMP(_ bytes: UnsafeRawBufferPointer, _ now: Instant, _ effects: inout [Effect]) {
        switch NATPMP.answer(bytes) {
        case .address(let address, _)?: external = address
        case .mapping(let transport, let port, let outside, let lifetime, _)?:
            guard let i = rows.firstIndex(where: { $0.transport == transport && $0.internalPort == port }) else { return }
            mapped(i, outside, lifetime, now, &effects)
        // "Unsupported version" answers our requests of PCP: it is why we are here, and comes once for each of them.
        case .refused(_, code: 1)?: break
        case .refused(_, let code)?: failed("NAT-PMP: refused with code \(code)", now, &effects)
        case nil: break
        }
    }

    /// `ports` in the order of the request; 0 where it was refused. `lifetime` is the lease that was asked for.
    package mutating func upnpEnded(_ ports: [UInt16], external: Endpoint?, error: String, now: Instant, into effects: inout [Effect]) {
        guard isWorking, method == .upnp, ports.count == rows.count else { return }
        if let external { self.external = external }
        guard error.isEmpty, !ports.contains(0) else { return failed("UPnP: \(error.isEmpty ? "refused" : error)", now, &effects) }
        for (i, port) in ports.enumerated() { mapped(i, port, lease, now, &effects) }
    }

    private mutating func mapped(_ i: Int, _ port: UInt16, _ lifetime: UInt32, _ now: Instant, _ effects: inout [Effect]) {
        guard open.remove(i) != nil, port != 0 else { return }
        let isNew = rows[i].externalPort != port
        rows[i].externalPort = port
        // A gateway that gives a minute would have us renew all the time; one that gives a month may forget.
        rows[i].expires = now + .seconds(Int(min(max(lifetime, 120), 86400)))
        if isNew {
            effects.append(.note("\(rows[i].transport.name) port \(rows[i].internalPort) is \(external.map(\.address) ?? "?"):\(port) outside, by \(method!.name)"))
        }
        guard open.isEmpty else { return }
        isWorking = false
        failure = ""
        let first = rows.map(\.expires).min()!
        nextDeadline = now + (first - now) / 2
    }

    /// At the end of the run: what ends the mappings, as far as a datagram can.
    package mutating func release(into effects: inout [Effect]) {
        for row in rows where row.externalPort != 0 {
            switch method {
            case .pcp?:
                effects.append(
                    .send(
                        PCP.mapRequest(
                            row.transport, client: client!, nonce: row.nonce, internalPort: row.internalPort, external: Endpoint(ipv4: 0, port: 0), lifetime: 0)))
            case .natpmp?: effects.append(.send(NATPMP.mappingRequest(row.transport, internalPort: row.internalPort, externalPort: 0, lifetime: 0)))
            case .upnp?, nil: break
            }
        }
        rows = []
        nextDeadline = .never
    }
}
