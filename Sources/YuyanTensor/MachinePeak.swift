import CYuyanKernels

/// What this machine reaches at most, measured: the yardstick beside every benchmark.
public struct MachinePeak: Sendable, Hashable {
    /// Threads that were measured together.
    public let threads: Int
    /// Float32 fused multiply-adds on registers alone, in 10⁹ operations a second; an FMA is two.
    public let gigaflops: Double
    /// Reading memory that no cache holds, in 10⁹ bytes a second.
    public let readGigabytes: Double
    /// Adding two arrays into a third, in 10⁹ bytes a second, two read and one written.
    public let triadGigabytes: Double
}

extension Device {
    /// Measures the machine on all of this device's threads, with its kernels.
    ///
    /// The best of several runs, because a peak is what the machine can do when left alone.
    ///
    /// - Parameters:
    ///   - bufferBytes: Memory to stream, several times the last cache; a multiple of 1 MiB.
    ///   - repeats: Runs of each kind.
    public func measuredPeak(bufferBytes: Int = 256 << 20, repeats: Int = 5) -> MachinePeak {
        precondition(bufferBytes >= pieceBytes * 3 && repeats > 0, "nothing to measure")
        let buffer = Storage(byteCount: bufferBytes)
        let pieces = bufferBytes / pieceBytes
        let memory = Unchecked(buffer.start)
        pool.parallel(pieces) { piece, _ in
            let start = memory.value + piece * pieceBytes
            start.initializeMemory(as: Float.self, repeating: 1, count: pieceFloats)
        }
        let sinks = Sinks(workers: pool.threadCount)
        return MachinePeak(
            threads: pool.threadCount,
            gigaflops: best(repeats) { burn(sinks) },
            readGigabytes: best(repeats) { read(buffer, pieces: pieces, sinks) },
            triadGigabytes: best(repeats) { triad(buffer, pieces: pieces) })
    }

    /// Seconds from the start of a parallel loop of empty bodies to its end, the fastest of many.
    ///
    /// - Parameter loops: Loops in a row; the pool's threads stay awake between them.
    public func measuredDispatch(loops: Int = 20_000) -> Double {
        let clock = ContinuousClock()
        var fastest = Double.infinity
        for _ in 0..<5 {
            let start = clock.now
            for _ in 0..<loops / 5 { pool.parallel(pool.threadCount) { _, _ in } }
            fastest = min(fastest, (clock.now - start) / .seconds(1) / Double(max(1, loops / 5)))
        }
        return fastest
    }

    /// Operations a second in 10⁹, over pieces small enough that the threads end together.
    private func burn(_ sinks: Sinks) -> Double {
        let kernel = kernels.table.pointee.burn_fma
        func operations(_ iterations: Int, pieces: Int) -> (count: Double, seconds: Double) {
            let clock = ContinuousClock()
            let start = clock.now
            var each = 0.0
            pool.parallel(pieces) { piece, worker in
                let done = kernel?(iterations, sinks[worker]) ?? 0
                if piece == 0 { each = done }
            }
            return (each * Double(pieces), (clock.now - start) / .seconds(1))
        }
        // A portable build may be a thousand times slower than AVX-512, so find the size of a piece.
        var iterations = 1 << 8
        while iterations < 1 << 24, operations(iterations, pieces: 1).seconds < 2e-3 {
            iterations *= 2
        }
        let (count, seconds) = operations(iterations, pieces: pool.threadCount * 16)
        return count / seconds / 1e9
    }

    private func read(_ buffer: Storage, pieces: Int, _ sinks: Sinks) -> Double {
        let kernel = kernels.table.pointee.read_sum
        let memory = Unchecked(buffer.start)
        let clock = ContinuousClock()
        let start = clock.now
        pool.parallel(pieces) { piece, worker in
            let floats = (memory.value + piece * pieceBytes).assumingMemoryBound(to: Float.self)
            sinks[worker].pointee += kernel?(floats, pieceFloats) ?? 0
        }
        return Double(pieces * pieceBytes) / ((clock.now - start) / .seconds(1)) / 1e9
    }

    private func triad(_ buffer: Storage, pieces: Int) -> Double {
        let kernel = kernels.table.pointee.add
        let memory = Unchecked(buffer.start)
        let third = pieces / 3
        let clock = ContinuousClock()
        let start = clock.now
        pool.parallel(third) { piece, _ in
            func floats(_ part: Int) -> UnsafeMutablePointer<Float> {
                (memory.value + (part * third + piece) * pieceBytes)
                    .assumingMemoryBound(to: Float.self)
            }
            kernel?(floats(0), floats(1), pieceFloats, floats(2))
        }
        return Double(3 * third * pieceBytes) / ((clock.now - start) / .seconds(1)) / 1e9
    }
}

private let pieceBytes = 1 << 20
private let pieceFloats = pieceBytes / MemoryLayout<Float>.stride

private func best(_ repeats: Int, _ measure: () -> Double) -> Double {
    (0..<repeats).reduce(0) { largest, _ in max(largest, measure()) }
}

/// A place for each worker's results, a cache line apart, so that no loop is optimised away.
///
/// Unchecked: worker `i` alone touches place `i`.
private final class Sinks: @unchecked Sendable {
    private let storage: Storage

    init(workers: Int) {
        storage = Storage(byteCount: workers * 64)
        storage.start.initializeMemory(as: Float.self, repeating: 0, count: workers * 16)
    }

    subscript(worker: Int) -> UnsafeMutablePointer<Float> {
        storage.start.assumingMemoryBound(to: Float.self) + worker * 16
    }
}
