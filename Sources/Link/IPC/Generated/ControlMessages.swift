// Made by protocol/generate.py from protocol/control.schema; do not edit.
// swift-format-ignore-file

import ByteCodec
import Primitives

package struct Setting: IPCStruct, Equatable {
    package static var fixedSize: Int { 16 }
    package var key: String  // the option as in the configuration file, section.key
    package var value: String  // its resolved text
    package init(key: String = "", value: String = "") {
        self.key = key
        self.value = value
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: key.utf8.count)
        tail.reserve(&w, count: value.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, key)
        tail.string(&w, value)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        key = try r.string()
        value = try r.string()
    }
}

package struct WorkerStatus: IPCStruct, Equatable {
    package static var fixedSize: Int { 48 }
    package var role: UInt8  // WorkerRole
    package var index: UInt16  // shard or device
    package var pid: UInt32  // 0 while it is not running
    package var generation: UInt32
    package var restarts: UInt32  // starts after the first
    package var state: UInt8  // 0 starting, 1 ready, 2 draining, 3 stopped, 4 backoff, 5 open
    package var cpuMilliseconds: UInt64  // user and system time of this generation
    package var residentBytes: UInt64
    package var uptimeMilliseconds: UInt64  // of this generation
    package var reason: String  // why the last generation ended; empty if none did
    package init(role: UInt8, index: UInt16, pid: UInt32, generation: UInt32, restarts: UInt32, state: UInt8, cpuMilliseconds: UInt64, residentBytes: UInt64, uptimeMilliseconds: UInt64, reason: String = "") {
        self.role = role
        self.index = index
        self.pid = pid
        self.generation = generation
        self.restarts = restarts
        self.state = state
        self.cpuMilliseconds = cpuMilliseconds
        self.residentBytes = residentBytes
        self.uptimeMilliseconds = uptimeMilliseconds
        self.reason = reason
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u8(role)
        w.u16(index)
        w.u32(pid)
        w.u32(generation)
        w.u32(restarts)
        w.u8(state)
        w.u64(cpuMilliseconds)
        w.u64(residentBytes)
        w.u64(uptimeMilliseconds)
        tail.reserve(&w, count: reason.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, reason)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        role = try r.u8()
        index = try r.u16()
        pid = try r.u32()
        generation = try r.u32()
        restarts = try r.u32()
        state = try r.u8()
        cpuMilliseconds = try r.u64()
        residentBytes = try r.u64()
        uptimeMilliseconds = try r.u64()
        reason = try r.string()
    }
}

package struct Hello: IPCMessage, Equatable {
    package static var type: MessageType { .hello }
    package static var fixedSize: Int { 17 }
    package var protocolVersion: UInt16  // IPC.protocolVersion of the sender
    package var buildID: UInt64  // both sides must be equal
    package var role: UInt8  // WorkerRole
    package var index: UInt16  // shard or device
    package var pid: UInt32
    package init(protocolVersion: UInt16, buildID: UInt64, role: UInt8, index: UInt16, pid: UInt32) {
        self.protocolVersion = protocolVersion
        self.buildID = buildID
        self.role = role
        self.index = index
        self.pid = pid
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u16(protocolVersion)
        w.u64(buildID)
        w.u8(role)
        w.u16(index)
        w.u32(pid)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        protocolVersion = try r.u16()
        buildID = try r.u64()
        role = try r.u8()
        index = try r.u16()
        pid = try r.u32()
    }
}

package struct Configure: IPCMessage, Equatable {
    package static var type: MessageType { .configure }
    package static var fixedSize: Int { 24 }
    package var stateDirectory: String  // absolute path
    package var settings: [Setting]  // every option, resolved
    package var wallClockSeconds: UInt64  // seconds since 1970 when sent
    package init(stateDirectory: String = "", settings: [Setting] = [], wallClockSeconds: UInt64) {
        self.stateDirectory = stateDirectory
        self.settings = settings
        self.wallClockSeconds = wallClockSeconds
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: stateDirectory.utf8.count)
        tail.reserve(&w, count: settings.count)
        w.u64(wallClockSeconds)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, stateDirectory)
        tail.structs(&w, settings)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        stateDirectory = try r.string()
        settings = try r.structs()
        wallClockSeconds = try r.u64()
    }
}

/// One descriptor: our end of a fresh SOCK_STREAM socketpair. Replaces an older edge to the same worker.
package struct OpenEdge: IPCMessage, Equatable {
    package static var type: MessageType { .openEdge }
    package static var fixedSize: Int { 7 }
    package var role: UInt8  // WorkerRole of the other end
    package var index: UInt16
    package var peerGeneration: UInt32  // frames of another generation are dropped
    package init(role: UInt8, index: UInt16, peerGeneration: UInt32) {
        self.role = role
        self.index = index
        self.peerGeneration = peerGeneration
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u8(role)
        w.u16(index)
        w.u32(peerGeneration)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        role = try r.u8()
        index = try r.u16()
        peerGeneration = try r.u32()
    }
}

