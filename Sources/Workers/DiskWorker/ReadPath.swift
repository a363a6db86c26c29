import Glibc
import LinuxIO
import Pieces
import Primitives

// How a read reaches the peer: from the file into the shard's run, in one operation where it lies in one file.

extension DiskEngine {
    func read(_ job: JobID, _ request: ReadRequest) {
        // The run is whole slots: what lies behind the last byte up to the end of its slot may be overwritten.
        let slot = Int(PieceGeometry.blockLength), wanted = Int(request.length), room = (wanted + slot - 1) / slot * slot - wanted
        guard let record = records[request.torrent], let layout = record.layout,
            let memory = arenas.memory(request.run, byteCount: wanted + room)
        else { return handle(.readEnded(job, DiskFault(.busy, "read of a torrent that is gone"))) }
        let buffer = arenas.buffer(request.run, byteCount: wanted + room)
        let group = TransferGroup { [unowned self] group in
            failPoints.hit(.readDone)
            if let fault = group.fault, fault.kind == .missing || fault.kind == .changed {
                table.closeAll(record, forgetting: false)
                record.identities = [:]
            }
            handle(.readEnded(job, group.fault))
        }
        let start = layout.geometry.offset(of: PieceIndex(rawValue: request.piece)) + UInt64(request.offset)
        layout.forEachExtent(at: start, length: request.length) { extent in
            let range = Int(extent.pieceOffset)..<Int(extent.pieceOffset + extent.length)
            if extent.isPad {
                memset(memory.baseAddress! + range.lowerBound, 0, range.count)
                return
            }
            group.outstanding += 1
            table.use(record, extent.file.int, writing: false) { [unowned self] result in
                switch result {
                case .success(let file):
                    transfers.start(
                        group, file, write: false, memory: memory.baseAddress!, start: range.lowerBound, length: range.count,
                        offset: extent.fileOffset, room: range.upperBound == wanted ? room : 0, buffer: buffer)
                case .failure(let fault): group.failed(range, fault)
                }
                group.release()
            }
        }
        failPoints.hit(.readSubmitted)
        group.release()
    }
}
