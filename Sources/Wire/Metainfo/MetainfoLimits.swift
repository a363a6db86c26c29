import Bencode

/// Bounds that a .torrent must keep. The standard ones let every real torrent pass and hold the parse of any file
/// under 256 MiB.
package struct MetainfoLimits: Sendable {
    package var bencode = BencodeLimits.torrent
    /// Pad files counted.
    package var files = 1_000_000
    package var pieces = 10_000_000
    /// 256 TiB: sums of lengths under it can't overflow.
    package var totalLength: UInt64 = 1 << 48
    /// BEP 3 sets none; 512 MiB is what the field's largest client takes.
    package var pieceLength: Int64 = 512 << 20
    package var pathDepth = 100
    /// PATH_MAX is 4,096 with the final NUL; the save folder comes on top, and an open by folder descriptor copes.
    package var pathLength = 4095
    /// All paths written out one after another: what listing the files costs.
    package var allPathsLength = 128 << 20
    /// URLs longer than this are dropped, and of each kind those after the first thousand.
    package var urlLength = 2048
    package var urls = 1000
    /// Characters of comment, creator and source kept.
    package var textLength = 64 << 10
    /// The save folder does not tell "A" from "a".
    package var foldsCase = false

    package init() {}
    package static var standard: MetainfoLimits { MetainfoLimits() }
}