/// One descriptor: the memfd of a peer shard's arena.
package struct GiveArena: IPCMessage, Equatable {
    package static var type: MessageType { .giveArena }
    package static var fixedSize: Int { 14 }
    package var shard: UInt16
    package var slotCount: UInt32
    package var byteCount: UInt64  // size of the memfd
    package init(shard: UInt16, slotCount: UInt32, byteCount: UInt64) {
        self.shard = shard
        self.slotCount = slotCount
        self.byteCount = byteCount
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u16(shard)
        w.u32(slotCount)
        w.u64(byteCount)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        shard = try r.u16()
        slotCount = try r.u32()
        byteCount = try r.u64()
    }
}

/// One descriptor: a listening or datagram socket that the supervisor keeps open across restarts.
package struct GiveListener: IPCMessage, Equatable {
    package static var type: MessageType { .giveListener }
    package static var fixedSize: Int { 19 }
    package var kind: UInt8  // 1 peers over TCP, 2 control socket of the command line, 3 datagrams of peers (uTP), 4 datagrams of the DHT, 8 HTTP
    package var endpoint: Endpoint  // unspecified for the control socket
    package init(kind: UInt8, endpoint: Endpoint) {
        self.kind = kind
        self.endpoint = endpoint
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u8(kind)
        w.endpoint(endpoint)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        kind = try r.u8()
        endpoint = try r.endpoint()
    }
}

/// All edges, arenas and listeners of the first round were sent; the worker says Ready when it can serve.
package struct Start: IPCMessage, Equatable {
    package static var type: MessageType { .start }
    package static var fixedSize: Int { 0 }
    package init() {
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {

    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
    }
}

package struct Ready: IPCMessage, Equatable {
    package static var type: MessageType { .ready }
    package static var fixedSize: Int { 0 }
    package init() {
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {

    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
    }
}

/// Each second.
package struct Heartbeat: IPCMessage, Equatable {
    package static var type: MessageType { .heartbeat }
    package static var fixedSize: Int { 16 }
    package var sequence: UInt64
    package var progress: UInt64  // grows with work done; a stuck worker with open work stands still
    package init(sequence: UInt64, progress: UInt64) {
        self.sequence = sequence
        self.progress = progress
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u64(sequence)
        w.u64(progress)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        sequence = try r.u64()
        progress = try r.u64()
    }
}

package struct Drain: IPCMessage, Equatable {
    package static var type: MessageType { .drain }
    package static var fixedSize: Int { 4 }
    package var deadlineMilliseconds: UInt32  // finish, flush, sync and exit with 0 within this time
    package init(deadlineMilliseconds: UInt32) {
        self.deadlineMilliseconds = deadlineMilliseconds
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u32(deadlineMilliseconds)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        deadlineMilliseconds = try r.u32()
    }
}

package struct Drained: IPCMessage, Equatable {
    package static var type: MessageType { .drained }
    package static var fixedSize: Int { 0 }
    package init() {
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {

    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
    }
}

/// To the session worker, each second and on every change.
package struct WorkerTable: IPCMessage, Equatable {
    package static var type: MessageType { .workerTable }
    package static var fixedSize: Int { 8 }
    package var workers: [WorkerStatus]
    package init(workers: [WorkerStatus] = []) {
        self.workers = workers
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.reserve(&w, count: workers.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.structs(&w, workers)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        workers = try r.structs()
    }
}

/// Another worker's breaker changed.
package struct PeerBreaker: IPCMessage, Equatable {
    package static var type: MessageType { .peerBreaker }
    package static var fixedSize: Int { 12 }
    package var role: UInt8
    package var index: UInt16
    package var isOpen: UInt8  // 1 while that worker is given up for now
    package var reason: String
    package init(role: UInt8, index: UInt16, isOpen: UInt8, reason: String = "") {
        self.role = role
        self.index = index
        self.isOpen = isOpen
        self.reason = reason
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u8(role)
        w.u16(index)
        w.u8(isOpen)
        tail.reserve(&w, count: reason.utf8.count)
    }
    package func encodeTail(into w: inout ByteWriter, tail: inout PayloadTail) {
        tail.string(&w, reason)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        role = try r.u8()
        index = try r.u16()
        isOpen = try r.u8()
        reason = try r.string()
    }
}

/// From the session worker: the user asked for it.
package struct StopDaemon: IPCMessage, Equatable {
    package static var type: MessageType { .stopDaemon }
    package static var fixedSize: Int { 0 }
    package init() {
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {

    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
    }
}

package struct RestartWorker: IPCMessage, Equatable {
    package static var type: MessageType { .restartWorker }
    package static var fixedSize: Int { 3 }
    package var role: UInt8
    package var index: UInt16
    package init(role: UInt8, index: UInt16) {
        self.role = role
        self.index = index
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u8(role)
        w.u16(index)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        role = try r.u8()
        index = try r.u16()
    }
}

package struct ReloadConfiguration: IPCMessage, Equatable {
    package static var type: MessageType { .reloadConfiguration }
    package static var fixedSize: Int { 1 }
    package var applyAll: UInt8  // 1: what needs a restart too: sockets are bound anew, and the sender has the workers restarted
    package init(applyAll: UInt8) {
        self.applyAll = applyAll
    }
    package func encodeFixed(into w: inout ByteWriter, tail: inout PayloadTail) {
        w.u8(applyAll)
    }
    package init(from r: inout PayloadReader) throws(DecodeError) {
        applyAll = try r.u8()
    }
}
