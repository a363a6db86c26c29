import Glibc
import LinuxIO
import Pieces
import Primitives

/// Several transfers that make one job. `finish` runs once, when the last of them and the guard ended.
final class TransferGroup {
    /// Starts at one: the guard that the starter holds while it adds transfers.
    var outstanding = 1
    /// Byte ranges of the job's memory that failed.
    private(set) var faults: [(range: Range<Int>, fault: DiskFault)] = []
    private let finish: (TransferGroup) -> Void
    init(_ finish: @escaping (TransferGroup) -> Void) { self.finish = finish }

    var fault: DiskFault? { faults.first?.fault }
    func failed(_ range: Range<Int>, _ fault: DiskFault) { faults.append((range, fault)) }
    func release() {
        outstanding -= 1
        if outstanding == 0 { finish(self) }
    }
}

/// Moves bytes between memory and files on the ring: splits at the alignment of O_DIRECT, finishes short operations,
/// falls back to the buffered descriptor where O_DIRECT is refused. Rows are used again: no allocation per operation.
final class Transfers {
    /// Beside the device's own rule: an O_DIRECT write never shares a page with a buffered one, so that the page cache
    /// and the disk cannot disagree.
    static let page = 4096
    /// Below this the page cache is as cheap.
    static let directMinimum = 16 << 10

    private struct Row {
        var file: OpenFile?
        var group: TransferGroup?
        var memory: UnsafeMutableRawPointer
        /// Bytes that are wanted, and bytes that may be asked for (a read of a file's last sector).
        var length: Int, asked: Int
        var done = 0
        var offset: UInt64
        var start: Int
        var isWrite: Bool, isDirect: Bool
        var buffer: Int32
        var generation: UInt32
        /// Aligned memory in the place of the caller's; a read is copied from `skip` on to `target` when it is done.
        var bounceSize = 0, skip = 0
        var target: UnsafeMutableRawPointer?
    }
    /// Copies in flight are bounded by the core's 64 MiB; a part of that is kept.
    private var bounce = PagePool(keptBytes: 32 << 20)
    /// Sizes of bounce memory, so that it is found again: 64 KiB, 128 KiB … 4 MiB.
    private static let bounceMinimum = 64 << 10, bounceMaximum = 4 << 20
    private var rows: [Row] = []
    private var free: [UInt32] = []
    private(set) var inFlight = 0
    private(set) var bytesWritten: UInt64 = 0, bytesRead: UInt64 = 0
    private(set) var directWrites: UInt64 = 0, bufferedWrites: UInt64 = 0

    private let operations: FileOperations
    private let table: FileTable
    /// Name of a file for messages, and what to do when O_DIRECT turns out to be refused.
    private let name: (OpenFile) -> String
    private let refused: (OpenFile) -> Void

    init(operations: FileOperations, table: FileTable, name: @escaping (OpenFile) -> String, refused: @escaping (OpenFile) -> Void) {
        (self.operations, self.table, self.name, self.refused) = (operations, table, name, refused)
    }

    /// `memory` + `start` ↔ `file` at `offset`. `room`: bytes behind the range that a read may spoil. `buffer`: index of
    /// the registered buffer that holds the memory, or -1. Takes over the caller's use of `file`.
    func start(
        _ group: TransferGroup, _ file: OpenFile, write isWrite: Bool, memory: UnsafeMutableRawPointer, start: Int, length: Int,
        offset: UInt64, room: Int = 0, buffer: Int32 = -1
    ) {
        let end = offset + UInt64(length), page = UInt64(Self.page)
        let head = Int((page - offset % page) % page)
        let address = UInt(bitPattern: memory + start + head)
        let isAligned = address % UInt(file.memoryAlignment) == 0
        guard file.direct >= 0, length >= Self.directMinimum, isAligned || copies(group, file, isWrite, memory, start, length, offset) else {
            submit(group, file, isWrite, memory, start, length, length, offset, false, -1)
            table.release(file)
            return
        }
        guard isAligned else { return table.release(file) }
        var tail = Int(end % page)
        var asked = length - head - tail
        let middle: Int
        if !isWrite, tail > 0, room >= Self.page - tail {
            // The device fills whole sectors; what lies behind the range may be spoilt.
            middle = asked + tail
            asked += Self.page
            tail = 0
        } else {
            middle = asked
        }
        if head > 0 { submit(group, file, isWrite, memory, start, head, head, offset, false, -1) }
        if middle > 0 { submit(group, file, isWrite, memory, start + head, middle, asked, offset + UInt64(head), true, buffer) }
        if tail > 0 { submit(group, file, isWrite, memory, start + length - tail, tail, tail, end - UInt64(tail), false, -1) }
        table.release(file)
    }

