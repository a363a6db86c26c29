import Foundation
import Primitives
import Testing

@testable import Metainfo

/// Every torrent and magnet link of the shared corpora, against the facts of an independent decoder.
@Suite(.enabled(if: Corpora.isThere)) struct CorporaTests {
    private func source(_ entry: [String: Any]) throws -> [UInt8] {
        guard let make = entry["generate"] as? [String: Any] else { return try Corpora.bytes(entry["file"] as! String) }
        let unit = Corpora.hex(make["repeat"] as! String), count = make["count"] as! Int
        var out = Corpora.hex(make["prefix"] as! String)
        out.reserveCapacity(out.count + unit.count * count)
        for _ in 0..<count { out += unit }
        return out + Corpora.hex(make["suffix"] as! String)
    }

    @Test func everyEntryOfTheManifest() throws {
        let entries = try Corpora.json("manifest.json")["entries"] as! [[String: Any]]
        var passed: [String: Int] = [:], likeLibtorrent = 0, otherThanLibtorrent: [String] = []
        for entry in entries {
            let id = entry["id"] as! String, verdict = entry["verdict"] as! String
            let bytes = try source(entry)
            let torrent: Metainfo?, why: String
            do { (torrent, why) = (try Metainfo(parsing: bytes), "") } catch { (torrent, why) = (nil, "\(error)") }
            var faults: [String] = []
            switch verdict {
            case "accept": if let torrent { faults = differences(torrent, entry) } else { faults = ["refused: \(why)"] }
            case "reject": if torrent != nil { faults = ["accepted"] }
            default: if let torrent { faults = hashFaults(torrent, entry) + unsafePaths(torrent) }
            }
            #expect(!why.contains("\n"))
            #expect(faults.isEmpty, "\(id) (\(verdict)): \(faults.joined(separator: "; "))")
            if faults.isEmpty { passed[verdict, default: 0] += 1 }
            if let torrent, let paths = (entry["libtorrent"] as? [String: Any])?["paths"] as? [String] {
                let own = torrent.files.filter { !$0.isPad }.map(\.path).sorted()
                if own == paths.sorted() { likeLibtorrent += 1 } else { otherThanLibtorrent.append("\(id): \(own.prefix(4)) / \(paths.prefix(4))") }
            }
        }
        print("corpora: \(passed.values.reduce(0, +)) of \(entries.count) entries pass \(passed.sorted { $0.key < $1.key })")
        print("paths as libtorrent lays them out: \(likeLibtorrent), otherwise: \(otherThanLibtorrent.map { $0.prefix(300) })")
        #expect(passed.values.reduce(0, +) == entries.count)
    }

    private func hashFaults(_ torrent: Metainfo, _ entry: [String: Any]) -> [String] {
        guard let facts = entry["facts"] as? [String: Any] else { return [] }
        let skip = facts["skip"] as? [String] ?? []
        var out: [String] = []
        func check(_ name: String, _ found: String?) {
            if skip.contains(name) { return }
            let wanted = facts[name] as? String
            if found != wanted { out.append("\(name): \(found ?? "nil"), not \(wanted ?? "nil")") }
        }
        check("infoHashV1", torrent.infoHashV1?.hex)
        check("infoHashV2", torrent.infoHashV2?.hex)
        return out
    }

    private func differences(_ torrent: Metainfo, _ entry: [String: Any]) -> [String] {
        let facts = entry["facts"] as! [String: Any]
        let skip = Set(facts["skip"] as? [String] ?? [])
        var out = hashFaults(torrent, entry) + unsafePaths(torrent)
        func check<T: Equatable>(_ name: String, _ found: T?, _ wanted: T?) {
            if !skip.contains(name), found != wanted { out.append("\(name): \(String(describing: found)), not \(String(describing: wanted))") }
        }
        let files = torrent.files.filter { !$0.isPad }
        check("name", torrent.name, facts["name"] as? String)
        check("totalSize", Int(torrent.contentLength), facts["totalSize"] as? Int)
        check("pieceLength", Int(torrent.geometry.pieceLength), facts["pieceLength"] as? Int)
        check("pieceCount", torrent.geometry.pieceCount, facts["pieceCount"] as? Int)
        check("fileCount", files.count, facts["fileCount"] as? Int)
        check("private", torrent.isPrivate, facts["private"] as? Bool)
        if let date = facts["creationDate"] as? Int64 { check("creationDate", torrent.creationDate, date) }
        if let text = facts["createdBy"] as? String { check("createdBy", torrent.creator, text) }
        if let text = facts["comment"] as? String { check("comment", torrent.comment, text) }
        if let text = facts["source"] as? String { check("source", torrent.source, text) }
        if torrent.infoHashV1 != nil { check("padFilesV1", torrent.files.count - files.count, facts["padFilesV1"] as? Int) }
        if let wanted = facts["files"] as? [[String: Any]], !skip.contains("paths") {
            func key(_ path: String, _ length: Int, _ attributes: String, _ link: String?) -> String {
                "\(path)|\(length)|\(attributes.sorted())|\(link ?? "")"
            }
            let top = torrent.isMultiFile ? 1 : 0
            let found = files.map {
                key($0.path, Int($0.length), $0.attributes.letters, $0.symlinkTarget?.dropFirst(top).joined(separator: "/"))
            }
            let expected = wanted.map {
                key(
                    $0["path"] as! String, $0["length"] as! Int, ($0["attr"] as? String ?? "").filter("lxhp".contains),
                    $0["symlink"] as? String)
            }
            check("files", found.sorted(), expected.sorted())
        }
        if let wanted = facts["trackers"] as? [[String]], !skip.contains("trackers") {
            let optional = Set(facts["trackersOptional"] as? [String] ?? [])
            let found = torrent.trackers.map { $0.filter { !optional.contains($0) }.sorted() }.filter { !$0.isEmpty }
            check("trackers", found, wanted.map { $0.sorted() })
        }
        if let wanted = facts["webSeeds"] as? [String], !skip.contains("webSeeds") {
            func plain(_ url: String) -> String {
                let spaced = url.replacingOccurrences(of: "%20", with: " ")
                return spaced.hasSuffix("/") ? String(spaced.dropLast()) : spaced
            }
            check("webSeeds", torrent.webSeeds.map(plain).sorted(), wanted.map(plain).sorted())
        }
        return out
    }

    private func unsafePaths(_ torrent: Metainfo) -> [String] {
        var seen: Set<[UInt8]> = [], out: [String] = []
        for file in torrent.files where !file.isPad {
            let components = file.path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            if components != file.pathComponents { out.append("path and components disagree: \(file.path)") }
            for c in components where c.isEmpty || c == "." || c == ".." || c.utf8.contains(0) || c.utf8.count > 255 {
                out.append("unsafe component '\(c)'")
            }
            // By bytes: Swift's strings would take NFC and NFD for one name.
            if !seen.insert(Array(file.path.utf8)).inserted { out.append("twice: \(file.path)") }
        }
        for file in torrent.files where !file.isPad {
            for n in 1..<max(file.pathComponents.count, 2) {
                let parent = file.pathComponents.prefix(n).joined(separator: "/")
                if n < file.pathComponents.count, seen.contains(Array(parent.utf8)) { out.append("file is a folder too: \(parent)") }
            }
        }
        return out
    }

    @Test func everyMagnetLink() throws {
        let cases = try Corpora.json("vectors/magnet.json")["cases"] as! [[String: Any]]
        for c in cases {
            let id = c["id"] as! String
            let magnet = try? Magnet(parsing: c["uri"] as! String)
            guard c["verdict"] as! String == "accept" else {
                #expect(magnet == nil, "\(id) was accepted")
                continue
            }
            guard let magnet else {
                Issue.record("\(id) was refused")
                continue
            }
            let expect = c["expect"] as! [String: Any]
            #expect(magnet.infoHashV1?.hex == expect["infoHashV1"] as? String, "\(id)")
            #expect(magnet.infoHashV2?.hex == expect["infoHashV2"] as? String, "\(id)")
            #expect(magnet.name ?? "" == expect["name"] as? String, "\(id)")
            #expect(magnet.trackers == expect["trackers"] as? [String], "\(id)")
            #expect(magnet.webSeeds == expect["webSeeds"] as? [String], "\(id)")
            #expect(magnet.peers.map(\.description) == expect["peers"] as? [String], "\(id)")
            #expect(magnet.selectOnly?.ranges.flatMap { $0.map(Int.init) } == expect["selectOnly"] as? [Int], "\(id)")
        }
        print("corpora: \(cases.count) magnet links")
    }

    /// BEP 52 vectors: content → root and layer, through the builder and back through the parser.
    @Test func everyMerkleTree() throws {
        let cases = try Corpora.json("vectors/bep52-merkle.json")["cases"] as! [[String: Any]]
        for c in cases {
            let id = c["id"] as! String, length = c["length"] as! Int, seed = c["contentSeed"] as! String
            var content: [UInt8] = [], i = 0
            while content.count < length {
                content += Array("\(seed)/\(i)".utf8).withUnsafeBytes { sha256($0).bytes }
                i += 1
            }
            content.removeSubrange(length...)
            #expect(content.withUnsafeBytes { sha256($0).hex } == c["sha256"] as? String, "content of \(id)")
            let builder = try MetainfoBuilder(
                name: [120], files: [.init(path: [], length: UInt64(length))], version: .v2, pieceLength: UInt32(c["pieceLength"] as! Int))
            let bytes = builder.make(hashes: Sample.hashes(builder, [[]: content]), options: .init())
            let torrent = try Metainfo(parsing: bytes)
            let root = try #require(torrent.files[0].piecesRootOffset)
            #expect(Hex.encode(bytes[root..<root + 32]) == c["piecesRoot"] as? String, "\(id)")
            let layer = torrent.files[0].pieceLayerOffset.map { bytes[$0..<$0 + 32 * torrent.geometry.pieceCount] }
            #expect((layer?.count ?? 0) / 32 == c["pieceLayerCount"] as? Int, "\(id)")
            #expect(layer.map { $0.withUnsafeBytes { sha256($0).hex } } == c["pieceLayerSha256"] as? String, "\(id)")
        }
        print("corpora: \(cases.count) Merkle trees")
    }
}
