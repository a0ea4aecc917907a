import Synchronization
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

/// The adapters of one model by name, as many in memory as a budget holds.
///
/// Of adapters that do not fit together the one used longest ago is forgotten, and read again when
/// it is asked for. Forgetting frees nothing that a sequence still uses: whoever holds an adapter
/// keeps it alive.
public final class AdapterStore: Sendable {
    /// What is known of one adapter.
    public struct Item: Sendable, Hashable {
        /// What requests call it.
        public let name: String
        /// Where its files are.
        public let directory: String
        /// Memory that it takes when loaded; as of the last load.
        public let bytes: Int
        /// Whether it is in memory now.
        public let isLoaded: Bool
        /// How often it was asked for.
        public let uses: Int
    }

    fileprivate struct Entry {
        /// Tells an entry from an earlier one of the same name.
        let number: Int
        let directory: String
        var bytes: Int
        var adapter: LowRankAdapter?
        var uses = 0
        var lastUse = 0
    }

    fileprivate struct State {
        var entries: [String: Entry] = [:]
        var time = 0
        var loadedBytes = 0
    }

    static let longestName = 128
    /// Most bytes of adapters that the store itself keeps.
    public let budgetBytes: Int
    private let model: Decoder
    private let device: Device
    private let state = Mutex(State())
    /// Held while files are read, so that many requests for one adapter read it once; never taken
    /// while `state` is.
    private let reading = Mutex<Void>(())

    /// - Parameters:
    ///   - model: What all adapters update.
    ///   - device: The one that the model runs on; loading computes on the calling thread.
    ///   - budgetBytes: Most memory for adapters that are kept without being in use.
    public init(model: Decoder, device: Device, budgetBytes: Int) {
        precondition(budgetBytes >= 0, "a budget of \(budgetBytes) bytes")
        self.model = model
        self.device = device
        self.budgetBytes = budgetBytes
    }

    /// Loads an adapter, checks it whole, and gives it a name.
    ///
    /// - Throws: `AdapterStoreError` on a bad or taken name; `AdapterError` or `FormatError` if the
    ///   files are wrong or the adapter alone is larger than the budget. Nothing is changed then.
    public func register(name: String, directory: String) throws {
        guard Self.isName(name) else { throw AdapterStoreError.badName(name) }
        try reading.withLock { _ in
            try state.withLock { try $0.checkFree(name) }
            let adapter = try load(name, directory)
            // Only `register` adds names, and it holds `reading`.
            state.withLock { state in
                state.time += 1
                let time = state.time
                state.entries[name] = Entry(
                    number: time, directory: directory, bytes: adapter.byteCount,
                    lastUse: time)
                state.keep(adapter, budget: budgetBytes)
            }
        }
    }

    /// Forgets a name; sequences that use the adapter go on.
    ///
    /// - Throws: `AdapterStoreError.unknown`.
    public func unregister(name: String) throws {
        try state.withLock { state in
            guard let entry = state.entries.removeValue(forKey: name) else {
                throw state.unknown(name)
            }
            if let adapter = entry.adapter { state.loadedBytes -= adapter.byteCount }
        }
    }

    /// The adapter of a name, read again if it was forgotten meanwhile; counts as a use.
    ///
    /// Files that are unchanged give the version they gave before, changed files another.
    ///
    /// - Throws: `AdapterStoreError.unknown`; what loading throws if the files are no longer right.
    public func adapter(named name: String) throws -> LowRankAdapter {
        if let adapter = try state.withLock({ try $0.use(name) }).adapter { return adapter }
        return try reading.withLock { _ in
            // Another request may have read it while this one waited.
            let entry = try state.withLock { try $0.entry(name) }
            if let adapter = entry.adapter { return adapter }
            let adapter = try load(name, entry.directory)
            state.withLock { state in
                guard state.entries[name]?.number == entry.number else { return }
                state.keep(adapter, budget: budgetBytes)
            }
            return adapter
        }
    }

    /// All adapters, by name.
    public var list: [Item] {
        state.withLock { state in
            state.entries.map { name, entry in
                Item(
                    name: name, directory: entry.directory, bytes: entry.bytes,
                    isLoaded: entry.adapter != nil, uses: entry.uses)
            }
        }
        .sorted { $0.name < $1.name }
    }

    /// Bytes of the adapters that the store keeps now; at most the budget.
    public var loadedBytes: Int { state.withLock { $0.loadedBytes } }

    private func load(_ name: String, _ directory: String) throws -> LowRankAdapter {
        try LowRankAdapter(
            name: name, path: directory, for: model, on: device, limitBytes: budgetBytes)
    }

    /// Names go into URLs, logs and metrics, so they are plain.
    private static func isName(_ name: String) -> Bool {
        func isPlain(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "a")...UInt8(ascii: "z"):
                true
            default: false
            }
        }
        guard (1...longestName).contains(name.utf8.count), let first = name.utf8.first,
            isPlain(first)
        else { return false }
        return name.utf8.allSatisfy { isPlain($0) || "._-:/".utf8.contains($0) }
    }
}

extension AdapterStore.State {
    func unknown(_ name: String) -> AdapterStoreError {
        let names = entries.keys.sorted()
        let nearest = nearestNames(to: name, in: names, limit: 8)
        return .unknown(name: name, known: nearest.isEmpty ? Array(names.prefix(8)) : nearest)
    }

    func checkFree(_ name: String) throws(AdapterStoreError) {
        guard let entry = entries[name] else { return }
        throw .duplicate(name: name, directory: entry.directory)
    }

    func entry(_ name: String) throws(AdapterStoreError) -> AdapterStore.Entry {
        guard let entry = entries[name] else { throw unknown(name) }
        return entry
    }

    mutating func use(_ name: String) throws(AdapterStoreError) -> AdapterStore.Entry {
        var entry = try entry(name)
        time += 1
        entry.uses += 1
        entry.lastUse = time
        entries[name] = entry
        return entry
    }

    /// Keeps a loaded adapter, and forgets those used longest ago until the budget holds.
    mutating func keep(_ adapter: LowRankAdapter, budget: Int) {
        entries[adapter.name]?.adapter = adapter
        entries[adapter.name]?.bytes = adapter.byteCount
        loadedBytes += adapter.byteCount
        while loadedBytes > budget {
            let oldest = entries.lazy
                .filter { $0.key != adapter.name && $0.value.adapter != nil }
                .min { $0.value.lastUse < $1.value.lastUse }
            guard let oldest, let forgotten = oldest.value.adapter else { return }
            entries[oldest.key]?.adapter = nil
            loadedBytes -= forgotten.byteCount
        }
    }
}
