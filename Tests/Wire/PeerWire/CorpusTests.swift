import Foundation
import PeerWire
import Primitives
import Testing

/// Vectors from outside the tree, where they are at hand: CCBT_CORPORA, or ../shared/corpora beside the package.
enum Corpus {
    static let folder: URL? = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let wanted = ProcessInfo.processInfo.environment["CCBT_CORPORA"].map { URL(fileURLWithPath: $0) }
        return [wanted, root.deletingLastPathComponent().appendingPathComponent("shared/corpora")].compactMap { $0 }
            .first { FileManager.default.fileExists(atPath: $0.path) }
    }()
    static func cases(_ name: String) throws -> [[String: Any]] {
        let data = try Data(contentsOf: folder!.appendingPathComponent("vectors/\(name).json"))
        return (try JSONSerialization.jsonObject(with: data) as! [String: Any])["cases"] as! [[String: Any]]
    }
}

@Suite(.enabled(if: Corpus.folder != nil)) struct CorpusTests {
    @Test func messagesAreTakenOrRefusedAsTheVectorsSay() throws {
        var seen = 0
        for c in try Corpus.cases("peer-wire") where c["kind"] as? String == "message" {
            let bytes = Hex.decode(c["hex"] as! String)!, verdict = c["verdict"] as? String ?? "accept"
            seen += 1
            bytes.withUnsafeBytes { buffer in
                MessageParser.fuzz(buffer)
                let step = Result { () throws(WireError) in try MessageParser(pieceCount: 16).next(buffer, at: 0) }
                switch step {
                case .success(.message(let message, _)):
                    // Judged by its content, further in.
                    let isContentCase = ["have-huge", "request-1g", "request-len0", "ext-hs-bomb"].contains(c["id"] as! String)
                    #expect(!verdict.hasPrefix("drop") || isContentCase, "\(c["id"]!) gave \(message)")
                    if case .extended(0, let range) = message {
                        let isBomb = c["id"] as! String == "ext-hs-bomb"
                        #expect(((try? ExtendedHandshake(decoding: range.slice(of: buffer))) == nil) == isBomb)
                    }
                    if case .extended(_, let range) = message { MetadataMessage.fuzz(range.slice(of: buffer)) }
                case .success(.needMore): #expect(verdict.hasPrefix("drop") || verdict.hasPrefix("ignored"), "\(c["id"]!) is not whole")
                case .failure: #expect(verdict.contains("drop"), "\(c["id"]!) was refused")
                }
            }
        }
        #expect(seen >= 20)
    }

    @Test func handshakesAreTakenOrRefused() throws {
        for c in try Corpus.cases("peer-wire") where c["kind"] as? String == "handshake" {
            let bytes = Hex.decode(c["hex"] as! String)!
            let isSelf = c["id"] as! String == "hs-selfpeerid"
            bytes.withUnsafeBytes { #expect(((try? Handshake(decoding: $0)) != nil) == isSelf) }
        }
    }
}
