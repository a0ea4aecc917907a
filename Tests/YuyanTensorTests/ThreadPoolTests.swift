import Synchronization
import TestSupport
import Testing

@testable import YuyanTensor

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite("Thread pool", .serialized)
struct ThreadPoolTests {
    /// Runs one loop and expects every index once, and one call at a time per worker.
    private func expectEachOnce(_ pool: ThreadPool, _ count: Int) {
        let seen = UnsafeMutablePointer<UInt8>.allocate(capacity: max(count, 1))
        seen.initialize(repeating: 0, count: count)
        let active = UnsafeMutablePointer<UInt8>.allocate(capacity: pool.threadCount)
        active.initialize(repeating: 0, count: pool.threadCount)
        defer {
            seen.deallocate()
            active.deallocate()
        }
        let calls = Atomic<Int>(0)
        let faults = Atomic<Int>(0)
        let (places, workers, threads) = (Unchecked(seen), Unchecked(active), pool.threadCount)
        pool.parallel(count) { index, worker in
            calls.wrappingAdd(1, ordering: .relaxed)
            guard index >= 0, index < count, worker >= 0, worker < threads,
                workers.value[worker] == 0
            else {
                faults.wrappingAdd(1, ordering: .relaxed)
                return
            }
            workers.value[worker] = 1
            places.value[index] += 1
            workers.value[worker] = 0
        }
        #expect(calls.load(ordering: .relaxed) == count)
        #expect(faults.load(ordering: .relaxed) == 0)
        #expect((0..<count).allSatisfy { seen[$0] == 1 }, "\(count) on \(threads) threads")
    }

    @Test("calls every index once, each worker one at a time", arguments: 1...5)
    func eachOnce(_ threads: Int) {
        let pool = ThreadPool(threadCount: threads)
        #expect(pool.threadCount == threads)
        for count in 0...130 { expectEachOnce(pool, count) }
        for count in [255, 256, 257, 1000, 4095, 9999, 10000] { expectEachOnce(pool, count) }
    }

    @Test("survives a hundred thousand tiny loops")
    func rapid() {
        let pool = ThreadPool(threadCount: 2)
        let total = Atomic<Int>(0)
        for _ in 0..<100_000 {
            pool.parallel(2) { index, _ in total.wrappingAdd(index + 1, ordering: .relaxed) }
        }
        #expect(total.load(ordering: .relaxed) == 300_000)
    }

    @Test("sees what the caller wrote before, and shows it what the workers wrote")
    func visibility() {
        let pool = ThreadPool(threadCount: 3)
        let memory = UnsafeMutablePointer<Int>.allocate(capacity: 64)
        defer { memory.deallocate() }
        memory.initialize(repeating: 0, count: 64)
        let shared = Unchecked(memory)
        for round in 1...2000 {
            for index in 0..<64 { memory[index] = round * 64 + index }
            let bad = Atomic<Int>(0)
            pool.parallel(64) { index, _ in
                if shared.value[index] != round * 64 + index {
                    bad.wrappingAdd(1, ordering: .relaxed)
                }
                shared.value[index] = -round
            }
            let wrong = (0..<64).filter { memory[$0] != -round }
            if bad.load(ordering: .relaxed) > 0 || !wrong.isEmpty {
                Issue.record("round \(round): \(wrong)")
                return
            }
        }
    }

    @Test("wakes after its workers have parked")
    func parking() {
        let pool = ThreadPool(threadCount: 3)
        for round in 0..<6 {
            if round > 0 { usleep(50_000) }
            expectEachOnce(pool, 500)
        }
    }

    @Test("can be released with its workers parked, spinning, or never used")
    func release() {
        for round in 0..<60 {
            let pool = ThreadPool(threadCount: 1 + round % 5)
            if round.isMultiple(of: 3) { expectEachOnce(pool, 20) }
            if round.isMultiple(of: 4) { usleep(5000) }
        }
    }

    #if os(Linux)
        @Test("leaves no thread behind")
        func noLeak() async {
            await #expect(processExitsWith: .success) {
                func threads() -> Int { itemNames(in: "/proc/self/task").count }
                let before = threads()
                for _ in 0..<20 {
                    let pool = ThreadPool(threadCount: 4)
                    pool.parallel(10) { _, _ in }
                }
                // Detached threads need a moment to go.
                for _ in 0..<400 where threads() > before { usleep(10_000) }
                exit(threads() <= before ? 0 : 1)
            }
        }
    #endif

    @Test("traps on loops inside loops, and on no threads")
    func nesting() async {
        await #expect(processExitsWith: trap) {
            let pool = ThreadPool(threadCount: 2)
            pool.parallel(8) { _, _ in pool.parallel(8) { _, _ in } }
        }
        await #expect(processExitsWith: trap) {
            _ = ThreadPool(threadCount: 0)
        }
    }
}
