import ByteCodec
import Glibc
import LinuxIO
import PeerEncryption
import PeerWire
import Primitives
import ProxyWire
import Swarm

/// One connection's bytes: what is being received, what is being sent. Decisions are the swarm's.
///
/// Life: `dialing → [proxying →] [securing →] greeting → open → closing`; an accepted connection begins at `greeting`, and goes to `securing` and
/// back when its first bytes are not a plain handshake. A closing link lives until
/// its last operation has completed, since the kernel may write into its memory until then.
final class Link {
    enum State { case dialing, proxying, securing, greeting, open, closing }

    /// Row in the shell's table of links, and how often the row was used: what completion tokens carry.
    let index: UInt32
    let generation: UInt32
    let peer: PeerHandle
    /// -1 over uTP.
    let fd: Int32
    /// Over uTP.
    var stream: UTPStream?
    /// Where it was dialled; over TCP, uTP is tried when that comes to nothing.
    var dialled: Endpoint?
    var state: State

    // Inbound
    var inbox = Inbox()
    var plan = ReceivePlan()
    var parser = MessageParser()
    var receivePosted = false
    /// The posted receive goes by the plan, not into the inbox.
    var receivesByPlan = false

    // Outbound
    var outbox = ByteWriter(capacity: 1024)
    var serves = ServeQueue()
    var batch = SendBatch()
    var sendPosted = false
    var isDirty = false
    var waitsForRead = false

    init(index: UInt32, generation: UInt32, peer: PeerHandle, fd: Int32, state: State) {
        self.index = index
        self.generation = generation
        self.peer = peer
        self.fd = fd
        self.state = state
    }

    // Proxy
    /// Whom the proxy is to connect us to; nil: dialled directly.
    var proxyTarget: Endpoint?
    /// While proxying.
    var proxyHandshake: ProxyHandshake?
    /// The dial failed before it was the other side's turn.
    var failedOnOurSide = false
    /// The proxy did not reach the peer by TCP: once this link is closed, it is dialled by uTP.
    var turnsToUTP = false

    // Encryption
    var isAccepted = false
    var encryption = StreamEncryption.none
    /// While securing.
    var handshake: EncryptionHandshake?
    /// With RC4: what every received, and every sent, byte goes through.
    var decipher: StreamCipher?
    var encipher: StreamCipher?
    /// Bytes at the front of the outbox that are not to be encrypted any more.
    var finishedOutput = 0

    var isIdle: Bool { !receivePosted && !sendPosted && !connectPosted }
    var connectPosted = false
    /// Why it closes; 0: we want it so, or the other side ended the stream.
    var closeErrno: Int32 = 0
    var neverConnected = false

    func token(_ kind: PeerToken) -> Token { Token(kind: kind.rawValue, index: index, generation: generation) }
}

/// What a completion is about; kinds below 16 are the kit's.
enum PeerToken: UInt8 {
    case accept = 16
    case connect, receive, send
    case datagrams, datagramRoom
    /// The connection that holds the relay of a proxy.
    case relay
    /// A socket of libcurl; a .torrent that was read for its web seeds.
    case webSeed = 40
    case webSeedsRead
}
