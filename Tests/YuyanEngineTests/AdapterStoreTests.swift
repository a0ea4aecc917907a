import Synchronization
import TestSupport
import Testing
import YuyanFormats
import YuyanModels
import YuyanNN
import YuyanTensor

@testable import YuyanEngine

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Adapter store")
struct AdapterStoreTests {
    private let device = Device(threads: 1)
    private let model: Decoder
    private let modules = [
        (path: "model.layers.0.self_attn.q_proj", inputWidth: 32, outputWidth: 32),
        (path: "model.layers.1.mlp.down_proj", inputWidth: 40, outputWidth: 32),
    ]

    init() throws {
        model = try Decoder(Checkpoint(path: Goldens.path("models/llama-gqa")), on: device)
    }

    private func image(_ seed: UInt64, rank: Int = 4) -> AdapterImage {
        AdapterImage(modules: modules, rank: rank, seed: seed)
    }

    /// A folder with the adapter of a seed.
    private func folder(_ seed: UInt64, rank: Int = 4) -> TemporaryFolder {
        let folder = TemporaryFolder()
        image(seed, rank: rank).write(to: folder)
        return folder
    }

    private func store(_ budget: Int = 1 << 30) -> AdapterStore {
        AdapterStore(model: model, device: device, budgetBytes: budget)
    }

    private func bytes(of folder: TemporaryFolder) throws -> Int {
        try LowRankAdapter(name: "x", directory: folder.path, for: model, on: device).byteCount
    }

    @Test("gives what was registered, and lists it by name")
    func registers() throws {
        let (store, first, second) = (store(), folder(1), folder(2))
        defer { withExtendedLifetime((first, second)) {} }
        try store.register(name: "b", directory: first.path)
        try store.register(name: "a", directory: second.path)
        let adapter = try store.adapter(named: "b")
        #expect(adapter.name == "b" && adapter.updatedModuleCount == 2)
        #expect(try store.adapter(named: "b") === adapter)
        let list = store.list
        #expect(list.map(\.name) == ["a", "b"] && list.map(\.uses) == [0, 2])
        #expect(list.map(\.directory) == [second.path, first.path])
        #expect(list.allSatisfy { $0.isLoaded && $0.bytes == adapter.byteCount })
        #expect(store.loadedBytes == 2 * adapter.byteCount)
        try store.unregister(name: "b")
        #expect(store.list.map(\.name) == ["a"] && store.loadedBytes == adapter.byteCount)
    }