    /// A file that begins inside a piece never has the memory's alignment. A copy costs 0.1 s/GiB, the page cache
    /// several times that. False without memory for it.
    private func copies(
        _ group: TransferGroup, _ file: OpenFile, _ isWrite: Bool, _ memory: UnsafeMutableRawPointer, _ start: Int, _ length: Int, _ offset: UInt64
    ) -> Bool {
        let page = UInt64(Self.page), end = offset + UInt64(length)
        // Reads take whole pages; writes only those that are theirs.
        let low = isWrite ? (offset + page - 1) / page * page : offset / page * page
        let high = isWrite ? end / page * page : (end + page - 1) / page * page
        if isWrite, high < low + page { return false }
        var parts: [(at: UInt64, count: Int, memory: UnsafeMutableRawPointer, size: Int)] = []
        var at = low
        while at < high {
            let count = Int(min(high - at, UInt64(Self.bounceMaximum)))
            var size = Self.bounceMinimum
            while size < count { size *= 2 }
            guard let p = try? bounce.take(size) else {
                for part in parts { bounce.give(part.memory, part.size) }
                return false
            }
            parts.append((at, count, p, size))
            at += UInt64(count)
        }
        if isWrite {
            let head = Int(low - offset), tail = Int(end - high)
            if head > 0 { submit(group, file, true, memory, start, head, head, offset, false, -1) }
            for part in parts {
                let from = start + Int(part.at - offset)
                part.memory.copyMemory(from: memory + from, byteCount: part.count)
                submit(group, file, true, part.memory, 0, part.count, part.count, part.at, true, -1, from: from, bounceSize: part.size)
            }
            if tail > 0 { submit(group, file, true, memory, start + length - tail, tail, tail, high, false, -1) }
            return true
        }
        for part in parts {
            let skip = Int(max(offset, part.at) - part.at), stop = Int(min(end, part.at + UInt64(part.count)) - part.at)
            let from = start + Int(part.at) + skip - Int(offset)
            submit(
                group, file, false, part.memory, 0, stop, part.count, part.at, true, -1, from: from, bounceSize: part.size, skip: skip,
                target: memory + from)
        }
        return true
    }

    func dropBuffers() { bounce.drop() }

    private func submit(
        _ group: TransferGroup, _ file: OpenFile, _ isWrite: Bool, _ memory: UnsafeMutableRawPointer, _ start: Int, _ length: Int,
        _ asked: Int, _ offset: UInt64, _ isDirect: Bool, _ buffer: Int32, from: Int? = nil, bounceSize: Int = 0, skip: Int = 0,
        target: UnsafeMutableRawPointer? = nil
    ) {
        group.outstanding += 1
        file.users += 1
        if isWrite { file.wasWritten = true }
        let row = Row(
            file: file, group: group, memory: memory + start, length: length, asked: asked, offset: offset, start: from ?? start,
            isWrite: isWrite, isDirect: isDirect, buffer: buffer, generation: 0, bounceSize: bounceSize, skip: skip, target: target)
        let index: UInt32
        if let last = free.popLast() {
            index = last
            let generation = (rows[Int(index)].generation + 1) & 0xFF_FFFF
            rows[Int(index)] = row
            rows[Int(index)].generation = generation
        } else {
            index = UInt32(rows.count)
            rows.append(row)
        }
        inFlight += 1
        go(index)
    }

    private func go(_ index: UInt32) {
        let row = rows[Int(index)], fd = row.isDirect ? row.file!.direct : row.file!.buffered
        let token = Token(kind: DiskEngine.Kind.transfer, index: index, generation: row.generation)
        let p = row.memory + row.done, n = row.asked - row.done, at = row.offset + UInt64(row.done)
        if row.isWrite {
            operations.write(fd, p, n, offset: at, buffer: row.isDirect ? row.buffer : -1, token: token)
        } else {
            operations.read(fd, p, n, offset: at, buffer: row.isDirect ? row.buffer : -1, token: token)
        }
    }

    func completed(_ completion: Completion) {
        let index = completion.token.index
        precondition(Int(index) < rows.count && rows[Int(index)].generation == completion.token.generation, "completion of no transfer")
        let result = Int(completion.result)
        if result > 0 {
            rows[Int(index)].done += result
            if rows[Int(index)].isWrite { bytesWritten += UInt64(result) } else { bytesRead += UInt64(result) }
            if rows[Int(index)].done >= rows[Int(index)].length { return end(index, nil) }
            // The rest of a short operation no longer begins on a sector: buffered then.
            if rows[Int(index)].done % 512 != 0 { rows[Int(index)].isDirect = false }
            if !rows[Int(index)].isDirect { rows[Int(index)].asked = rows[Int(index)].length }
            return go(index)
        }
        let row = rows[Int(index)]
        switch -result {
        case Int(EINTR), Int(EAGAIN): go(index)
        case 0 where !row.isWrite:
            end(
                index,
                DiskFault(
                    .missing, "\(name(row.file!)) is shorter than it was: put it back, or recheck to fetch it again"))
        case 0: end(index, DiskFault(errno: Errno.inputOutput, verb(row)))
        case Int(EINVAL) where row.isDirect:
            refused(row.file!)
            rows[Int(index)].isDirect = false
            rows[Int(index)].asked = row.length
            go(index)
        default: end(index, DiskFault(errno: Errno(Int32(-result)), verb(row)))
        }
    }

    private func verb(_ row: Row) -> String {
        "\(row.isWrite ? "write" : "read") \(name(row.file!)) at \(row.offset + UInt64(row.done))"
    }

    private func end(_ index: UInt32, _ fault: DiskFault?) {
        let row = rows[Int(index)]
        if row.isWrite { if row.isDirect { directWrites += 1 } else { bufferedWrites += 1 } }
        if row.bounceSize > 0 {
            let got = min(row.done, row.length) - row.skip
            if let target = row.target, got > 0 { target.copyMemory(from: row.memory + row.skip, byteCount: got) }
            bounce.give(row.memory, row.bounceSize)
        }
        rows[Int(index)].file = nil
        rows[Int(index)].group = nil
        free.append(index)
        inFlight -= 1
        let group = row.group!
        // What was read before the fault is good: a short file is still checked up to its end.
        if let fault { group.failed(row.start + max(0, row.done - row.skip)..<row.start + row.length - row.skip, fault) }
        table.release(row.file!)
        group.release()
    }
}
