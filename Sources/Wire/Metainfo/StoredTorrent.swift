import Bencode

/// A .torrent made around an info dictionary that came through BEP 9, so that a magnet link's torrent is stored and
/// started like every other.
package enum StoredTorrent {
    /// `info`: the encoded dictionary, hash verified; it is not looked into. Equal input gives equal bytes.
    /// `pieceLayers`: an encoded dictionary (BEP 52), when known.
    package static func make(
        info: UnsafeRawBufferPointer, trackers: [[String]], webSeeds: [String] = [], comment: String? = nil, creator: String? = nil,
        creationDate: Int64? = nil, nodes: [Metainfo.DHTNode] = [], pieceLayers: [UInt8]? = nil
    ) -> [UInt8] {
        let tiers = trackers.filter { !$0.isEmpty }
        var w = BencodeWriter()
        w.beginDictionary()
        if let first = tiers.first?.first {
            w.key("announce")
            w.string(first)
        }
        // BEP 12 readers pass over announce when the list is there; one URL needs no list.
        if tiers.count > 1 || (tiers.first?.count ?? 0) > 1 {
            w.key("announce-list")
            w.beginList()
            for tier in tiers {
                w.beginList()
                for url in tier { w.string(url) }
                w.end()
            }
            w.end()
        }
        if let comment {
            w.key("comment")
            w.string(comment)
        }
        if let creator {
            w.key("created by")
            w.string(creator)
        }
        if let creationDate {
            w.key("creation date")
            w.integer(creationDate)
        }
        w.key("info")
        w.encoded(info)
        if !nodes.isEmpty {
            w.key("nodes")
            w.beginList()
            for node in nodes {
                w.beginList()
                w.string(node.host)
                w.integer(node.port)
                w.end()
            }
            w.end()
        }
        if let pieceLayers {
            w.key("piece layers")
            w.encoded(pieceLayers)
        }
        if webSeeds.count == 1 {
            w.key("url-list")
            w.string(webSeeds[0])
        } else if !webSeeds.isEmpty {
            w.key("url-list")
            w.beginList()
            for url in webSeeds { w.string(url) }
            w.end()
        }
        w.end()
        return w.array
    }
}