    @Test("refuses names that are taken, unknown or not plain, and says which there are")
    func names() throws {
        let (store, files) = (store(), folder(1))
        defer { withExtendedLifetime(files) {} }
        try store.register(name: "sql-2", directory: files.path)
        #expect(throws: AdapterStoreError.duplicate(name: "sql-2", directory: files.path)) {
            try store.register(name: "sql-2", directory: files.path)
        }
        #expect(throws: AdapterStoreError.unknown(name: "sql-3", known: ["sql-2"])) {
            try store.adapter(named: "sql-3")
        }
        #expect(throws: AdapterStoreError.unknown(name: "x", known: ["sql-2"])) {
            try store.unregister(name: "x")
        }
        for name in ["", ".", "-a", "a b", "ä", "a\n", String(repeating: "a", count: 129), "a\"b"] {
            #expect(throws: AdapterStoreError.badName(name)) {
                try store.register(name: name, directory: files.path)
            }
        }
        for name in ["a", "org/name:v1.2_x", String(repeating: "a", count: 128)] {
            try store.register(name: name, directory: files.path)
        }
    }

    @Test("is as before when an adapter is refused")
    func refused() throws {
        let (store, files, good) = (store(), folder(1), folder(2))
        defer { withExtendedLifetime((files, good)) {} }
        var wrong = image(1)
        wrong.tensors.removeLast()
        wrong.write(to: files)
        #expect(throws: AdapterError.self) {
            try store.register(name: "a", directory: files.path)
        }
        #expect(store.list.isEmpty && store.loadedBytes == 0)
        try store.register(name: "a", directory: good.path)
        // What was right once may be damaged when it is needed again.
        let small = self.store(try bytes(of: good))
        let other = folder(3)
        defer { withExtendedLifetime(other) {} }
        try small.register(name: "a", directory: good.path)
        try small.register(name: "b", directory: other.path)
        wrong.write(to: good)
        #expect(throws: AdapterError.self) { try small.adapter(named: "a") }
        image(2).write(to: good)
        #expect(try small.adapter(named: "a").name == "a")
    }

    @Test("forgets the adapter used longest ago, and reads it again when asked")
    func evicts() throws {
        let folders = (1...3).map { folder(UInt64($0)) }
        defer { withExtendedLifetime(folders) {} }
        let each = try bytes(of: folders[0])
        let store = store(2 * each)
        try store.register(name: "a", directory: folders[0].path)
        try store.register(name: "b", directory: folders[1].path)
        let version = try store.adapter(named: "a").version
        let inUse = try store.adapter(named: "b")
        _ = try store.adapter(named: "a")
        try store.register(name: "c", directory: folders[2].path)
        #expect(store.list.map(\.isLoaded) == [true, false, true])
        #expect(store.loadedBytes == 2 * each)
        // Who holds the forgotten one goes on with it; a new request gets an equal one.
        let again = try store.adapter(named: "b")
        #expect(again !== inUse && again.version == inUse.version)
        #expect(store.list.map(\.isLoaded) == [false, true, true])
        #expect(try store.adapter(named: "a").version == version)
        #expect(Set(try ["a", "b", "c"].map { try store.adapter(named: $0).version }).count == 3)
        #expect(store.loadedBytes <= store.budgetBytes)
    }

    @Test("gives changed files another version, and equal files the same")
    func versions() throws {
        let files = folder(1)
        let other = folder(2)
        defer { withExtendedLifetime((files, other)) {} }
        let store = store(try bytes(of: files))
        func version() throws -> UInt64 {
            _ = try store.adapter(named: "other")
            return try store.adapter(named: "a").version
        }
        try store.register(name: "a", directory: files.path)
        try store.register(name: "other", directory: other.path)
        let first = try version()
        #expect(try version() == first)
        var changed = image(1)
        changed.set("lora_alpha", 3)
        changed.write(to: files)
        let second = try version()
        changed.tensors[0].bytes[7] ^= 1
        changed.write(to: files)
        let third = try version()
        #expect(Set([first, second, third]).count == 3)
        image(1).write(to: files)
        #expect(try version() == first)
    }

    @Test("refuses an adapter larger than the whole budget")
    func tooLarge() throws {
        let files = folder(1)
        defer { withExtendedLifetime(files) {} }
        let size = try bytes(of: files)
        let small = store(size - 1)
        #expect(
            throws: AdapterError.tooLarge(directory: files.path, bytes: size, limit: size - 1)
        ) {
            try small.register(name: "a", directory: files.path)
        }
        #expect(small.list.isEmpty)
        try store(size).register(name: "a", directory: files.path)
    }

    @Test("keeps its budget and its counts whatever is asked of it at once")
    func concurrent() throws {
        let folders = (0..<6).map { folder(UInt64($0), rank: 1 + $0 % 3) }
        defer { withExtendedLifetime(folders) {} }
        let budget = 3 * (try bytes(of: folders[2]))
        let store = store(budget)
        for (index, folder) in folders.enumerated() {
            try store.register(name: "a\(index)", directory: folder.path)
        }
        let versions = try folders.indices.map { try store.adapter(named: "a\($0)").version }
        let before = store.list.reduce(0) { $0 + $1.uses }
        let faults = Atomic<Int>(0)
        let paths = folders.map(\.path)
        inThreads(4) { thread in
            var random = SeededGenerator(seed: UInt64(thread))
            for _ in 0..<100 {
                let index = Int.random(in: 0..<paths.count, using: &random)
                let adapter = try? store.adapter(named: "a\(index)")
                if adapter?.version != versions[index] || store.loadedBytes > budget {
                    faults.add(1, ordering: .relaxed)
                }
                let name = "t\(thread)"
                if (try? store.register(name: name, directory: paths[index])) == nil
                    || (try? store.unregister(name: name)) == nil
                {
                    faults.add(1, ordering: .relaxed)
                }
            }
        }
        #expect(faults.load(ordering: .relaxed) == 0)
        #expect(store.list.count == folders.count)
        #expect(store.list.reduce(0) { $0 + $1.uses } == before + 400)
        let loaded = store.list.filter(\.isLoaded).reduce(0) { $0 + $1.bytes }
        #expect(store.loadedBytes == loaded && loaded <= budget)
        for index in folders.indices { try store.unregister(name: "a\(index)") }
        #expect(store.loadedBytes == 0)
    }

    /// Runs `body` in some threads and waits for all.
    private func inThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
        final class Work: Sendable {
            let run: @Sendable () -> Void
            init(_ run: @escaping @Sendable () -> Void) { self.run = run }
        }
        let threads = (0..<count).map { index in
            var thread = pthread_t()
            let work = Unmanaged.passRetained(Work { body(index) })
            pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run()
                    return nil
                }, work.toOpaque())
            return thread
        }
        for thread in threads { pthread_join(thread, nil) }
    }
}
