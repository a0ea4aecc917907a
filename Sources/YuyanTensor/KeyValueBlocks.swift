import CYuyanKernels
import Synchronization

/// How keys and values are stored.
public enum KeyValueType: String, CaseIterable, Sendable, Codable {
    case f32
    case f16
    /// 8-bit integers with one float32 scale per token and head.
    case q8

    var code: yk_kv_type {
        switch self {
        case .f32: YK_KV_F32
        case .f16: YK_KV_F16
        case .q8: YK_KV_Q8
        }
    }

    var bytes: Int {
        switch self {
        case .f32: 4
        case .f16: 2
        case .q8: 1
        }
    }
}

/// Sizes of a paged cache of keys and values, the same for every block.
public struct KeyValueLayout: Sendable, Hashable {
    /// Tokens to a block: the key tile of attention, so that a block is reduced whole.
    public static let blockTokens = Int(YK_KEY_TILE)

    /// Attention layers; a block holds its tokens' keys and values of all of them.
    public let layers: Int
    /// Key and value heads KVH of a layer.
    public let heads: Int
    /// Width D of one head.
    public let headDimension: Int
    /// The type that every element is stored in.
    public let type: KeyValueType

    /// A layout for KVH = `heads` heads of width D = `headDimension` in each layer.
    public init(layers: Int, heads: Int, headDimension: Int, type: KeyValueType) {
        self.layers = layers
        self.heads = heads
        self.headDimension = headDimension
        self.type = type
    }

    var planeBytes: Int { Self.blockTokens * headDimension * type.bytes }
    private var scaleBytes: Int { type == .q8 ? Self.blockTokens * 4 : 0 }
    private var headBytes: Int { 2 * planeBytes + 2 * scaleBytes }
    var layerBytes: Int { heads * headBytes }
    /// Memory of one block of `blockTokens` tokens, all layers.
    public var blockBytes: Int { layers * layerBytes }
    /// Memory of one token's keys and values, all layers.
    public var bytesPerToken: Int { blockBytes / Self.blockTokens }

    func keyOffset(head: Int) -> Int { head * headBytes }
    func valueOffset(head: Int) -> Int { head * headBytes + planeBytes }
    func keyScaleOffset(head: Int) -> Int { head * headBytes + 2 * planeBytes }
    func valueScaleOffset(head: Int) -> Int { keyScaleOffset(head: head) + scaleBytes }
}

/// The memory of a paged cache: numbered blocks, allocated when first used.
///
/// Who uses which block is decided elsewhere; this only holds the bytes. Kwon et al., "Efficient
/// Memory Management for Large Language Model Serving with PagedAttention", arXiv:2309.06180.
///
/// Unchecked: the owners of the blocks are guarded, and an entry of the address table belongs to its
/// block alone: it is written by the block's first use and by its release, which must not meet a
/// pass that uses the block. A block's bytes are written only for the sequence that owns it, one
/// forward pass at a time.
public final class KeyValueBlocks: @unchecked Sendable {
    /// What a block consists of.
    public let layout: KeyValueLayout
    private let blocks = Mutex<[Int32: Storage]>([:])
    /// Address of each block that has memory; looked up many times a pass, so not under a lock.
    private let addresses: UnsafeMutableBufferPointer<UnsafeMutablePointer<UInt8>?>

    /// Starts with no memory; each block is allocated, and zeroed, by its first use.
    ///
    /// - Parameter capacity: Blocks `0..<capacity` are found without a lock; others may be used too.
    public init(layout: KeyValueLayout, capacity: Int? = nil) {
        precondition(capacity.map { $0 >= 0 } ?? true, "room for \(capacity ?? 0) blocks")
        self.layout = layout
        addresses = .allocate(capacity: capacity ?? 0)
        addresses.initialize(repeating: nil)
    }

    deinit { addresses.deallocate() }

    /// Bytes of the blocks allocated so far.
    public var allocatedBytes: Int { blocks.withLock { $0.count } * layout.blockBytes }

    /// Gives a block's memory back.
    public func release(_ block: Int32) {
        blocks.withLock { blocks in
            if addresses.indices.contains(Int(block)) { addresses[Int(block)] = nil }
            blocks[block] = nil
        }
    }

    /// Copies the whole contents of one block to another.
    public func copy(_ source: Int32, to destination: Int32) {
        start(of: destination).update(from: start(of: source), count: layout.blockBytes)
    }

    func start(of block: Int32) -> UnsafeMutablePointer<UInt8> {
        if addresses.indices.contains(Int(block)), let address = addresses[Int(block)] {
            return address
        }
        return blocks.withLock { blocks in
            let storage = blocks[block] ?? zeroedStorage()
            blocks[block] = storage
            let address = storage.start.assumingMemoryBound(to: UInt8.self)
            if addresses.indices.contains(Int(block)) { addresses[Int(block)] = address }
            return Unchecked(address)
        }.value
    }

    private func zeroedStorage() -> Storage {
        let storage = Storage(byteCount: layout.blockBytes)
        // A reused piece may hold NaN bits; masked keys must still be finite numbers.
        storage.start.initializeMemory(as: UInt8.self, repeating: 0, count: layout.blockBytes)
        return storage
    }
}

/// Consecutive tokens of one sequence inside a batch.
public struct SequenceSegment: Sendable, Hashable {
    /// Rows of the batch.
    public let rows: Range<Int>
    /// Position in the sequence of the first of them.
    public let firstPosition: Int
    /// Blocks of the sequence in order; they must cover position `firstPosition + rows.count - 1`.
    public let blocks: [Int32]
    /// Rows of the same pass that hold the sequence's beginning, which other sequences may share.
    ///
    /// Only passes without a cache look at it, and there a sequence that does not begin at position 0
    /// needs it: see `TokenBatch.init(branches:)`.
    public let prefix: Range<Int>?

    /// Checks that the blocks reach the last token: `firstPosition + rows.count` in all.
    ///
    /// - Precondition: A prefix has `firstPosition` rows and lies before `rows`.
    public init(
        rows: Range<Int>, firstPosition: Int, blocks: [Int32], prefix: Range<Int>? = nil
    ) {
        precondition(
            prefix.map { $0.count == firstPosition && $0.upperBound <= rows.lowerBound } ?? true,
            "rows \(prefix ?? rows) do not come before \(rows) at position \(firstPosition)")
        let tokens = firstPosition + rows.count
        precondition(
            blocks.count * KeyValueLayout.blockTokens >= tokens,
            "\(blocks.count) blocks cannot hold \(tokens) tokens")
        self.rows = rows
        self.firstPosition = firstPosition
        self.blocks = blocks
        self.prefix = prefix
    }
}
