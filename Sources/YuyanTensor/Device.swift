import CYuyanKernels

/// How a block-quantised weight meets its activations; chosen per run, never mixed silently.
public enum Precision: String, CaseIterable, Sendable, Codable {
    /// Weights widened to float32, activations as they are: the reference.
    case f32
    /// Activations rounded to 16 bits per block of 32, exact integer sums: nearly exact, the default.
    case int16
}

/// The processor as the operations see it: a thread pool, a set of kernels, a precision.
public final class Device: Sendable {
    /// The workers that every operation of this device runs on.
    public let pool: ThreadPool
    /// The instructions that the kernels were chosen for.
    public let instructionSet: InstructionSet
    /// How products with block-quantised weights are computed.
    public let precision: Precision
    let kernels: Kernels
    let scratch: WorkerScratch
    /// For the unfinished sums of a product, beside what `scratch` holds for it.
    let sums: WorkerScratch
    let weights: WeightArena
    /// What operations record themselves on; nil when serving.
    package let training: TrainingPass?

    /// - Parameters:
    ///   - threads: Workers; the number of processors by default.
    ///   - instructionSet: One that this processor has; the best by default.
    public convenience init(
        threads: Int = ThreadPool.processorCount, instructionSet: InstructionSet = .best,
        precision: Precision = .int16
    ) {
        self.init(
            threads: threads, instructionSet: instructionSet, precision: precision,
            weights: WeightArena())
    }

    /// A device that packs weights on the calling thread, beside whatever `other` is computing.
    ///
    /// Its memory comes in pieces of `pieceBytes`, which die with the matrices packed on it.
    package convenience init(packingFor other: Device, pieceBytes: Int) {
        self.init(
            threads: 1, instructionSet: other.instructionSet, precision: other.precision,
            weights: WeightArena(pieceBytes: pieceBytes))
    }

    private init(
        threads: Int, instructionSet: InstructionSet, precision: Precision, weights: WeightArena
    ) {
        guard let table = yk_kernels_for(instructionSet.code) else {
            preconditionFailure("this processor has no \(instructionSet.rawValue) instructions")
        }
        self.pool = ThreadPool(threadCount: threads)
        self.instructionSet = instructionSet
        self.precision = precision
        kernels = Kernels(table: table)
        scratch = WorkerScratch(workers: threads)
        sums = WorkerScratch(workers: threads)
        self.weights = weights
        training = nil
    }

    /// The same pool, kernels and memory, with operations recording themselves on `pass`.
    package func training(_ pass: TrainingPass?) -> Device {
        Device(self, training: pass, weights: weights)
    }

    /// This device with every weight in memory of its own, which dies with it.
    package var withOwnPieces: Device {
        Device(self, training: training, weights: WeightArena(pieceBytes: 0))
    }

    private init(_ other: Device, training: TrainingPass?, weights: WeightArena) {
        pool = other.pool
        instructionSet = other.instructionSet
        precision = other.precision
        kernels = other.kernels
        scratch = other.scratch
        sums = other.sums
        self.weights = weights
        self.training = training
    }

    /// The kernels' own name, as `doctor` prints it.
    public var kernelName: String { String(cString: kernels.table.pointee.name) }
}

/// The chosen kernel table.
///
/// Unchecked: it points at constant data of the C target that lives as long as the program.
struct Kernels: @unchecked Sendable {
    let table: UnsafePointer<yk_kernels>
}

/// Growing scratch memory, one piece for each worker of a pool.
///
/// Unchecked: worker `i` alone touches piece `i`, and a pool runs one loop at a time.
final class WorkerScratch: @unchecked Sendable {
    private var pieces: [Storage?]

    init(workers: Int) { pieces = Array(repeating: nil, count: workers) }

    /// At least `byteCount` bytes, 64-byte aligned, contents undefined; valid until the next call
    /// for the same worker.
    func bytes(_ byteCount: Int, worker: Int) -> UnsafeMutableRawPointer {
        pieces.withUnsafeMutableBufferPointer { pieces in
            if let piece = pieces[worker], piece.byteCount >= byteCount { return piece.start }
            let piece = Storage(byteCount: byteCount)
            pieces[worker] = piece
            return piece.start
        }
    }
}
