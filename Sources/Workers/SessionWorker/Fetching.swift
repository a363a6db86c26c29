import Control
import IPC
import Observe
import Primitives
import WorkerKit

/// A body that the discovery worker fetches for us: .torrent files by URL, feeds.
struct FetchUnderWay {
    let url: String
    let limit: Int
    /// Its first worker ended.
    let isSecond: Bool
    var bytes: [UInt8] = []
    let then: (Result<Fetch, ControlError>) -> Void
    enum Fetch {
        case body([UInt8])
        /// A redirect led to a magnet link.
        case magnet(String)
    }
}

extension SessionShell {
    /// Over all redirects.
    private static let fetchTime = TimeSpan.seconds(60)
    private static let fetchesLimit = 64

    func fetch(_ url: String, limit: Int, isSecond: Bool = false, _ then: @escaping (Result<FetchUnderWay.Fetch, ControlError>) -> Void) {
        whenDiscovery { [self] edge in
            guard let edge else { return then(.failure(ControlError(.unavailable, "the discovery worker is restarting"))) }
            fetch(url, limit: limit, isSecond: isSecond, over: edge, then)
        }
    }
    private func fetch(
        _ url: String, limit: Int, isSecond: Bool, over edge: Edge, _ then: @escaping (Result<FetchUnderWay.Fetch, ControlError>) -> Void
    ) {
        guard fetches.count < Self.fetchesLimit else { return then(.failure(ControlError(.unavailable, "\(Self.fetchesLimit) addresses are being fetched already"))) }
        let token = nextToken
        nextToken += 1
        fetches[token] = FetchUnderWay(url: url, limit: limit, isSecond: isSecond, then: then)
        kit.send(
            FetchUrl(
                url: url, sizeLimit: UInt32(limit), timeoutMilliseconds: UInt32(Self.fetchTime.milliseconds), allowLocal: settings.bool("rss.allow_local") ? 1 : 0),
            to: edge, correlation: token)
    }

    func fetched(_ token: UInt64, _ m: Fetched) {
        guard let under = fetches[token] else { return }
        func end(_ result: Result<FetchUnderWay.Fetch, ControlError>) {
            fetches[token] = nil
            under.then(result)
        }
        if !m.message.isEmpty { return end(.failure(ControlError(.unavailable, "it cannot be fetched: \(Text.printable(m.message, limit: 300))"))) }
        if !m.magnet.isEmpty { return end(.success(.magnet(m.magnet))) }
        guard under.bytes.count == Int(m.offset), under.bytes.count + m.bytes.count <= under.limit else {
            return end(.failure(ControlError(.tooLarge, "the answer is larger than \(under.limit) bytes")))
        }
        fetches[token]!.bytes += m.bytes
        if m.isLast != 0 { end(.success(.body(fetches[token]!.bytes))) }
    }

    /// The worker that fetched is gone. Its successor begins again, once, with nothing of what had come.
    func fetchAgain() {
        let all = fetches.sorted { $0.key < $1.key }
        fetches = [:]
        for (_, under) in all {
            guard !under.isSecond else {
                under.then(.failure(ControlError(.unavailable, "the discovery worker ended twice over this request")))
                continue
            }
            fetch(under.url, limit: under.limit, isSecond: true, under.then)
        }
    }
}
